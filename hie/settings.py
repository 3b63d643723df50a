"""Settings: the only reader of the environment.

Each field is one `HIE_…` variable and one key of the optional TOML file (HIE_CONFIG). An unknown name or an
unreadable value stops the start.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any


class SettingsError(ValueError):
    """A setting that is unknown or cannot be read."""


_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.\-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII)
INTEGRITY_MODES = ("both", "write", "delete", "none")


def _setting(default: Any, meaning: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"meaning": meaning, "secret": secret})


@dataclass(frozen=True, slots=True)
class Settings:
    """How one server is set up. https://12factor.net/config"""

    data_dir: Path = _setting(Path("data"), "Directory of the key file, the SQLite file and locks.")
    database_url: str = _setting(
        "", "SQLAlchemy URL of the database; empty: SQLite in the data directory.", secret=True
    )
    key_file: Path | None = _setting(
        None, "File (mode 600) with the root key; empty: keys/root.key in the data directory."
    )
    base_url: str = _setting(
        "", "Public base URL of the FHIR API, for example https://hie.example.org/fhir; empty: taken from the request."
    )
    host: str = _setting("127.0.0.1", "Address that `hie serve` binds.")
    port: int = _setting(8080, "Port that `hie serve` binds.")
    workers: int = _setting(2, "Web processes that `hie serve` starts.")
    threads: int = _setting(16, "Blocking threads of each web process.")
    embedded_worker: bool = _setting(True, "Whether `hie serve` starts a job worker of its own.")
    max_body_bytes: int = _setting(32_000_000, "Largest request body that is read, in bytes.")
    max_bundle_entries: int = _setting(5_000, "Most entries of one batch or transaction Bundle.")
    max_conditional_deletes: int = _setting(100, "Most matches that one conditional delete may delete (`_count`).")
    max_cascade_deletes: int = _setting(3_000, "Most resources that `_cascade=delete` takes along.")
    referential_integrity: str = _setting(
        "both", "Which references are enforced: both, write (what is written must not refer to nothing), delete (what "
        "others refer to is not deleted without `_cascade=delete`), or none."
    )
    default_page_size: int = _setting(20, "_count where the client names none.")
    max_page_size: int = _setting(1_000, "Largest page of a search or history.")
    cors_origins: str = _setting(
        "", "Origins of web pages that may call the FHIR API from a browser, separated by spaces, for example "
        "https://app.example.org; * for every page; empty: none."
    )
    async_hours: int = _setting(24, "Hours after which the answer of an asynchronous request is removed.")
    async_client_bytes: int = _setting(
        256_000_000, "Bytes of asynchronous requests and answers from which on no more is kept for one client."
    )
    content_search: bool = _setting(
        False, "Whether `_content` is answered: every word of every string is indexed, about 100 µs more for a create."
    )
    token_cache_seconds: int = _setting(5, "Longest time a revoked token may still be answered from memory.")
    job_attempts: int = _setting(3, "Tries of a job before it has failed.")
    log_level: str = _setting("INFO", "Level of the structured log on standard error.")

    def __post_init__(self) -> None:
        for name, low, high in (
            ("port", 0, 65_535), ("workers", 1, 256), ("threads", 1, 256), ("max_body_bytes", 1_000, 2**31),
            ("max_bundle_entries", 1, 1_000_000), ("max_conditional_deletes", 1, 10_000),
            ("max_cascade_deletes", 0, 100_000), ("default_page_size", 0, 1_000_000), ("max_page_size", 1, 1_000_000),
            ("token_cache_seconds", 0, 3_600), ("job_attempts", 1, 100), ("async_hours", 1, 8_760),
            ("async_client_bytes", 1_000, 2**40),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(f"Setting {name} is {value}; it must lie between {low} and {high}.")
        if self.default_page_size > self.max_page_size:
            raise SettingsError("Setting default_page_size is larger than max_page_size.")
        if self.referential_integrity not in INTEGRITY_MODES:
            raise SettingsError(f"Setting referential_integrity is {self.referential_integrity!r}; it must be one of "
                                f"{', '.join(INTEGRITY_MODES)}.")
        if self.log_level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise SettingsError(f"Setting log_level is {self.log_level!r}; it must be DEBUG, INFO, WARNING or ERROR.")
        for origin in self.cors_origins.split():
            if origin != "*" and _ORIGIN.fullmatch(origin) is None:
                raise SettingsError(f"Setting cors_origins names {origin!r}; an origin is http:// or https://, a host "
                                    "and perhaps a port, without a path.")
        if self.base_url and not self.base_url.startswith(("http://", "https://")):
            raise SettingsError(f"Setting base_url is {self.base_url!r}; it must begin with http:// or https://.")

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """Read HIE_… variables over the TOML file over the defaults; keyword arguments win (command line)."""
        given = {name: value for name, (value, _) in _given(environment, overrides).items()}
        known = {f.name: f for f in fields(cls)}
        values = {}
        for name, value in given.items():
            if name not in known:
                raise SettingsError(f"Unknown setting HIE_{name.upper()}; known: {', '.join(sorted(known))}.")
            values[name] = _read(name, str(known[name].type), value)
        return cls(**values)

    @classmethod
    def origins(cls, environment: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return where the value of each setting comes from: a variable, the TOML file, or the default."""
        given = _given(environment, {})
        return {f.name: given[f.name][1] if f.name in given else "default" for f in fields(cls)}

    @property
    def sqlalchemy_url(self) -> str:
        """The URL of the database that is really used."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'hie.sqlite3').resolve()}"

    @property
    def enforces_on_write(self) -> bool:
        """Whether what is written must not refer to nothing."""
        return self.referential_integrity in ("both", "write")

    @property
    def enforces_on_delete(self) -> bool:
        """Whether what others refer to stays."""
        return self.referential_integrity in ("both", "delete")

    @property
    def allowed_origins(self) -> frozenset[str]:
        """The origins that cors_origins names."""
        return frozenset(self.cors_origins.lower().split())

    @property
    def root_key_file(self) -> Path:
        """The file that holds the root key."""
        return self.key_file or self.data_dir / "keys" / "root.key"


#: Variables beginning with HIE_ that are no settings of the server: the test suite's, and the token of `hie load`.
NOT_SETTINGS = frozenset({"HIE_TEST_DATA", "HIE_TEST_NODE_CLIENTS", "HIE_TEST_POSTGRES", "HIE_TOKEN"})


def _given(environment: Mapping[str, str] | None, overrides: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """Return name -> (value, origin) of everything that is set anywhere."""
    environment = os.environ if environment is None else environment
    given: dict[str, tuple[Any, str]] = {}
    config = environment.get("HIE_CONFIG")
    if config:
        given.update((name, (value, config)) for name, value in _read_toml(Path(config)).items())
    for variable, text in environment.items():
        if variable.startswith("HIE_") and variable not in {"HIE_CONFIG", *NOT_SETTINGS}:
            given[variable[4:].lower()] = (text, variable)
    given.update((name, (value, "argument")) for name, value in overrides.items() if value is not None)
    return given


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error}") from error


def _read(name: str, annotation: str, value: Any) -> Any:
    if annotation.startswith("Path"):
        return Path(value) if value not in ("", None) else None
    if annotation == "bool":
        lowered = str(value).lower()
        if lowered in {"true", "1", "yes", "on"}:
            return True
        if lowered in {"false", "0", "no", "off"}:
            return False
        raise SettingsError(f"Setting {name} is {value!r}; it must be true or false.")
    if annotation == "int":
        try:
            return int(value)
        except (TypeError, ValueError):
            raise SettingsError(f"Setting {name} is {value!r}; it must be a whole number.") from None
    return str(value)
