"""Audit records of requests that wrote nothing outlive their process and arrive in the table once, in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select

from hie.errors import Busy
from hie.settings import Settings
from hie.store import audit as audit_trail
from hie.store import audit_journal, audit_left
from hie.store.audit import AuditEntry
from hie.store.audit_journal import AuditJournal
from hie.store.models import audit
from hie.store.store import Store
from tests.waiting import until

#: What is asked of files alone needs no second database.
ON_SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"])


def entry(store: Store, number: int = 0, **values: object) -> AuditEntry:
    return AuditEntry(1, store.clock(), f"r{number}", "read", "client", 200, "Patient", "p1", **values)  # type: ignore[arg-type]


def in_table(store: Store) -> int:
    return int(store.database.connection().execute(select(func.count()).select_from(audit)).scalar_one())


def files(settings: Settings) -> list[Path]:
    return sorted((settings.data_dir / "audit").glob("*"))


def breaks(store: Store) -> list[str]:
    return list(audit_trail.verify(store.database.connection(), {1: store.tenants[1].audit_keys}))


def journal(store: Store, directory: Path, rows: list, fail: list) -> AuditJournal:
    def move(batch: list) -> None:
        if fail:
            raise RuntimeError("the database is away")
        rows.extend(row["seq"] for row in batch)

    return AuditJournal(directory, {1: store.tenants[1].audit_keys}, move)


_KILLED = """
import os, sys
from pathlib import Path
from hie.settings import Settings
from hie.store.audit import AuditEntry
from hie.store.store import Store
from hie.store import audit_journal, audit_left
audit_journal.MOVE_SECONDS = 60.0
store = Store.open(Settings(data_dir=Path(sys.argv[1]), database_url=sys.argv[2] or None))
for number in range(50):
    store.database.record(AuditEntry(1, 1, f"r{number}", "read", "client", 200, "Patient", "p1"))
print("kept", flush=True)
sys.stdin.read()
"""


def test_records_outlive_a_killed_process(store: Store, settings: Settings) -> None:
    arguments = [str(settings.data_dir), settings.database_url or ""]
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"kept\n"
    assert in_table(store) == 0
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.communicate()
    again = Store.open(settings)
    try:
        assert in_table(again) == 50
        assert breaks(again) == []
        assert files(settings) == []
    finally:
        again.close()


def test_a_neighbours_records_are_seen_and_not_doubled(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_journal, "MOVE_SECONDS", 60.0)
    beside = Store.open(settings)
    for number in range(3):
        beside.database.record(entry(beside, number))
    store.database.settle_records()
    assert in_table(store) == 3
    beside.database.record(entry(beside, 3))
    beside.close()
    assert in_table(store) == 4
    assert breaks(store) == []
    assert files(settings) == []


@ON_SQLITE
def test_records_that_come_during_a_move_are_moved_as_well(store: Store, tmp_path: Path) -> None:
    rows: list[int] = []
    kept = AuditJournal(tmp_path, {1: store.tenants[1].audit_keys}, lambda batch: slow(batch))

    def slow(batch: list) -> None:
        if not rows:
            kept.append(entry(store, 2))
        rows.extend(row["seq"] for row in batch)

    kept.append(entry(store, 1))
    until(lambda: rows == [1, 2])
    kept.close()


@ON_SQLITE
def test_a_database_that_is_away_keeps_records_waiting_up_to_a_limit(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_journal, "MOST_WAITING", 5)
    rows: list[int] = []
    away = [True]
    kept = journal(store, tmp_path, rows, away)
    for number in range(5):
        kept.append(entry(store, number))
    with pytest.raises(RuntimeError, match="away"):
        kept.move()
    with pytest.raises(Busy):
        kept.append(entry(store, 5))
    away.clear()
    kept.move()
    kept.append(entry(store, 5))
    kept.close()
    assert rows == [1, 2, 3, 4, 5, 6]
    assert sorted(tmp_path.glob("*.*")) == []


@ON_SQLITE
def test_what_cannot_be_moved_at_the_end_stays_for_the_next_process(store: Store, tmp_path: Path) -> None:
    rows: list[int] = []
    kept = journal(store, tmp_path, rows, [True])
    kept.append(entry(store, 1))
    kept.close()
    found: list[int] = []
    keys = {1: store.tenants[1].audit_keys}
    audit_left.move_all(tmp_path, keys, lambda _: (0, b""), lambda batch: found.extend(row["seq"] for row in batch))
    assert (rows, found, sorted(tmp_path.glob("*.*"))) == ([], [1], [])


def test_many_and_very_long_records_fill_further_files(store: Store, settings: Settings) -> None:
    long = tuple(f"Patient/{number}" for number in range(150_000))
    store.database.record(entry(store, 0, touched=long))
    for number in range(4_000):
        store.database.record(entry(store, number, query=f"name={os.urandom(100).hex()}"))
    store.database.settle_records()
    assert in_table(store) == 4_001
    assert breaks(store) == []
    assert sum(file.stat().st_size for file in files(settings)) <= 2 * audit_journal.SEGMENT_BYTES


def test_the_file_shows_nothing_of_the_record(store: Store, settings: Settings) -> None:
    store.database.record(entry(store, 1, patient="pat-secret", query="name=Example"))
    content = b"".join(file.read_bytes() for file in files(settings))
    assert b"r" in content
    assert b"pat-secret" not in content
    assert b"Example" not in content
