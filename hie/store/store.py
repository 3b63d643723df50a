"""The store of one process: database, keys, tenants, audit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, insert, inspect
from sqlalchemy.exc import ArgumentError, OperationalError

from hie.fhir.scopes import Grant
from hie.settings import Settings
from hie.store import administration, reindexing, restored
from hie.store.audit import AuditEntry
from hie.store.database import Database
from hie.store.engines import engine_options, prepare_engine
from hie.store.jobs import Jobs
from hie.store.keys import FileKeys, KeyManagement, KeyProblem
from hie.store.models import data_key
from hie.store.packages import Profiles
from hie.store.resources import ResourceStore
from hie.store.schema import SchemaProblem, bring_up_to_date
from hie.store.tenants import DEFAULT_TENANT, Tenant

Clock = Callable[[], int]


def now() -> int:
    """Return microseconds since 1970-01-01T00:00:00Z."""
    return time.time_ns() // 1000


class StoreProblem(Exception):
    """The data directory or database cannot be opened; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Store:
    """What the parts of one process share."""

    database: Database
    tenants: dict[int, Tenant]
    jobs: Jobs
    clock: Clock
    base_url: str  # the configured one: what the index knows as ours must not depend on a request
    profiles: Profiles

    @classmethod
    def open(
        cls, settings: Settings, *, engine: Engine | None = None, clock: Clock = now, decides_index: bool = False
    ) -> Store:
        """Open, and make or upgrade where needed, the database and key file that the settings name.

        `decides_index`: how resources are indexed is what these settings say, not what it was (hie.store.reindexing).
        """
        try:
            settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreProblem(f"The data directory {settings.data_dir} cannot be made: {error.strerror}.") from error
        engine = engine or _engine(settings)
        prepare_engine(engine)
        database = None
        try:
            key_file = settings.root_key_file
            bring_up_to_date(engine, settings.data_dir, lambda: key_file.exists() or FileKeys.create(key_file))
            management = _keys(key_file)
            tenant = Tenant(
                DEFAULT_TENANT, "default", management, content_words=settings.content_search,
                enforces_on_write=settings.enforces_on_write, enforces_on_delete=settings.enforces_on_delete,
            )
            tenants = {DEFAULT_TENANT: tenant}
            audit_keys = {number: tenant.audit_keys for number, tenant in tenants.items()}
            database = Database(engine, audit_keys, settings.data_dir)
            _make_tenant(database, tenants[DEFAULT_TENANT], clock())
            database.settle_records()
            profiles = Profiles(database, clock)
            for tenant in tenants.values():
                tenant.profiles = profiles
                tenant.parameters.fresh(database.connection, tenant)
            restored.forget_numbers(database, tenants, clock())
            reindexing.bring_up_to_date(database, tenants, settings.base_url, decides=decides_index)
        except (SchemaProblem, KeyProblem) as error:
            if database is not None:
                database.close()
            engine.dispose()
            raise StoreProblem(str(error)) from error
        return cls(database, tenants, Jobs(database, tenants), clock, settings.base_url, profiles)

    @classmethod
    def open_existing(cls, settings: Settings) -> Store:
        """Open the store that is there; StoreProblem where none is: a mistyped place is no empty store."""
        engine = _engine(settings)
        if not _holds_store(engine):
            raise StoreProblem(f"There is no store at {engine.url.render_as_string()}; HIE_DATA_DIR or --data-dir and "
                               "HIE_DATABASE_URL say where it is, and `hie serve` makes one.")
        return cls.open(settings, engine=engine)

    def bind(self, grant: Grant, entry: AuditEntry) -> ResourceStore:
        """Return the store as one request may use it."""
        keys = self.tenants[entry.tenant]
        keys.parameters.fresh(self.database.connection, keys)
        return ResourceStore(self.database, keys, grant, entry, self.clock, self.base_url)

    def look_again(self) -> None:
        """Look, once a second, at what others changed; Busy where a newer version has upgraded the database."""
        for tenant in self.tenants.values():
            tenant.parameters.fresh(self.database.connection, tenant)

    def close(self) -> None:
        """Close every connection."""
        self.database.close()


def _engine(settings: Settings) -> Engine:
    url = settings.sqlalchemy_url
    try:
        return create_engine(url, **engine_options(url, settings.threads))
    except (ArgumentError, TypeError, ValueError):  # what they say may hold the password
        raise StoreProblem("The setting database_url is no address of a database: sqlite:////path/to/file or "
                           "postgresql+psycopg://user:password@host:5432/name is expected.") from None
    except ImportError as error:
        raise StoreProblem(f"The driver of database_url is not installed ({error.name}); of PostgreSQL it comes with "
                           "pip install '.[postgres]', and other databases than SQLite and PostgreSQL are not "
                           "served.") from None


def _holds_store(engine: Engine) -> bool:
    if engine.dialect.name == "sqlite" and not Path(engine.url.database or "").is_file():
        return False
    try:
        return inspect(engine).has_table("alembic_version")
    except OperationalError as error:
        raise StoreProblem(f"The database cannot be opened: {error.orig}") from error
    finally:
        engine.dispose()  # its connections are not prepared yet


def _keys(path: Path) -> KeyManagement:
    if not path.exists():
        raise KeyProblem(
            f"The database holds records, but its key file {path} is missing: without it they cannot be opened. "
            "Put the key file back (HIE_KEY_FILE names another place)."
        )
    return FileKeys.load(path)


def _make_tenant(database: Database, tenant: Tenant, at: int) -> None:
    """Make the tenant and its data key on the first start; prove on every other that the root key opens it."""
    if tenant.data_keys.of_owner(database.connection(), "") is not None:
        return

    def unit(connection: Connection) -> None:
        if tenant.data_keys.of_owner(connection, "") is None:
            administration.add_tenant(connection, tenant.id, tenant.name, at)
            connection.execute(insert(data_key), tenant.data_keys.new("", at).row)

    database.write(unit)
