"""What a resource is found by: the rows that the database keeps, and what they must never show."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hie.fhir import bundle_links, facts, json_format, search_parameters
from hie.store.crypto import Blind
from hie.store.search.blinding import presence_bits
from hie.store.search.index import index_rows, place
from hie.store.search.literal_references import literal_references
from hie.store.search.plan import primary_date
from hie.store.search.type_hashes import compartment_token

BLIND = Blind(b"a key of this test only, 32 long")
PATIENT: dict[str, Any] = {
    "resourceType": "Patient", "id": "p1", "birthDate": "1980-05-12", "deceasedDateTime": "2015-02-14T03:42:00Z",
    "name": [{"family": "Müller", "given": ["Anna"]}], "generalPractitioner": [{"reference": "Practitioner/d1"}],
}  # fmt: skip
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation", "id": "o1", "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
    "subject": {"reference": "Patient/p1"}, "effectiveDateTime": "2024-03-01",
    "valueQuantity": {"value": 120, "system": "http://unitsofmeasure.org", "code": "mm[Hg]", "unit": "mmHg"},
}  # fmt: skip
DAY = 86_400_000_000


def test_tokens_are_sorted_and_unique() -> None:
    tokens = index_rows(PATIENT, BLIND).tokens
    assert tokens == sorted(set(tokens))


def test_another_key_gives_other_tokens() -> None:
    other = index_rows(PATIENT, Blind(b"another key")).tokens
    assert set(other).isdisjoint(index_rows(PATIENT, BLIND).tokens)


def test_birth_and_death_dates_are_in_no_sortable_column() -> None:
    rows = index_rows(PATIENT, BLIND)
    assert (rows.dates, rows.numbers, rows.date_low, rows.date_high) == ([], [], None, None)
    assert BLIND.hash("Patient", "birthdate", "date", "1980-05-12") in rows.tokens


@pytest.mark.parametrize("type_name", sorted(facts.RESOURCE_TYPES))
def test_the_primary_date_of_a_type_holds_one_value_at_most(type_name: str) -> None:
    code = primary_date(type_name)
    if code is None:
        return
    parameter = search_parameters.for_type(type_name)[code]
    assert parameter.type == "date"
    assert code not in ("birthdate", "death-date", "_lastUpdated")
    elements = {element.path.removesuffix("[x]"): element for element in facts.elements(type_name)}
    named = [path for path in elements if path in (parameter.expression or "") and path.startswith(type_name + ".")]
    whole = max(named, key=len)
    steps = whole.split(".")
    assert not any(elements[".".join(steps[:length])].is_list for length in range(2, len(steps) + 1))


def test_the_primary_date_stands_in_the_row() -> None:
    rows = index_rows(OBSERVATION, BLIND)
    assert rows.date_high is not None
    assert rows.date_low is not None
    assert rows.date_high - rows.date_low == DAY
    assert rows.dates == []


def test_a_quantity_is_indexed_alone_and_under_its_code_each_as_written_and_converted() -> None:
    rows = index_rows(OBSERVATION, BLIND)
    unit = BLIND.hash("Observation", "unit", "unit", "http://unitsofmeasure.org", "mm[Hg]")
    assert len(rows.numbers) == 4
    pascal = 120.0 * 133322  # in g/(m.s2)
    assert {row[1:4] for row in rows.numbers} == {(120.0, 120.0, unit), (pascal, pascal, 0)}


@pytest.mark.parametrize("value", ["5", "5.4", "0", "-3", "100", "0.0001"])
def test_a_comparator_makes_a_range_that_ends_beside_the_value(value: str) -> None:
    def ends(comparator: str) -> tuple[float, float]:
        quantity = {"value": json_format.JsonDecimal(value), "comparator": comparator}
        ((_, low, high, *_),) = index_rows({"resourceType": "Encounter", "id": "e", "length": quantity}, BLIND).numbers
        return low, high

    number = float(value)
    assert ends("<") == (-math.inf, math.nextafter(number, -math.inf))
    assert ends("<=") == (-math.inf, number)
    assert ends(">") == (math.nextafter(number, math.inf), math.inf)
    assert ends(">=") == (number, math.inf)


def test_every_literal_reference_keeps_its_target_from_being_deleted() -> None:
    hidden = {**OBSERVATION, "extension": [{"url": "urn:x", "valueReference": {"reference": "Device/x/_history/2"}}]}
    rows = index_rows(hidden, BLIND)
    linked = {target for _, target in rows.links}
    assert place("Device", "x", BLIND) in rows.tokens
    assert place("Device", "x", BLIND) not in linked
    assert place("Patient", "p1", BLIND) in linked
    assert place("Patient", "p1", BLIND) not in rows.tokens
    assert place("Patient", "p2", BLIND) not in linked.union(rows.tokens)


def test_an_absolute_reference_to_the_own_base_counts_as_relative() -> None:
    base = "https://hie.example.org/fhir"
    whole = {**OBSERVATION, "subject": {"reference": f"{base}/Patient/p1"}}
    assert place("Patient", "p1", BLIND) in {target for _, target in index_rows(whole, BLIND, base).links}
    elsewhere = index_rows(whole, BLIND, "https://other")
    assert place("Patient", "p1", BLIND) not in {*elsewhere.tokens, *(target for _, target in elsewhere.links)}


def test_a_code_with_one_system_has_one_token_and_the_id_none() -> None:
    bare = {"resourceType": "Observation", "id": "o1", "status": "final"}
    assert index_rows(bare, BLIND).tokens == [BLIND.hash("Observation", "status", "code", "final")]


def test_compartments_are_tokens() -> None:
    assert compartment_token("Observation", "Patient/p1", BLIND) in index_rows(OBSERVATION, BLIND).tokens
    assert compartment_token("Patient", "Patient/p1", BLIND) in index_rows(PATIENT, BLIND).tokens
    assert compartment_token("Patient", "Practitioner/d1", BLIND) in index_rows(PATIENT, BLIND).tokens


def test_presence_says_which_parameters_have_a_value() -> None:
    bits = presence_bits(BLIND, "Observation")
    presence = index_rows(OBSERVATION, BLIND).presence
    found = {code for code, bit in bits.items() if presence & bit}
    assert found >= {"code", "subject", "patient", "date", "value-quantity", "status", "code-value-quantity"}
    assert not found & {"category", "encounter", "value-string", "component-code"}


@pytest.mark.parametrize("type_name", ["Observation", "Patient", "ConceptMap"])
def test_presence_bits_differ_by_key_and_fit_the_column(type_name: str) -> None:
    bits, other = presence_bits(BLIND, type_name), presence_bits(Blind(b"another"), type_name)
    assert bits != other
    assert len(set(bits.values())) == len(bits)
    assert max(bits.values()) < 2**63


def test_every_type_has_room_for_its_presence_bits() -> None:
    assert all(len(search_parameters.for_type(name)) <= 63 for name in facts.RESOURCE_TYPES)


def test_a_long_text_is_marked_instead_of_cut_in_thousands_of_trigrams() -> None:
    long = {"resourceType": "ValueSet", "id": "v", "status": "draft", "description": "word " * 5_000}
    rows = index_rows(long, BLIND)
    assert BLIND.hash("ValueSet", "description", "long") in rows.tokens
    assert len(rows.tokens) < 100


def test_every_official_type_can_be_indexed_empty() -> None:
    for name in facts.RESOURCE_TYPES:
        rows = index_rows({"resourceType": name, "id": "x"}, BLIND)
        assert rows.date_low is None
        assert rows.numbers == []


#: What tells names and values of JSON apart: quotation marks, backslashes, colons, and the name that is looked for.
PIECES = st.lists(st.sampled_from(["reference", '"', "\\", ":", "é"]), max_size=4).map("".join)
TREES = st.recursive(
    PIECES | st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("reference") | PIECES, inner, max_size=3),
    max_leaves=12,
)


@example(content={"a": {'"reference': "Patient/1"}})
@example(content={"a": {"reference": 'Patient/"1'}, "b": {"reference": "Patient/1"}})
@example(content={"a": '{"reference":"Patient/1"}'})
@example(content={"reference": "Patient/1"})
@given(content=st.dictionaries(st.just("reference") | PIECES, TREES, max_size=4))
def test_references_are_found_in_what_is_dumped_as_in_the_resource(content: dict[str, Any]) -> None:
    resource = {"resourceType": "Basic", **content}
    found = literal_references(resource, json_format.dump(resource), None, "")
    assert found == literal_references(resource, b"", None, "")


#: As in FHIR, with no list in a list.
FLAT = st.recursive(
    st.sampled_from(["#a", "Patient/1", ""]) | st.none(),
    lambda inner: st.dictionaries(st.sampled_from(["reference", "a", "b"]), inner, max_size=3)
    | st.dictionaries(st.just("c"), st.lists(inner.filter(lambda one: type(one) is not list), max_size=3)),
    max_leaves=12,
)


@given(content=st.dictionaries(st.sampled_from(["reference", "a", "b"]), FLAT, max_size=4))
def test_links_of_a_bundle_are_the_references_of_its_resources(content: dict[str, Any]) -> None:
    resource = {"resourceType": "Basic", **content}
    said = {link.holder[link.key] for link in bundle_links.find(resource) if link.kind == "reference"}
    found = literal_references(resource, b"", None, "")
    own = found if "reference" in resource else {text for text in found if text[:1] != "#"}
    assert literal_references(resource, b"", said, "") == own
