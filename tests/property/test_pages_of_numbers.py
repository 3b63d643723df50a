"""Pages in the order of a number, a further date or of keys, met by an index or found and sorted: the same ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from hie.store import statistics
from hie.store.resources import ResourceStore
from hie.store.search import counting, drivers, page_statements, pages, rare, side_order
from tests.builders import observation
from tests.walking import walked

Asked = list[tuple[str, str]]


def measured(chance: random.Random) -> dict[str, Any]:
    """Return an Observation of a value, of less or more than one, of samples, or of none."""
    found = observation(code=chance.choice("aab"), meta={"tag": [{"code": chance.choice("xy")}]})
    kind, value = chance.random(), chance.choice([chance.randint(-5, 30), Decimal(chance.randint(0, 300)) / 10])
    unit = {"unit": "mg", "system": "http://unitsofmeasure.org", "code": chance.choice(["mg", "g"])}
    if kind < 0.15:
        del found["valueQuantity"]
    elif kind < 0.85:
        comparator = {"comparator": chance.choice(["<", ">=", ">", "<="])} if kind < 0.35 else {}
        found["valueQuantity"] = {"value": value, **comparator, **unit}
    else:
        del found["valueQuantity"]
        found["valueSampledData"] = {"origin": {"value": value, **unit}, "period": 10, "dimensions": 1,
                                     "lowerLimit": 0, "upperLimit": 20, "data": "1 2 3"}  # fmt: skip
    return found


def condition(chance: random.Random) -> dict[str, Any]:
    year, month = chance.randint(2000, 2010), chance.randint(1, 12)
    dated = {"recordedDate": chance.choice([f"{year}", f"{year}-{month:02d}", f"{year}-{month:02d}-15"])}
    return {"resourceType": "Condition", "subject": {"display": "x"}, "meta": {"tag": [{"code": chance.choice("xy")}]},
            "code": {"coding": [{"code": chance.choice("aab")}]},
            **(dated if chance.random() < 0.8 else {})}  # fmt: skip


def asked_by_chance(chance: random.Random) -> tuple[str | None, Asked]:
    if chance.random() < 0.1:
        return None, [("_tag", "x,y")]
    type_name = chance.choice(["Observation", "Observation", "Condition"])
    code = "value-quantity" if type_name == "Observation" else "recorded-date"
    asked: Asked = chance.choice([[], [("code", "a")], [("code", "a,b")], [("_tag", "x")], [("code:not", "b")]])[:]
    for _ in range(chance.choice([0, 1, 1, 2])):
        prefix = chance.choice(["ge", "gt", "le", "lt", "sa", "eb", "ap", "ne", ""])
        value = str(chance.randint(-3, 25)) if type_name == "Observation" else str(chance.randint(2000, 2010))
        if type_name == "Observation" and chance.random() < 0.2:
            value += "||mg"
        asked.append((code, prefix + value))
    if chance.random() < 0.2:
        return type_name, asked
    then = chance.choice(["", "", ",-_id", ",-code,_id", ",-_lastUpdated"])
    return type_name, [*asked, ("_sort", chance.choice(["", "-"]) + code + then)]


@pytest.mark.parametrize("seed", range(2))
def test_by_an_index_or_sorted(
    bind: Callable[..., ResourceStore], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, store = random.Random(seed), bind()

    def unit(inside: ResourceStore) -> None:
        for one in range(80):
            inside.create("Observation", measured(chance), id=f"o{one}")
            inside.create("Condition", condition(chance), id=f"c{one}")

    def change(one: int) -> None:
        store.transact(lambda inside: inside.update("Observation", f"o{one}", measured(chance)))
        store.transact(lambda inside: inside.delete("Condition", f"c{one}"))

    store.transact(unit)
    if store.database.dialect == "postgresql":
        store.database.connection().exec_driver_sql("ANALYZE resource")
    monkeypatch.setattr(statistics, "COMMON", 5)
    monkeypatch.setattr(counting, "_counted", counting._counted.__wrapped__)
    ordered = side_order.has_order
    for turn in range(8):
        type_name, asked = asked_by_chance(chance)
        found = []
        for by_index in (True, False):
            monkeypatch.setattr(side_order, "has_order", ordered if by_index else lambda _keys: False)
            for where, name in ((drivers, "FREQUENT"), (drivers, "FEW"), (rare, "MANY"), (pages, "MANY")):
                monkeypatch.setattr(where, name, 10 if by_index else 10_000)
            page_statements.page_statement.cache_clear()
            found.append(walked(store, type_name, asked, partial(change, turn) if not by_index else lambda: None))
        assert found[0] == found[1], (type_name, asked)
    page_statements.page_statement.cache_clear()
