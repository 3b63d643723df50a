"""Criteria that repeat, exclude or nearly exclude each other find what a plain walk finds, whatever leads the search.

Chains and `_has` are among them, a token may see all or a part, pages are as small as can be, and what is many and what
is few is moved so that each way to search is gone. https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hie.store.resources import ResourceStore
from hie.store.search import counting, drivers, hops, pages, rare
from tests.property import plain
from tests.property import test_search_joins as joins
from tests.property.plain import Asked
from tests.property.plain_filter import GET, KINDS
from tests.property.random_values import date_value, quantity_value

ORDERS = {
    "Patient": ["", "_id", "-_id", "-_lastUpdated,_id", "birthdate", "-birthdate", "family", "-gender,birthdate"],
    "Observation": ["", "date", "-date", "-value-quantity,date", "-value-date,-_id", "-date,code", "status,-date",
                    "_lastUpdated,-date"],
    "Encounter": ["", "date", "-date", "location-period", "length,-date", "-_id", "status"],
    "Organization": ["", "_id", "-_lastUpdated", "name"],
}  # fmt: skip
NEGATED = frozenset({"status", "gender", "code", "category", "_tag", "_id", "class", "value-concept", "component-code",
                     "active"})  # fmt: skip


@st.composite
def contradictory(draw: st.DrawFn, here: joins.World, type_name: str) -> list[Asked]:
    """Some criteria, of which some are asked again, or the opposite of them is, or that they are missing."""
    found: list[Asked] = []
    for hops_left in draw(st.sampled_from([(0,), (0, 0), (0, 0, 0), (1, 0), (1, 1), (2, 0)])):
        name, text, meaning = one = draw(joins.criterion(here, type_name, hops_left))
        found.append(one)
        also = draw(st.sampled_from(["nothing", "the same", "its opposite", "its absence"]))
        if also == "the same":
            found.append(one)
        elif also == "its opposite" and name in NEGATED:
            found.append((f"{name}:not", text, lambda record, meaning=meaning: not meaning(record)))
        elif also == "its absence" and name in GET[type_name]:
            get, wanted = GET[type_name][name], draw(st.booleans())
            found.append((f"{name}:missing", str(wanted).lower(),
                          lambda record, get=get, wanted=wanted: (not get(record)) is wanted))
    if type_name == "Observation" and draw(st.booleans()):
        found.append(draw(plain.composite_criterion()))
    ranges = sorted(name for name in GET[type_name] if KINDS.get(name) in ("date", "quantity"))
    if ranges and draw(st.booleans()):
        found = [*found[:1], *draw(bounds(type_name, draw(st.sampled_from(ranges))))]
    return draw(st.permutations(found))


@st.composite
def bounds(draw: st.DrawFn, type_name: str, name: str) -> list[Asked]:
    """Several bounds of one date or quantity, which may leave nothing between them."""
    get = GET[type_name][name]
    values = date_value() if KINDS[name] == "date" else quantity_value()
    drawn = [draw(values) for _ in range(draw(st.sampled_from([2, 2, 3])))]
    return [(name, text, lambda record, holds=holds: any(map(holds, get(record)))) for text, holds in drawn]


@pytest.mark.parametrize("many", [1, 4])
def test_they_find_what_a_plain_walk_finds(
    bind: Callable[..., ResourceStore], monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    for module, name in ((drivers, "FREQUENT"), (drivers, "FEW"), (drivers, "HANDFUL"), (rare, "FREQUENT"),
                         (rare, "MANY"), (pages, "MANY"), (hops, "FEW")):  # fmt: skip
        monkeypatch.setattr(module, name, many)
    monkeypatch.setattr(pages, "BATCH", 5)
    monkeypatch.setattr(hops, "FREQUENT", {"sqlite": many, "postgresql": many})
    monkeypatch.setattr(counting, "_counted", counting._counted.__wrapped__)
    here = joins.World(joins.world(5))
    plain.store_all(bind(), here.found)
    stores = [(bind(*scopes), visible) for scopes, visible in joins.GRANTS]

    @settings(max_examples=80, deadline=None, database=None, derandomize=True,
              suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])  # fmt: skip
    @given(st.data())
    def law(data: st.DataObject) -> None:
        store, here.visible = data.draw(st.sampled_from(stores))
        type_name = data.draw(st.sampled_from(["Patient", "Observation", "Observation", "Encounter", "Organization"]))
        asked = data.draw(contradictory(here, type_name))
        expected = {one["id"] for one in here.found if one["resourceType"] == type_name and here.visible(one)
                    and all(meaning(one) for _, _, meaning in asked)}  # fmt: skip
        order, total = data.draw(st.sampled_from(ORDERS[type_name])), data.draw(st.sampled_from(["accurate", "none"]))
        sorted_by = [("_sort", order)] if order else []
        named = [(name, text) for name, text, _ in asked]
        small = [*named, *sorted_by, ("_count", data.draw(st.sampled_from(["1", "2", "3"]))), ("_total", total)]
        ids, totals = plain.pages(store, type_name, small)
        assert set(ids) == expected, small
        assert len(ids) == len(expected), f"{small}: a resource came twice"
        assert totals == {len(expected) if total == "accurate" else None}, small
        if order:
            assert ids == plain.pages(store, type_name, [*named, *sorted_by, ("_count", "1000")])[0], small

    law()
