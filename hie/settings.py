"""Settings: the only reader of the environment.

Each field is one `HIE_…` variable and one key of the optional TOML file (HIE_CONFIG). An unknown name or an
unreadable value stops the start.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any


class SettingsError(ValueError):
    """A setting that is unknown or cannot be read."""


_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.\-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII)
_BASE_URL = re.compile(r"https?://[^\s/?#]+(?:/[^\s?#]*)?")


def _setting(
    default: Any, meaning: str, *, secret: bool = False, between: tuple[int, int] | None = None,
    one_of: tuple[str, ...] = (),
) -> Any:
    metadata = {"meaning": meaning, "secret": secret, "between": between, "one_of": one_of}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Settings:
    """How one server is set up. https://12factor.net/config"""

    data_dir: Path = _setting(
        Path("data"), "Directory of the key file, the SQLite file, locks, audit records on their way to the database, "
        "figures, and models of your own; each machine has its own."
    )
    database_url: str = _setting(
        "", "SQLAlchemy URL of the database; empty: SQLite in the data directory.", secret=True
    )
    key_file: Path | None = _setting(
        None, "File (mode 600) with the root key; empty: keys/root.key in the data directory."
    )
    base_url: str = _setting(
        "", "Public base URL of the FHIR API, for example https://hie.example.org/fhir; empty: taken from the request. "
        "Absolute references below it are indexed as leading here, so every process and command is given the same one; "
        "what is stored already follows a change by `$reindex`."
    )
    host: str = _setting("127.0.0.1", "Address that `hie serve` binds.")
    port: int = _setting(8080, "Port that `hie serve` binds.", between=(0, 65_535))
    workers: int = _setting(2, "Web processes that `hie serve` starts.", between=(1, 256))
    threads: int = _setting(16, "Blocking threads of each web process.", between=(1, 256))
    embedded_worker: bool = _setting(True, "Whether `hie serve` starts a job worker of its own.")
    max_body_bytes: int = _setting(32_000_000, "Largest request body that is read, in bytes.", between=(1_000, 2**31))
    max_bundle_entries: int = _setting(
        5_000, "Most entries of one batch or transaction Bundle.", between=(1, 1_000_000)
    )
    max_conditional_deletes: int = _setting(
        100, "Most matches that one conditional delete may delete (`_count`).", between=(1, 10_000)
    )
    max_cascade_deletes: int = _setting(
        3_000, "Most resources that `_cascade=delete` takes along.", between=(0, 100_000)
    )
    referential_integrity: str = _setting(
        "both", "Which references are enforced: both, write (what is written must not refer to nothing), delete (what "
        "others refer to is not deleted without `_cascade=delete`), or none.",
        one_of=("both", "write", "delete", "none"),
    )
    labels_on_update: str = _setting(
        "keep", "What becomes of the tags and security labels that an update (PUT) does not have: keep, they stay, "
        "and are taken away by `$meta-delete` or a patch; or replace, they go.",
        one_of=("keep", "replace"),
    )
    default_page_size: int = _setting(20, "_count where the client names none.", between=(0, 1_000_000))
    max_page_size: int = _setting(1_000, "Largest page of a search or history.", between=(1, 1_000_000))
    cors_origins: str = _setting(
        "", "Origins of web pages that may call the FHIR API from a browser, separated by spaces, for example "
        "https://app.example.org; * for every page; empty: none."
    )
    async_hours: int = _setting(
        24, "Hours after which the answer of an asynchronous request is removed.", between=(1, 8_760)
    )
    async_client_bytes: int = _setting(
        256_000_000, "Bytes of asynchronous requests and answers from which on no more is kept for one client.",
        between=(1_000, 2**40),
    )
    content_search: bool = _setting(
        False, "Whether `_content` is answered: every word of every string is indexed, about 100 µs more for a create."
    )
    token_cache_seconds: int = _setting(
        5, "Longest time a revoked token may still be answered from memory.", between=(0, 3_600)
    )
    job_attempts: int = _setting(3, "Tries of a job before it has failed.", between=(1, 100))
    log_level: str = _setting(
        "INFO", "Level of the structured log on standard error.", one_of=("DEBUG", "INFO", "WARNING", "ERROR")
    )

    def __post_init__(self) -> None:
        for one in fields(self):
            value, bounds, one_of = getattr(self, one.name), one.metadata["between"], one.metadata["one_of"]
            if bounds and not bounds[0] <= value <= bounds[1]:
                raise SettingsError(f"Setting {one.name} is {value}; it must lie between {bounds[0]} and {bounds[1]}.")
            if one_of and value not in one_of:
                raise SettingsError(f"Setting {one.name} is {value!r}; it must be one of {', '.join(one_of)}.")
        if self.default_page_size > self.max_page_size:
            raise SettingsError(f"Setting default_page_size is {self.default_page_size}, larger than max_page_size "
                                f"({self.max_page_size}).")
        if not self.host:
            raise SettingsError("Setting host is empty; it must be an address, such as 127.0.0.1 or 0.0.0.0.")
        for origin in self.cors_origins.split():
            if origin != "*" and _ORIGIN.fullmatch(origin) is None:
                raise SettingsError(f"Setting cors_origins names {origin!r}; an origin is http:// or https://, a host "
                                    "and perhaps a port, without a path.")
        if self.base_url and _BASE_URL.fullmatch(self.base_url) is None:
            raise SettingsError(f"Setting base_url is {self.base_url!r}; it must be http:// or https://, a host and a "
                                "path, without query and spaces.")
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))  # what is below it begins with a slash

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


#: Variables beginning with HIE_ that are no settings of the server: the test suite's, and the tokens of commands.
NOT_SETTINGS = frozenset({
    "HIE_TEST_DATA", "HIE_TEST_NODE_CLIENTS", "HIE_TEST_POSTGRES", "HIE_TOKEN", "HIE_SOURCE_TOKEN",
})  # fmt: skip


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
    if annotation == "bool":
        return _truth(name, value)
    if annotation == "int":
        return _number(name, value)
    if annotation == "Path | None" and value in ("", None):
        return None
    if annotation.startswith("Path") and isinstance(value, str | Path) and value != "":
        return Path(value)
    if annotation == "str" and isinstance(value, str):
        return value
    expected = "text" if annotation == "str" else "a path"
    secret = next(one.metadata["secret"] for one in fields(Settings) if one.name == name)
    raise SettingsError(f"Setting {name} is {type(value).__name__ if secret else repr(value)}; it must be {expected}.")


def _truth(name: str, value: Any) -> bool:
    lowered = str(value).lower()
    if lowered in {"true", "1", "yes", "on"}:
        return True
    if lowered in {"false", "0", "no", "off"}:
        return False
    raise SettingsError(f"Setting {name} is {value!r}; it must be true or false.")


def _number(name: str, value: Any) -> int:
    if isinstance(value, str) or type(value) is int:
        with suppress(ValueError):
            return int(value)
    raise SettingsError(f"Setting {name} is {value!r}; it must be a whole number.")
