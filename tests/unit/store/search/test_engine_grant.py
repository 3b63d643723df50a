"""A search finds, counts and includes nothing that the grant does not cover."""

from __future__ import annotations

import pytest

from hie.errors import Forbidden
from hie.fhir.scopes import Grant, Scope, ScopeError, parse_scope
from hie.store.resources import ResourceStore
from hie.store.search.scope_conditions import checked_grant
from tests.unit.store.search.searched import Bind, filled, ids, observation, search

__all__ = ["filled"]


def test_a_search_without_a_scope_is_forbidden(filled: ResourceStore, bind: Bind) -> None:
    with pytest.raises(Forbidden, match=r"system/Observation\.s"):
        search(bind("system/Patient.rs"), "Observation")


def test_a_granular_scope_restricts_matches_total_and_count(filled: ResourceStore, bind: Bind) -> None:
    store = bind("system/Observation.rs?category=vital-signs")
    page = search(store, "Observation", ("_total", "accurate"))
    assert (len(page.matches), page.total) == (5, 5)
    assert search(store, "Observation", ("_count", "0")).total == 5
    assert ids(search(store, "Observation", ("_id", "o1"))) == []
    assert ids(search(store, "Observation", ("category", "laboratory"))) == []
    assert ids(search(store, "Observation", ("category:not", "vital-signs"))) == []


def test_several_granular_scopes_are_alternatives(filled: ResourceStore, bind: Bind) -> None:
    store = bind("system/Observation.rs?category=vital-signs", "system/Observation.rs?code=c1,c2")
    assert search(store, "Observation", ("_total", "accurate")).total == 7


def test_a_wider_scope_wins_over_a_granular_one(filled: ResourceStore, bind: Bind) -> None:
    store = bind("system/Observation.rs?category=vital-signs", "system/*.rs")
    assert search(store, "Observation", ("_total", "accurate")).total == 45


def test_includes_do_not_pass_the_grant(filled: ResourceStore, bind: Bind) -> None:
    asked = [("_id", "o1"), ("_include", "Observation:subject")]
    assert len(search(filled, "Observation", *asked).included) == 1
    assert search(bind("system/Observation.rs"), "Observation", *asked).included == []
    only_b = bind("system/Observation.rs", "system/Patient.rs?name=family%20b")
    assert search(only_b, "Observation", *asked).included == []


def test_reverse_includes_do_not_pass_the_grant(filled: ResourceStore, bind: Bind) -> None:
    asked = [("_revinclude", "Observation:subject")]
    assert len(search(filled, "Patient", *asked).included) == 45
    assert search(bind("system/Patient.rs"), "Patient", *asked).included == []
    vital = bind("system/Patient.rs", "system/Observation.rs?category=vital-signs")
    assert len(search(vital, "Patient", *asked).included) == 5


def test_a_search_over_types_stays_inside_the_grant(filled: ResourceStore, bind: Bind) -> None:
    asked = [("_lastUpdated", "gt2000"), ("_total", "accurate"), ("_count", "1000")]
    assert search(filled, None, *asked).total == 47
    assert search(bind("system/Patient.rs"), None, *asked).total == 2
    vital = bind("system/Observation.rs?category=vital-signs", "system/Patient.rs")
    assert search(vital, None, *asked).total == 7
    with pytest.raises(Forbidden):
        search(bind("system/Patient.r"), None, *asked)


@pytest.mark.parametrize(
    "scope",
    [
        "system/Observation.rs?date=ge2020", "system/Observation.rs?value-quantity=gt5",
        "system/Observation.rs?subject.name=x", "system/Observation.rs?nothing=x",
        "system/Patient.rs?name:contains=abc", "system/Observation.rs?code:in=http://vs",
        "system/Observation.rs?_lastUpdated=gt2020", "system/Patient.rs?&",
        "system/Observation.rs?_count=1", "system/*.rs?code=x", "system/*.rs?_text=knee",
    ],
)  # fmt: skip
def test_a_scope_that_the_index_of_one_resource_cannot_decide_is_refused(scope: str) -> None:
    with pytest.raises(ScopeError):
        checked_grant([scope])


@pytest.mark.parametrize(
    "scope",
    [
        "system/Observation.rs?category=laboratory", "system/Observation.cruds?patient=Patient/1",
        "system/Patient.rs?_security:not=R", "system/*.rs?_tag=urn:x|a", "system/Patient.rs?birthdate=ge1980",
        "system/Patient.rs?_id=1,2", "system/Patient.rs?_id:not=1",
        "system/Observation.rs?code:missing=false", "system/Observation.rs?code-value-concept=a$b",
    ],
)  # fmt: skip
def test_a_scope_that_can_be_decided_is_granted(scope: str) -> None:
    assert checked_grant([scope]) == Grant((parse_scope(scope),))


def test_a_scope_that_never_passed_the_check_lets_nothing_through(filled: ResourceStore, bind: Bind) -> None:
    store = bind()
    scope = Scope("Observation", frozenset("cs"), (("value-quantity", "gt5"),))
    forged = ResourceStore(store.database, store.keys, Grant((scope,)), store.entry, store.clock)
    with pytest.raises(Forbidden):
        forged.transact(lambda inside: inside.create("Observation", observation(99)))
