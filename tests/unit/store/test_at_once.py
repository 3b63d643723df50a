"""New resources on PostgreSQL by one message: what it keeps, and when it is done in steps instead."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from psycopg.errors import UniqueViolation
from sqlalchemy import select

from hie.errors import BrokenReference, Busy
from hie.fhir import json_format
from hie.store import known_parameters, unit_of_work
from hie.store.check import check
from hie.store.conflicts import WRITE_ATTEMPTS
from hie.store.models import audit, custom_version, data_key, resource
from hie.store.resources import ResourceStore
from hie.store.search import query
from hie.store.store import Store
from hie.store.versions import StoredVersion
from tests.builders import observation, patient
from tests.unit.store.messages import Bind, answers, create, found, rows_of

__all__ = ["answers"]

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"])


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


def test_a_new_patient_comes_with_its_data_key(store: Store, bind: Bind, answers: list[bool]) -> None:
    create(bind(), patient(), "p2")
    create(bind(), observation("Patient/p2"), "o")
    assert answers == [True, True]
    assert rows_of(store, data_key) == 3
    assert bind().read("Observation", "o").vid == 1
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
