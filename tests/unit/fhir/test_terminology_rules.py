"""What R4's pages of code systems, value sets and concept maps say of what is in them.

https://hl7.org/fhir/R4/codesystem.html, https://hl7.org/fhir/R4/valueset.html, https://hl7.org/fhir/R4/conceptmap.html
"""

from __future__ import annotations

from typing import Any

import pytest

from hie.errors import FhirError, NotSupported, Unprocessable
from hie.fhir.terminology import Terminology
from hie.fhir.terminology.code_system import CodeSystem
from hie.fhir.terminology.concept_map import Question, translations
from hie.fhir.terminology.expansion import Wishes, expanded
from tests.terminologies import THO, code_system, filtered, listed, value_set

SYSTEM, OTHER = "http://example.org/CodeSystem/plants", "http://example.org/CodeSystem/more-plants"
PLANTS = code_system(SYSTEM, "fern", {"code": "Oak", "concept": [{"code": "holm"}]}, version="1", date="2020-05-01",
                     hierarchyMeaning="is-a")  # fmt: skip
MORE = code_system(OTHER, "moss", version="2")


def answers(definition: dict[str, Any], *codes: str, systems: tuple[dict[str, Any], ...] = (PLANTS,)) -> list[Any]:
    terminology = Terminology(given=[*systems, definition])
    return [terminology.in_value_set(definition["url"], SYSTEM, code) for code in codes]


def members(definition: dict[str, Any], *systems: dict[str, Any]) -> list[str]:
    made = Terminology(given=[*(systems or (PLANTS,)), definition]).value_set(definition["url"])
    return [code for _, code in made.members()]


def test_a_listed_code_that_the_code_system_has_not_is_in_no_value_set() -> None:
    """https://hl7.org/fhir/R4/valueset.html#expansion: check that they are valid."""
    definition = value_set(listed(SYSTEM, "fern", "unicorn"))
    assert members(definition) == ["fern"]
    assert answers(definition, "fern", "unicorn") == [True, False]
    assert members(value_set(listed(SYSTEM, "fern", "unicorn"), exclude=[listed(SYSTEM, "unicorn")])) == ["fern"]


def test_a_listed_code_may_be_newer_than_what_r4_brings_of_a_code_system_that_goes_on() -> None:
    """The code systems of terminology.hl7.org have later versions, on which guides for R4 stand; R4's own have none."""
    moods, genders = THO + "v3-ActMood", "http://hl7.org/fhir/administrative-gender"

    def has(include: dict[str, Any], system: str, *given: dict[str, Any]) -> bool | None:
        terminology = Terminology(given=[value_set(include), *given])
        return terminology.in_value_set("http://example.org/vs", system, "NEWER")

    assert has(listed(moods, "NEWER"), moods) is True
    assert has(listed(moods, "NEWER") | {"version": "2018-08-12"}, moods) is False
    assert has(listed(moods, "NEWER"), moods, code_system(moods, "EVN")) is False, "somebody has stored a later one"
    assert has(listed(genders, "NEWER"), genders) is False


@pytest.mark.parametrize("more", [{"content": "fragment"}, {"content": "example"}, {"content": "not-present"},
                                  {"compositional": True}], ids=str)
def test_a_listed_code_counts_where_the_code_system_may_have_it(more: dict[str, Any]) -> None:
    definition = value_set(listed(SYSTEM, "fern", "fern+moss"))
    system = {name: one for name, one in PLANTS.items() if more.get("content") != "not-present" or name != "concept"}
    assert answers(definition, "fern+moss", systems=(system | more,)) == [True]
    assert members(definition, system | more) == ["fern", "fern+moss"]


def test_a_code_that_a_grammar_may_make_is_neither_there_nor_not() -> None:
    system = PLANTS | {"compositional": True}
    assert answers(value_set(SYSTEM), "fern", "fern+Oak", systems=(system,)) == [True, None]
    made = Terminology(given=[system, value_set(SYSTEM)]).value_set("http://example.org/vs")
    unclosed = "http://hl7.org/fhir/StructureDefinition/valueset-unclosed"
    assert expanded(made, Wishes(), "x", 0)["expansion"]["extension"] == [{"url": unclosed, "valueBoolean": True}]
    assert "extension" not in expanded(made, Wishes(without_expressions=True), "x", 0)["expansion"]


@pytest.mark.parametrize(("said", "found"), [({}, "Oak"), ({"caseSensitive": False}, "Oak"),
                                             ({"caseSensitive": True}, None)], ids=str)
def test_codes_are_taken_in_any_case_unless_the_code_system_tells_them_apart(said: Any, found: str | None) -> None:
    """https://hl7.org/fhir/R4/codesystem-definitions.html#CodeSystem.caseSensitive"""
    concept = CodeSystem(PLANTS | said).get("OAK")
    assert (None if concept is None else concept.code) == found
    assert answers(value_set(listed(SYSTEM, "Oak")), "oak", systems=(PLANTS | said,)) == [found is not None]
    assert members(value_set(listed(SYSTEM, "OAK")), PLANTS | said) == ([found] if found else [])


def test_what_two_codes_may_mean_in_another_case_means_neither() -> None:
    system = code_system(SYSTEM, "oak", "Oak", "fern")
    codes = CodeSystem(system)
    assert [None if one is None else one.code for one in map(codes.get, ("oak", "Oak", "OAK", "FERN"))] == [
        "oak", "Oak", None, "fern"]
    both = value_set(listed(SYSTEM, "oak", "Oak"))
    assert members(both, system) == ["oak", "Oak"]
    assert answers(both, "oak", "Oak", "OAK", systems=(system,)) == [True, True, False]


def test_a_filter_of_the_code_systems_own_is_not_guessed_at() -> None:
    """https://hl7.org/fhir/R4/codesystem-definitions.html#CodeSystem.filter: it needs code of its own."""
    system = PLANTS | {"filter": [{"code": "taste", "operator": ["=", "exists"], "value": "any"}]}
    for op, value in (("=", "sweet"), ("exists", "false")):
        with pytest.raises(NotSupported, match="taste"):
            members(value_set(filtered(SYSTEM, "taste", op, value)), system)
    declared = system | {"property": [{"code": "taste", "type": "code"}]}
    assert members(value_set(filtered(SYSTEM, "taste", "=", "sweet")), declared) == []


@pytest.mark.parametrize(("include", "locked", "codes"), [
    ({"system": SYSTEM}, "2020-05-01", ["fern", "Oak", "holm"]), ({"system": SYSTEM}, "2021", ["fern", "Oak", "holm"]),
    ({"system": SYSTEM}, "2020-04-30", None), ({"system": SYSTEM, "version": "1"}, "1999", ["fern", "Oak", "holm"]),
    ({"system": OTHER}, "2021", None), (listed(SYSTEM, "fern"), "1999", ["fern"]),
    ({"valueSet": ["http://example.org/inner"]}, "2020", None),
    ({"valueSet": ["http://example.org/inner|7"]}, "2020", ["fern"]),
], ids=str)  # fmt: skip
def test_a_locked_value_set_has_what_there_was_at_its_date(include: Any, locked: str, codes: list[str] | None) -> None:
    """https://hl7.org/fhir/R4/valueset-definitions.html#ValueSet.compose.lockedDate"""
    inner = value_set(listed(SYSTEM, "fern"), url="http://example.org/inner", version="7", date="2022")
    definition = value_set(include)
    definition["compose"]["lockedDate"] = locked
    terminology = Terminology(given=[PLANTS, MORE, inner, definition])
    made = terminology.value_set(definition["url"])
    if codes is not None:
        assert [code for _, code in made.members()] == codes
        return
    assert terminology.in_value_set(definition["url"], include.get("system", SYSTEM), "fern") is None
    with pytest.raises(Unprocessable, match=f"locked at {locked}"):
        made.members()


def test_all_versions_have_the_codes_of_the_one_that_is_here_and_may_have_others() -> None:
    """https://hl7.org/fhir/R4/valueset-definitions.html#ValueSet.compose.include.version"""
    whole = value_set({"system": SYSTEM, "version": "*"})
    some = value_set(listed(SYSTEM, "fern", "gone") | {"version": "*"})
    assert answers(whole, "fern", "gone") == [True, None]
    assert members(whole) == ["fern", "Oak", "holm"]
    assert answers(some, "fern", "gone", "other") == [True, True, False]
    made = Terminology(given=[PLANTS, whole]).value_set("http://example.org/vs")
    rows = expanded(made, Wishes(), "x", 0)["expansion"]
    assert [one["version"] for one in rows["contains"]] == ["1"] * 3


def test_each_version_of_a_code_system_that_an_expansion_has_codes_of_is_told() -> None:
    definition = {"resourceType": "ValueSet", "url": "http://example.org/vs", "status": "active", "contained": [
        code_system(SYSTEM, "a", id="one", version="1"), code_system(SYSTEM, "b", id="two", version="2")],
        "compose": {"include": [{"system": "#one"}, {"system": "#two"}]}}  # fmt: skip
    made = Terminology(given=[definition]).value_set("http://example.org/vs")
    told = expanded(made, Wishes(), "x", 0)["expansion"]["parameter"]
    assert [one["valueUri"] for one in told] == [f"{SYSTEM}|1", f"{SYSTEM}|2"]


def test_a_code_system_without_concepts_does_not_say_that_it_has_none() -> None:
    """https://hl7.org/fhir/R4/codesystem-definitions.html#CodeSystem.concept"""
    empty = code_system(SYSTEM)
    assert answers(value_set(SYSTEM), "fern", systems=(empty,)) == [None]
    assert answers(value_set(listed(SYSTEM, "fern")), "fern", "moss", systems=(empty,)) == [True, False]
    with pytest.raises(Unprocessable, match="without its content"):
        Terminology(given=[empty]).code_system(SYSTEM)


def carrying(**more: Any) -> dict[str, Any]:
    return {"resourceType": "ValueSet", "url": "http://example.org/vs", "status": "active", "expansion": {
        "timestamp": "2020-01-01", "contains": [{"system": SYSTEM, "code": "fern"}], **more}}  # fmt: skip


@pytest.mark.parametrize(("more", "is_whole"), [
    ({}, True), ({"parameter": [{"name": "displayLanguage", "valueCode": "de"}]}, True),
    ({"parameter": [{"name": "activeOnly", "valueBoolean": False}]}, True), ({"total": 1, "offset": 0}, True),
    ({"total": 2}, False), ({"parameter": [{"name": "filter", "valueString": "fe"}]}, False),
    *(({"parameter": [{"name": name, "valueBoolean": True}]}, False)
      for name in ("activeOnly", "excludeNotForUI", "excludePostCoordinated", "limitedExpansion")),
    ({"parameter": [{"name": "exclude-system", "valueUri": OTHER}]}, False),
    ({"parameter": [{"name": "count", "valueInteger": 1}]}, False),
    ({"parameter": [{"name": "count", "valueInteger": 1}], "total": 1}, True),
    *(({"extension": [{"url": f"http://hl7.org/fhir/StructureDefinition/valueset-{one}", "valueBoolean": True}]}, False)
      for one in ("unclosed", "toocostly")),
], ids=str)  # fmt: skip
def test_an_expansion_that_was_narrowed_is_not_all_of_the_value_set(more: dict[str, Any], is_whole: bool) -> None:
    """https://hl7.org/fhir/R4/valueset-definitions.html#ValueSet.expansion.parameter"""
    assert answers(carrying(**more), "fern", "moss") == ([True, False] if is_whole else [None, None])
    if not is_whole:
        with pytest.raises(Unprocessable, match="neither"):
            members(carrying(**more))


def test_a_supplement_of_one_version_is_of_no_other() -> None:
    """https://hl7.org/fhir/R4/codesystem-definitions.html#CodeSystem.supplements"""
    extension = {"url": "http://hl7.org/fhir/StructureDefinition/valueset-supplement", "valueCanonical": "urn:s"}

    def designations(named: str) -> int:
        supplement = code_system("urn:s", {"code": "fern", "designation": [{"value": "bracken"}]},
                                 content="supplement", supplements=named)
        definition = value_set(SYSTEM, extension=[extension])
        made = Terminology(given=[PLANTS, supplement, definition]).value_set(definition["url"])
        return len(made.members()[SYSTEM, "fern"].designations)

    assert [designations(one) for one in (SYSTEM, f"{SYSTEM}|1", f"{SYSTEM}|2")] == [1, 1, 0]


UNKNOWN = {"modifierExtension": [{"url": "urn:x:not", "valueBoolean": True}]}


@pytest.mark.parametrize("system", [
    PLANTS | UNKNOWN, PLANTS | {"implicitRules": "urn:x"}, PLANTS | {"concept": [{"code": "fern"} | UNKNOWN]},
    PLANTS | {"concept": [{"code": "Oak", "concept": [{"code": "fern"} | UNKNOWN]}]},
], ids=["code system", "rules", "concept", "concept below"])  # fmt: skip
def test_what_a_modifier_makes_of_a_code_system_is_not_known(system: dict[str, Any]) -> None:
    """https://hl7.org/fhir/R4/extensibility.html#modifierExtension"""
    whole, some = value_set(SYSTEM), value_set(listed(SYSTEM, "fern"))
    assert answers(whole, "fern", systems=(system,)) == [None]
    assert answers(some, "fern", systems=(system,)) == [True]
    with pytest.raises(Unprocessable, match="modifier"):
        members(whole, system)
    with pytest.raises(Unprocessable, match="modifier"):
        Terminology(given=[system]).code_system(SYSTEM)
    with pytest.raises(Unprocessable, match="modifier"):
        Terminology().with_codes(CodeSystem(system))


def test_what_a_supplement_adds_with_modifiers_is_left_out() -> None:
    def designations(**more: Any) -> list[Any]:
        row = {"code": "fern", "designation": [{"value": "bracken"}]}
        supplement = code_system("urn:s", row, content="supplement", supplements=SYSTEM, **more)
        return CodeSystem(PLANTS, [supplement]).concepts["fern"].designations

    assert designations() == [{"value": "bracken"}]
    assert designations(**UNKNOWN) == designations(implicitRules="urn:x") == []


# ---- concept maps ----------------------------------------------------------------------------------------------------


def translated(group: dict[str, Any], **asked: Any) -> list[tuple[Any, Any, Any]]:
    question = Question(**{"system": SYSTEM, "code": "fern"} | asked)
    found, _ = translations({"resourceType": "ConceptMap", "group": [group]}, question, lambda _: None)
    return [(one.equivalence, one.system, one.code) for one in found]


ELEMENT = {"code": "fern", "target": [{"code": "moss", "equivalence": "equal"}]}


def test_a_group_without_source_is_of_the_system_that_the_maps_value_set_has() -> None:
    """https://hl7.org/fhir/R4/conceptmap-definitions.html#ConceptMap.group.source"""
    group = {"element": [ELEMENT], "unmapped": {"mode": "fixed", "code": "any"}}
    assert translated(group, implied_source=SYSTEM, implied_target=OTHER) == [("equal", OTHER, "moss")]
    assert translated(group, implied_source=SYSTEM, system=OTHER) == []
    assert translated(group, implied_source=SYSTEM, code="x") == [("inexact", None, "any")]
    assert translated(group, implied_target=OTHER, target=OTHER) == [("equal", OTHER, "moss")]
    assert translated(group, code="x") == [], "the system of the group is not known: it may be another one"
    implied = {"implied_source": SYSTEM, "implied_target": OTHER}
    assert translated(group, code="moss", system=OTHER, is_reverse=True, **implied) == [("equal", SYSTEM, "fern")]


def test_of_groups_for_versions_that_of_the_code_translates() -> None:
    """https://hl7.org/fhir/R4/conceptmap-definitions.html#ConceptMap.group.sourceVersion"""
    groups = [{"source": SYSTEM, "sourceVersion": one, "target": OTHER,
               "element": [{"code": "fern", "target": [{"code": f"of-{one}", "equivalence": "equal"}]}]}
              for one in "12"]

    def found(version: str | None) -> list[str | None]:
        question = Question(SYSTEM, "fern", version=version)
        return [one.code for one in translations({"group": groups}, question, lambda _: None)[0]]

    assert (found("2"), found(None), found("3")) == (["of-2"], ["of-1", "of-2"], ["of-1", "of-2"])


def test_a_dependency_without_system_is_a_code_of_the_source() -> None:
    """https://hl7.org/fhir/R4/conceptmap-definitions.html#ConceptMap.group.element.target.dependsOn.system"""
    target = ELEMENT["target"][0] | {"dependsOn": [{"property": "urn:use", "value": "tea"}],
                                     "product": [{"property": "urn:kind", "value": "wet"}]}
    group = {"source": SYSTEM, "target": OTHER, "element": [ELEMENT | {"target": [target]}]}

    def given(**coding: str) -> tuple[Any, ...]:
        return (("urn:use", {"coding": [coding]}),)

    assert translated(group, dependencies=given(code="tea", system=SYSTEM)) == [("equal", OTHER, "moss")]
    assert translated(group, dependencies=given(code="tea")) == [("equal", OTHER, "moss")]
    assert translated(group, dependencies=given(code="tea", system="urn:drinks")) == []
    question = Question(SYSTEM, "fern", dependencies=given(code="tea"))
    assert translations({"group": [group]}, question, lambda _: None)[0][0].products[0]["system"] == OTHER


@pytest.mark.parametrize("group", [
    {"element": [ELEMENT]} | UNKNOWN, {"element": [ELEMENT | UNKNOWN]},
    {"element": [ELEMENT | {"target": [ELEMENT["target"][0] | UNKNOWN]}]},
    {"element": [ELEMENT | {"target": [{"code": "moss", "product": [{"property": "urn:p", "value": "x"} | UNKNOWN]}]}]},
    {"unmapped": {"mode": "provided"} | UNKNOWN},
], ids=["group", "element", "target", "product", "unmapped"])  # fmt: skip
def test_what_a_modifier_makes_of_a_translation_is_not_known(group: dict[str, Any]) -> None:
    """https://hl7.org/fhir/R4/extensibility.html#modifierExtension"""
    with pytest.raises(Unprocessable, match="modifier"):
        translated({"source": SYSTEM, "target": OTHER} | group)
    assert translated({"source": OTHER, "target": SYSTEM} | group) == []


def test_a_map_by_unknown_rules_translates_nothing() -> None:
    for more in (UNKNOWN, {"implicitRules": "urn:x"}):
        with pytest.raises(Unprocessable, match="modifier"):
            translations({"group": []} | more, Question(SYSTEM, "fern"), lambda _: None)


def test_a_value_set_of_what_is_not_there_is_told_so() -> None:
    with pytest.raises(FhirError, match="is not known here"):
        members(value_set({"system": OTHER, "version": "*"}))
