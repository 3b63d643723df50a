"""One new resource on PostgreSQL by one message: what it keeps, and when it is done in steps instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.errors import UniqueViolation
from sqlalchemy import select, text

from hie.errors import BrokenReference
from hie.store import at_once
from hie.store.check import check
from hie.store.database import PostgresWriter
from hie.store.models import audit, custom_version, resource
from hie.store.prepared import driver_of
from hie.store.resources import ResourceStore
from hie.store.search import query
from hie.store.store import Store
from tests.builders import observation, patient

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"])
Bind = Callable[..., ResourceStore]


def create(bound: ResourceStore, content: dict[str, Any], id: str | None = None) -> str:
    return bound.transact(lambda inside: inside.create(content["resourceType"], content, id=id)).id


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, store: Store, bind: Bind) -> list[bool]:
    """Whether each message was enough; the first write of a connection is done in steps."""
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
    assert answers == [False]


def test_rows_made_with_older_search_parameters_are_not_kept(store: Store, bind: Bind, answers: list[bool]) -> None:
    store.tenants[1].parameters.fresh(store.database.connection, store.tenants[1])
    with store.database.engine.begin() as connection:
        connection.execute(custom_version.insert(), {"tenant": 1, "number": 7})
    create(bind(), observation("Patient/p1"))
    assert answers == [False]
    store.tenants[1].parameters.expire()
    store.tenants[1].parameters.fresh(store.database.connection, store.tenants[1])
    create(bind(), observation("Patient/p1"))
    assert answers == [False, True]


def test_a_connection_that_was_not_used_for_a_while_begins_in_steps(
    bind: Bind, answers: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hie.store.database.RECENT_SECONDS", -1.0)
    create(bind(), observation("Patient/p1"))
    assert answers == [False]


def test_an_id_that_is_taken_meanwhile_is_not_written_over(store: Store, bind: Bind, answers: list[bool]) -> None:
    with pytest.raises(UniqueViolation):
        create(bind(), patient(), "p1")
    create(bind(), observation("Patient/p1"))
    assert answers == [True]
    assert check(store).problems == []


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
    found = driver.execute(f"SELECT {at_once.literal(value)}::{type_}").fetchone()[0]
    assert found == value


def test_the_record_has_every_column_of_the_audit_table(store: Store) -> None:
    columns = store.database.connection().execute(
        text("SELECT column_name FROM information_schema.columns WHERE table_name = 'audit'")).scalars().all()
    assert set(columns) == set(at_once._AUDIT)
