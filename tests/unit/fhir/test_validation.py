"""How the validator speaks, and that it covers the definitions: https://hl7.org/fhir/R4/validation.html"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hie.fhir import facts, fhirpath
from hie.fhir.json_format import JsonDecimal
from hie.fhir.primitives import primitive
from hie.fhir.validation import Issue, rules, scope, validate

DOCUMENT = Path(__file__).parents[3] / "docs" / "validation.md"


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **elements}


def only(resource: Any, **options: Any) -> Issue:
    (issue,) = [one for one in validate(resource, **options) if one.severity in ("error", "fatal")]
    return issue


def test_a_resource_without_narrative_is_valid_with_advice() -> None:
    assert validate(patient()) == [
        Issue("warning", "invariant", "A resource should have narrative for robust management (dom-6).", "Patient")]


def test_a_resource_with_narrative_has_no_issue() -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml">A</div>'
    assert validate(patient(text={"status": "generated", "div": div})) == []


def test_an_unknown_code_is_answered_with_the_codes_that_would_do() -> None:
    assert only(patient(gender="masculine")).diagnostics == "found 'masculine'; one of male, female, other, unknown."


def test_an_unknown_code_of_a_long_list_is_answered_with_the_nearest() -> None:
    definition = {"resourceType": "CompartmentDefinition", "url": "http://a", "name": "A", "status": "draft",
                  "code": "Patient", "search": True, "resource": [{"code": "Observatoin"}]}
    assert "found 'Observatoin'; nearest Observation" in only(definition).diagnostics


def test_an_unknown_element_is_answered_with_the_nearest() -> None:
    assert only(patient(birthdate="2000")).diagnostics == "Patient has no element 'birthdate'; nearest is birthDate."


def test_an_unknown_type_is_answered_with_the_nearest() -> None:
    assert only({"resourceType": "Patiant"}).diagnostics == (
        "'Patiant' is no resource type of FHIR R4; nearest is Patient.")


def test_a_strange_name_of_an_element_does_not_enter_the_expression() -> None:
    issue = only(patient(**{"a b') or (1=1": 1}))
    assert (issue.expression, "a b" in issue.diagnostics) == ("Patient", True)


def test_another_type_than_asked_for_is_fatal() -> None:
    issue = only(patient(), type_name="Observation")
    assert (issue.severity, issue.code, issue.diagnostics) == (
        "fatal", "structure", "The resourceType is Patient; Observation is expected.")


def test_several_errors_are_all_told() -> None:
    found = validate(patient(gender="x", birthDate="y", name=[{"use": "z"}, {"family": 1}]))
    assert [one.expression for one in found if one.severity == "error"] == [
        "Patient.gender", "Patient.birthDate", "Patient.name[0].use", "Patient.name[1].family"]


def test_no_more_than_a_hundred_issues_are_listed_and_errors_come_first() -> None:
    entries = [{"resource": patient()} for _ in range(150)] + [{"resource": patient(gender="x")} for _ in range(60)]
    found = validate({"resourceType": "Bundle", "type": "collection", "entry": entries})
    assert len(found) == 101
    assert [one.severity for one in found[:60]] == ["error"] * 60
    assert (found[-1].severity, found[-1].code) == ("information", "too-long")
    assert found[0].expression == "Bundle.entry[150].resource.gender"


def test_a_body_full_of_errors_is_left_early() -> None:
    found = validate(patient(name=[{"x": 1}] * 100_000))
    assert len(found) == 101


def test_the_entries_of_a_bundle_are_read_once_for_all_their_references(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = []
    read = scope.BundleTypes._read
    monkeypatch.setattr(scope.BundleTypes, "_read", lambda self: readings.append(1) or read(self))
    urls = [f"urn:uuid:c757873d-ec9a-4326-a141-{index:012}" for index in range(50)]
    entries = [{"fullUrl": url, "resource": patient(link=[{"other": {"reference": url}, "type": "seealso"}])}
               for url in urls]
    assert validate({"resourceType": "Bundle", "type": "collection", "entry": entries})
    assert len(readings) == 1


def test_rules_can_be_left_out() -> None:
    resource = patient(contact=[{"gender": "male"}])
    assert [one.diagnostics[-8:] for one in validate(resource) if one.severity == "error"] == ["(pat-1)."]
    assert validate(resource, invariants=False) == []


def test_a_number_of_a_decimal_is_accepted_in_every_form() -> None:
    for value in (1, JsonDecimal("1.0"), 1.5):
        assert validate({"resourceType": "Observation", "status": "final", "code": {"text": "a"},
                         "valueQuantity": {"value": value}}, invariants=False) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, JsonDecimal("1e900")])
def test_extreme_numbers_are_judged_not_raised(value: Any) -> None:
    validate({"resourceType": "Observation", "status": "final", "code": {"text": "a"}, "valueInteger": value,
              "referenceRange": [{"low": {"value": value}, "high": {"value": 1}}]})


def test_nesting_beyond_any_recursion_is_refused() -> None:
    extension: dict[str, Any] = {"url": "http://a", "valueString": "b"}
    for _ in range(20_000):
        extension = {"url": "http://a", "extension": [extension]}
    issue = only(patient(extension=[extension]))
    assert (issue.severity, issue.code) == ("fatal", "structure")


def test_half_a_character_in_a_value_does_not_reach_the_message() -> None:
    only(patient(gender="\ud800")).diagnostics.encode()


@pytest.mark.parametrize("name", sorted(facts.PRIMITIVE_TYPES))
def test_every_primitive_type_refuses_null_object_and_array(name: str) -> None:
    for value in (None, {}, [], [1]):
        found = primitive(name).problem(value)
        assert found is not None
        assert found[0] == "structure"


def test_every_invariant_is_evaluated_once() -> None:
    for type_name in [*facts.RESOURCE_TYPES, *facts.DATA_TYPES]:
        paths = {type_name} | {one.path for one in facts.elements(type_name) if facts.children(one.path)}
        stated = [one for one in rules.invariants(type_name) if one.key not in rules.ELSEWHERE]
        assert sum(len(rules.of_path(path)) for path in paths) == len(stated), type_name


def test_every_invariant_compiles() -> None:
    for type_name in facts.load()["invariants"]:
        for one in rules.invariants(type_name):
            fhirpath.compile(fhirpath.corrected(one.expression), one.path)


def test_the_document_names_every_value_set_that_is_not_checked() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    bindings = facts.load()["bindings"].values()
    unknown = {url.partition("|")[0] for strength, url in bindings
               if strength == "required" and facts.required_codes(url) is None}
    assert {url for url in unknown if f"`{url}`" not in document} == set()


def test_the_document_names_every_invariant_that_is_not_its_published_expression() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    special = set(rules.ELSEWHERE) | set(rules.WRITTEN)
    for type_name in facts.load()["invariants"]:
        special |= {one.key for one in rules.invariants(type_name)
                    if fhirpath.corrected(one.expression) != one.expression}
    named = set(re.findall(r"`([a-z]{2,4}-[0-9]+[ab]?)`", document))
    assert special - named == set()
