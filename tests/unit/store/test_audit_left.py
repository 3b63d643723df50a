"""Of the files of other processes only what they wrote reaches the trail; the rest is kept aside with an alarm."""

from __future__ import annotations

import fcntl
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from hie.settings import Settings
from hie.store import audit as audit_trail
from hie.store import audit_journal, audit_left
from hie.store.audit import AuditEntry, AuditStream
from hie.store.models import audit
from hie.store.store import Store

ON_SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"])
Row = dict[str, Any]


def entry(store: Store, number: int = 0) -> AuditEntry:
    return AuditEntry(1, store.clock(), f"r{number}", "read", "client", 200, "Patient", "p1")


def keys(store: Store) -> Any:
    return {1: store.tenants[1].audit_keys}


def records(store: Store, count: int) -> list[Row]:
    return AuditStream(keys(store)).rows([entry(store, number) for number in range(count)])[0]


def content(rows: list[Row]) -> bytes:
    return b"".join(audit_journal.frame_of(row) for row in rows)


def moved(store: Store, directory: Path, last: tuple[int, bytes] = (0, b"")) -> list[Row]:
    found: list[Row] = []
    audit_left.move_all(directory, keys(store), lambda _: last, found.extend)
    return found


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.*"))


@ON_SQLITE
@pytest.mark.parametrize(
    "damage",
    [lambda whole: whole[:-7], lambda whole: whole[:-7] + b"\0" * 7, lambda whole: whole[:-7] + b"x" * 7,
     lambda whole: whole + b"\xff" * 9],
    ids=["cut off", "not yet written", "overwritten", "followed by rubbish"],
)  # fmt: skip
def test_a_record_that_is_not_whole_ends_the_file(store: Store, tmp_path: Path, damage: Callable) -> None:
    rows = records(store, 3)
    whole = content(rows)
    damaged = damage(whole)
    (tmp_path / "x.journal").write_bytes(damaged)
    assert moved(store, tmp_path) == rows[: 3 if len(damaged) > len(whole) else 2]
    assert names(tmp_path) == []


@ON_SQLITE
@pytest.mark.parametrize(
    "body",
    [b"{}", b"[]", b"5", b"[1,2]", b"not json", b'["0123456789abcdef",1,1,1,"c","read",200,0,0,"zz","00"]',
     b'["0123456789abcdef","1",1,1,"c","read",200,0,0,"00","00"]', b'["s",1,1,1,"c","read",200,0,0,"00","00"]',
     b'["0123456789abcdef",1,1,1,null,"read",200,0,0,"00","00"]', b'["0\\u0000",1,1,1,"c","read",200,0,0,"00","00"]'],
)  # fmt: skip
def test_what_is_no_record_neither_stops_the_start_nor_is_taken(
    store: Store, tmp_path: Path, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    rows = records(store, 1)
    forged = audit_journal.HEAD.pack(len(body), zlib.crc32(body)) + body
    (tmp_path / "x.journal").write_bytes(content(rows) + forged)
    assert moved(store, tmp_path) == rows
    assert "no exchange wrote" in caplog.text
    assert names(tmp_path) == ["x.journal.spoiled"]
    assert (tmp_path / "x.journal.spoiled").read_bytes() == content(rows) + forged


def changed(row: Row, **values: Any) -> Row:
    return {**row, **values}


#: name, what somebody who can write the directory makes of the records, how many of them are taken
FORGERIES: dict[str, tuple[Callable[[list[Row], list[Row]], list[Row]], int]] = {
    "another status": (lambda rows, _: [*rows[:2], changed(rows[2], status=500)], 2),
    "another client": (lambda rows, _: [changed(rows[0], client="else"), *rows[1:]], 0),
    "another time": (lambda rows, _: [rows[0], changed(rows[1], at=1), rows[2]], 1),
    "another tenant": (lambda rows, _: [*rows[:2], changed(rows[2], tenant=2)], 2),
    "another content": (lambda rows, _: [*rows[:2], changed(rows[2], sealed=rows[1]["sealed"])], 2),
    "another chain's record": (lambda rows, other: [*rows[:2], changed(other[2], stream=rows[0]["stream"])], 2),
    "a chain of its own": (lambda rows, _: [changed(rows[0], stream="f" * 16)], 0),
    "one without the one before it": (lambda rows, _: [rows[0], rows[2]], 1),
    "only the end": (lambda rows, _: rows[1:], 0),
    "a number again": (lambda rows, _: [*rows, changed(rows[2], mac=b"x" * 16)], 3),
    "a number before": (lambda rows, _: [changed(rows[0], mac=b"x" * 16), *rows], 3),
    "a number beyond all": (lambda rows, _: [*rows, changed(rows[2], seq=2**62)], 3),
}


@ON_SQLITE
@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_record_is_kept_aside_and_raises_an_alarm(
    store: Store, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    forge, taken = FORGERIES[name]
    rows = records(store, 3)
    (tmp_path / "x.journal").write_bytes(content(forge(rows, records(store, 3))))
    (tmp_path / "y.journal").write_bytes(content(other := records(store, 2)))
    assert sorted(moved(store, tmp_path), key=lambda row: row["at"]) == [*rows[:taken], *other]
    assert [(one.name, one.levelname) for one in caplog.records] == [("hie.alarm", "CRITICAL")]
    assert names(tmp_path) == ["x.journal.spoiled"]


@ON_SQLITE
def test_what_is_in_the_table_already_is_not_moved_again(store: Store, tmp_path: Path) -> None:
    rows = records(store, 5)
    (tmp_path / "x.journal").write_bytes(content(rows))
    assert moved(store, tmp_path, (2, rows[1]["mac"])) == rows[2:]
    assert names(tmp_path) == []


@ON_SQLITE
def test_the_file_of_a_process_that_writes_on_is_left_to_it(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = records(store, 6)
    running, ended = tmp_path / "x.journal", tmp_path / "y.journal"
    running.write_bytes(content(rows[:2]))  # as it was read: the process went on, filled a second file, and ended
    ended.write_bytes(content(rows[4:]))
    with running.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert moved(store, tmp_path) == rows[:2]
        running.write_bytes(content(rows[:4]))
        assert moved(store, tmp_path, (2, rows[1]["mac"])) == rows[2:]
    assert names(tmp_path) == ["x.journal"]
    assert not caplog.records


def test_a_forged_file_does_not_reach_the_trail_of_a_store(store: Store, settings: Settings) -> None:
    for number in range(3):
        store.database.record(entry(store, number))
    store.database.settle_records()
    forged = [changed(row, client="nobody", mac=bytes(16)) for row in records(store, 2)]
    directory = settings.data_dir / "audit"
    (directory / "z.journal").write_bytes(content(forged))
    again = Store.open(settings)
    try:
        again.database.settle_records()
        rows = again.database.connection().execute(select(func.count()).select_from(audit)).scalar_one()
        assert rows == 3
        assert list(audit_trail.verify(again.database.connection(), keys(again))) == []
    finally:
        again.close()
    assert [path.name for path in directory.glob("z.*")] == ["z.journal.spoiled"]
