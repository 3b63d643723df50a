"""What the processes and threads of a server need, against what the database and the system give."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Connection, text

from hie.commands import room, serve
from hie.settings import Settings
from hie.store import connection_limits
from hie.store.store import Store


@pytest.fixture
def connection(store: Store) -> Connection:
    return store.database.connection()


@pytest.mark.parametrize("database_kind", ["postgresql"])
@pytest.mark.parametrize(("workers", "threads", "told"), [
    (2, 16, ""),  # the defaults
    (3, 16, "3 workers of 16 threads may need 113 connections to PostgreSQL, which grants 100: raise its "),
    (1, 48, "1 workers of 48 threads may need 105 connections to PostgreSQL, which grants 100: raise its "),
])  # fmt: skip
def test_a_start_tells_of_more_connections_than_postgresql_grants(settings, caplog, workers, threads, told) -> None:
    caplog.set_level("WARNING", "hie")  # whatever a server before had set in this process
    serve._prepare(replace(settings, workers=workers, threads=threads))
    assert [record.message[: len(told)] for record in caplog.records] == ([told] if told else [])


@pytest.mark.parametrize("database_kind", ["postgresql"])
@pytest.mark.parametrize(("limit", "granted"), [(-1, 97), (7, 7)], ids=["of the server", "of the role"])
def test_what_is_granted_is_what_this_role_may_open(connection, limit, granted) -> None:
    connection.execute(text(f"CREATE ROLE ordinary CONNECTION LIMIT {limit}"))
    connection.execute(text("SET ROLE ordinary"))
    try:
        assert connection_limits.granted(connection) == granted
    finally:
        connection.execute(text("RESET ROLE"))
        connection.execute(text("DROP ROLE ordinary"))


@pytest.fixture
def few_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_files_are_opened_as_many_as_the_system_lets_and_too_few_are_told(settings, connection, few_files) -> None:
    many = replace(settings, threads=256)
    assert list(room.lacking(many, connection)) == [
        "256 threads may need 1092 open files in each web process, which the system limits to 1024: raise the limit "
        "(ulimit -n, LimitNOFILE), or lower HIE_THREADS."
    ]
    room.open_more_files()
    assert list(room.lacking(many, connection)) == []


@pytest.mark.parametrize(("workers", "threads", "clients"), [(2, 16, 512), (8, 256, 512), (256, 16, 32)])
def test_a_process_takes_more_clients_than_it_has_threads(workers, threads, clients) -> None:
    assert room.clients(Settings(workers=workers, threads=threads)) == clients
