"""The search parameters that each type has: https://hl7.org/fhir/R4/searchparameter-registry.html"""

from __future__ import annotations

from dataclasses import replace

import pytest

from hie.fhir import facts, search_definitions, search_parameters
from hie.fhir.search_parameters import CustomParameters, extract, for_type, install, installed, nearest
from tests.unit.fhir.extracted import resource, values

# ---- the table -------------------------------------------------------------------------------------------------------


def test_every_type_has_the_parameters_of_every_resource() -> None:
    for name in facts.RESOURCE_TYPES:
        assert {"_id", "_lastUpdated", "_profile", "_security", "_source", "_tag"} <= for_type(name).keys()
    assert "_text" in for_type("Patient")
    assert "_text" not in for_type("Bundle"), "_text belongs to DomainResource, and a Bundle is none"


def test_all_1384_expressions_are_served() -> None:
    examples = search_definitions._EXAMPLE_URLS
    rows = [row for row in facts.SEARCH_PARAMETERS if row.get("expression") and row["url"] not in examples]
    assert len(rows) == 1382
    for row in rows:
        for base in row["base"]:
            if row["code"] != "part-agree":
                assert row["code"] in for_type("Resource" if base == "Resource" else base)


def test_parameters_of_every_type_can_be_asked_alone() -> None:
    assert set(for_type("Resource")) == {
        "_id", "_lastUpdated", "_profile", "_security", "_source", "_tag", "_text", "_content", "_query", "_filter",
    }  # fmt: skip


def test_an_unknown_type_has_no_parameters() -> None:
    with pytest.raises(KeyError):
        for_type("Nothing")


def test_a_parameter_whose_expression_is_for_another_type_is_not_offered() -> None:
    assert "part-agree" not in for_type("Patient")


@pytest.mark.parametrize("code", ["_text", "_content", "_query", "_filter"])
def test_parameters_without_expression_are_special(code: str) -> None:
    assert for_type("Patient")[code].is_special
    assert not for_type("Patient")[code].is_indexed


def test_near_is_special() -> None:
    assert for_type("Location")["near"].is_special


@pytest.mark.parametrize(
    ("type_name", "wrong", "right"),
    [
        ("Patient", "famly", "family"),
        ("Patient", "birthDate", "birthdate"),
        ("Patient", "lastUpdated", "_lastUpdated"),
        ("Observation", "combo_code", "combo-code"),
        ("Observation", "subjct", "subject"),
        ("Patient", "qqqq", None),
        ("Patient", "count", "_count"),
        ("Patient", "_revInclude", "_revinclude"),
        ("Patient", "_sumary", "_summary"),
        ("Observation", "effectiveDateTime", "date"),
        ("Encounter", "period", "date"),
        ("Condition", "onsetDateTime", "onset-date"),
        ("Observation", "valueQuantity", "value-quantity"),
        ("Observation", "valueCodeableConcept", "value-concept"),
        ("Immunization", "occurrence", "date"),
        ("Patient", "managingOrganization", "organization"),
        ("Patient", "_query-latency", None),
    ],
)
def test_the_nearest_parameter_is_named(type_name: str, wrong: str, right: str | None) -> None:
    assert nearest(type_name, wrong) == right


def test_no_example_of_the_specification_takes_the_place_of_a_parameter() -> None:
    assert for_type("Condition")["subject"].targets == {"Group", "Patient"}
    codes = [(row["code"], base) for row in facts.SEARCH_PARAMETERS for base in row.get("base", ())]
    twice = {pair for pair in codes if codes.count(pair) > 1}
    assert twice == {("subject", "Condition"), ("_id", "Resource")}
    for code, base in twice:
        assert for_type(base)[code].url.rpartition("/")[2] in ("Condition-subject", "Resource-id")


def test_targets_and_components_are_told() -> None:
    assert for_type("Observation")["subject"].targets == {"Group", "Device", "Patient", "Location"}
    code, quantity = for_type("Observation")["code-value-quantity"].components
    assert (code.code, code.type, code.expression) == ("code", "token", "code")
    assert (quantity.type, quantity.expression) == ("quantity", "value.as(Quantity)")
    assert for_type("Patient")["birthdate"].element_types == {"date"}


# ---- parameters that repeat others -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_name", "code", "union"),
    [
        ("Observation", "combo-code", {"code", "component-code"}),
        ("Observation", "combo-value-quantity", {"value-quantity", "component-value-quantity"}),
        ("Observation", "combo-value-concept", {"value-concept", "component-value-concept"}),
        ("Observation", "combo-data-absent-reason", {"data-absent-reason", "component-data-absent-reason"}),
        ("Observation", "combo-code-value-quantity", {"code-value-quantity", "component-code-value-quantity"}),
        ("Observation", "combo-code-value-concept", {"code-value-concept", "component-code-value-concept"}),
        ("Patient", "phonetic", {"name"}),
        ("Patient", "name", set()),
        ("Patient", "telecom", set()),
        ("Observation", "code", set()),
    ],
)
def test_a_parameter_that_is_others_together_says_so(type_name: str, code: str, union: set[str]) -> None:
    assert set(for_type(type_name)[code].union_of) == union


@pytest.mark.parametrize(
    ("type_name", "code", "base"),
    [
        ("Observation", "patient", ("subject", "Patient")),
        ("Encounter", "practitioner", ("participant", "Practitioner")),
        ("Appointment", "location", ("actor", "Location")),
        ("Person", "relatedperson", ("link", "RelatedPerson")),
        ("AllergyIntolerance", "patient", None),
        ("Observation", "subject", None),
        ("Provenance", "patient", ("target", "Patient")),
    ],
)
def test_a_parameter_that_restricts_another_says_so(type_name: str, code: str, base: tuple[str, str] | None) -> None:
    assert for_type(type_name)[code].restricts == base


def test_what_a_repeating_parameter_names_is_indexed() -> None:
    for name in facts.RESOURCE_TYPES:
        parameters = for_type(name)
        for one in parameters.values():
            named = (*one.union_of, *((one.restricts[0],) if one.restricts else ()))
            assert all(parameters[other].is_indexed for other in named), (name, one.code)


def test_a_repeating_parameter_gives_no_values() -> None:
    observation = resource("Observation", code={"coding": [{"code": "a"}]}, subject={"reference": "Patient/1"})
    assert values(observation, "tokens", "code") == [("", "a")]
    assert values(observation, "tokens", "combo-code") == []
    assert values(observation, "references", "subject") == [("Patient", "1", None, None, None)]
    assert values(observation, "references", "patient") == []


def test_only_types_with_other_parameters_are_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    before, compiled, walk = installed(), [], search_parameters._walk
    monkeypatch.setattr(search_parameters, "_walk", lambda name: compiled.append(name) or walk(name))
    patient, observation = resource("Patient", gender="female"), resource("Observation", status="final")
    own = replace(for_type("Patient")["gender"], code="shoe", state="indexing")
    extract(patient), extract(observation)
    try:
        for state, anew in (([], []), ([own], ["Patient"]), ([own], ["Patient"]), ([], ["Patient"]), ([], [])):
            compiled.clear()
            install(CustomParameters.of_all(state))
            assert len(values(patient, "tokens", "shoe")) == len(state)
            assert values(observation, "tokens", "status") != []
            assert compiled == anew
    finally:
        install(before)
