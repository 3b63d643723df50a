"""How one message asks PostgreSQL: on which connection, with which literals and locks, and by which plan."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text

from hie.errors import Gone
from hie.store import at_once, literals, locks
from hie.store.check import check
from hie.store.prepared import driver_of
from hie.store.store import Store
from tests.builders import observation, patient
from tests.unit.store.messages import Bind, answers, create, put

__all__ = ["answers"]

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"])


def test_a_thread_reads_and_sends_messages_on_one_connection(store: Store, bind: Bind, answers: list[bool]) -> None:
    bind().transact(lambda inside: inside.update("Patient", "p1", patient(family="Jones")))
    bind().transact(lambda inside: inside.delete("Patient", "p1"))
    assert answers == [True, True]
    with pytest.raises(Gone):
        bind().read("Patient", "p1")
    assert store.database.engine.pool.checkedout() == 1  # type: ignore[attr-defined]


def test_a_change_needs_two_round_trips_and_the_next_one(store: Store, bind: Bind, answers: list[bool]) -> None:
    """What this process wrote just now is remembered: hie.store.recent."""
    asked: list[str] = []

    def before(_c: Any, _u: Any, statement: str, *_rest: Any) -> None:
        asked.append(statement)

    event.listen(store.database.engine, "before_cursor_execute", before)
    put(bind(), "p1", patient(active=True))
    bind().transact(lambda inside: inside.delete("Patient", "p1"))
    event.remove(store.database.engine, "before_cursor_execute", before)
    assert answers == [True, True]
    assert [one.split()[0] for one in asked] == ["SELECT"], asked


def test_what_a_message_executes_is_planned_once_by_a_connection(
    store: Store, bind: Bind, answers: list[bool]
) -> None:
    for number in range(9):  # PostgreSQL looks at five plans before it decides
        create(bind(), observation("Patient/p1"), f"o{number}")
        put(bind(), f"o{number}", observation("Patient/p1", 100 + number))
        bind().transact(lambda inside, number=number: inside.delete("Observation", f"o{number}"))
    assert all(answers)
    driver = driver_of(store.database.connection())
    kinds = "_numbers"
    names = "hie_begin", f"hie_store{kinds}_refers", "hie_hold", f"hie_change{kinds}_refers", f"hie_delete{kinds}"
    planned = driver.execute(
        "SELECT name, custom_plans > 5, generic_plans > 2 FROM pg_prepared_statements WHERE name = ANY(%s)",
        [list(names)],
    ).fetchall()
    assert sorted(planned) == sorted((name, False, True) for name in names)
    assert driver.execute("SHOW plan_cache_mode").fetchone()[0] == "auto", "searches are planned for what they ask"


def test_a_connection_that_was_not_used_for_a_while_is_asked_first(
    store: Store, bind: Bind, answers: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hie.store.postgres_writer.RECENT_SECONDS", -1.0)
    create(bind(), observation("Patient/p1"), "o")
    everybody = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = "
    with store.database.engine.connect() as other:
        other.execute(text(f"{everybody} current_database()"))
    store.database.connection()
    monkeypatch.setattr(store.database, "connection", store.database.open_autocommit)  # what is read is not asked about
    assert put(bind(), "p1", patient(active=True)).vid == 2
    assert answers == [True, True]
    assert check(store).problems == []


def test_all_take_the_locks_of_targets_in_one_order_whether_they_refer_to_them_or_delete_them(store: Store) -> None:
    """Two who delete what the other refers to would wait in a circle."""
    places = [("Patient", f"p{number}") for number in range(9)]
    one = locks.target_locks(store.tenants[1], places[:6], places[5:])
    other = locks.target_locks(store.tenants[1], places[4:], places[:4])
    assert one.numbers == other.numbers == sorted(one.numbers)
    alone = dict(zip(*one, strict=True))
    assert [alone[locks.lock_of(store.tenants[1], place)] for place in places] == [False] * 5 + [True] * 4


_INTEGERS = st.integers(-(2**63), 2**63 - 1)
_TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        ("int8", _INTEGERS),
        ("text", _TEXTS),
        ("bytea", st.binary()),
        ("int8[]", st.lists(_INTEGERS)),
        ("float8[]", st.lists(st.floats(allow_nan=False))),
        ("text[]", st.lists(_TEXTS)),
        ("int8", st.none()),
    ],
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_literal_is_read_as_the_value_it_was(
    store: Store, type_: str, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    value = data.draw(values)
    driver = driver_of(store.database.connection())
    found = driver.execute(f"SELECT {literals.literal(value)}::{type_}").fetchone()[0]
    assert found == value


def test_the_record_has_every_column_of_the_audit_table(store: Store) -> None:
    columns = store.database.connection().execute(
        text("SELECT column_name FROM information_schema.columns WHERE table_name = 'audit'")).scalars().all()
    assert set(columns) == set(at_once.AUDIT)


def test_a_message_goes_by_indexes_however_small_the_store_is_when_it_is_planned(
    store: Store, bind: Bind, answers: list[bool]
) -> None:
    """The plan is kept while the store grows."""
    with store.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))  # tells PostgreSQL that each table is one page, which is read quicker whole
    create(bind(), observation("Patient/p1"), "o")
    put(bind(), "o", observation("Patient/p1", 100))
    bind().transact(lambda inside: inside.delete("Observation", "o"))
    create(bind(), patient(), "p2")
    put(bind(), "p2", patient(active=True))
    bind().transact(lambda inside: inside.delete("Patient", "p2"))
    assert answers == [True] * 6
    driver = driver_of(store.database.connection())
    planned = driver.execute("SELECT name FROM pg_prepared_statements WHERE generic_plans > 0 AND name LIKE 'hie%'")
    names = [name for (name,) in planned.fetchall()]
    assert len(names) == 9, names
    for name in names:
        if name == "hie_plan":
            continue
        given = driver.execute(
            "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = %s", [name]).fetchone()[0]
        with driver.transaction():
            driver.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            plan = driver.execute(f"EXPLAIN EXECUTE {name} ({', '.join(['NULL'] * given)})").fetchall()
        assert [line for (line,) in plan if "Seq Scan" in line] == [], name
