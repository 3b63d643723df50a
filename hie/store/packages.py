"""Installed packages of profiles, for every process that shares the database.

https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from hie.errors import Conflict, InvalidRequest, NotFound
from hie.fhir.profiles import Definition, Library, Package
from hie.store import package_content
from hie.store.database import Database
from hie.store.models import package, profile_validation

MODES = ("off", "warn", "reject")
#: How long a process may go on with what it knew before.
REMEMBERED_MICROSECONDS = 2_000_000
#: Definitions with all that they say that a process keeps.
_MOST_PUBLISHED = 16

_Row = tuple[str, str, str, int]
_LISTED = (
    package.c.name, package.c.version, package.c.title, package.c.canonical, package.c.digest, package.c.profiles,
    package.c.installed,
)  # fmt: skip


def packages(connection: Connection) -> list[dict[str, Any]]:
    """Return every installed package, without its content."""
    rows = connection.execute(select(*_LISTED).order_by(package.c.name, package.c.version))
    return [{**row._asdict(), "profiles": json.loads(row.profiles)} for row in rows]


def add(connection: Connection, found: Package, now: int) -> None:
    """Install a package; Conflict where another file of this name and version is installed."""
    known = select(package.c.digest, package.c.content).where(
        package.c.name == found.name, package.c.version == found.version)
    there = connection.execute(known).first()
    if there is not None and there.digest != found.digest:
        raise Conflict(f"{found.key} is installed already, from another file; remove it first.")
    if there is not None and package_content.is_whole(there.content):
        return
    row = {
        "name": found.name, "version": found.version, "title": found.title, "canonical": found.canonical,
        "digest": found.digest, "profiles": json.dumps(_profiles(found)), "content": package_content.packed(found),
        "installed": now,
    }  # fmt: skip
    if there is None:
        connection.execute(insert(package), row)
    else:  # an earlier version kept less of it
        this = package.c.name == found.name, package.c.version == found.version
        connection.execute(update(package).where(*this), row)


def remove(connection: Connection, name: str, version: str | None) -> list[str]:
    """Remove a package in one version, or in all; NotFound where there is none."""
    wanted = [package.c.name == name, *([package.c.version == version] if version is not None else [])]
    found = connection.execute(select(package.c.version).where(*wanted)).scalars().all()
    if not found:
        raise NotFound(f"There is no package {name}{'#' + version if version else ''}; `hie package list` names them.")
    connection.execute(delete(package).where(*wanted))
    return sorted(f"{name}#{one}" for one in found)


def library(connection: Connection) -> tuple[Library, tuple[_Row, ...]]:
    """Read the definitions of all packages, and name what was read."""
    rows = connection.execute(select(*_LISTED, package.c.content).order_by(package.c.name)).all()
    found = [Package(row.name, row.version, row.title, row.canonical, package_content.resources(row.content),
                     row.digest) for row in rows]
    return Library(found), tuple(sorted((row.name, row.version, row.digest, row.installed) for row in rows))


def statements(connection: Connection) -> tuple[dict[str, Any], ...]:
    """Return what installed packages say that servers have to do."""
    rows = connection.execute(select(package.c.content).order_by(package.c.name, package.c.version)).scalars()
    return tuple(one for content in rows for one in package_content.statements(content))


def unusable(connection: Connection, found: Package) -> list[str]:
    """Tell which profiles of an installed package came without a snapshot and cannot be used, and why."""
    urls = [f"{one['url']}|{one.get('version', '')}" for one in found.resources if "differential" in one]
    if not urls:
        return []
    installed, _ = library(connection)
    return [reason for one in urls if (reason := installed.reason(one.removesuffix("|"))) is not None]


def mode_of(connection: Connection, tenant: int) -> str:
    """Return whether a tenant's writes are judged by the profiles they declare."""
    statement = select(profile_validation.c.mode).where(profile_validation.c.tenant == tenant)
    return str(connection.execute(statement).scalar() or "off")


def set_mode(connection: Connection, tenant: int, mode: str) -> None:
    """Judge a tenant's writes from now on: off, warn or reject."""
    if mode not in MODES:
        text = f"The mode is {mode[:80]!r}; it must be one of {', '.join(MODES)}."
        raise InvalidRequest(text, expression="validation")
    connection.execute(delete(profile_validation).where(profile_validation.c.tenant == tenant))
    if mode != "off":
        connection.execute(insert(profile_validation), {"tenant": tenant, "mode": mode})


def _profiles(found: Package) -> dict[str, list[str]]:
    by_type: dict[str, set[str]] = {}
    for one in found.resources:
        if one["resourceType"] == "StructureDefinition" and one["kind"] == "resource":
            by_type.setdefault(one["type"], set()).add(one["url"])
    return {name: sorted(urls) for name, urls in sorted(by_type.items())}


class Profiles:
    """What is installed, as the tables have it, looked up again when what is remembered has aged."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database, self._clock = database, clock
        self._lock = threading.Lock()
        self._read_at: int | None = None
        self._installed: tuple[_Row, ...] = ()
        self._supported: tuple[tuple[str, tuple[str, ...]], ...] = ()
        self._modes: dict[int, str] = {}
        self._library = Library()
        self._statements: tuple[dict[str, Any], ...] = ()
        self._statements_of: tuple[_Row, ...] = ()
        self._published: dict[tuple[str, ...], dict[str, Any]] = {}
        self._loaded: tuple[_Row, ...] = ()

    def mode(self, tenant: int) -> str:
        """Return whether a tenant's writes are judged by the profiles they declare: off, warn or reject."""
        self._look()
        return self._modes.get(tenant, "off")

    def supported(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the canonical URLs of the installed profiles of each resource type."""
        self._look()
        return self._supported

    def library(self) -> Library:
        """Return the definitions of all installed packages; read when they are first asked for."""
        self._look()
        with self._lock:
            if self._loaded != self._installed:
                self._library, self._loaded = library(self._database.connection())
        return self._library

    def statements(self) -> tuple[dict[str, Any], ...]:
        """Return what installed packages say that servers have to do; read when it is first asked for."""
        self._look()
        with self._lock:
            if self._statements_of != self._installed:
                self._statements, self._statements_of = statements(self._database.connection()), self._installed
        return self._statements

    def published(self, canonical: str) -> dict[str, Any] | None:
        """Return an installed profile or extension with all that it says; nobody may change it.

        None where there is none, where R4's own package has it, which the server has anyway, or where an earlier
        version of the server installed it, which did not keep that.
        """
        installed = self.library()
        found = installed.named(canonical)
        if found is None:
            return None
        mark = installed.edition(found)
        whole = self._published.get(mark)
        if whole is None:
            whole = self._published_by(found)
            if whole is not None:
                with self._lock:
                    self._published[mark] = whole
                    while len(self._published) > _MOST_PUBLISHED:
                        del self._published[next(iter(self._published))]
        return whole

    def _published_by(self, found: Definition) -> dict[str, Any] | None:
        name, _, version = found.package.partition("#")
        asked = select(package.c.content).where(package.c.name == name, package.c.version == version)
        content = self._database.connection().execute(asked).scalar()
        return None if content is None else package_content.published(content, found.url, found.version)

    def _look(self) -> None:
        now = self._clock()
        if self._read_at is not None and now - self._read_at <= REMEMBERED_MICROSECONDS:
            return
        connection = self._database.connection()
        rows = packages(connection)
        # A collation may order names otherwise than `library` does.
        self._installed = tuple(sorted((row["name"], row["version"], row["digest"], row["installed"]) for row in rows))
        self._supported = _supported([row["profiles"] for row in rows])
        self._modes = {row.tenant: row.mode for row in connection.execute(select(profile_validation))}
        self._read_at = now


def _supported(rows: list[Mapping[str, list[str]]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    by_type: dict[str, set[str]] = {}
    for one in rows:
        for name, urls in one.items():
            by_type.setdefault(name, set()).update(urls)
    return tuple((name, tuple(sorted(urls))) for name, urls in sorted(by_type.items()))
