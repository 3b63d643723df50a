"""The first connection of each process sets the journal; one that meets another at it waits."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from hie.store import database


def test_a_connection_waits_while_another_changes_the_journal(tmp_path: Path) -> None:
    first = sqlite3.connect(tmp_path / "x", isolation_level=None, check_same_thread=False)
    first.execute("CREATE TABLE t (a)")
    first.execute("BEGIN EXCLUSIVE")
    threading.Timer(0.3, lambda: first.execute("COMMIT")).start()
    second = sqlite3.connect(tmp_path / "x", isolation_level=None, timeout=0)
    database._keep_a_log(second)
    assert second.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    first.close()
    second.close()


def test_it_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LOCK_PATIENCE_SECONDS", 0.05)
    first = sqlite3.connect(tmp_path / "x", isolation_level=None)
    first.execute("CREATE TABLE t (a)")
    first.execute("BEGIN EXCLUSIVE")
    second = sqlite3.connect(tmp_path / "x", isolation_level=None, timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        database._keep_a_log(second)
    first.close()
    second.close()
