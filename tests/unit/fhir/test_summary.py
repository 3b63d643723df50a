"""_summary and _elements cut a resource without making it mean something else."""

import tarfile
from pathlib import Path

import pytest

from hie.errors import InvalidSearch
from hie.fhir import json_format, validation
from hie.fhir.summary import parse

PATIENT = {
    "resourceType": "Patient", "id": "1", "meta": {"versionId": "3"}, "text": {"status": "empty", "div": "<div/>"},
    "modifierExtension": [{"url": "http://example.org/m", "valueBoolean": True}],
    "name": [{"family": "A"}], "maritalStatus": {"text": "S"}, "birthDate": "1970-01-01",
    "_birthDate": {"extension": [{"url": "http://example.org/e", "valueString": "x"}]},
    "deceasedBoolean": False, "contact": [{"name": {"family": "B"}}],
}  # fmt: skip


def test_true_keeps_summary_elements_and_marks_the_rest_as_missing():
    found = parse([("_summary", "true")]).of(PATIENT)
    assert set(found) == {"resourceType", "id", "meta", "modifierExtension", "name", "birthDate", "_birthDate",
                          "deceasedBoolean"}
    assert found["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert found["meta"]["versionId"] == "3"
    assert "tag" not in PATIENT["meta"]


def test_true_leaves_out_what_is_no_summary_at_any_depth():
    document = {
        "resourceType": "DocumentReference", "id": "1", "status": "current",
        "content": [{"attachment": {"id": "a", "contentType": "text/plain", "data": "QUJD", "title": "x", "extension": [
            {"url": "http://example.org/e", "valueString": "kept"}]}, "format": {"code": "f"}}],
        "context": {"sourcePatientInfo": {"reference": "Patient/1"}, "period": {"start": "2020"}},
    }  # fmt: skip
    (content,) = parse([("_summary", "true")]).of(document)["content"]
    assert set(content["attachment"]) == {"id", "contentType", "title", "extension"}
    assert content["format"] == {"code": "f"}
    tree = {"resourceType": "CapabilityStatement", "rest": [
        {"mode": "server", "documentation": "long", "resource": [{"type": "Patient", "documentation": "long"}]}]}
    (rest,) = parse([("_summary", "true")]).of(tree)["rest"]
    assert rest == {"mode": "server", "resource": [{"type": "Patient"}]}


@pytest.mark.parametrize("form", ["true", "text", "data"])
def test_a_cut_keeps_every_example_of_the_specification_valid(form: str, shared_data: Path) -> None:
    """Mandatory elements stay at every depth: what is left of a valid resource breaks no cardinality."""
    selection, cut = parse([("_summary", form)]), 0
    assert selection is not None
    with tarfile.open(shared_data / "definitions" / "r4-examples.tar.xz") as archive:
        for number, member in enumerate(archive):
            if number % 20 or not member.name.endswith(".json"):
                continue
            resource = json_format.parse(archive.extractfile(member).read())  # type: ignore[union-attr]
            found = selection.of(resource)
            before, after = ({one.expression for one in validation.validate(each) if one.code == "required"}
                             for each in (resource, found))
            assert after <= before, member.name
            assert found["meta"]["tag"][-1]["code"] == "SUBSETTED"
            cut += 1
    assert cut > 100


def test_text_keeps_the_narrative_and_mandatory_elements():
    observation = {"resourceType": "Observation", "id": "1", "status": "final", "code": {"text": "x"},
                   "valueString": "v", "text": {"status": "empty", "div": "<div/>"}}
    found = parse([("_summary", "text")]).of(observation)
    assert set(found) == {"resourceType", "id", "meta", "status", "code", "text"}


def test_data_leaves_out_the_narrative_only():
    assert set(PATIENT) - set(parse([("_summary", "data")]).of(PATIENT)) == {"text"}


def test_elements_keep_what_is_named_and_what_is_mandatory():
    observation = {"resourceType": "Observation", "id": "1", "status": "final", "code": {"text": "x"}, "issued": "2020",
                   "valueString": "v"}
    found = parse([("_elements", "issued, Patient.name")]).of(observation)
    assert set(found) == {"resourceType", "id", "meta", "status", "code", "issued"}


@pytest.mark.parametrize("named", ["value", "value[x]", "Observation.value", "valueQuantity", "effective,value[x]"])
def test_elements_of_several_types_are_named_without_their_type_too(named):
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "issued": "2024",
                   "effectiveDateTime": "2024", "valueQuantity": {"value": 1}}
    found = parse([("_elements", named)]).of(observation)
    assert ("valueQuantity" in found, "issued" in found) == (True, False)
    assert ("effectiveDateTime" in found) is ("effective" in named)


def test_elements_of_another_type_leave_a_resource_whole():
    assert parse([("_elements", "Observation.code")]).of(PATIENT) == PATIENT


def test_a_second_cut_is_marked_once():
    once = parse([("_summary", "true")]).of(PATIENT)
    assert len(parse([("_summary", "true")]).of(once)["meta"]["tag"]) == 1


def test_false_wants_everything():
    assert parse([("_summary", "false")]) is None
    assert parse([("name", "x")]) is None


@pytest.mark.parametrize("parameters", [[("_summary", "some")], [("_elements", "name.family")], [("_elements", "a b")],
                                        [("_summary", "true"), ("_elements", "name")], [("_elements", "Foo.name")]])
def test_what_cannot_be_cut_is_refused(parameters):
    with pytest.raises(InvalidSearch):
        parse(parameters)
