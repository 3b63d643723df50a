"""A search finds exactly what the plain filter finds over the same resources: https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from hie.store.resources import ResourceStore
from tests.property.plain import Asked, pages, searches, store_all
from tests.property.plain_filter import GET, Json, spans
from tests.property.random_resources import records


@pytest.mark.proves("search:[!n]*", "prefix:*", "modifier:[!cn]*:missing", "modifier:string:*", "modifier:token:not",
                    "modifier:token:text", "modifier:token:of-type", "modifier:uri:*", "modifier:reference:*",
                    "parameter:_filter", "parameter:_text", "parameter:near", "parameter:_id", "parameter:_tag",
                    "parameter:_profile")  # fmt: skip
@pytest.mark.parametrize("seed", [1, 2])
def test_a_search_finds_what_a_plain_filter_finds(bind: Callable[..., ResourceStore], seed: int) -> None:
    found = records(seed)
    store_all(bind(), found)
    store = bind()

    @settings(max_examples=180, deadline=None, database=None, derandomize=True,
              suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])  # fmt: skip
    @given(searches())
    def law(search: tuple[str, list[Asked], list[tuple[str, str]]]) -> None:
        type_name, asked, result = search
        expected = {
            record["id"]
            for record in found
            if record["resourceType"] == type_name and all(meaning(record) for _, _, meaning in asked)
        }
        parameters = [(name, text) for name, text, _ in asked] + result
        ids, totals = pages(store, type_name, parameters)
        assert set(ids) == expected, parameters
        assert len(ids) == len(expected), f"{parameters}: a resource came twice"
        assert totals == {len(expected)}, parameters

    law()


def least(record: Json, sort: str) -> Any:
    """What a resource is sorted by ascending; None: no value."""
    if sort == "date":
        moments = [one[0] for value in GET[record["resourceType"]]["date"](record) for one in spans(value)]
        return min(moments, default=None)
    numbers = [-float("inf") if "<" in one.get("comparator", "") else float(one["value"])
               for one in GET[record["resourceType"]][sort](record)]  # fmt: skip
    return min(numbers, default=None)


@pytest.mark.parametrize("sort", ["date", "value-quantity"])
@pytest.mark.parametrize("direction", ["", "-"])
@pytest.mark.parametrize("criterion", [("status", "final,amended"), ("date", "ge1980"), ("_id:not", "zz")])
def test_results_come_in_order_with_missing_values_last(
    bind: Callable[..., ResourceStore], sort: str, direction: str, criterion: tuple[str, str]
) -> None:
    found = {record["id"]: record for record in records(3)}
    store_all(bind(), list(found.values()))
    ids, _ = pages(bind(), "Observation", [criterion, ("_sort", direction + sort), ("_count", "7")])
    values = [least(found[id_], sort) for id_ in ids]
    present = [value for value in values if value is not None]
    assert values[: len(present)] == present, "missing values are not last"
    assert present == sorted(present, reverse=bool(direction))
    assert len(present) > 10
