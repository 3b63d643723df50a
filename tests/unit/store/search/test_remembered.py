"""Results that are remembered, within a bound of bytes."""

from __future__ import annotations

import functools
import gc
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from hie.fhir import datatypes, facts, fhirpath, references, search_parameters, ucum
from hie.fhir.fhirpath import FhirPathSyntaxError, model, units, values
from hie.store.crypto import Blind
from hie.store.search import index, type_hashes
from hie.store.search.remembered import LONGEST, Remembered, remembering


def test_a_result_is_computed_once() -> None:
    asked: list[str] = []
    upper = remembering(lambda text: asked.append(text) or text.upper(), 10)
    assert [upper(text) for text in ("a", "b", "a", "b")] == ["A", "B", "A", "B"]
    assert asked == ["a", "b"]


def test_what_nobody_asked_for_lately_is_forgotten() -> None:
    asked: list[int] = []
    known = Remembered(lambda number: asked.append(number) or str(number), 4)
    assert [known[number] for number in (1, 2, 3, 1, 4, 1)] == ["1", "2", "3", "1", "4", "1"]
    assert asked == [1, 2, 3, 4]
    assert known[2] == "2"
    assert asked == [1, 2, 3, 4, 2]
    assert kept(known) == 3


def kept(known: Remembered[Any, Any]) -> int:
    return len(known) + len(known._older)


@pytest.mark.parametrize(
    "key", ["x" * (LONGEST + 1), ("code", None, "x" * LONGEST), (("a", ("x" * LONGEST,)), "http://here")],
    ids=["a text", "of a tuple", "deep"],
)  # fmt: skip
def test_what_belongs_to_a_long_key_is_not_remembered(key: Any) -> None:
    known = Remembered(len, 3)
    assert known[key] == len(key)
    assert not known


def test_threads_share_it() -> None:
    known = Remembered(lambda number: number + 1, 50)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(known.__getitem__, [number % 300 for number in range(6000)]))
    assert found == [number % 300 + 1 for number in range(6000)]
    assert 25 <= kept(known) <= 50 + 8  # each thread may add one while another forgets


def test_long_codes_of_clients_are_indexed_and_not_remembered() -> None:
    blind = Blind(b"k" * 32)
    coded = {"resourceType": "Observation", "code": {"coding": [{"system": "urn:x", "code": "c" * 100_000}]}}
    rows = index.index_rows(coded, blind)
    remembered = type_hashes.bound_to(blind, "Observation").token_hashes.__self__
    assert not any(len(str(key)) > LONGEST for key in remembered)
    assert rows.tokens == index.index_rows(coded, blind).tokens


def test_times_of_writes_take_no_room_among_dates() -> None:
    before = datatypes._remembered.cache_info().currsize
    for second in range(10):
        meta = {"lastUpdated": f"2031-01-01T00:00:{second:02d}.123Z"}
        values = search_parameters.extract({"resourceType": "Basic", "meta": meta})
        assert [value[0] for value in values.dates] == ["_lastUpdated"]
    assert datatypes._remembered.cache_info().currsize == before


def test_dates_with_endless_fractions_take_no_room() -> None:
    before = datatypes._remembered.cache_info().currsize
    assert datatypes.parse_date("2031-01-01T00:00:00." + "1" * 1000 + "Z").precision == datatypes.Precision.FRACTION
    assert datatypes._remembered.cache_info().currsize == before


def test_references_are_remembered_up_to_a_length() -> None:
    before = references._remembered.cache_info().currsize
    assert references.parse("http://example.org/" + "x" * 300).kind == "url"
    assert references._remembered.cache_info().currsize == before


BY_TEXTS = {"unit", "_multiple", "_moment", "type_kind", "is_type", "required_codes", "compile", "parse"}


def test_what_clients_may_make_long_takes_no_room() -> None:
    gc.unfreeze()
    long = "x" * 5_000
    kept = [one for one in gc.get_objects() if isinstance(one, functools._lru_cache_wrapper)
            and one.__module__.startswith("hie.fhir.") and one.__name__ in BY_TEXTS]  # fmt: skip
    assert {one.__name__ for one in kept} == BY_TEXTS
    assert fhirpath.compile("1", "Patient").evaluate({"resourceType": "Patient"}) == [1]
    before = [one.cache_info().currsize for one in kept]
    assert fhirpath.compile(f"'{long}'", "Patient").evaluate({"resourceType": "Patient"}) == [long]
    assert ucum.unit(long) is None
    assert units.base(Decimal(1), long)[0] == 1
    assert values.moment(f"2031-{long}", "DateTime") is None
    assert (facts.type_kind(long), model.is_type(long), facts.required_codes(long)) == (None, False, None)
    assert [one.cache_info().currsize for one in kept] == before


@pytest.mark.parametrize("name", ["x" * 300, "`" + "x" * 300 + "`"], ids=["plain", "delimited"])
def test_a_name_in_an_expression_has_a_length(name: str) -> None:
    with pytest.raises(FhirPathSyntaxError, match="Name longer than 256 characters"):
        fhirpath.compile_once(name, "Patient")
