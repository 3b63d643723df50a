"""A code and a quantity asked beside each other are led by what has both; what is found is the same."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from hie.fhir import json_format
from hie.store.check import check
from hie.store.resources import ResourceStore
from hie.store.search import drivers, query
from hie.store.search.asked import asked_by
from hie.store.search.clauses import Both, Either, Led, Token
from hie.store.store import Store

Bind = Callable[..., ResourceStore]
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"


def quantity(value: str, **more: Any) -> dict[str, Any]:
    amount = {"value": json_format.number(value), "system": UCUM, "code": "mg", "unit": "mg", **more}
    return {"valueQuantity": amount}


def sampled(data: str) -> dict[str, Any]:
    origin = {"value": 0, "system": UCUM, "code": "mg", "unit": "mg"}
    return {"valueSampledData": {"origin": origin, "period": 10, "dimensions": 1, "data": data}}


VALUES = {
    "five": quantity("5"), "fifty": quantity("50"), "more": quantity("50", comparator=">"),
    "gram": quantity("5", code="g"),
    "flat": sampled("50 50 50"), "wave": sampled("5 50 5"), "none": {}, "text": {"valueString": "50"},
}  # fmt: skip


@pytest.fixture
def filled(bind: Bind) -> ResourceStore:
    def fill(inside: ResourceStore) -> None:
        for code, (name, value) in product("ab", VALUES.items()):
            coding = {"coding": [{"system": LOINC, "code": code}]}
            inside.create("Observation", {"resourceType": "Observation", "status": "final", "code": coding, **value},
                          id=f"{code}-{name}")  # fmt: skip

    bind().transact(fill)
    return bind()


def found(store: ResourceStore, *asked: tuple[str, str]) -> list[str]:
    return sorted(one.id for one in store.search(query.parse("Observation", list(asked))).matches)


QUANTITIES = [
    "50", "eq50", "ne50", "gt49", "ge50", "lt6", "le5", "sa49", "eb51", "ap50", "gt49,lt6", f"50|{UCUM}|mg", "50||mg",
    f"gt1|{UCUM}|g", f"lt1|{UCUM}|g,50",
]  # fmt: skip


@pytest.mark.parametrize("value", QUANTITIES)
def test_the_same_is_found_as_by_each_alone(filled: ResourceStore, value: str) -> None:
    by_value = set(found(filled, ("value-quantity", value)))
    for code in ("a", f"{LOINC}|a", "a,b", f"{LOINC}|", "c"):
        by_code = set(found(filled, ("code", code)))
        assert found(filled, ("code", code), ("value-quantity", value)) == sorted(by_value & by_code)


def test_samples_are_found_flat_or_not(filled: ResourceStore) -> None:
    for value, expected in (
        ("gt49", ["a-fifty", "a-flat", "a-more", "a-wave"]),
        (f"gt49|{UCUM}|mg", ["a-fifty", "a-flat", "a-gram", "a-more", "a-wave"]),
    ):
        assert found(filled, ("code", "a"), ("value-quantity", value)) == expected


def test_the_composite_leads_unless_it_finds_very_many(filled: ResourceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def first(*asked: tuple[str, str]) -> object:
        clause = asked_by(filled, query.parse("Observation", list(asked))).arms[0].clause
        return clause.parts[0] if isinstance(clause, Both) else clause

    pair = [("code", "a"), ("value-quantity", "gt49")]
    before, leader = found(filled, *pair), first(*pair)
    assert isinstance(leader, Led)
    assert isinstance(leader.part, Either), "the pair, and ranges"
    assert first(*pair, ("patient", "p1")) == first(("code", "a"), ("patient", "p1")), "what is of one patient leads"
    monkeypatch.setattr(drivers, "HANDFUL", 1)
    if filled.database.dialect == "sqlite":
        assert isinstance(first(*pair), Token), "half of the code"
    monkeypatch.setattr(drivers, "FEW", 1)
    assert not isinstance(first(*pair), Led)
    assert found(filled, *pair) == before


def test_the_index_is_what_the_content_says(filled: ResourceStore, store: Store) -> None:
    assert check(store).problems == []
