"""Threads as the settings allow them: each has its connections, and who gets none is told to come again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as NoneIsFree

from hie.settings import Settings
from hie.store import connection_limits
from hie.store.postgres_writer import PostgresWriter
from hie.store.store import Store
from tests.builders import bundle, entry, patient

ONE = text("SELECT 1")


@pytest.mark.parametrize(("database_kind", "threads"), [("sqlite", 256), ("postgresql", 44)])
def test_all_threads_of_a_process_hold_their_connections_at_once(settings: Settings, threads: int) -> None:
    store = Store.open(replace(settings, threads=threads))
    together = threading.Barrier(threads)

    def answer(_: int) -> int:
        database = store.database
        read = database.connection().execute(ONE).scalar_one()
        written = database.write(lambda connection: connection.execute(ONE).scalar_one())
        together.wait(timeout=60)
        return read + written

    try:
        with ThreadPoolExecutor(threads) as pool:
            assert list(pool.map(answer, range(threads))) == [2] * threads
    finally:
        store.close()


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(connection_limits, "PATIENCE_SECONDS", 0.01)
    return replace(settings, threads=1)


@contextmanager
def all_taken(app: Flask) -> Iterator[None]:
    """Take every connection that the process may still open."""
    connect = app.extensions["hie"].store.database.engine.connect
    with ExitStack() as taken:
        with suppress(NoneIsFree):
            while True:
                taken.enter_context(connect())
        yield


def test_a_thread_without_a_connection_tells_its_client_to_come_again(app, fhir) -> None:
    url = f"Patient/{fhir.create(patient())['id']}"
    with ThreadPoolExecutor(1) as another:
        with all_taken(app):
            refused = another.submit(fhir.get, url).result()
        refused.refused(503, "transient", text="All connections to the database are in use")
        assert refused.headers["Retry-After"] == "1"
        assert another.submit(fhir.get, url).result().status == 200


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_an_entry_of_a_batch_that_gets_no_connection_is_to_come_again(app, fhir, monkeypatch) -> None:
    monkeypatch.setattr(PostgresWriter, "commit_one", lambda *_: False)  # what is written is written in steps
    url = f"Patient/{fhir.create(patient())['id']}"
    entries = bundle(entry("GET", url), entry("DELETE", url), type_="batch")
    with ThreadPoolExecutor(1) as another:
        another.submit(fhir.get, url).result()  # holds a connection for reading from now on, and none to write in steps
        with all_taken(app):
            rows = another.submit(fhir.post, "", entries).result().entries()
        assert [row["response"]["status"][:3] for row in rows] == ["200", "503"]
        (issue,) = rows[1]["response"]["outcome"]["issue"]
        assert (issue["code"], issue["expression"]) == ("transient", ["Bundle.entry[1]"])
        assert another.submit(fhir.post, "", entries).result().entries()[1]["response"]["status"].startswith("20")
