"""Ordered writers, group commit, and audit records that are committed before anybody is answered."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from hie.errors import Busy
from hie.settings import Settings
from hie.store import audit as audit_trail
from hie.store import rows, sqlite_rows
from hie.store.audit import AuditEntry
from hie.store.check import check
from hie.store.conflicts import Again
from hie.store.crypto import associated_data, seal
from hie.store.models import audit, model, reference_index
from hie.store.prepared import driver_of
from hie.store.store import Store


def entry(store: Store, number: int = 0, **values: object) -> AuditEntry:
    return AuditEntry(1, store.clock(), f"r{number}", "read", "client", 200, "Patient", "p1", **values)  # type: ignore[arg-type]


def add(name: str) -> Callable[[Connection], None]:
    def unit(connection: Connection) -> None:
        connection.execute(insert(model), {"name": name, "version": "1", "active": False, "added": 1})

    return unit


def names(store: Store) -> set[str]:
    """The rows that were added here; those of the shipped models have other versions."""
    return set(store.database.connection().execute(select(model.c.name).where(model.c.version == "1")).scalars())


def audited(store: Store) -> int:
    store.database.settle_records()
    return int(store.database.connection().execute(select(func.count()).select_from(audit)).scalar_one())


def test_a_write_and_its_audit_record_are_committed_together(store: Store) -> None:
    record = entry(store)
    store.database.write(add("a"), record)
    assert names(store) == {"a"}
    assert audited(store) == 1
    assert record.recorded


def test_a_failed_write_leaves_nothing_of_itself_and_everything_of_its_neighbours(store: Store) -> None:
    def fails(connection: Connection) -> None:
        add("lost")(connection)
        raise RuntimeError("broken unit")

    def work(number: int) -> None:
        if number % 3:
            store.database.write(add(f"kept-{number}"), entry(store, number))
        else:
            with pytest.raises(RuntimeError, match="broken unit"):
                store.database.write(fails, entry(store, number))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(60)))
    assert names(store) == {f"kept-{number}" for number in range(60) if number % 3}
    assert audited(store) == 40


def test_rows_before_one_that_cannot_be_go_with_it(store: Store) -> None:
    twice = [(key, 1, 0) for key in (*range(1, 100), 99)]

    def fails(connection: Connection) -> None:
        if store.database.dialect == "sqlite":
            sqlite_rows.insert(driver_of(connection), sqlite_rows.LINKS, twice)
        else:
            connection.execute(insert(reference_index).values(twice))

    def work(number: int) -> None:
        if number % 3:
            store.database.write(add(f"kept-{number}"), entry(store, number))
        else:
            with pytest.raises((sqlite3.IntegrityError, Busy)) as refused:
                store.database.write(fails, entry(store, number))
            assert isinstance(refused.value.__cause__ or refused.value, sqlite3.IntegrityError | IntegrityError)

    work(0)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(60)))
    assert names(store) == {f"kept-{number}" for number in range(60) if number % 3}
    left = store.database.connection().execute(select(func.count()).select_from(reference_index)).scalar_one()
    assert (left, audited(store)) == (0, 40)


def test_concurrent_writers_never_lose_an_update(store: Store) -> None:
    store.database.write(add("counter"))

    def increase(_: int) -> None:
        def unit(connection: Connection) -> None:
            locked = select(model.c.added).where(model.c.name == "counter").with_for_update()
            value = connection.execute(locked).scalar_one()
            connection.execute(update(model).where(model.c.name == "counter").values(added=value + 1))

        store.database.write(unit)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(increase, range(80)))
    value = store.database.connection().execute(select(model.c.added).where(model.c.name == "counter")).scalar_one()
    assert value == 81


def test_a_unit_that_meets_a_neighbour_runs_again(store: Store) -> None:
    attempts = []

    def unit(connection: Connection) -> None:
        attempts.append(1)
        add(f"try-{len(attempts)}")(connection)
        if len(attempts) < 3:
            raise Again("met")

    store.database.write(unit)
    assert names(store) == {"try-3"}


def test_records_of_readers_are_all_kept(store: Store) -> None:
    def read(number: int) -> None:
        record = entry(store, number)
        store.database.record(record)
        assert record.recorded

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(read, range(200)))
    assert audited(store) == 200
    assert list(audit_trail.verify(store.database.connection(), {1: store.tenants[1].audit_keys})) == []


def test_readers_and_writers_mixed_keep_the_chains_whole(store: Store) -> None:
    start = threading.Barrier(8)

    def work(thread: int) -> None:
        start.wait(timeout=30)
        for number in range(20):
            if (thread + number) % 2:
                store.database.record(entry(store, number))
            else:
                store.database.write(add(f"{thread}-{number}"), entry(store, number))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert audited(store) == 160
    assert list(audit_trail.verify(store.database.connection(), {1: store.tenants[1].audit_keys})) == []


def test_records_that_are_moved_twice_are_there_once_and_as_they_were(store: Store) -> None:
    keys = {1: store.tenants[1].audit_keys}
    clients = ['a "b", {c}', "NULL", "\\ %s ?", "", "é"]
    rows, _ = audit_trail.AuditStream(keys).rows([replace(entry(store), client=client) for client in clients])
    for _ in range(2):
        store.database._keep_records(rows)
    kept = store.database.connection().execute(select(audit).order_by(audit.c.seq)).mappings()
    assert [dict(row) for row in kept] == rows
    assert list(audit_trail.verify(store.database.connection(), keys)) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c.execute(update(audit).where(audit.c.seq == 2).values(status=500)), "does not follow"),
        (lambda c: c.execute(audit.delete().where(audit.c.seq == 2)), "is missing"),
        (lambda c: c.execute(update(audit).where(audit.c.seq == 2).values(sealed=b"\x02" + b"0" * 40)), "not open"),
        (lambda c: c.execute(update(audit).where(audit.c.seq == 2).values(client="other")), "does not follow"),
    ],
    ids=["status edited", "record removed", "detail replaced", "client edited"],
)
def test_an_edited_audit_trail_is_found(store: Store, change: Callable[[Connection], object], sentence: str) -> None:
    keys = {1: store.tenants[1].audit_keys}
    for number in range(3):
        store.database.record(entry(store, number))
    assert audited(store) == 3
    assert list(audit_trail.verify(store.database.connection(), keys)) == []
    store.database.write(change)
    assert any(sentence in problem for problem in audit_trail.verify(store.database.connection(), keys))


@pytest.mark.parametrize(
    "detail",
    [
        {"id": None, "type": None}, {"query": "name=é"}, {"patient": "p1"}, {"touched": ["Patient/1", "Patient/2"]},
        {"touched": [f"Observation/{number}" for number in range(200)], "patient": "p1"},
    ],
    ids=["nothing", "a query", "a patient", "resources", "very many resources"],
)
def test_an_audit_record_tells_what_it_was_given(store: Store, detail: dict[str, Any]) -> None:
    record = replace(entry(store), **{**detail, "touched": tuple(detail.get("touched", ()))})
    store.database.record(record)
    store.database.settle_records()
    (found,) = audit_trail.find(store.database.connection(), store.tenants[1].audit_keys, 1)
    told = {name: found[name] for name in found if name in ("request", "type", "id", "query", "patient", "touched")}
    assert told == {"request": "r0", "type": "Patient", "id": "p1", "query": "", **detail}


def test_audit_records_of_earlier_versions_are_read(store: Store) -> None:
    keys, record = store.tenants[1].audit_keys, entry(store, patient="p1")
    store.database.record(record)
    store.database.settle_records()
    connection = store.database.connection()
    row = connection.execute(select(audit)).one()
    detail = {"request": "r0", "type": "Patient", "id": "p1", "query": "", "patient": "p1"}
    sealed = seal(keys.cipher, orjson.dumps(detail), associated_data("audit", row.stream, row.seq))
    store.database.write(lambda inside: inside.execute(update(audit).values(sealed=sealed)))
    (found,) = audit_trail.find(connection, keys, 1)
    assert found.items() >= detail.items()


def test_audit_records_are_found_by_patient_entity_and_client(store: Store) -> None:
    keys = store.tenants[1].audit_keys
    store.database.record(entry(store, 1, patient="p1", query="name=secret"))
    store.database.record(entry(store, 2, patient="p2"))
    store.database.settle_records()
    find = lambda **criteria: [  # noqa: E731
        record["request"] for record in audit_trail.find(store.database.connection(), keys, 1, **criteria)
    ]
    assert find(patient="p1") == ["r1"]
    assert find(entity=("Patient", "p1")) == ["r2", "r1"]
    assert find(client="nobody") == []
    assert find(client="client", count=1) == ["r2"]
    newest = audit_trail.find(store.database.connection(), keys, 1, count=1)[0]
    assert find(before=(newest["at"], newest["stream"], newest["seq"])) == ["r1"]


def in_a_thread(unit: Callable[[], object]) -> None:
    thread = threading.Thread(target=unit)
    thread.start()
    thread.join()


def test_threads_that_end_leave_their_connections_to_those_that_come(store: Store) -> None:
    def work() -> None:
        names(store)
        store.database.write(add(f"m{threading.get_ident()}-{time.monotonic_ns()}"), entry(store))

    pool: Any = store.database.engine.pool
    in_a_thread(work)
    opened = pool.checkedout()
    for _ in range(5):
        in_a_thread(work)
    assert pool.checkedout() == opened
    assert len(names(store)) == 6
    assert audited(store) == 6


def test_a_connection_that_was_left_in_a_transaction_or_lost_is_given_to_nobody(store: Store) -> None:
    def leave() -> None:
        driver = driver_of(store.database.connection())
        driver.execute("BEGIN")
        driver.execute("INSERT INTO model (name, version, active, added) VALUES ('half', '1', false, 1)")

    def seen() -> set[str]:
        found: list[set[str]] = []
        in_a_thread(lambda: found.append(names(store)))
        return found[0]

    in_a_thread(leave)
    assert seen() == set()
    in_a_thread(lambda: store.database.write(add("whole")))
    if store.database.dialect == "postgresql":
        others = "pid <> pg_backend_pid() AND datname = current_database()"
        ending = driver_of(store.database.open_autocommit())
        ending.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        assert seen() == {"whole"}
        in_a_thread(lambda: store.database.write(add("after")))
    assert seen() >= {"whole"}


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_no_cursor_outlives_a_replaced_row_that_moved(store: Store) -> None:
    driver, cursors = driver_of(store.database.connection()), []

    class Recording:
        def executemany(self, *arguments: Any) -> Any:
            cursors.append(driver.executemany(*arguments))
            return cursors[0]

    with pytest.raises(Again):
        rows._keep_history_sqlite(Recording(), [rows.Current(1, "Patient", "a", 1, 0, 0, 0, b"")])
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        cursors[0].fetchone()


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_what_a_database_is_set_to_changes_nothing(store: Store, settings: Settings) -> None:
    """Audit records of what was read were stored as other bytes, and references led to what had just gone."""
    set_otherwise = {"standard_conforming_strings": "off", "default_transaction_isolation": "repeatable read",
                     "client_encoding": "latin1"}
    run = store.database.connection().exec_driver_sql
    name = run("SELECT current_database()").scalar_one()
    for setting, value in set_otherwise.items():
        run(f"ALTER DATABASE {name} SET {setting} = '{value}'")
    with closing(Store.open(settings, clock=store.clock)) as opened:
        opened.database.record(entry(opened))
        assert check(opened).problems == []
        transaction = opened.database.begin()
        for connection in (opened.database.connection(), transaction.connection):
            found = [connection.exec_driver_sql(f"SHOW {setting}").scalar_one() for setting in set_otherwise]
            assert found == ["on", "read committed", "UTF8"]
        transaction.rollback()
