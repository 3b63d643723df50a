"""FHIRPath Patch: https://hl7.org/fhir/R4/fhirpatch.html

The first table has the cases that HL7's own tests name (FHIR/fhir-test-cases, r4/patch), written anew in JSON; the
originals are run by test_patch_official.py.
"""

from copy import deepcopy
from typing import Any

import pytest

from hie.errors import Conflict, InvalidRequest, Unprocessable
from hie.fhir import patching


def part(name: str, **value: Any) -> dict[str, Any]:
    return {"name": name, **value}


def operation(type_: str, path: str, *parts: dict[str, Any], name: str | None = None, **numbers: int) -> dict[str, Any]:
    rows = [part("type", valueCode=type_), part("path", valueString=path)]
    if name is not None:
        rows.append(part("name", valueString=name))
    rows += [part(key, valueInteger=number) for key, number in numbers.items()]
    return {"name": "operation", "part": [*rows, *parts]}


def value(**given: Any) -> dict[str, Any]:
    return part("value", **given)


def patched(resource: dict[str, Any], *operations: dict[str, Any]) -> Any:
    document: dict[str, Any] = {"resourceType": "Parameters"}
    if operations:
        document["parameter"] = list(operations)
    result = patching.parse(patching.FHIR_JSON, document).applied(deepcopy({"resourceType": "Patient", **resource}))
    assert result.pop("resourceType") == "Patient"
    return result


def ids(*values: str) -> dict[str, Any]:
    return {"identifier": [{"system": "http://example.org", "value": one} for one in values]}


CONTACT = {"contact": [{"name": {"text": "a name"}, "gender": "male"}]}
MARRIED = {"maritalStatus": {"id": "1", "text": "married"}}
BORN = {"birthDate": "1920-01-01"}
FOUR = ids("1", "2", "3", "4")
IDENTIFIER = value(valueIdentifier={"system": "http://example.org", "value": "3"})
NAMED = {"name": [{"given": ["a", "b", "c"]}]}

HL7: dict[str, tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]] = {
    "No Difference": (BORN, [], BORN),
    "Replace Primitive": (BORN, [operation("replace", "Patient.birthDate", value(valueDate="1930-01-01"))],
                          {"birthDate": "1930-01-01"}),
    "Delete Primitive": (BORN, [operation("delete", "Patient.birthDate")], {}),
    "Add Primitive": ({}, [operation("add", "Patient", value(valueDate="1930-01-01"), name="birthDate")],
                      {"birthDate": "1930-01-01"}),
    "Replace Nested Primitive #1": (CONTACT, [
        operation("replace", "Patient.contact[0].gender", value(valueCode="female"))],
        {"contact": [{"name": {"text": "a name"}, "gender": "female"}]}),
    "Replace Nested Primitive #2": (CONTACT, [
        operation("replace", "Patient.contact[0].name.text", value(valueString="the name"))],
        {"contact": [{"name": {"text": "the name"}, "gender": "male"}]}),
    "Delete Nested Primitive #1": (CONTACT, [operation("delete", "Patient.contact[0].gender")],
                                   {"contact": [{"name": {"text": "a name"}}]}),
    "Delete Nested Primitive #2": (CONTACT, [operation("delete", "Patient.contact[0].name.text")],
                                   {"contact": [{"gender": "male"}]}),
    "Add Nested Primitive": ({"contact": [{"name": {"text": "a name"}}]}, [
        operation("add", "Patient.contact[0]", value(valueCode="male"), name="gender")], CONTACT),
    "Add Complex": ({}, [operation("add", "Patient", value(valueCodeableConcept={"text": "married"}),
                                   name="maritalStatus")], {"maritalStatus": {"text": "married"}}),
    "Replace Complex": (MARRIED, [
        operation("replace", "Patient.maritalStatus", value(valueCodeableConcept={"id": "2", "text": "not married"}))],
        {"maritalStatus": {"id": "2", "text": "not married"}}),
    "Delete Complex": (MARRIED, [operation("delete", "Patient.maritalStatus")], {}),
    "Add Anonymous Type": ({}, [operation("add", "Patient", value(part=[
        part("name", valueHumanName={"text": "a name"})]), name="contact")],
        {"contact": [{"name": {"text": "a name"}}]}),
    "Delete Anonymous Type": (CONTACT, [operation("delete", "Patient.contact[0]")], {}),
    "List unchanged, contents changed": (ids("1", "2"), [
        operation("replace", "Patient.identifier[0].value", value(valueString="2")),
        operation("replace", "Patient.identifier[1].value", value(valueString="1"))], ids("2", "1")),
    "Add to list": (ids("1", "2"), [operation("insert", "Patient.identifier", IDENTIFIER, index=2)],
                    ids("1", "2", "3")),
    "Insert in list #1": (ids("1", "2"), [operation("insert", "Patient.identifier", IDENTIFIER, index=1)],
                          ids("1", "3", "2")),
    "Insert in list #2": (ids("1", "2"), [operation("insert", "Patient.identifier", IDENTIFIER, index=0)],
                          ids("3", "1", "2")),
    "Delete from List #1": (ids("1", "2", "3"), [operation("delete", "Patient.identifier[0]")], ids("2", "3")),
    "Delete from List #2": (ids("1", "2", "3"), [operation("delete", "Patient.identifier[1]")], ids("1", "3")),
    "Delete from List #3": (ids("1", "2", "3"), [operation("delete", "Patient.identifier[2]")], ids("1", "2")),
    "Reorder List #1": (FOUR, [operation("move", "Patient.identifier", source=3, destination=1)],
                        ids("1", "4", "2", "3")),
    "Reorder List #2": (FOUR, [operation("move", "Patient.identifier", source=3, destination=0)],
                        ids("4", "1", "2", "3")),
    "Reorder List #3": (FOUR, [operation("move", "Patient.identifier", source=3, destination=2)],
                        ids("1", "2", "4", "3")),
    "Reorder List #4": (FOUR, [operation("move", "Patient.identifier", source=0, destination=3)],
                        ids("2", "3", "4", "1")),
    "Reorder List #5": (FOUR, [operation("move", "Patient.identifier", source=1, destination=0),
                               operation("move", "Patient.identifier", source=2, destination=1),
                               operation("move", "Patient.identifier", source=3, destination=0)],
                        ids("4", "2", "3", "1")),
}  # fmt: skip

OURS: dict[str, tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]] = {
    "delete of nothing is no error": (BORN, [operation("delete", "Patient.maritalStatus")], BORN),
    "insert makes the list": ({}, [operation("insert", "Patient.identifier", IDENTIFIER, index=0)], ids("3")),
    "add appends to a list": (ids("1"), [operation("add", "Patient", IDENTIFIER, name="identifier")], ids("1", "3")),
    "a choice keeps its type in its name": ({}, [
        operation("add", "Patient", value(valueBoolean=True), name="deceased")], {"deceasedBoolean": True}),
    "a choice named as JSON has it": ({}, [
        operation("add", "Patient", value(valueBoolean=True), name="deceasedBoolean"),
        operation("add", "Patient", value(part=[part("url", valueUri="urn:a"), part("valueCode", valueCode="x")]),
                  name="extension"),
        operation("add", "Patient", value(part=[part("url", valueUri="urn:b"), part("value[x]", valueCode="y")]),
                  name="extension")],
        {"deceasedBoolean": True,
         "extension": [{"url": "urn:a", "valueCode": "x"}, {"url": "urn:b", "valueCode": "y"}]}),
    "a choice may change its type": ({"deceasedBoolean": False}, [
        operation("replace", "Patient.deceased", value(valueDateTime="2020-01-01"))],
        {"deceasedDateTime": "2020-01-01"}),
    "a choice by its type": ({"deceasedBoolean": True}, [operation("delete", "Patient.deceased.ofType(boolean)")], {}),
    "a choice as another type": ({"deceasedBoolean": True}, [operation("delete", "Patient.deceased as dateTime")],
                                 {"deceasedBoolean": True}),
    "where chooses": (ids("1", "2"), [
        operation("replace", "Patient.identifier.where(value = '2').system", value(valueUri="urn:x"))],
        {"identifier": [ids("1")["identifier"][0], {"system": "urn:x", "value": "2"}]}),
    "where over primitives": (NAMED, [operation("delete", "Patient.name.given.where($this = 'b')")],
                              {"name": [{"given": ["a", "c"]}]}),
    "first, last, skip and take": (FOUR, [
        operation("delete", "Patient.identifier.last()"), operation("delete", "Patient.identifier.first()"),
        operation("delete", "Patient.identifier.skip(1).take(1)")], ids("2")),
    "a path without the type": (BORN, [operation("delete", "birthDate")], {}),
    "an extension of a primitive": ({**BORN, "_birthDate": {"extension": [{"url": "urn:a", "valueString": "x"}]}}, [
        operation("replace", "Patient.birthDate.extension('urn:a').value", value(valueInteger=1))],
        {**BORN, "_birthDate": {"extension": [{"url": "urn:a", "valueInteger": 1}]}}),
    "an extension added to a primitive": (BORN, [
        operation("add", "Patient.birthDate", value(part=[
            part("url", valueUri="urn:a"), part("value", valueString="x")]), name="extension")],
        {**BORN, "_birthDate": {"extension": [{"url": "urn:a", "valueString": "x"}]}}),
    "a replaced primitive loses its extensions": (
        {**BORN, "_birthDate": {"extension": [{"url": "urn:a", "valueString": "x"}]}}, [
            operation("replace", "Patient.birthDate", value(valueDate="1930-01-01"))], {"birthDate": "1930-01-01"}),
    "a value with its extensions": ({}, [operation("add", "Patient", {
        "name": "value", "valueDate": "1930-01-01", "_valueDate": {"id": "b"}}, name="birthDate")],
        {"birthDate": "1930-01-01", "_birthDate": {"id": "b"}}),
    "counterparts move along": ({"name": [{"given": ["a", "b"], "_given": [None, {"id": "x"}]}]}, [
        operation("move", "Patient.name[0].given", source=1, destination=0)],
        {"name": [{"given": ["b", "a"], "_given": [{"id": "x"}, None]}]}),
    "counterparts are deleted along": ({"name": [{"given": ["a", "b"], "_given": [None, {"id": "x"}]}]}, [
        operation("delete", "Patient.name[0].given[1]")], {"name": [{"given": ["a"]}]}),
    "counterparts are inserted along": ({"name": [{"given": ["a"], "_given": [{"id": "x"}]}]}, [
        operation("insert", "Patient.name[0].given", value(valueString="b"), index=0)],
        {"name": [{"given": ["b", "a"], "_given": [None, {"id": "x"}]}]}),
    "a string for a code": (BORN, [operation("add", "Patient", value(valueString="male"), name="gender")],
                            {**BORN, "gender": "male"}),
    "an element inside a contained resource": (
        {"contained": [{"resourceType": "Organization", "id": "o", "name": "x"}]}, [
            operation("replace", "Patient.contained[0].name", value(valueString="y"))],
        {"contained": [{"resourceType": "Organization", "id": "o", "name": "y"}]}),
    "a contained resource": ({}, [operation("add", "Patient", value(resource={
        "resourceType": "Organization", "id": "o", "name": "x"}), name="contained")],
        {"contained": [{"resourceType": "Organization", "id": "o", "name": "x"}]}),
    "nested parts": ({}, [operation("add", "Patient", value(part=[
        part("gender", valueCode="male"), part("relationship", valueCodeableConcept={"text": "r"}),
        part("relationship", valueCodeableConcept={"text": "s"})]), name="contact")],
        {"contact": [{"gender": "male", "relationship": [{"text": "r"}, {"text": "s"}]}]}),
}  # fmt: skip


@pytest.mark.parametrize(("resource", "operations", "expected"), [*HL7.values(), *OURS.values()], ids=[*HL7, *OURS])
def test_operations_do_what_they_say(resource, operations, expected):
    assert patched(resource, *operations) == expected


REFUSED: dict[str, tuple[type[Exception], dict[str, Any], str]] = {
    "replace of nothing": (Conflict, operation("replace", "Patient.gender", value(valueCode="male")), "0 elements"),
    "replace of several": (Conflict, operation("replace", "Patient.identifier", IDENTIFIER), "2 elements"),
    "delete of several": (Conflict, operation("delete", "Patient.identifier"), "2 elements"),
    "add to nothing": (Conflict, operation("add", "Patient.maritalStatus", value(valueString="x"), name="text"),
                       "0 elements"),
    "add over what does not repeat": (Conflict, operation("add", "Patient", value(valueDate="1930-01-01"),
                                                          name="birthDate"), "already there"),
    "insert beyond the end": (Conflict, operation("insert", "Patient.identifier", IDENTIFIER, index=3),
                              "between 0 and 2"),
    "move from beyond the end": (Conflict, operation("move", "Patient.identifier", source=2, destination=0), "source"),
    "move to beyond the end": (Conflict, operation("move", "Patient.identifier", source=0, destination=2),
                               "destination"),
    "insert into what is no list": (Unprocessable, operation(
        "insert", "Patient.birthDate", value(valueDate="1930-01-01"), index=0), "no list"),
    "a value of a wrong type": (Unprocessable, operation("replace", "Patient.birthDate", value(valueInteger=1)),
                                "of type date"),
    "a complex value for a primitive": (Unprocessable, operation("add", "Patient", value(valueHumanName={"text": "x"}),
                                                                 name="gender"), "of type code"),
    "an unknown element": (Unprocessable, operation("delete", "Patient.colour"), "no element"),
    "a name of another type": (Unprocessable, operation(
        "add", "Patient", value(valueDateTime="2020-01-01"), name="deceasedBoolean"), "value is of type dateTime"),
    "an unknown name": (Unprocessable, operation("add", "Patient", value(valueString="x"), name="colour"),
                        "no element"),
    "another resource": (Unprocessable, operation("delete", "Patient.managingOrganization.resolve().name"), "resolve"),
    "a function that makes values": (Unprocessable, operation("delete", "Patient.children()"), "children"),
    "the whole resource": (Unprocessable, operation("delete", "Patient"), "resource itself"),
    "no FHIRPath": (InvalidRequest, operation("delete", "Patient..name"), "no FHIRPath"),
    "an unknown operation": (InvalidRequest, operation("spam", "Patient.name"), "known are"),
    "no name": (InvalidRequest, operation("add", "Patient", value(valueString="x")), "has no name"),
    "a part too many": (InvalidRequest, operation("delete", "Patient.birthDate", index=1), "does not take"),
    "an unknown part": (InvalidRequest, operation("delete", "Patient.birthDate", part("x", valueString="y")),
                        "no part"),
    "a part twice": (InvalidRequest, operation("delete", "Patient.birthDate", part("path", valueString="y")), "twice"),
    "a part that means something else": (InvalidRequest, operation(
        "delete", "Patient.birthDate", part("x", valueCode="x", modifierExtension=[
            {"url": "urn:x", "valueCode": "x"}])), "urn:x"),
    "another parameter": (InvalidRequest, {"name": "change", "valueString": "x"}, "`operation`"),
}  # fmt: skip


@pytest.mark.parametrize(("error", "row", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_done_is_refused_naming_the_operation(error, row, told):
    with pytest.raises(error) as caught:
        patched({**BORN, **ids("1", "2")}, operation("delete", "Patient.photo"), row)
    issue = caught.value.issues[0]
    assert told in issue.diagnostics
    assert issue.expression.startswith("Parameters.parameter[1]")


def test_only_parameters_are_a_fhirpath_patch():
    with pytest.raises(InvalidRequest):
        patching.parse(patching.FHIR_JSON, {"resourceType": "Patient"})
    with pytest.raises(InvalidRequest):
        patching.parse(patching.FHIR_JSON, {"resourceType": "Parameters", "parameter": "x"})
