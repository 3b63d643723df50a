"""The first connection of each process sets the journal; one that meets another at it waits."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from hie.store import database, engines, sqlite_writer
from hie.store.prepared import driver_of


def test_a_connection_waits_while_another_changes_the_journal(tmp_path: Path) -> None:
    first = sqlite3.connect(tmp_path / "x", isolation_level=None, check_same_thread=False)
    first.execute("CREATE TABLE t (a)")
    first.execute("BEGIN EXCLUSIVE")
    threading.Timer(0.3, lambda: first.execute("COMMIT")).start()
    second = sqlite3.connect(tmp_path / "x", isolation_level=None, timeout=0)
    engines._keep_a_log(second)
    assert second.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    first.close()
    second.close()


def test_it_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "LOCK_PATIENCE_SECONDS", 0.05)
    first = sqlite3.connect(tmp_path / "x", isolation_level=None)
    first.execute("CREATE TABLE t (a)")
    first.execute("BEGIN EXCLUSIVE")
    second = sqlite3.connect(tmp_path / "x", isolation_level=None, timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        engines._keep_a_log(second)
    first.close()
    second.close()


def test_the_writer_lets_go_of_pages_after_a_group_of_many_rows(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x'}", **engines.engine_options("sqlite://", threads=1))
    engines.prepare_engine(engine)
    made = database.Database(engine, {}, tmp_path)
    made.write(lambda connection: driver_of(connection).execute("CREATE TABLE t (a)"))
    driver = driver_of(made._writer._connection)  # type: ignore[union-attr]
    said: list[str] = []
    driver.set_trace_callback(said.append)

    def insert(rows: int) -> list[str]:
        said.clear()
        made.write(lambda connection: driver_of(connection).executemany("INSERT INTO t VALUES (?)", [(1,)] * rows))
        return [one for one in said if one.startswith("PRAGMA")]

    both = sqlite_writer._SMALLER_CACHE + sqlite_writer._WRITERS_CACHE
    again = [part.strip() + ";" for part in both.split(";") if part]
    assert [insert(rows) for rows in (100, 3_000, 100, 3_000)] == [[], again, [], again]
    assert driver.execute("PRAGMA cache_size").fetchone() == (-16384,)
    made.close()
