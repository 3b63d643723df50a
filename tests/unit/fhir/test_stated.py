"""What R4's text states beyond structures and invariants: values, ids, narratives, displays; $validate asks it."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from hie.fhir import stated
from hie.fhir.stated import displays, narratives
from hie.fhir.terminology.terminology import Terminology
from hie.fhir.validation import validate
from tests.builders import observation, patient
from tests.growth import Text, Work, growth
from tests.terminologies import code_system

Json = dict[str, Any]
DATA = b"seen in both lungs"


def told(resource: Json, severity: str = "error") -> list[tuple[str, str]]:
    assert not any(one.severity in ("error", "fatal") for one in validate(resource))
    found = stated.problems(resource, Terminology())
    return [(one.code, one.expression) for one in found if one.severity == severity]


def media(**attachment: Any) -> Json:
    return {"resourceType": "Media", "status": "completed", "content": {
        "contentType": "text/plain", "data": base64.b64encode(DATA).decode(), **attachment}}  # fmt: skip


def with_text(inner: str, **more: Any) -> Json:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{inner}</div>'
    return patient(text={"status": "generated", "div": div}, **more)


def group(type_: str, *members: str) -> Json:
    return {"resourceType": "Group", "type": type_, "actual": True,
            "member": [{"entity": {"reference": one}} for one in members]}  # fmt: skip


SHA1 = base64.b64encode(hashlib.sha1(DATA, usedforsecurity=False).digest()).decode()
OTHER = base64.b64encode(hashlib.sha1(b"x", usedforsecurity=False).digest()).decode()
LABEL, OTHERS = {"system": "urn:x", "code": "a"}, {"system": "urn:x", "code": "b"}
CASES: list[tuple[str, Json, list[tuple[str, str]]]] = [
    ("members of a group are of its type", group("person", "Patient/1", "Group/2", "http://x/Patient/3"), []),
    ("one is not", group("device", "Device/1", "http://x/fhir/Patient/1"), [("value", "Group.member[1].entity")]),
    ("a supplement names what it adds to", code_system("urn:s", "a", content="supplement"),
     [("required", "CodeSystem.supplements")]),
    ("count is that of all concepts", code_system("urn:s", {"code": "b", "concept": [{"code": "c"}]}, count=2), []),
    ("more than all", code_system("urn:s", {"code": "b", "concept": [{"code": "c"}]}, count=1),
     [("value", "CodeSystem.count")]),
    ("size and hash are those of the data", media(size=len(DATA), hash=SHA1), []),
    ("another size", media(size=5), [("value", "Media.content.size")]),
    ("another hash", media(hash=OTHER), [("value", "Media.content.hash")]),
    ("of what lies elsewhere nothing is known", {"resourceType": "Media", "status": "completed", "content": {
        "url": "http://example.org/x", "size": 5, "hash": OTHER}}, []),
    ("labels are a set", patient(meta={"security": [LABEL, OTHERS, {**LABEL, "display": "A"}]}),
     [("duplicate", "Patient.meta.security[2]")]),
    ("tags are a set", patient(meta={"tag": [LABEL, LABEL]}), [("duplicate", "Patient.meta.tag[1]")]),
    ("profiles are a set", patient(meta={"profile": ["http://x/a", "http://x/b", "http://x/a"]}),
     [("duplicate", "Patient.meta.profile[2]")]),
    ("two elements have one id", patient(name=[{"id": "a", "family": "x"}, {"id": "a", "family": "y"}]),
     [("duplicate", "Patient.name[1].id")]),
    ("one of them a primitive", patient(name=[{"id": "a", "family": "x"}], _active={"id": "a"}, active=True),
     [("duplicate", "Patient.active.id")]),
    ("one of them contained", patient(
        name=[{"id": "a", "family": "x"}], managingOrganization={"reference": "#o"},
        contained=[{"resourceType": "Organization", "id": "o", "name": "x", "_name": {"id": "a"}}]),
     [("duplicate", "Patient.contained[0].name.id")]),
    ("one of them in the narrative", with_text('<p id="a">x</p>', name=[{"id": "a", "family": "x"}]),
     [("duplicate", "Patient.text.div")]),
    ("an id of a resource is none of an element", patient(id="a", name=[{"id": "a", "family": "x"}]), []),
    ("a snapshot repeats the ids of its differential", {
        "resourceType": "StructureDefinition", "url": "http://example.org/p", "name": "P", "status": "draft",
        "kind": "resource", "abstract": False, "type": "Patient", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "snapshot": {"element": [{"id": "Patient", "path": "Patient", "definition": "x", "min": 0, "max": "*",
                                  "base": {"path": "Patient", "min": 0, "max": "*"}}]},
        "differential": {"element": [{"id": "Patient", "path": "Patient"}]}}, []),
    ("a paragraph in a paragraph", with_text("<p>x<p>y</p></p>"), [("invariant", "Patient.text.div")]),
    ("a table in a heading", with_text("<h1><b><table><tr><td>x</td></tr></table></b></h1>"),
     [("invariant", "Patient.text.div")]),
    ("paragraphs in a list beside one", with_text("<ul><li><p>x</p></li></ul><p>y <b>z</b></p>"), []),
    ("names of extensions inside of one", patient(extension=[{"url": "urn:x:e", "extension": [
        {"url": "a", "valueString": "x"}, {"url": "b", "extension": [{"url": "c", "valueString": "x"}]}]}]), []),
    ("a canonical that means what is contained", {
        "resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": "#q", "contained": [
            {"resourceType": "Questionnaire", "id": "q", "status": "draft", "item": [
                {"linkId": "1", "type": "choice", "answerValueSet": "#v"}]},
            {"resourceType": "ValueSet", "id": "v", "status": "draft"}]}, []),
    ("canonicals that mean what is not", {
        "resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": "#q", "contained": [
            {"resourceType": "Questionnaire", "id": "p", "status": "draft", "derivedFrom": ["http://x/q", "#q"],
             "subjectType": ["Patient"]}], "_status": {"extension": [
                 {"url": "urn:x", "valueReference": {"reference": "#p"}}, {"url": "urn:x", "valueCanonical": "#"}]}},
     [("not-found", "QuestionnaireResponse.questionnaire"),
      ("not-found", "QuestionnaireResponse.contained[0].derivedFrom[1]")]),
    ("the name of an extension outside, and of one of a value", patient(
        extension=[{"url": "a", "valueString": "x"},
                   {"url": "urn:x:e", "valuePeriod": {"start": "2020", "extension": [{"url": "b", "valueCode": "x"}]}}],
        modifierExtension=[{"url": "c", "valueString": "x"}], gender="male",
        _gender={"extension": [{"url": "d", "valueString": "x"}]}),
     [("value", "Patient.extension[0].url"), ("value", "Patient.extension[1].value.extension[0].url"),
      ("value", "Patient.modifierExtension[0].url"), ("value", "Patient.gender.extension[0].url")]),
    ("languages", patient(language="de-AT", photo=[{"language": "zh-Hant-TW", "url": "http://x/a"}]), []),
    ("what is no language", patient(language="not one", photo=[{"language": "en_US", "url": "http://x/a"}]),
     [("code-invalid", "Patient.language"), ("code-invalid", "Patient.photo[0].language")]),
    ("a designation in no language", {"resourceType": "ValueSet", "status": "draft", "compose": {"include": [
        {"system": "urn:x", "concept": [{"code": "a", "designation": [{"language": "?", "value": "x"}]}]}]}},
     [("code-invalid", "ValueSet.compose.include[0].concept[0].designation[0].language")]),
    ("an expression is in a language of another kind", {
        "resourceType": "ActivityDefinition", "status": "draft", "dynamicValue": [
            {"path": "x", "expression": {"language": "text/cql", "expression": "x"}}]}, []),
    ("times and distances", patient(extension=[
        {"url": "urn:x:e", "valueAge": {"value": 3, "code": "mo", "system": "http://unitsofmeasure.org"}},
        {"url": "urn:x:e", "valueDuration": {"value": 3, "code": "[foz_us]", "system": "http://unitsofmeasure.org"}},
        {"url": "urn:x:e", "valueDistance": {"value": 3, "code": "s", "system": "http://unitsofmeasure.org"}},
        {"url": "urn:x:e", "valueDistance": {"value": 3, "code": "km", "system": "http://unitsofmeasure.org"}}]),
     [("code-invalid", "Patient.extension[1].value.code"), ("code-invalid", "Patient.extension[2].value.code")]),
    ("an age in kilograms", {"resourceType": "Condition", "subject": {"display": "x"}, "onsetAge": {
        "value": 3, "code": "kg", "system": "http://unitsofmeasure.org"}}, [("code-invalid", "Condition.onset.code")]),
    ("points of a series; a word, and two spaces", patient(extension=[
        {"url": "urn:x", "valueSampledData": {"origin": {"value": 0}, "period": 1, "dimensions": 1, "data": data}}
        for data in ("1 -2.5 E U L 1e3", "1 two", "1  2")]),
     [("value", "Patient.extension[1].value.data"), ("value", "Patient.extension[2].value.data")]),
    ("types of content", media(contentType="text/plain; charset=utf-8"), []),
    ("no type of content", media(contentType="text"), [("code-invalid", "Media.content.contentType")]),
    ("statuses of answers", {"resourceType": "Bundle", "type": "batch-response", "entry": [
        {"response": {"status": "200 OK"}}, {"response": {"status": "404"}}, {"response": {"status": "OK"}}]},
     [("value", "Bundle.entry[2].response.status")]),
    ("an entity of HTML", with_text("37&nbsp;°C"), [("invariant", "Patient.text.div")]),
    ("entities of XML", with_text("&lt;5 &amp; &#160;&gt;3"), []),
]


def asking(*item: Json) -> Json:
    return {"resourceType": "Questionnaire", "status": "draft", "item": list(item)}


def question(link: str, after: str | None = None, *item: Json) -> Json:
    condition = {"question": after, "operator": "exists", "answerBoolean": True}
    return {"linkId": link, "type": "group" if item else "string", **({"item": list(item)} if item else {}),
            **({} if after is None else {"enableWhen": [condition]})}  # fmt: skip


def on_patients(**element: Any) -> Json:
    return {"resourceType": "StructureDefinition", "url": "http://example.org/p", "name": "P", "status": "draft",
            "kind": "resource", "abstract": False, "type": "Patient", "derivation": "constraint",
            "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
            "differential": {"element": [{"id": "Patient.name", "path": "Patient.name", **element}]}}  # fmt: skip


CASES += [
    ("a question before, one after, one in a group beside", asking(
        question("a", "d"), question("b", "a"), question("c", None, question("d", "a")), question("e", "d")), []),
    ("a question around", asking(question("a", None, question("b", "c"), question("c", None, question("d", "c")))), []),
    ("itself", asking(question("a", "a")), [("business-rule", "Questionnaire.item[0].enableWhen[0].question")]),
    ("a question inside", asking(question("z"), question("a", "c", question("b", None, question("c")))),
     [("business-rule", "Questionnaire.item[1].enableWhen[0].question")]),
    ("a question that is not there", asking(question("a", None, question("b", "y"))),
     [("not-found", "Questionnaire.item[0].item[0].enableWhen[0].question")]),
    ("a profile", on_patients(min=1), []),
    ("what an element means when it is missing, said by a profile", on_patients(meaningWhenMissing="x"),
     [("business-rule", "StructureDefinition.differential.element[0].meaningWhenMissing")]),
]


@pytest.mark.parametrize(("resource", "expected"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_what_r4_states_is_an_error(resource: Json, expected: list[tuple[str, str]]) -> None:
    assert told(resource) == expected


V2 = "http://terminology.hl7.org/CodeSystem/v2-0131"
BINARY = {"resourceType": "Binary", "id": "pic", "contentType": "image/png", "data": "iVBORw0KGgo="}


def related(**coding: Any) -> Json:
    return patient(contact=[{"name": {"text": "x"}, "relationship": [{"coding": [coding]}]}])


def amounts(*units: str) -> Json:
    of_ucum = [{"system": "http://unitsofmeasure.org", "code": one, "value": 1} for one in units]
    others = [{"system": "urn:x", "code": "MG/DL", "value": 1}, {"unit": "MG/DL", "value": 1}]
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "component": [
        {"code": {"text": "x"}, "valueQuantity": one} for one in of_ucum + others]}


WHERE = "Patient.contact[0].relationship[0].coding[0]"
WARNINGS: list[tuple[str, Json, list[tuple[str, str]]]] = [
    ("a display", related(system=V2, code="C", display="Emergency contact"), []),
    ("another one", related(system=V2, code="C", display="Next-of-Kin"), [("code-invalid", f"{WHERE}.display")]),
    ("no code of a code system that is here whole", related(system=V2, code="ZZ"), [("code-invalid", f"{WHERE}.code")]),
    ("a code system that is not here", related(system="http://snomed.info/sct", code="1", display="x"), []),
    ("a version that is not here", related(system=V2, version="1", code="C", display="x"), []),
    ("a relative system", related(system="codes", code="x"), [("value", f"{WHERE}.system")]),
    ("a value set for a system", related(system="http://hl7.org/fhir/ValueSet/x", code="x"),
     [("value", f"{WHERE}.system")]),
    ("a relative namespace", patient(identifier=[{"system": "mrn", "value": "1"}, {"system": "urn:x", "value": "1"}]),
     [("value", "Patient.identifier[0].system")]),
    ("an identifier that is a URI, in another namespace", patient(identifier=[
        {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"},
        {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.3"}, {"system": "urn:x", "value": "urn:oid:1.2.3"}]),
     [("value", "Patient.identifier[2].system")]),
    ("references that say nothing of what they mean", patient(
        managingOrganization={"type": "Organization"},
        generalPractitioner=[{"extension": [{"url": "urn:x", "valueCode": "x"}]}, {"display": "x"}]),
     [("required", "Patient.managingOrganization")]),
    ("what is no type of resource", patient(managingOrganization={"display": "x", "type": "Foo"}),
     [("code-invalid", "Patient.managingOrganization.type")]),
    ("units of UCUM, and what is none of it", amounts("mg/dL", "{score}", "[pH]", "MG/DL", "mEq"),
     [("code-invalid", f"Observation.component[{number}].value.code") for number in (3, 4)]),
    ("an image that is contained", with_text('<img src="#pic" alt="x"/>', contained=[BINARY]), []),
    ("an image that is here", with_text('<img src="data:image/png;base64,iVBORw0KGgo=" alt="x"/>'), []),
    ("an image from elsewhere", with_text('<img src="http://example.org/x.png" alt="x"/><img src="y.png" alt="y"/>'),
     [("business-rule", "Patient.text.div")]),
    ("a style from elsewhere", with_text('<p style="background: url(\'http://example.org/x.png\')">x</p>'),
     [("business-rule", "Patient.text.div")]),
    ("a link to nowhere", with_text('<a href="#b">x</a>'), [("not-found", "Patient.text.div")]),
    ("links to an element, an anchor, and a text", with_text(
        '<a href="#n">x</a><a href="#m">x</a><a href="#t">x</a><a name="m">y</a><p id="t">z</p>',
        name=[{"id": "n", "family": "x"}]), []),
    ("links elsewhere", with_text('<a href="http://example.org">x</a><a href="mailto:a@example.org">y</a>'), []),
]


@pytest.mark.parametrize(("resource", "expected"), [row[1:] for row in WARNINGS], ids=[row[0] for row in WARNINGS])
def test_what_may_be_right_elsewhere_is_a_warning(resource: Json, expected: list[tuple[str, str]]) -> None:
    assert told(resource, "warning") == expected
    assert told(resource) == []


def test_a_coding_names_no_supplement_and_the_version_where_it_is_needed() -> None:
    """https://hl7.org/fhir/R4/codesystem-definitions.html#CodeSystem.versionNeeded"""
    known = Terminology(given=[code_system("urn:more", "a", content="supplement", supplements="urn:x"),
                               code_system("urn:changing", "a", versionNeeded=True, version="1")])
    codings = [{"system": "urn:more", "code": "a"}, {"system": "urn:changing", "code": "a"},
               {"system": "urn:changing", "version": "1", "code": "a"}]
    found = stated.problems(patient(maritalStatus={"coding": codings}), known)
    assert [(one.code, one.expression) for one in found if one.severity == "error"] == [
        ("code-invalid", "Patient.maritalStatus.coding[0].system"),
        ("required", "Patient.maritalStatus.coding[1].version")]


def test_places_are_told_inside_of_bundles_and_parameters() -> None:
    inside = {"resourceType": "Parameters", "parameter": [{"name": "x", "part": [{"name": "y", "resource": media(
        size=1)}]}, {"name": "z", "valueAttachment": media(size=2)["content"]}]}  # fmt: skip
    assert told(inside) == [("value", "Parameters.parameter[0].part[0].resource.content.size"),
                            ("value", "Parameters.parameter[1].value.size")]  # fmt: skip


def test_ids_of_two_entries_have_nothing_to_do_with_one_another() -> None:
    one = patient(name=[{"id": "a", "family": "x"}])
    assert told({"resourceType": "Bundle", "type": "collection", "entry": [
        {"fullUrl": f"urn:uuid:00000000-0000-4000-8000-00000000000{n}", "resource": one} for n in (1, 2)]}) == []


def test_errors_are_not_crowded_out_by_warnings() -> None:
    codings = [{"system": f"codes{n}", "code": "x"} for n in range(1_500)]
    crowded = patient(maritalStatus={"coding": codings}, photo=[media(size=1)["content"]])
    assert told(crowded) == [("value", "Patient.photo[0].size")]


def test_only_so_many_codes_and_links_are_looked_at_and_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(displays, "MOST_CODINGS", 2)
    monkeypatch.setattr(narratives, "MOST", 2)
    codings = [{"system": V2, "code": code, "display": "?"} for code in "CNOE"]
    many = with_text('<a href="#a">x</a><a href="#b">x</a><a href="#c">x</a>', maritalStatus={"coding": codings})
    assert told(many, "information") == [("incomplete", "Patient")] * 2
    assert len(told(many, "warning")) == 2


def test_how_long_a_resource_is_looked_at_grows_with_its_size() -> None:
    def looked_at(number: int) -> Work:
        rows = [{"id": Text(f"n{n}"), "code": {"coding": [{"system": V2, "code": "C", "display": Text(n)}]},
                 "valueString": "x"} for n in range(number)]  # fmt: skip
        text = "".join(f'<p id="p{n}"><a href="#n{n}">x</a></p>' for n in range(number))
        large = observation(component=rows) | with_text(text) | {"resourceType": "Observation"}
        return lambda: stated.problems(large, Terminology())

    assert growth(looked_at, 200) < 5
