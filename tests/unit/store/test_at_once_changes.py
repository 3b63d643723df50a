"""A change or a deletion on PostgreSQL by one message: what becomes of the rows, and when it is done in steps."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from sqlalchemy import select, update

from hie.errors import BrokenReference, Gone, Referenced
from hie.store import at_once, unit_of_work
from hie.store.check import check
from hie.store.models import FOREVER, contained, custom_version, date_index, number_index, resource
from hie.store.search import query
from hie.store.store import Store
from tests.builders import observation, patient
from tests.unit.store.messages import Bind, answers, create, found, put, rows_of

__all__ = ["answers"]

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"])


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
