"""Two bounds of one value are asked as one range: what both find is what each of them finds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from hie.fhir.json_format import JsonDecimal
from hie.store.resources import ResourceStore
from hie.store.search import query
from hie.store.search.asked import asked_by
from hie.store.search.clauses import Both
from hie.store.search.intervals import PREFIXES
from hie.store.search.range_clauses import Interval, Number
from tests.builders import observation

Bind = Callable[..., ResourceStore]
DATES = ["2012", "2012-05", "2012-05-05", "2012-05-06T10:00:00Z", "2013-01-01", "2011-12-31"]
PERIODS = [("2012-05-05", "2012-05-05"), ("2012-05-04", "2012-05-06"), ("2011", "2013"), ("2012-04-01", "2012-05-05"),
           ("2012-05-05", None), (None, "2012-05-05"), ("2012-05-06", "2012-08-01"), (None, None), ("2001", "2002")]
ORDERS = ["", "_id", "-_lastUpdated", "_tag"]
AMOUNTS = [(5, "g"), (5.04, "g"), (5000, "mg"), (4.9, "g"), (6, "g"), (5, "mL"), (7, None)]


def of_unit(value: float, unit: str | None) -> dict[str, Any]:
    system = {"system": "http://unitsofmeasure.org", "code": unit, "unit": unit} if unit else {}
    return {"value": value, **system}


@pytest.fixture
def store(bind: Bind) -> ResourceStore:
    def unit(inside: ResourceStore) -> None:
        for number, date in enumerate(DATES):
            inside.create("Condition", {"resourceType": "Condition", "id": f"c{number}", "recordedDate": date,
                                        "subject": {"display": "x"}}, id=f"c{number}")
        for number, (start, end) in enumerate(PERIODS):
            period = {name: at for name, at in (("start", start), ("end", end)) if at}
            inside.create("Encounter", {"resourceType": "Encounter", "id": f"e{number}", "status": "finished",
                                        "class": {"code": "AMB"}, **({"period": period} if period else {})},
                          id=f"e{number}")  # fmt: skip
        for number, (value, code) in enumerate(AMOUNTS):
            made = observation(id=f"o{number}", valueQuantity=of_unit(value, code))
            inside.create("Observation", made, id=f"o{number}")
        for number, chances in enumerate((["0.1"], ["0.5"], ["0.9"], ["0.1", "0.9"], [])):
            inside.create("RiskAssessment", {
                "resourceType": "RiskAssessment", "id": f"r{number}", "status": "final", "subject": {"display": "x"},
                "prediction": [{"probabilityDecimal": JsonDecimal(one)} for one in chances],
            }, id=f"r{number}")  # fmt: skip

    bind().transact(unit)
    return bind()


def found(store: ResourceStore, type_name: str, *asked: tuple[str, str]) -> set[str]:
    return {one.id for one in store.search(query.parse(type_name, list(asked))).matches}


@pytest.mark.parametrize(("type_name", "parameter", "values"), [
    ("Condition", "recorded-date", ["2012-05-05", "2012"]),
    ("Observation", "value-quantity", ["5|http://unitsofmeasure.org|g", "5.0||g", "5"]),
    ("RiskAssessment", "probability", ["0.5", "0.3"]),
    ("Encounter", "date", ["2012-05-05", "2012"]),
])  # fmt: skip
def test_two_bounds_find_what_each_of_them_finds(
    store: ResourceStore, type_name: str, parameter: str, values: list[str]
) -> None:
    asked = [(parameter, f"{prefix}{value}") for prefix, value in product(PREFIXES, values)]
    alone = {one: found(store, type_name, one) for one in asked}
    assert len({frozenset(one) for one in alone.values()}) > 4
    for number, (one, other) in enumerate(product(asked, asked)):
        order = [("_sort", by)] if (by := ORDERS[number % len(ORDERS)]) else []
        assert found(store, type_name, one, other, *order) == alone[one] & alone[other], (one, other, order)


def test_bounds_of_one_value_are_one_question(store: ResourceStore) -> None:
    def parts(type_name: str, *asked: tuple[str, str]) -> list[Any]:
        (arm,) = asked_by(store, query.parse(type_name, list(asked))).arms
        return list(arm.clause.parts) if isinstance(arm.clause, Both) else [arm.clause]

    def of_values(clause: Any) -> Any:
        return getattr(clause, "part", clause) if not isinstance(clause, Interval | Number) else clause

    (dates,) = parts("Condition", ("recorded-date", "lt2012-06"), ("recorded-date", "ge2012-05"))
    assert [one.prefix for one in (of_values(dates), *of_values(dates).also)] == ["ge", "lt"]
    (numbers,) = parts("Observation", ("value-quantity", "gt4||g"), ("value-quantity", "lt6||g"))
    assert len(of_values(numbers).also) == 1
    (own,) = parts("Encounter", ("date", "lt2012-06"), ("date", "ge2012-05"))
    assert [one.prefix for one in (of_values(own), *of_values(own).also)] == ["ge", "lt"]
    (updated,) = parts("Encounter", ("_lastUpdated", "lt2032"), ("_lastUpdated", "ge2012"))
    assert len(of_values(updated).also) == 1
    assert len(parts("Observation", ("value-quantity", "gt4||g"), ("value-quantity", "lt6||mg"))) == 2
    assert len(parts("RiskAssessment", ("probability", "gt0.2"), ("probability", "lt0.8"))) == 2
