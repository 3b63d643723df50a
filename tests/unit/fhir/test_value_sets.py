"""What a value set includes and excludes, without a store, and how much may be looked at to tell."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from hie.errors import FhirError, NotSupported, TooCostly, Unprocessable
from hie.fhir.terminology import Terminology
from hie.fhir.terminology.source import Known
from tests import terminologies
from tests.terminologies import code_system, listed, value_set
from tests.unit.fhir.animals import ANIMALS, SYSTEM, codes, concept

#: Of the animals.
filtered = partial(terminologies.filtered, SYSTEM)


@pytest.mark.parametrize(("include", "expected"), [
    (filtered("concept", "is-a", "pet"), "dog cat pet"),
    (filtered("concept", "descendent-of", "mammal"), "dog cat whale"),
    (filtered("concept", "is-not-a", "mammal"), "animal pet dodo robot"),
    (filtered("concept", "generalizes", "dog"), "animal mammal dog pet"),
    (filtered("concept", "is-a", "unicorn"), ""),
    (filtered("concept", "in", "dog, cat,unicorn"), "dog cat"),
    (filtered("concept", "not-in", "dog,cat,animal"), "mammal whale pet dodo robot"),
    (filtered("legs", "=", "4"), "dog cat"),
    (filtered("legs", "=", "4.0"), "dog cat"),
    (filtered("legs", "in", "0, 2.00,four"), "whale dodo"),
    (filtered("legs", "not-in", "4e0,2"), "animal mammal whale pet robot"),
    (filtered("legs", "exists", "true"), "dog cat whale dodo"),
    (filtered("legs", "exists", "false"), "animal mammal pet robot"),
    (filtered("code", "regex", "d.*"), "dog dodo"),
    (filtered("display", "regex", "[A-D]og|Cat"), "dog cat"),
    (filtered("parent", "=", "pet"), "dog cat"),
    (filtered("child", "=", "whale"), "mammal"),
    (filtered("inactive", "=", "true"), "dodo"),
    (filtered("notSelectable", "=", "true"), "animal"),
    (listed(SYSTEM, "robot", "cat"), "robot cat"),
    ({"system": SYSTEM, "filter": [*filtered("legs", "=", "4")["filter"], *filtered("code", "regex", "c..")["filter"]]},
     "cat"),
], ids=lambda one: json.dumps(one.get("filter", one))[:60] if isinstance(one, dict) else "")  # fmt: skip
def test_includes(include: dict[str, Any], expected: str) -> None:
    assert sorted(codes(value_set(include))) == sorted(expected.split())


def test_includes_are_a_union_and_excludes_take_away() -> None:
    both = value_set(filtered("legs", "=", "4"), filtered("legs", "=", "0"),
                     exclude=[listed(SYSTEM, "cat")])
    assert codes(both) == ["dog", "whale"]


def test_value_sets_of_one_include_are_an_intersection() -> None:
    pets = value_set(filtered("concept", "descendent-of", "pet"), url="http://example.org/pets")
    barking = value_set(listed(SYSTEM, "dog", "robot"), url="http://example.org/b")
    assert codes(value_set({"valueSet": [pets["url"], barking["url"]]}), pets, barking) == ["dog"]
    assert codes(value_set({"system": SYSTEM, "valueSet": [pets["url"]]}), pets) == ["dog", "cat"]
    assert codes(value_set({"valueSet": [pets["url"]]}, {"valueSet": [barking["url"]]}), pets, barking) == [
        "dog", "cat", "robot"]


def test_inactive_codes_are_left_out_where_the_compose_says_so() -> None:
    assert "dodo" not in codes(value_set(SYSTEM, inactive=False))
    assert "dodo" in codes(value_set(SYSTEM, inactive=True))


def test_a_contained_code_system_is_meant_by_its_id() -> None:
    inside = {key: value for key, value in ANIMALS.items() if key != "url"} | {"id": "mine"}
    definition = value_set("#mine") | {"contained": [inside]}
    assert len(Terminology(given=[definition]).value_set(definition["url"]).members()) == 8


@pytest.mark.parametrize(("definition", "others", "error", "text"), [
    (value_set({"valueSet": ["http://example.org/vs"]}), (), Unprocessable, "include one another: "),
    (value_set({"valueSet": ["http://example.org/2"]}),
     (value_set({"valueSet": ["http://example.org/vs"]}, url="http://example.org/2"),), Unprocessable,
     "include one another: "),
    (value_set({"valueSet": ["http://example.org/none"]}), (), Unprocessable, "http://example.org/none is not known"),
    (value_set("http://snomed.info/sct"), (), Unprocessable, "known here without its content"),
    (value_set("http://www.whocc.no/atc"), (), Unprocessable, "http://www.whocc.no/atc is not known"),
    (value_set({"system": SYSTEM, "version": "7"}), (), Unprocessable, "in version 7. Known is 2"),
    (value_set("urn:ietf:bcp:47"), (), TooCostly, "a grammar without end"),
    (value_set(filtered("wings", "=", "2")), (), NotSupported, "no property 'wings'"),
    (value_set(filtered("code", "regex", "(a+)+b")), (), NotSupported, "may be too costly"),
    (value_set(filtered("code", "regex", "[")), (), NotSupported, "is no regular expression"),
    (value_set("#none"), (), Unprocessable, "names no contained CodeSystem"),
    ({"resourceType": "ValueSet", "url": "http://example.org/vs", "status": "active"}, (), Unprocessable, "neither"),
], ids=lambda one: one if isinstance(one, str) else "")  # fmt: skip
def test_what_cannot_be_listed_says_why(
    definition: dict[str, Any], others: tuple[Any, ...], error: type[FhirError], text: str
) -> None:
    with pytest.raises(error, match=text.replace("[", r"\[")):
        Terminology(given=[ANIMALS, definition, *others]).value_set(definition["url"]).members()


UNKNOWN = {"modifierExtension": [{"url": "urn:x:not", "valueBoolean": True}]}
GENDERS = "http://hl7.org/fhir/administrative-gender"


@pytest.mark.parametrize("definition", [
    value_set(GENDERS, **UNKNOWN),
    value_set(GENDERS, implicitRules="urn:x"),
    value_set({"system": GENDERS, **UNKNOWN}),
    value_set(GENDERS, exclude=[{"system": GENDERS, "concept": [{"code": "other", **UNKNOWN}]}]),
    value_set({"system": GENDERS, "filter": [{"property": "code", "op": "regex", "value": "m.*", **UNKNOWN}]}),
    {**value_set(GENDERS), "compose": {"include": [{"system": GENDERS}], **UNKNOWN}},
    {"resourceType": "ValueSet", "url": "http://example.org/vs", "status": "active", "expansion": {
        "timestamp": "2020-01-01", "contains": [{"system": GENDERS, "code": "male"}]}, **UNKNOWN},
], ids=["value set", "rules", "include", "concept", "filter", "compose", "expansion"])  # fmt: skip
def test_what_a_modifier_makes_of_a_value_set_is_not_known(definition: dict[str, Any]) -> None:
    """https://hl7.org/fhir/R4/extensibility.html#modifierExtension"""
    for url, more in ((definition["url"], ()), ("urn:y", (value_set({"valueSet": [definition["url"]]}, url="urn:y"),))):
        terminology = Terminology(given=[definition, *more])
        assert terminology.in_value_set(url, GENDERS, "male") is None
        with pytest.raises(Unprocessable, match="modifier"):
            terminology.value_set(url).members()


def test_value_sets_that_multiply_are_refused() -> None:
    doubling = [value_set(*[{"valueSet": [f"http://example.org/{n + 1}"]} for _ in range(30)], url=f"http://example.org/{n}")
                for n in range(12)]
    last = value_set(SYSTEM, url="http://example.org/12")
    with pytest.raises(TooCostly):
        Terminology(given=[ANIMALS, *doubling, last]).value_set("http://example.org/0").members()


INSIDE = code_system("http://example.org/inside", concept("in", concept("side")), id="cs")


def test_what_is_contained_refers_to_its_neighbours() -> None:
    inner = {"resourceType": "ValueSet", "status": "active", "compose": {"include": [{"system": "#cs"}]}}
    outer = {"resourceType": "ValueSet", "status": "active", "compose": {"include": [
        {"valueSet": ["#inner"]}, listed(SYSTEM, "dog")]}}
    definition = value_set({"valueSet": ["#outer"]}) | {
        "contained": [INSIDE, inner | {"id": "inner"}, outer | {"id": "outer"}]}
    terminology = Terminology(given=[ANIMALS, definition])
    members = terminology.value_set(definition["url"]).members()
    assert list(members) == [(INSIDE["url"], "in"), (INSIDE["url"], "side"), (SYSTEM, "dog")]
    assert terminology.in_value_set(definition["url"], "http://example.org/inside", "side") is True
    circle = value_set({"valueSet": ["#outer"]}) | {"contained": [
        inner | {"id": "inner", "compose": {"include": [{"valueSet": ["#outer"]}]}}, outer | {"id": "outer"}]}
    with pytest.raises(Unprocessable, match=r"vs#outer > .*vs#inner > .*vs#outer"):
        Terminology(given=[ANIMALS, circle]).value_set(circle["url"]).members()


def test_another_version_of_a_value_set_is_no_circle() -> None:
    newer = value_set(listed(SYSTEM, "dog"), {"valueSet": ["http://example.org/vs|1"]})
    older = value_set(listed(SYSTEM, "cat"))
    assert codes_of(newer | {"version": "2"}, older | {"version": "1"}) == ["dog", "cat"]
    older["compose"]["include"].append({"valueSet": ["http://example.org/vs"]})
    with pytest.raises(Unprocessable, match=r"vs\|2 > http://example.org/vs\|1 > http://example.org/vs\|2"):
        codes_of(newer | {"version": "2"}, older | {"version": "1"})


def codes_of(latest: dict[str, Any], older: dict[str, Any]) -> list[str]:
    class Stored:
        """Two versions of one value set."""

        def find(self, type_name: str, url: str, version: str | None) -> Known | None:
            versions = [one for one in (latest, older) if one["url"] == url]
            found = next((one for one in versions if version in (None, one["version"])), None)
            if type_name == "CodeSystem":
                return Known(ANIMALS, "animals")
            return None if found is None else Known(found, found["version"])

    return [code for _, code in Terminology(Stored()).value_set(latest["url"]).members()]  # type: ignore[arg-type]


def test_writings_of_a_code_whose_case_does_not_count_are_one() -> None:
    animals = ANIMALS | {"caseSensitive": False}
    definition = value_set({"system": SYSTEM, "concept": [{"code": "DOG", "display": "Hound"}, {"code": "Dog"}]},
                           {"system": SYSTEM, "filter": [{"property": "concept", "op": "is-a", "value": "Mammal"}]})
    terminology = Terminology(given=[animals, definition])
    made = terminology.value_set(definition["url"])
    assert [code for _, code in made.members()] == ["dog", "mammal", "cat", "whale"]
    for code in ("dog", "DOG", "dOg"):
        found = made.member(SYSTEM, code)
        assert found is not None
        assert (found.code, found.display) == ("dog", "Hound")


def numbered(number: int, **more: Any) -> dict[str, Any]:
    return code_system("http://example.org/many", *({"code": f"c{one}", **more} for one in range(number)), id="many")


def test_what_the_properties_of_concepts_cost_is_counted() -> None:
    heavy = numbered(50, property=[{"code": "p", "valueCode": "x"}] * 1_000) | {
        "property": [{"code": "p", "type": "code"}]}
    filters = [{"property": "p", "op": op, "value": value}
               for op, value in (("=", "x"), ("in", "x"), ("not-in", "y"), ("exists", "true"), ("regex", "x"))]
    for one in filters:
        definition = value_set({"system": heavy["url"], "filter": [one] * 40})
        with pytest.raises(TooCostly):
            Terminology(given=[heavy, definition], most_steps=100_000).value_set(definition["url"]).members()


@pytest.mark.parametrize("in_contained", [False, True])
def test_a_value_set_that_there_are_no_steps_left_for_is_no_unknown_one(in_contained: bool) -> None:
    """Many codes could use up all but what it costs to look up that of a further binding, which passed then."""
    first, second = value_set(listed("urn:a", "a")), value_set(listed("urn:b", "b")) | {"url": "urn:second"}
    inside = value_set({"valueSet": ["urn:second"]})
    terminology = Terminology(given=[first, second], most_steps=3_000)
    asked = [terminology.in_value_set(first["url"], "urn:a", "a") for _ in range(3_500)]
    assert set(asked) == {True}
    with pytest.raises(TooCostly):
        _ = (terminology.in_contained(inside, {"resourceType": "Basic"}, "urn:b", "x") if in_contained
             else terminology.in_value_set("urn:second", "urn:b", "x"))


def test_what_is_contained_is_read_once_and_counted() -> None:
    often = value_set(*[listed("#many", f"c{one}") for one in range(100)])
    terminology = Terminology(given=[often | {"contained": [numbered(5_000)]}], most_steps=20_000)
    assert len(terminology.value_set(often["url"]).members()) == 100
    with pytest.raises(TooCostly):
        Terminology(given=[often | {"contained": [numbered(30_000)]}], most_steps=20_000).value_set(
            often["url"]).members()


def test_not_every_code_system_that_a_value_set_names_is_looked_up() -> None:
    class Stored:
        """Knows nothing; counts who asks."""

        asked = 0

        def find(self, *_: object) -> None:
            self.asked += 1

    source = Stored()
    includes = [listed(f"http://example.org/{one}", "a") for one in range(5_000)]
    definition = value_set(*includes)
    made = Terminology(source, given=[definition]).value_set(definition["url"])  # type: ignore[arg-type]
    with pytest.raises(TooCostly):
        made.members()
    assert source.asked <= 3_000


def test_all_questions_together_are_bounded_too() -> None:
    includes = [filtered("code", "=", f"c{one}") for one in range(500)]
    definition = value_set(*includes)
    terminology = Terminology(given=[ANIMALS, definition], most_steps=10_000)
    answers = (terminology.in_value_set(definition["url"], SYSTEM, f"d{one}") for one in range(40))
    assert [next(answers) for _ in range(10)] == [False] * 10  # each of them is far from the bound of one question
    with pytest.raises(TooCostly):
        list(answers)


def test_what_is_listed_in_many_includes_is_found_at_once() -> None:
    includes = [listed(SYSTEM, f"c{one}") for one in range(2_000)]
    definition = value_set(*includes, exclude=[listed(SYSTEM, "c7")])
    made = Terminology(given=[definition], most_steps=20_000).value_set(definition["url"])
    for code, expected in (("c0", True), ("c1999", True), ("c7", False), ("x", False)):
        for _ in range(20):
            assert made.has(SYSTEM, code) is expected
            assert made.has(None, code) is expected
        assert made.has("urn:other", code) is False


def test_a_code_without_system_counts_the_expansion_that_is_looked_through() -> None:
    rows = [{"system": SYSTEM, "code": f"c{one}"} for one in range(2_000)]
    definition = {"resourceType": "ValueSet", "url": "http://example.org/vs", "expansion": {"contains": rows}}
    made = Terminology(given=[definition], most_steps=1_900).value_set(definition["url"])
    for _ in range(5):
        assert made.has(SYSTEM, "c1999") is True
        assert made.member(SYSTEM, "c1999") is not None
    with pytest.raises(TooCostly):
        [made.has(None, "c1999") for _ in range(10)]
