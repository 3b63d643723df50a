"""One resource on PostgreSQL by one message: what it keeps, and when it is done in steps instead."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.errors import UniqueViolation
from sqlalchemy import Table, event, func, select, text, update

from hie.errors import BrokenReference, Busy, Gone, Referenced
from hie.fhir import json_format
from hie.store import at_once, known_parameters, literals, locks, unit_of_work
from hie.store.check import check
from hie.store.conflicts import WRITE_ATTEMPTS
from hie.store.models import (
    FOREVER,
    audit,
    contained,
    custom_version,
    data_key,
    date_index,
    number_index,
    resource,
)
from hie.store.postgres_writer import PostgresWriter
from hie.store.prepared import driver_of
from hie.store.resources import ResourceStore
from hie.store.search import query
from hie.store.store import Store
from hie.store.versions import StoredVersion
from tests.builders import observation, patient

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"])
Bind = Callable[..., ResourceStore]


def create(bound: ResourceStore, content: dict[str, Any], id: str | None = None) -> str:
    return bound.transact(lambda inside: inside.create(content["resourceType"], content, id=id)).id


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, store: Store, bind: Bind) -> list[bool]:
    """Whether each message was enough."""
    create(bind(), patient(), "p1")
    told: list[bool] = []
    original = PostgresWriter.commit_one

    def commit_one(self: PostgresWriter, *given: Any) -> bool:
        told.append(original(self, *given))
        return told[-1]

    monkeypatch.setattr(PostgresWriter, "commit_one", commit_one)
    return told


def test_a_resource_is_kept_whole_with_its_audit_record(store: Store, bind: Bind, answers: list[bool]) -> None:
    id_ = create(bind(), observation("Patient/p1", note=[{"text": "a 'quoted' \\ text"}]))
    assert answers == [True]
    assert check(store).problems == []
    asked = query.parse("Observation", [("patient", "p1"), ("code", "8867-4"), ("value-quantity", "80")])
    assert [one.id for one in bind().search(asked).matches] == [id_]
    chained = query.parse("Observation", [("patient.family", "smith")])
    assert [one.id for one in bind().search(chained).matches] == [id_]
    records = store.database.connection().execute(select(audit.c.entity, audit.c.seq).order_by(audit.c.seq)).all()
    assert [row.seq for row in records] == [1, 2]
    assert records[1].entity != 0


def test_a_thread_reads_and_sends_messages_on_one_connection(store: Store, bind: Bind, answers: list[bool]) -> None:
    bind().transact(lambda inside: inside.update("Patient", "p1", patient(family="Jones")))
    bind().transact(lambda inside: inside.delete("Patient", "p1"))
    assert answers == [True, True]
    with pytest.raises(Gone):
        bind().read("Patient", "p1")
    assert store.database.engine.pool.checkedout() == 1  # type: ignore[attr-defined]


def test_a_target_that_is_not_there_is_told_and_nothing_kept(store: Store, bind: Bind, answers: list[bool]) -> None:
    bound = bind()
    with pytest.raises(BrokenReference) as refused:
        create(bound, observation("Patient/p1", performer=[{"reference": "Practitioner/nobody"}]))
    assert answers == [False]
    assert refused.value.issues[0].target == "Practitioner/nobody"
    assert (bound.entry.id, bound.entry.patient, bound.entry.touched) == (None, None, ())
    kept = store.database.connection().execute(select(resource.c.id)).scalars().all()
    assert kept == ["p1"]
    create(bind(), observation("Patient/p1"))
    assert answers == [False, True]
    assert check(store).problems == []


def test_a_deleted_target_is_told(bind: Bind, answers: list[bool]) -> None:
    bind().transact(lambda inside: inside.delete("Patient", "p1"))
    with pytest.raises(BrokenReference):
        create(bind(), observation("Patient/p1"))
    assert answers == [True, False]


def test_rows_made_with_older_search_parameters_are_not_kept(
    store: Store, bind: Bind, answers: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_parameters, "REMEMBERED_SECONDS", 600.0)  # however slow the machine
    store.tenants[1].parameters.expire()
    store.tenants[1].parameters.fresh(store.database.connection, store.tenants[1])
    with store.database.engine.begin() as connection:
        connection.execute(custom_version.insert(), {"tenant": 1, "number": 7})
    create(bind(), observation("Patient/p1"))
    assert answers == [False]
    store.tenants[1].parameters.expire()
    store.tenants[1].parameters.fresh(store.database.connection, store.tenants[1])
    create(bind(), observation("Patient/p1"))
    assert answers == [False, True]


def put(bound: ResourceStore, id: str, content: dict[str, Any], **values: Any) -> StoredVersion:
    return bound.transact(lambda inside: inside.update(content["resourceType"], id, content, **values))


def found(bound: ResourceStore, *asked: tuple[str, str]) -> list[str]:
    return [one.id for one in bound.search(query.parse("Observation", list(asked))).matches]


def rows_of(store: Store, table: Table) -> int:
    return store.database.connection().execute(select(func.count()).select_from(table)).scalar_one()


def test_a_new_patient_comes_with_its_data_key(store: Store, bind: Bind, answers: list[bool]) -> None:
    create(bind(), patient(), "p2")
    create(bind(), observation("Patient/p2"), "o")
    assert answers == [True, True]
    assert rows_of(store, data_key) == 3
    assert bind().read("Observation", "o").vid == 1
    assert check(store).problems == []


def test_a_change_replaces_what_was_found_by_and_keeps_it_in_the_past(
    store: Store, bind: Bind, clock: Any, answers: list[bool]
) -> None:
    create(bind(), patient(), "p2")
    create(bind(), observation("Patient/p1", effectiveDateTime="2024-01-01"), "o")
    before = bind().read("Observation", "o")
    clock.forward(10)
    changed = put(bind(), "o", observation("Patient/p2", 120, "8480-6", effectiveDateTime="2024-01-01"), if_match=1)
    assert answers == [True, True, True]
    assert (changed.vid, bind().vread("Observation", "o", 1)) == (2, before)
    assert found(bind(), ("patient", "p2"), ("code", "8480-6"), ("value-quantity", "120"), ("date", "2024-01-01")) == [
        "o"]
    for old in (("patient", "p1"), ("code", "8867-4"), ("value-quantity", "80")):
        assert found(bind(), old) == []
        assert found(bind().as_of(before.updated), old) == ["o"]
    assert check(store).problems == []
    assert put(bind(), "o", observation("Patient/p2", 120, "8480-6", effectiveDateTime="2024-01-01")).vid == 2
    assert len(answers) == 3, "what changes nothing is not stored"


def test_a_deletion_leaves_nothing_to_be_found_but_the_past(
    store: Store, bind: Bind, clock: Any, answers: list[bool]
) -> None:
    create(bind(), observation("Patient/p1"), "o")
    before = bind().read("Observation", "o")
    clock.forward(10)
    bind().transact(lambda inside: inside.delete("Observation", "o", if_match=1))
    assert answers == [True, True]
    assert found(bind(), ("patient", "p1")) == []
    assert found(bind().as_of(before.updated), ("patient", "p1")) == ["o"]
    with pytest.raises(Gone):
        bind().read("Observation", "o")
    assert put(bind(), "o", observation("Patient/p1")).came_into_being
    assert answers == [True, True, True]
    assert found(bind(), ("patient", "p1")) == ["o"]
    assert check(store).problems == []


@pytest.mark.parametrize("referrer", [
    observation("Patient/p1"),
    observation(note=[{"text": "x", "authorReference": {"reference": "Patient/p1"}}]),
], ids=["by a parameter", "by none"])  # fmt: skip
def test_what_is_referred_to_is_not_deleted(
    store: Store, bind: Bind, answers: list[bool], referrer: dict[str, Any]
) -> None:
    create(bind(), referrer, "o")
    bound = bind()
    with pytest.raises(Referenced) as refused:
        bound.transact(lambda inside: inside.delete("Patient", "p1"))
    assert answers == [True, False]
    assert refused.value.issues[0].source == "Observation/o"
    assert (bound.entry.id, bind().read("Patient", "p1").vid) == (None, 1)
    create(bind(), {"resourceType": "AuditEvent", "type": {"code": "x"}, "recorded": "2024-01-01T00:00:00Z",
                    "agent": [{"requestor": True, "who": {"reference": "Patient/p1"}}], "source": {"observer": {
                        "display": "x"}}}, "witness")
    bind().transact(lambda inside: inside.delete("Observation", "o"))
    bind().transact(lambda inside: inside.delete("Patient", "p1"))
    assert answers[2:] == [True, True, True], "a witness may outlive what it tells of"
    assert check(store).problems == []


def test_a_change_that_refers_to_nothing_is_refused_in_steps(store: Store, bind: Bind, answers: list[bool]) -> None:
    create(bind(), observation("Patient/p1"), "o")
    with pytest.raises(BrokenReference):
        put(bind(), "o", observation("Patient/nobody"))
    assert answers == [True, False]
    assert check(store).problems == []


def test_what_is_contained_comes_and_goes_with_the_message(store: Store, bind: Bind, answers: list[bool]) -> None:
    def holding(*values: int, **more: Any) -> dict[str, Any]:
        parts = [observation(None, value, id=f"c{value}", valuePeriod={"start": "2024-01-01"}) for value in values]
        for part in parts[1:]:
            del part["valueQuantity"]
        return observation("Patient/p1", contained=parts, hasMember=[{"reference": f"#{one['id']}"} for one in parts],
                           **more)

    def now_contained() -> list[tuple[int, int]]:
        current = select(contained.c.vid, contained.c.part).where(contained.c.until == FOREVER)
        return sorted((row.vid, row.part) for row in store.database.connection().execute(current))

    create(bind(), {**holding(1, 2)}, "o")
    assert now_contained() == [(1, 0), (1, 1)]
    put(bind(), "o", holding(3))
    assert now_contained() == [(2, 0)]
    put(bind(), "o", observation("Patient/p1"))
    assert now_contained() == []
    put(bind(), "o", holding(1, 2, 3))
    bind().transact(lambda inside: inside.delete("Observation", "o"))
    assert (now_contained(), rows_of(store, contained)) == ([], 6)
    assert answers == [True] * 5
    assert check(store).problems == []
    create(bind(), holding(*range(unit_of_work.FEW + 1)), "many")
    assert len(answers) == 5, "many parts are copied"
    assert check(store).problems == []


def test_a_change_whose_rows_were_made_with_older_search_parameters_is_made_again(
    store: Store, bind: Bind, answers: list[bool]
) -> None:
    store.tenants[1].parameters.fresh(store.database.connection, store.tenants[1])
    with store.database.engine.begin() as connection:
        connection.execute(custom_version.insert(), {"tenant": 1, "number": 7})
    assert put(bind(), "p1", patient(active=True)).vid == 2
    assert answers == [False]


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


@pytest.mark.parametrize("itself", [
    {"link": [{"other": {"reference": "Patient/p2"}, "type": "refer"}]},
    {"photo": [{"title": "x", "extension": [{"url": "urn:x", "valueReference": {"reference": "Patient/p2"}}]}]},
], ids=["by a parameter", "by none"])  # fmt: skip
def test_what_refers_to_itself_alone_is_deleted(
    store: Store, bind: Bind, answers: list[bool], itself: dict[str, Any]
) -> None:
    create(bind(), patient(**itself), "p2")
    bind().transact(lambda inside: inside.delete("Patient", "p2"))
    assert answers == [True, True]
    assert check(store).problems == []


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


_PLACE = {"location": {"display": "x"}, "period": {"start": "2024-01-01", "end": "2024-01-01"}}
_LENGTH = {"value": 30, "unit": "min", "system": "http://unitsofmeasure.org", "code": "min"}
_VERSIONS: list[dict[str, Any]] = [
    {}, {"location": [_PLACE]}, {"length": _LENGTH}, {"location": [_PLACE], "length": _LENGTH}]


@pytest.mark.parametrize("custom", [False, True], ids=["of R4 alone", "where parameters came and went"])
def test_whatever_rows_a_resource_has_or_had_follow_it(
    store: Store, bind: Bind, clock: Any, answers: list[bool], custom: bool
) -> None:
    if custom:
        with store.database.engine.begin() as connection:
            connection.execute(custom_version.insert(), {"tenant": 1, "number": 3})
        store.tenants[1].parameters.expire()
        bind()  # looks at them
    base = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}}
    expected = []
    for first, second in product(_VERSIONS, _VERSIONS):
        clock.forward(10)
        id_ = create(bind(), {**base, **first})
        clock.forward(10)
        put(bind(), id_, {**base, **second, "language": "en"})
        expected.append((id_, first, second, clock()))
    for id_, first, second, at in expected:
        for moment, version in ((at - 5_000_000, first), (at, second)):
            for parameter, value, name in (("length", "30", "length"), ("location-period", "2024-01-01", "location")):
                asked = query.parse("Encounter", [(parameter, value), ("_id", id_)])
                matches = bind().as_of(moment).search(asked).matches
                assert [one.id for one in matches] == [id_] * (name in version), (first, second, parameter)
        bind().transact(lambda inside, id_=id_: inside.delete("Encounter", id_))
    assert all(answers)
    assert (rows_of(store, date_index), rows_of(store, number_index)) == (0, 0)
    assert check(store).problems == []


def test_a_resource_that_was_indexed_anew_meanwhile_is_changed_in_steps(
    store: Store, bind: Bind, answers: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its presence bits said which rows it had."""
    original = at_once.FewResources.text

    def text_of(self: at_once.FewResources, record: dict[str, Any]) -> str:
        with store.database.engine.begin() as connection:
            connection.execute(update(resource).where(resource.c.id == "p1").values(presence=0))
        return original(self, record)

    monkeypatch.setattr(at_once.FewResources, "text", text_of)
    assert put(bind(), "p1", patient(active=True)).vid == 2
    assert answers == [False]


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


def test_an_id_that_is_taken_meanwhile_is_not_written_over(store: Store, bind: Bind, answers: list[bool]) -> None:
    with pytest.raises(Busy) as refused:
        create(bind(), patient(), "p1")
    assert isinstance(refused.value.__cause__, UniqueViolation)
    create(bind(), observation("Patient/p1"))
    assert answers == [True]
    assert check(store).problems == []


def look_and_create(bound: ResourceStore, *criteria: tuple[str, str]) -> str:
    def unit(inside: ResourceStore) -> StoredVersion:
        inside.look("Patient", criteria)
        return inside.create("Patient", patient(identifier=[{"system": "urn:x", "value": "a"}]))

    return bound.transact(unit).id


def test_what_was_looked_for_by_identifiers_is_looked_for_again_in_the_message(
    store: Store, bind: Bind, answers: list[bool]
) -> None:
    by = ("identifier", "urn:x|a")
    look_and_create(bind(), by)
    assert answers == [True], "what is made itself is not in its way"
    with pytest.raises(Busy):
        look_and_create(bind(), by)
    assert answers == [True, *[False] * WRITE_ATTEMPTS], "what others made is"
    assert rows_of(store, resource) == 2
    assert check(store).problems == []


def create_all(bound: ResourceStore, *contents: dict[str, Any]) -> None:
    def unit(inside: ResourceStore) -> None:
        for number, content in enumerate(contents):
            inside.create(content["resourceType"], content, id=f"n{number}")

    bound.transact(unit)


def test_a_few_new_resources_go_by_one_message(store: Store, bind: Bind, answers: list[bool]) -> None:
    create_all(bind(), patient("New"), observation("Patient/n0", 91), observation("Patient/p1", 92))
    assert answers == [True]
    assert found(bind(), ("patient", "n0")) == ["n1"]
    assert found(bind(), ("patient.family", "new"), ("value-quantity", "91")) == ["n1"]
    assert found(bind(), ("value-quantity", "92")) == ["n2"]
    records = store.database.connection().execute(select(audit.c.seq)).scalars().all()
    assert len(records) == 2
    assert check(store).problems == []


def test_of_a_few_nothing_is_kept_where_one_refers_to_nothing(store: Store, bind: Bind, answers: list[bool]) -> None:
    with pytest.raises(BrokenReference) as refused:
        create_all(bind(), observation("Patient/nobody"), patient("New"), observation("Patient/n1"))
    assert (answers, refused.value.issues[0].source) == ([False], "Observation/n0")
    assert rows_of(store, resource) == 1
    assert check(store).problems == []


def test_more_than_a_few_are_copied(store: Store, bind: Bind, answers: list[bool]) -> None:
    create_all(bind(), *(patient(f"P{number}") for number in range(unit_of_work.FEW + 1)))
    assert answers == []
    assert rows_of(store, resource) == 1 + unit_of_work.FEW + 1
    assert check(store).problems == []


def test_what_was_looked_for_by_anything_else_is_done_in_steps(bind: Bind, answers: list[bool]) -> None:
    look_and_create(bind(), ("family", "nobody"))
    assert answers == []


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


def test_large_content_is_no_part_of_a_message(
    store: Store, bind: Bind, answers: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_of_work, "MOST_IN_A_MESSAGE", 500)
    large = {"resourceType": "Binary", "contentType": "text/plain", "data": secrets.token_hex(4_000)}
    id_ = create(bind(), large)
    changed = {**large, "id": id_, "data": secrets.token_hex(4_000)}
    bind().transact(lambda inside: inside.update("Binary", id_, changed))
    assert answers == []
    assert json_format.parse(bind().read("Binary", id_).content or b"")["data"] == changed["data"]
    create(bind(), {"resourceType": "Basic", "code": {"text": "x"}})
    assert answers == [True]
    assert check(store).problems == []


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
