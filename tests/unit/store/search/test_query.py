"""Reading a search: what is understood, and what is refused with which words."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from hie.errors import InvalidSearch, NotSupported
from hie.fhir import search_parameters
from hie.fhir.search_parameters import CustomParameters
from hie.store.crypto import Blind
from hie.store.search import compiling, criteria, query
from hie.store.search.criteria import Criterion, Reading
from hie.store.search.date import DateValue
from hie.store.search.query import SearchQuery
from hie.store.search.reference import ReferenceValue
from hie.store.search.string import StringValue
from hie.store.search.token import TokenValue

BASE = "https://hie.example.org/fhir"


def parse(type_name: str | None, *parameters: tuple[str, str], **options: object) -> SearchQuery:
    return query.parse(type_name, parameters, base_url=BASE, **options)  # type: ignore[arg-type]


def only_value(type_name: str, name: str, text: str) -> object:
    (criterion,) = parse(type_name, (name, text)).criteria
    (value,) = criterion.values  # type: ignore[union-attr]
    return value


@pytest.mark.parametrize(
    ("type_name", "name", "text", "value"),
    [
        ("Observation", "code", "8867-4", TokenValue(None, "8867-4")),
        ("Observation", "code", "http://loinc.org|8867-4", TokenValue("http://loinc.org", "8867-4")),
        ("Observation", "code", "|8867-4", TokenValue("", "8867-4")),
        ("Observation", "code", "http://loinc.org|", TokenValue("http://loinc.org", None)),
        ("Observation", "code", r"a\,b\|c\$d\\e", TokenValue(None, r"a,b|c$d\e")),
        ("Patient", "family", r"MÜLLER\, von", StringValue("muller, von")),
        ("Patient", "family:exact", "Müller", StringValue("Müller", "exact")),
        ("Observation", "patient", "1", ReferenceValue(("Patient/1",))),
        ("Observation", "subject:Patient", "1", ReferenceValue(("Patient/1",))),
        ("Observation", "subject", "Group/1", ReferenceValue(("Group/1",))),
        ("Observation", "subject", "https://other.example/fhir/Patient/1",
         ReferenceValue(("https://other.example/fhir/Patient/1",))),
        ("Observation", "subject", f"{BASE}/Patient/1", ReferenceValue(("Patient/1", f"{BASE}/Patient/1"))),
        ("Observation", "subject:identifier", "urn:x|1", ReferenceValue((), TokenValue("urn:x", "1"))),
        ("Observation", "date", "ge1970-01-02", DateValue("ge", 86_400_000_000, 2 * 86_400_000_000)),
        ("Observation", "date", "1970-01-01T02:00:00 02:00", DateValue("eq", 0, 1_000_000)),
    ],
)  # fmt: skip
def test_a_value_is_read_as_the_specification_writes_it(type_name: str, name: str, text: str, value: object) -> None:
    assert only_value(type_name, name, text) == value


def test_what_a_criterion_asks_is_kept_for_the_server_the_tenant_and_the_parameters_it_was_read_for() -> None:
    def read(text: str, base_url: str = BASE) -> Criterion:
        return criteria.parse("Observation", "subject", text, Reading(base_url))

    (one, other), own = (Blind(b"a" * 32), Blind(b"b" * 32)), f"{BASE}/Patient/1"
    assert read(own) is read(own)
    assert read(own) != read(own, "https://other.example.org/fhir")
    assert compiling.compile_(read(own), one, "Observation") is compiling.compile_(read(own), one, "Observation")
    assert compiling.compile_(read(own), one, "Observation") != compiling.compile_(read(own), other, "Observation")
    fresh = replace(read(own), kept=None)
    kept, made = (compiling.compile_(each, one, "Observation") for each in (read(own), fresh))
    assert kept.clause == made.clause
    before = read(own)
    search_parameters.install(CustomParameters())
    assert read(own) is not before
    long = ",".join(f"Patient/{number}" for number in range(100))
    assert read(long) == read(long)
    assert read(long) is not read(long)


def test_commas_are_alternatives_and_repeats_are_conditions() -> None:
    found = parse("Observation", ("code", "a,b"), ("code", "c"))
    assert [len(criterion.values) for criterion in found.criteria] == [2, 1]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("type_name", "name", "text", "words"),
    [
        ("Patient", "famly", "x", "did you mean family"),
        ("Observation", "date", "2020-13", "YYYY-MM-DD"),
        ("Observation", "date", "gx2020", "'gx' is no prefix"),
        ("Observation", "date", "2021-02-29", "no date"),
        ("Observation", "value-quantity", "gx5", "no prefix"),
        ("Observation", "value-quantity", "five", "no prefix"),
        ("Observation", "value-quantity", "5|mg", "number||code"),
        ("Observation", "value-quantity", "5|mg|", "number||code"),
        ("RiskAssessment", "probability", "0.5.1", "no number"),
        ("Observation", "code", "", "empty value"),
        ("Observation", "code", "a,,b", "empty value"),
        ("Observation", "code", "|", "neither system nor code"),
        ("Observation", "code", "a|b|c", "escape |"),
        ("Observation", "code:missing", "yes", "true or false"),
        ("Observation", "code:exact", "x", "its modifiers are :missing, :not"),
        ("Patient", "name:contains", "ab", "3 characters"),
        ("Patient", "name", "  ", "empty value"),
        ("Patient", "birthdate:not", "1980", "its modifiers are :missing"),
        ("Observation", "patient", "Group/1", "cannot refer to a Group"),
        ("Observation", "patient:Group", "1", "cannot refer to a Group"),
        ("Observation", "subject", "Patient/1/_history/2", "without a version"),
        ("Observation", "subject", "http://e.org/Patient/1/_history/2", "use http://e.org/Patient/1."),
        ("Observation", "subject", "Patient/1/x", "Type/id or a URL"),
        ("Observation", "code-value-quantity", "8480-6", "code$value-quantity"),
        ("Observation", "code-value-quantity", "8480-6$x", "no prefix"),
        ("Patient", "_id", "a b", "1 to 64"),
        ("Patient", "_id", "Patient/7/_history/2", "use 7 alone."),
        ("Patient", "_count", "-1", "whole number from 0"),
        ("Patient", "_total", "exact", "none, estimate, accurate"),
        ("Observation", "_sort", "code-value-quantity", "cannot be sorted by"),
        ("Location", "_sort", "near", "near=latitude|longitude"),
        ("Patient", "_sort", "nothing", "is no parameter"),
        ("Patient", "_include", "Patient", "Type:parameter"),
        ("Patient", "_include", "Patient:name", "is no reference"),
        ("Patient", "_include", "Patient:organisation", "did you mean organization"),
        ("Patient", "_include", "Observation:subject", "the search is for Patient"),
        ("Patient", "_include", "Patient:organization:Device", "refers to Organization"),
        ("Patient", "_revinclude", "Observation:device", "cannot refer to a Patient"),
    ],
)
def test_what_cannot_be_read_is_refused_saying_what_would_be_right(
    type_name: str, name: str, text: str, words: str
) -> None:
    with pytest.raises(InvalidSearch) as raised:
        parse(type_name, (name, text))
    assert words in raised.value.diagnostics
    assert raised.value.status == 400
    assert raised.value.issues[0].expression == name.partition(":")[0] or raised.value.issues[0].expression == name


@pytest.mark.parametrize("handling", ["strict", "lenient"])
@pytest.mark.parametrize(
    ("type_name", "name", "text"),
    [
        ("Observation", "code:in", "http://vs"),
        ("Observation", "code:not-in", "http://vs"),
        ("Observation", "code:above", "x"),
        ("Observation", "code:below", "x"),
        ("Patient", "_list", "$current-problems"),
        ("Patient", "_query", "x"),
        ("Patient", "_contained", "true"),  # by who does not answer it
    ],
)
def test_what_comes_later_is_refused_by_name_even_when_lenient(
    type_name: str | None, name: str, text: str, handling: str
) -> None:
    with pytest.raises(NotSupported) as raised:
        parse(type_name, (name, text), handling=handling)
    assert name.partition(":")[0].partition(".")[0] in raised.value.diagnostics


def test_lenient_handling_leaves_out_unknown_parameters_and_lists_them() -> None:
    found = parse("Patient", ("famly", "x"), ("gender", "male"), handling="lenient")
    assert found.ignored == ("famly",)
    assert found.self_link == (("gender", "male"),)
    assert len(found.criteria) == 1


def test_lenient_handling_does_not_forgive_an_unreadable_value() -> None:
    with pytest.raises(InvalidSearch):
        parse("Observation", ("date", "2020-13"), handling="lenient")


def test_a_count_beyond_the_largest_page_is_cut_and_the_self_link_says_so() -> None:
    found = parse("Patient", ("_count", "5000"), max_count=100)
    assert found.count == 100
    assert found.self_link == (("_count", "100"),)


def test_summary_count_asks_for_no_page() -> None:
    assert parse("Patient", ("_summary", "count")).count == 0


def test_the_cursor_is_not_part_of_the_self_link() -> None:
    found = parse("Patient", ("gender", "male"), ("_cursor", "abc"))
    assert (found.cursor, found.self_link) == ("abc", (("gender", "male"),))


@pytest.mark.parametrize("twice", [("_count", "1", "2"), ("_total", "none", "accurate")])
def test_a_parameter_that_can_be_given_once_is_refused_twice(twice: tuple[str, str, str]) -> None:
    name, one, two = twice
    with pytest.raises(InvalidSearch, match="given twice"):
        parse("Patient", (name, one), (name, two))


def test_too_many_alternatives_are_refused() -> None:
    assert parse("Observation", ("code", ",".join(map(str, range(500)))))
    with pytest.raises(InvalidSearch, match="501 alternatives"):
        parse("Observation", ("code", ",".join(map(str, range(501)))))


def test_too_many_parameters_are_refused() -> None:
    with pytest.raises(InvalidSearch, match="101 parameters"):
        parse("Observation", *[("code", "x")] * 101)


@pytest.mark.parametrize("text", ["\x00", "\ud800", "%", "a" * 100_000, "\\", "\\,", "$", "|||", "ge", "-", "1e999"])
@pytest.mark.parametrize(
    "name",
    ["code", "value-quantity", "date", "subject", "value-string:contains", "_profile", "code-value-quantity", "_id",
     "_sort", "_include", "_count", "_total", "_cursor", "code:missing", "x"],
)  # fmt: skip
def test_strange_values_are_read_or_refused_never_a_crash(name: str, text: str) -> None:
    with suppress(InvalidSearch, NotSupported):
        parse("Observation", (name, text))
