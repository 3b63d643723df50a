"""Parameters of operations that say nothing, or not what they are declared to: operations.html#executing"""

from urllib.parse import urlencode

import pytest

from tests.builders import observation, patient

FORM = {"Content_Type": "application/x-www-form-urlencoded"}
pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])  # judged before the store is asked
GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"
SYSTEM = "http://hl7.org/fhir/administrative-gender"
STATS = {"subject": "Patient/1", "code": "8867-4", "system": "http://loinc.org", "statistic": "average"}
CODE = {"url": GENDER, "code": "none", "system": SYSTEM}


@pytest.fixture
def stored(fhir):
    fhir.put("Patient/1", patient(id="1"))
    fhir.create(observation("Patient/1"))
    fhir.put("ValueSet/1", {"resourceType": "ValueSet", "id": "1", "status": "active",
                            "compose": {"include": [{"system": SYSTEM}]}})
    return fhir


@pytest.mark.parametrize(("address", "asked", "name"), [
    ("ValueSet/$expand", {"url": ""}, "url"),
    ("ValueSet/$expand", {"url": GENDER, "count": ""}, "count"),
    ("ValueSet/$validate-code", {**CODE, "code": "male", "display": ""}, "display"),
    ("ValueSet/$validate-code", {**CODE, "code": "male", "valueSetVersion": " "}, "valueSetVersion"),
    ("CodeSystem/$lookup", {"system": SYSTEM, "code": ""}, "code"),
    ("ConceptMap/$translate", {"system": "http://hl7.org/fhir/address-use", "code": ""}, "code"),
    ("NamingSystem/$preferred-id", {"id": "", "type": "oid"}, "id"),
    ("Patient/1/$everything", {"_type": ""}, "_type"),
], ids=lambda one: "&".join(one) if isinstance(one, dict) else None)  # fmt: skip
def test_an_empty_parameter_is_refused_by_its_name(stored, address, asked, name):
    """In a Parameters resource it cannot be: a string is never empty."""
    for answer in (stored.get(f"{address}?{urlencode(asked)}"), stored.post(address, urlencode(asked), **FORM)):
        answer.refused(400, "invalid", name, f"{name} of $")


def test_parameters_that_mean_something_else_are_refused(stored):
    """An operation that did not know the modifier would do what was not asked: extensibility.html#modifierExtension"""
    row = {"name": "resource", "resource": patient(modifierExtension=[{"url": "urn:x", "valueCode": "x"}])}
    asked = {"resourceType": "Parameters", "parameter": [row]}
    assert stored.post("Patient/$validate", asked).status == 200
    modified = {**asked, "parameter": [{**row, "modifierExtension": [{"url": "urn:x", "valueCode": "x"}]}]}
    stored.post("Patient/$validate", modified).refused(
        400, "extension", "Parameters.parameter[0].modifierExtension", "urn:x")
    stored.post("Patient/$validate", {**asked, "implicitRules": "urn:x"}).refused(
        400, "not-supported", "Parameters.implicitRules", "urn:x")


def test_a_filter_may_be_what_somebody_has_typed_so_far(stored):
    assert len(stored.get(f"ValueSet/$expand?url={GENDER}&filter=").json["expansion"]["contains"]) == 4


@pytest.mark.parametrize(("address", "asked", "name", "text"), [
    ("$fhirpath", {"expression": "1", "validate": "perhaps"}, "validate", "true or false"),
    ("ValueSet/$validate-code", {**CODE, "abstract": "1"}, "abstract", "true or false"),
    ("Observation/$stats", {**STATS, "limit": "many"}, "limit", "whole number"),
    ("ValueSet/$expand", {"url": GENDER, "contextDirection": "sideways"}, "contextDirection", "incoming"),
    ("ValueSet/1/$expand", {"valueSetVersion": "2"}, "valueSetVersion", "leave valueSetVersion out"),
    ("ValueSet/1/$validate-code", {"code": "x", "system": SYSTEM, "valueSetVersion": "2"}, "valueSetVersion", "leave"),
    ("ConceptMap/$translate", {"code": "home", "system": "http://hl7.org/fhir/address-use", "conceptMapVersion": "9"},
     "conceptMapVersion", "url"),
    ("$diff", {"from": "Patient/1", "to": "Patient/1", "toVersion": "1"}, "toVersion", "Patient/1/_history/2"),
    ("CodeSystem/$lookup", {"system": SYSTEM}, "code", "one of code and coding;"),
], ids=lambda one: "&".join(one) if isinstance(one, dict) else None)  # fmt: skip
def test_a_parameter_that_would_be_passed_over_is_refused(stored, address, asked, name, text):
    stored.get(f"{address}?{urlencode(asked)}").refused(400, "invalid", name, text)


@pytest.mark.parametrize(("address", "row", "text"), [
    ("Patient/1/$everything", {"name": "_count", "valueDateTime": "2020"}, "write it as valueInteger"),
    ("Patient/1/$everything", {"name": "_count", "valueDecimal": 1.5}, "write it as valueInteger"),
    ("Patient/1/$everything", {"name": "_count", "valueQuantity": {"value": 1}}, "write it as valueInteger"),
    ("Patient/1/$everything", {"name": "_count", "part": [{"name": "x", "valueInteger": 1}]}, "write it as valueInt"),
    ("Patient/1/$everything", {"name": "start", "valueInteger": 2020}, "write it as valueDate"),
    ("ValueSet/$expand", {"name": "url", "valueBoolean": True}, "write it as valueUri"),
    ("$fhirpath", {"name": "validate", "valueInteger": 1}, "write it as valueBoolean"),
])  # fmt: skip
def test_a_value_of_another_type_says_which_is_meant(stored, address, row, text):
    more = [{"name": "expression", "valueString": "1"}] if address == "$fhirpath" else []
    answer = stored.post(address, {"resourceType": "Parameters", "parameter": [*more, row]})
    answer.refused(400, "invalid", f"Parameters.parameter[{len(more)}].value[x]", text)


@pytest.mark.parametrize("row", [
    {"name": "_count", "valueString": "1"}, {"name": "_count", "valuePositiveInt": 1},
    {"name": "start", "valueString": "2000-01-01"}, {"name": "start", "valueDateTime": "2000-01-01T00:00:00Z"},
    {"name": "_since", "valueDateTime": "2000-01-01T00:00:00Z"}, {"name": "_type", "valueString": "Patient"},
], ids=lambda row: f"{row['name']} as {[*row][1]}")  # fmt: skip
def test_a_text_or_a_near_type_says_the_same(stored, row):
    assert stored.post("Patient/1/$everything", {"resourceType": "Parameters", "parameter": [row]}).status == 200


def test_a_parameters_that_is_itself_meant_goes_into_another(fhir):
    meant = {"resourceType": "Parameters", "parameter": [{"name": "colour", "valueString": "red"}]}
    fhir.post("$convert", meant).refused(400, "invalid", "colour", "goes, as a resource, into input")
    fhir.post("Parameters/$validate", meant).refused(400, "invalid", "colour", "goes, as a resource, into resource")
    within = {"resourceType": "Parameters", "parameter": [{"name": "input", "resource": meant}]}
    assert fhir.post("$convert", within).json == meant
