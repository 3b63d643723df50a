"""What R4 forbids and what it allows, one small resource each: https://hl7.org/fhir/R4/validation.html"""
# ruff: noqa: E501 - a table reads best with one case on one line

from __future__ import annotations

import copy
from typing import Any

import pytest

from hie.fhir import json_format
from hie.fhir.validation import validate

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'
UCUM = "http://unitsofmeasure.org"


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **elements}


def observation(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "weight"}, **elements}


def narrative(xhtml: str) -> dict[str, Any]:
    return patient(text={"status": "generated", "div": xhtml})


def bundle(kind: str = "collection", **elements: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, **elements}


def extension(**elements: Any) -> dict[str, Any]:
    return {"url": "http://example.org/e", **elements}


def contained(*resources: dict[str, Any], reference: str = "#a") -> dict[str, Any]:
    return patient(contained=list(resources), managingOrganization={"reference": reference})


def organization(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Organization", "id": "a", "name": "A", **elements}


def decimal(text: str) -> json_format.JsonDecimal:
    return json_format.JsonDecimal(text)


# id: (resource, issue code, expression) of the one error that must be found.
INVALID: dict[str, tuple[Any, str, str]] = {
    # The resource itself
    "an array": ([], "structure", ""),
    "a string": ("Patient", "structure", ""),
    "null": (None, "structure", ""),
    "no resourceType": ({"id": "a"}, "required", ""),
    "resourceType is a number": ({"resourceType": 1}, "structure", ""),
    "unknown resourceType": ({"resourceType": "Patiant"}, "structure", ""),
    "an R5 type": ({"resourceType": "SubscriptionTopic", "status": "draft"}, "structure", ""),
    "an abstract type": ({"resourceType": "DomainResource"}, "structure", ""),
    "a data type": ({"resourceType": "HumanName", "family": "A"}, "structure", ""),
    # Unknown elements
    "unknown element": (patient(nam=[{"family": "A"}]), "structure", "Patient.nam"),
    "unknown element below": (patient(name=[{"familly": "A"}]), "structure", "Patient.name[0].familly"),
    "unknown element of a backbone": (patient(contact=[{"name": {"text": "A"}, "x": 1}]), "structure", "Patient.contact[0].x"),
    "fhir_comments": (patient(fhir_comments=["a"]), "structure", "Patient.fhir_comments"),
    "Python name of an element": (patient(birthDate__ext={"id": "a"}), "structure", "Patient.birthDate__ext"),
    "Python resource_type": (patient(resource_type="Patient"), "structure", "Patient.resource_type"),
    "extension of a complex element": (patient(_name=[{"id": "a"}]), "structure", "Patient._name"),
    "resourceType in a data type": (patient(name=[{"resourceType": "HumanName", "family": "A"}]), "structure",
                                    "Patient.name[0].resourceType"),
    "R5 element": (observation(triggeredBy=[]), "structure", "Observation.triggeredBy"),
    # Cardinality
    "array where one": (patient(birthDate=["2000"]), "structure", "Patient.birthDate"),
    "one where array": (patient(name={"family": "A"}), "structure", "Patient.name"),
    "one where array of primitives": (patient(name=[{"given": "A"}]), "structure", "Patient.name[0].given"),
    "required element missing": ({"resourceType": "Observation", "code": {"text": "a"}}, "required", "Observation.status"),
    "required complex element missing": ({"resourceType": "Observation", "status": "final"}, "required", "Observation.code"),
    "required element missing below": (patient(link=[{"other": {"reference": "Patient/1"}}]), "required", "Patient.link[0].type"),
    "required choice missing": ({"resourceType": "MedicationRequest", "status": "active", "intent": "order",
                                 "subject": {"reference": "Patient/1"}}, "required", "MedicationRequest"),
    "linkId of a nested item": ({"resourceType": "Questionnaire", "status": "draft", "item": [
        {"linkId": "1", "type": "group", "item": [{"type": "string"}]}]}, "required", "Questionnaire.item[0].item[0].linkId"),
    "required element only with an id": (
        {"resourceType": "Observation", "code": {"text": "a"}, "_status": {"id": "s"}}, "invariant", "Observation.status"),
    # null and emptiness
    "null element": (patient(gender=None), "structure", "Patient.gender"),
    "null complex element": (patient(maritalStatus=None), "structure", "Patient.maritalStatus"),
    "null in a complex array": (patient(name=[None]), "structure", "Patient.name[0]"),
    "null in a primitive array": (patient(name=[{"given": [None]}]), "structure", "Patient.name[0].given[0]"),
    "empty object": (patient(maritalStatus={}), "invariant", "Patient.maritalStatus"),
    "only an id": (patient(maritalStatus={"id": "a"}), "invariant", "Patient.maritalStatus"),
    "empty array": (patient(name=[]), "structure", "Patient.name"),
    "empty string": (patient(language=""), "value", "Patient.language"),
    "white space": (patient(name=[{"text": " \t"}]), "value", "Patient.name[0].text"),
    "empty extension object": (patient(birthDate="2000", _birthDate={}), "invariant", "Patient.birthDate"),
    "empty entry": (bundle(entry=[{}]), "invariant", "Bundle.entry[0]"),
    # Choice types
    "two types of one choice": (observation(valueString="a", valueInteger=1), "structure", "Observation.value"),
    "extension of another type of the choice": (
        observation(valueString="a", _valueInteger={"extension": [extension(valueCode="x")]}), "structure", "Observation.value"),
    "type the choice has not": (observation(valueDecimal=decimal("1.0")), "structure", "Observation.valueDecimal"),
    "choice without its type": (observation(value="a"), "structure", "Observation.value"),
    "two types of deceased": (patient(deceasedBoolean=True, deceasedDateTime="2001"), "structure", "Patient.deceased"),
    # Primitives
    "boolean as a string": (patient(active="true"), "structure", "Patient.active"),
    "boolean as a number": (patient(active=1), "structure", "Patient.active"),
    "yes": (patient(active="yes"), "structure", "Patient.active"),
    "string as a number": (patient(name=[{"family": 5}]), "structure", "Patient.name[0].family"),
    "integer as a string": (observation(valueInteger="1"), "structure", "Observation.value"),
    "integer as a decimal": (observation(valueInteger=decimal("2.0")), "structure", "Observation.value"),
    "integer as a boolean": (observation(valueInteger=True), "structure", "Observation.value"),
    "integer of 33 bits": (observation(valueInteger=2**31), "value", "Observation.value"),
    "integer below 32 bits": (observation(valueInteger=-(2**31) - 1), "value", "Observation.value"),
    "decimal as a string": (observation(valueQuantity={"value": "1.0"}), "structure", "Observation.value.value"),
    "decimal as a boolean": (observation(valueQuantity={"value": True}), "structure", "Observation.value.value"),
    "positiveInt 0": (patient(telecom=[{"rank": 0}]), "value", "Patient.telecom[0].rank"),
    "unsignedInt -1": (bundle("searchset", total=-1), "value", "Bundle.total"),
    "date that does not exist": (patient(birthDate="2021-02-29"), "value", "Patient.birthDate"),
    "date with 31 June": (patient(birthDate="2021-06-31"), "value", "Patient.birthDate"),
    "date with month 13": (patient(birthDate="2021-13"), "value", "Patient.birthDate"),
    "date with a time": (patient(birthDate="2021-01-01T10:00:00Z"), "value", "Patient.birthDate"),
    "date of the year 0": (patient(birthDate="0000"), "value", "Patient.birthDate"),
    "date in another form": (patient(birthDate="01.02.2021"), "value", "Patient.birthDate"),
    "date with a line break": (patient(birthDate="2021-01-01\n"), "value", "Patient.birthDate"),
    "date in Arabic digits": (patient(birthDate="٢٠٢١"), "value", "Patient.birthDate"),
    "date as a number": (patient(birthDate=2021), "structure", "Patient.birthDate"),
    "dateTime without zone": (observation(effectiveDateTime="2021-01-01T10:00:00"), "value", "Observation.effective"),
    "dateTime without seconds": (observation(effectiveDateTime="2021-01-01T10:00Z"), "value", "Observation.effective"),
    "dateTime with 24 hours": (observation(effectiveDateTime="2021-01-01T24:00:00Z"), "value", "Observation.effective"),
    "dateTime with zone +15:00": (observation(effectiveDateTime="2021-01-01T10:00:00+15:00"), "value", "Observation.effective"),
    "dateTime on a day that does not exist": (observation(effectiveDateTime="2021-02-30T10:00:00Z"), "value", "Observation.effective"),
    "instant without time": (observation(issued="2021-01-01"), "value", "Observation.issued"),
    "instant without zone": (observation(issued="2021-01-01T10:00:00.5"), "value", "Observation.issued"),
    "time with zone": (observation(valueTime="10:00:00Z"), "value", "Observation.value"),
    "time without seconds": (observation(valueTime="10:00"), "value", "Observation.value"),
    "id of 65 characters": (patient(id="a" * 65), "value", "Patient.id"),
    "id with an underscore": (patient(id="a_b"), "value", "Patient.id"),
    "element id with a space": (patient(name=[{"id": "a b", "family": "A"}]), "value", "Patient.name[0].id"),
    "uri with a space": (patient(implicitRules="http://a b"), "value", "Patient.implicitRules"),
    "uri with a line break": (patient(identifier=[{"system": "http://a\n"}]), "value", "Patient.identifier[0].system"),
    "canonical with a space": (patient(meta={"profile": ["http://a b"]}), "value", "Patient.meta.profile[0]"),
    "oid without urn": (observation(extension=[extension(valueOid="1.2.3")]), "value", "Observation.extension[0].value"),
    "uuid in capitals": (observation(extension=[extension(valueUuid="urn:uuid:C757873D-EC9A-4326-A141-556F43239520")]), "value",
                         "Observation.extension[0].value"),
    "code with a leading space": (patient(language=" en"), "value", "Patient.language"),
    "code with double space": (patient(language="en  us"), "value", "Patient.language"),
    "code with a tab": (patient(language="en\tus"), "value", "Patient.language"),
    "base64 with other characters": (patient(photo=[{"contentType": "image/png", "data": "@@@@"}]), "value", "Patient.photo[0].data"),
    "base64 cut off": (patient(photo=[{"contentType": "image/png", "data": "aGVsbG8"}]), "value", "Patient.photo[0].data"),
    "base64 with padding inside": (patient(photo=[{"contentType": "image/png", "data": "aG==bG8="}]), "value", "Patient.photo[0].data"),
    "base64 with a space in a group": (patient(photo=[{"contentType": "image/png", "data": "aGV sbG8="}]), "value",
                                       "Patient.photo[0].data"),
    "control character": (patient(name=[{"text": "a\x00b"}]), "value", "Patient.name[0].text"),
    "string of more than 1 MB": (patient(name=[{"text": "a" * (1024 * 1024 + 1)}]), "value", "Patient.name[0].text"),
    # Required bindings
    "gender masculine": (patient(gender="masculine"), "code-invalid", "Patient.gender"),
    "gender in capitals": (patient(gender="Male"), "code-invalid", "Patient.gender"),
    "status nope": (observation() | {"status": "nope"}, "code-invalid", "Observation.status"),
    "use of a name": (patient(name=[{"use": "fun", "family": "A"}]), "code-invalid", "Patient.name[0].use"),
    "resource type in a code": ({"resourceType": "CompartmentDefinition", "url": "http://a", "name": "A", "status": "draft",
                                 "code": "Patient", "search": True, "resource": [{"code": "Patiant"}]}, "code-invalid",
                                "CompartmentDefinition.resource[0].code"),
    "clinicalStatus of another system": ({"resourceType": "Condition", "subject": {"reference": "Patient/1"}, "clinicalStatus": {
        "coding": [{"system": "http://example.org", "code": "active"}]}}, "code-invalid", "Condition.clinicalStatus.coding"),
    "clinicalStatus as text": ({"resourceType": "Condition", "subject": {"reference": "Patient/1"},
                                "clinicalStatus": {"text": "active"}}, "code-invalid", "Condition.clinicalStatus"),
    "currency": ({"resourceType": "Invoice", "status": "draft", "totalNet": {"value": 1, "currency": "euro"}}, "code-invalid",
                 "Invoice.totalNet.currency"),
    # References
    "target of another type": (observation(subject={"reference": "Practitioner/1"}), "value", "Observation.subject.reference"),
    "absolute target of another type": (observation(subject={"reference": "https://example.org/fhir/Practitioner/1"}), "value",
                                        "Observation.subject.reference"),
    "versioned target of another type": (observation(subject={"reference": "Practitioner/1/_history/2"}), "value",
                                         "Observation.subject.reference"),
    "conditional target of another type": (observation(subject={"reference": "Practitioner?identifier=a"}), "value",
                                           "Observation.subject.reference"),
    "declared type not allowed": (observation(subject={"type": "Practitioner", "display": "A"}), "value", "Observation.subject.type"),
    "declared type is another": (observation(subject={"type": "Group", "reference": "Patient/1"}), "value", "Observation.subject.type"),
    "contained target of another type": (contained({"resourceType": "Location", "id": "a"}), "value",
                                         "Patient.managingOrganization.reference"),
    "entry of another type": (bundle(entry=[
        {"fullUrl": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "resource": {"resourceType": "Practitioner"}},
        {"resource": observation(subject={"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"})}]), "value",
        "Bundle.entry[1].resource.subject.reference"),
    "unknown target type": (observation(subject={"reference": "Patiant/1"}), "value", "Observation.subject.reference"),
    "target without id": (observation(subject={"reference": "Patient"}), "value", "Observation.subject.reference"),
    "target id of 65 characters": (observation(subject={"reference": "Patient/" + "a" * 65}), "value", "Observation.subject.reference"),
    "a URL with a space": (observation(subject={"reference": "https://a/my fhir/Patient/1"}), "value", "Observation.subject.reference"),
    "a urn with a line break": (observation(subject={"reference": "urn:oid:1.2\n.3"}), "value", "Observation.subject.reference"),
    "local target that is not there": (observation(subject={"reference": "#p"}), "not-found", "Observation.subject.reference"),
    "empty reference": (observation(subject={}), "invariant", "Observation.subject"),
    # Contained resources
    "contained without resourceType": (contained({"id": "a"}), "required", "Patient.contained[0]"),
    "contained of an unknown type": (contained({"resourceType": "Organisation", "id": "a"}), "structure", "Patient.contained[0]"),
    "invalid contained": (contained(organization(active="x")), "structure", "Patient.contained[0].active"),
    "contained in contained (dom-2)": (contained(organization(contained=[organization(id="b")], partOf={"reference": "#b"})),
                                       "not-found", "Patient.contained[0].partOf.reference"),
    "contained in contained, pointing up (dom-2)": (
        contained(organization(contained=[organization(id="b", extension=[
            extension(valueReference={"reference": "#"})])])), "invariant",
        "Patient.contained[0].contained"),
    "contained not referred to (dom-3)": (patient(contained=[organization()]), "invariant", "Patient.contained[0]"),
    "contained, only named in the narrative (dom-3)": (
        patient(contained=[organization()], text={
            "status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml" title="#a">src="#a"</div>'}),
        "invariant", "Patient.contained[0]"),
    "contained without id (dom-3)": (patient(contained=[{"resourceType": "Organization", "name": "A"}]), "invariant",
                                     "Patient.contained[0]"),
    "two contained of one id": (patient(contained=[organization(), organization()],
                                        managingOrganization={"reference": "#a"}), "duplicate",
                                "Patient.contained[1].id"),
    "contained with versionId (dom-4)": (contained(organization(meta={"versionId": "1"})), "invariant",
                                         "Patient.contained[0].meta.versionId"),
    "contained with lastUpdated (dom-4)": (contained(organization(meta={"lastUpdated": "2021-01-01T00:00:00Z"})), "invariant",
                                           "Patient.contained[0].meta.lastUpdated"),
    "contained with a label (dom-5)": (contained(organization(meta={"security": [{"code": "R"}]})), "invariant",
                                       "Patient.contained[0].meta.security"),
    # Extensions
    "extension without url": (patient(extension=[{"valueCode": "a"}]), "required", "Patient.extension[0].url"),
    "extension without content (ext-1)": (patient(extension=[extension()]), "invariant", "Patient.extension[0]"),
    "extension with value and extensions (ext-1)": (
        patient(extension=[extension(valueCode="a", extension=[extension(valueCode="b")])]), "invariant", "Patient.extension[0]"),
    "extension with two values": (patient(extension=[extension(valueCode="a", valueString="b")]), "structure",
                                  "Patient.extension[0].value"),
    "extension with a type R4 has not": (patient(extension=[extension(valueInteger64="1")]), "structure",
                                         "Patient.extension[0].valueInteger64"),
    "primitive extension with an unknown element": (patient(birthDate="2000", _birthDate={"x": 1}), "structure", "Patient.birthDate.x"),
    "primitive extension as an array": (patient(birthDate="2000", _birthDate=[{"id": "a"}]), "structure", "Patient.birthDate"),
    "primitive extensions not aligned": (patient(name=[{"given": ["A", "B"], "_given": [{"id": "a"}]}]), "structure",
                                         "Patient.name[0].given"),
    "null on both sides": (patient(name=[{"given": ["A", None], "_given": [{"id": "a"}, None]}]), "structure",
                           "Patient.name[0].given[1]"),
    "extension of an extension's url": (
        patient(extension=[extension(valueCode="a", _url={"extension": [extension(valueCode="b")]})]), "structure",
        "Patient.extension[0]._url"),
    "extension in place of an extension's url": (
        patient(extension=[{"_url": {"extension": [extension(valueCode="b")]}, "valueCode": "a"}]), "structure",
        "Patient.extension[0]._url"),
    # Narrative
    "no div element": (narrative("<p>a</p>"), "invariant", "Patient.text.div"),
    "div without namespace": (narrative("<div>a</div>"), "invariant", "Patient.text.div"),
    "not well-formed": (narrative(DIV + "<p>a</div>"), "invariant", "Patient.text.div"),
    "script element": (narrative(DIV + "a<script>alert(1)</script></div>"), "invariant", "Patient.text.div"),
    "event attribute": (narrative(DIV + '<p onclick="a()">a</p></div>'), "invariant", "Patient.text.div"),
    "script in a link": (narrative(DIV + '<a href="java&#9;script:alert(1)">a</a></div>'), "invariant", "Patient.text.div"),
    "attribute of another namespace": (narrative(DIV + '<p xmlns:a="urn:b" a:c="d">e</p></div>'), "invariant", "Patient.text.div"),
    "element of another namespace": (narrative(DIV + '<h:p xmlns:h="http://www.w3.org/1999/xhtml">e</h:p></div>'), "invariant",
                                     "Patient.text.div"),
    "prefix of no namespace": (narrative(DIV + '<p xmlns:a="">e</p></div>'), "invariant", "Patient.text.div"),
    "reserved prefix": (narrative(DIV + '<p xmlns:xmlns="urn:b">e</p></div>'), "invariant", "Patient.text.div"),
    "reserved namespace": (narrative(DIV + '<p xmlns:a="http://www.w3.org/XML/1998/namespace">e</p></div>'), "invariant", "Patient.text.div"),
    "prefix with a colon": (narrative(DIV + '<p xmlns:a:b="urn:c">e</p></div>'), "invariant", "Patient.text.div"),
    "form": (narrative(DIV + "<form>a</form></div>"), "invariant", "Patient.text.div"),
    "iframe": (narrative(DIV + '<iframe src="http://a"/>a</div>'), "invariant", "Patient.text.div"),
    "document type": (narrative('<!DOCTYPE div [<!ENTITY a "b">]>' + DIV + "&a;</div>"), "invariant", "Patient.text.div"),
    "external entity": (narrative('<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + DIV + "&a;</div>"), "invariant",
                        "Patient.text.div"),
    "undefined entity": (narrative(DIV + "&unknown;</div>"), "invariant", "Patient.text.div"),
    "active style": (narrative(DIV + '<p style="width: expression(a())">a</p></div>'), "invariant", "Patient.text.div"),
    "empty narrative (txt-2)": (narrative(DIV + " </div>"), "invariant", "Patient.text.div"),
    "narrative of an image without source (txt-2)": (narrative(DIV + '<img alt="a"/></div>'), "invariant", "Patient.text.div"),
    "narrative without status": (patient(text={"div": DIV + "a</div>"}), "required", "Patient.text.status"),
    # Profiles on data types
    "comparator in a SimpleQuantity": (observation(referenceRange=[{"low": {"value": 1, "comparator": "<"}}]), "structure",
                                       "Observation.referenceRange[0].low.comparator"),
}

# Invariants that the FHIRPath decides; id is the invariant's key.
BROKEN_INVARIANTS: dict[str, tuple[dict[str, Any], str]] = {
    "pat-1": (patient(contact=[{"gender": "male"}]), "Patient.contact[0]"),
    "obs-3": (observation(referenceRange=[{"age": {"low": {"value": 1}}}]), "Observation.referenceRange[0]"),
    "obs-6": (observation(valueString="a", dataAbsentReason={"text": "b"}), "Observation"),
    "obs-7": (observation(code={"coding": [{"system": "http://loinc.org", "code": "a"}]}, valueString="a", component=[
        {"code": {"coding": [{"system": "http://loinc.org", "code": "a"}]}, "valueString": "b"}]), "Observation"),
    "qty-3": (observation(valueQuantity={"value": 1, "code": "kg"}), "Observation.value"),
    "per-1": (observation(effectivePeriod={"start": "2021-02-01", "end": "2021-01-01"}), "Observation.effective"),
    "cpt-2": (patient(telecom=[{"value": "1"}]), "Patient.telecom[0]"),
    "att-1": (patient(photo=[{"data": "aGVsbG8="}]), "Patient.photo[0]"),
    "rng-2": (observation(valueRange={"low": {"value": 2}, "high": {"value": 1}}), "Observation.value"),
    "rat-1": (observation(valueRatio={"numerator": {"value": 2}}), "Observation.value"),
    "tim-1": (observation(effectiveTiming={"repeat": {"duration": 1}}), "Observation.effective.repeat"),
    "tim-5": (observation(effectiveTiming={"repeat": {"period": -1, "periodUnit": "d"}}), "Observation.effective.repeat"),
    "age-1": ({"resourceType": "Condition", "subject": {"reference": "Patient/1"}, "onsetAge": {"value": 1}}, "Condition.onset"),
    "bdl-1": (bundle(total=1), "Bundle"),
    "bdl-2": (bundle(entry=[{"resource": patient(), "search": {"mode": "match"}}]), "Bundle"),
    "bdl-3": (bundle("transaction", entry=[{"resource": patient()}]), "Bundle"),
    "bdl-4": (bundle("batch-response", entry=[{"resource": patient()}]), "Bundle"),
    "bdl-5": (bundle(entry=[{"fullUrl": "http://a/Patient/1"}]), "Bundle.entry[0]"),
    "bdl-7": (bundle(entry=[{"fullUrl": "http://a/Patient/1", "resource": patient()}] * 2), "Bundle"),
    "bdl-8": (bundle(entry=[{"fullUrl": "http://a/Patient/1/_history/1", "resource": patient()}]), "Bundle.entry[0]"),
    "bdl-9": (bundle("document", timestamp="2021-01-01T00:00:00Z", entry=[{"resource": {
        "resourceType": "Composition", "status": "final", "type": {"text": "a"}, "date": "2021", "title": "A",
        "author": [{"display": "a"}]}}]), "Bundle"),
    "bdl-12": (bundle("message", entry=[{"resource": patient()}]), "Bundle"),
    "org-1": ({"resourceType": "Organization", "active": True}, "Organization"),
    "org-3": ({"resourceType": "Organization", "name": "A", "telecom": [{"system": "phone", "value": "1", "use": "home"}]},
              "Organization.telecom[0]"),
    "con-5": ({"resourceType": "Condition", "subject": {"reference": "Patient/1"},
               "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
               "verificationStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status",
                                                  "code": "entered-in-error"}]}}, "Condition"),
    "que-1": ({"resourceType": "Questionnaire", "status": "draft", "item": [{"linkId": "1", "type": "group"}]},
              "Questionnaire.item[0]"),
    "que-2": ({"resourceType": "Questionnaire", "status": "draft", "item": [
        {"linkId": "1", "type": "string"}, {"linkId": "1", "type": "string"}]}, "Questionnaire"),
    "que-6": ({"resourceType": "Questionnaire", "status": "draft", "item": [
        {"linkId": "1", "type": "display", "required": True}]}, "Questionnaire.item[0]"),
    "lst-1": ({"resourceType": "List", "status": "current", "mode": "working", "emptyReason": {"text": "a"},
               "entry": [{"item": {"reference": "Patient/1"}}]}, "List"),
    "grp-1": ({"resourceType": "Group", "type": "person", "actual": False,
               "member": [{"entity": {"reference": "Patient/1"}}]}, "Group"),
    "eld-3": ({"resourceType": "StructureDefinition", "url": "http://a", "name": "A", "status": "draft", "kind": "resource",
               "abstract": False, "type": "Patient", "baseDefinition": "http://b",
               "differential": {"element": [{"id": "Patient", "path": "Patient", "max": "-1"}]}},
              "StructureDefinition.differential.element[0].max"),
}

VALID: dict[str, dict[str, Any]] = {
    "only a type": patient(),
    "all parts of a name": patient(id="a.b-C", name=[{"use": "official", "family": "Å", "given": ["B", "C"]}]),
    "a leap day": patient(birthDate="2024-02-29"),
    "a year": patient(birthDate="1970"),
    "a leap second and a far zone": observation(issued="2016-12-31T23:59:60.123456789+14:00"),
    "a dateTime without time": observation(effectiveDateTime="2021-01"),
    "the largest integer": observation(valueInteger=2**31 - 1),
    "a decimal without a point": observation(valueQuantity={"value": 1}),
    "a decimal of many digits": observation(valueQuantity={"value": decimal("12345678901234567890.123"), "unit": "a"}),
    "a decimal with an exponent": observation(valueQuantity={"value": decimal("-1e-3")}),
    "a string with white space around": patient(name=[{"text": " a\r\n\tb "}]),
    "contained, shown by the narrative (dom-3)": {
        "resourceType": "Composition", "status": "final", "type": {"text": "a"}, "date": "2024", "author": [{"display": "b"}],
        "title": "c", "contained": [{"resourceType": "Binary", "id": "picture", "contentType": "image/png", "data": "aGVs"}],
        "section": [{"text": {"status": "additional", "div":
            '<div xmlns="http://www.w3.org/1999/xhtml"><p><img alt="d" src="#picture"/></p></div>'}}]},
    "contained, linked by the narrative (dom-3)": patient(
        contained=[organization()],
        text={"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><a href="#a">A</a></div>'}),
    "a no-break space": patient(name=[{"text": " a b"}]),
    "a string of exactly 1 MB": patient(name=[{"text": "a" * 1024 * 1024}]),
    "base64 in lines": patient(photo=[{"contentType": "image/png", "data": "aGVs\r\nbG8="}]),
    "extension instead of a value": patient(_birthDate={"extension": [extension(valueCode="unknown")]}),
    "extension instead of a required value": {
        "resourceType": "Observation", "code": {"text": "a"}, "_status": {"extension": [extension(valueCode="unknown")]}},
    "an id beside a value": patient(birthDate="2000", _birthDate={"id": "b"}),
    "aligned primitive extensions": patient(name=[{"given": ["A", None, "C"], "_given": [
        None, {"extension": [extension(valueCode="masked")]}, {"id": "c"}]}]),
    "only primitive extensions in an array": patient(name=[{"_given": [{"extension": [extension(valueCode="masked")]}]}]),
    "primitive extension of a choice": observation(valueString="a", _valueString={"extension": [extension(valueCode="x")]}),
    "primitive extension inside an extension": patient(extension=[extension(_valueString={"extension": [extension(valueCode="x")]})]),
    "nested extensions": patient(extension=[extension(extension=[{"url": "a", "valueMeta": {"tag": [{"code": "x"}]}}])]),
    "a modifier extension": patient(modifierExtension=[extension(valueBoolean=True)]),
    "contained, referred to": contained(organization()),
    "contained, referring to the container": contained(
        {"resourceType": "Location", "id": "a", "managingOrganization": {"reference": "#o"}},
        organization(id="o", extension=[extension(valueReference={"reference": "#"})]), reference="#o") | {
            "extension": [extension(valueReference={"reference": "#a"})]},
    "contained, referred to by a canonical": {
        "resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": "#q",
        "contained": [{"resourceType": "Questionnaire", "id": "q", "status": "draft"}]},
    "contained, referred to by a contained one": patient(
        contained=[organization(partOf={"reference": "#b"}), organization(id="b")],
        managingOrganization={"reference": "#a"}),
    "references of every form": observation(hasMember=[
        {"reference": "Observation/1"}, {"reference": "Observation/1/_history/2"}, {"reference": "https://a/fhir/Observation/1"},
        {"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}, {"reference": "urn:oid:1.2.3"},
        {"reference": "Observation?identifier=a"}, {"identifier": {"value": "1"}}, {"display": "a"},
        {"reference": "Observation/1", "type": "Observation"}, {"reference": "https://elsewhere.example/result?id=1"}]),
    "a reference to any type": observation(focus=[{"reference": "Basic/1"}]),
    "a code of a list that the package lacks": patient(photo=[{"contentType": "image/png", "url": "http://a"}]),
    "a currency": {"resourceType": "Invoice", "status": "draft", "totalNet": {"value": 1, "currency": "EUR"}},
    "a concept with one coding of the required set": {
        "resourceType": "Condition", "subject": {"reference": "Patient/1"}, "clinicalStatus": {"coding": [
            {"system": "http://example.org", "code": "x"},
            {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}},
    "a rich narrative": narrative(DIV + '<h1 id="a">A</h1><table border="1"><tr><td colspan="2">&lt;&#160;&nbsp;</td></tr></table>'
                                  '<a href="#a" title="b">c</a><img src="data:image/png;base64,aGVsbG8=" alt="d"/></div>'),
    "a narrative that declares a namespace": narrative('<div xmlns="http://www.w3.org/1999/xhtml" xmlns:fhir="http://hl7.org/fhir">a</div>'),
    "a narrative of one image": narrative(DIV + '<img src="#i"/></div>'),
    "a period that cannot be compared": observation(effectivePeriod={"start": "2021-02-03", "end": "2021-02"}),
    "a period over two zones": observation(
        effectivePeriod={"start": "2021-01-01T10:00:00+02:00", "end": "2021-01-01T09:00:00Z"}),
    "entries of every kind": bundle("transaction", entry=[
        {"fullUrl": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "resource": patient(), "request": {"method": "POST", "url": "Patient"}},
        {"request": {"method": "DELETE", "url": "Patient/1"}},
        {"resource": observation(subject={"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}),
         "request": {"method": "PUT", "url": "Observation/1"}}]),
    "parameters of every kind": {"resourceType": "Parameters", "parameter": [
        {"name": "a", "valueString": "b"}, {"name": "c", "resource": patient()},
        {"name": "d", "part": [{"name": "e", "valueInteger": 1}]}]},
    "a Binary": {"resourceType": "Binary", "contentType": "image/png", "data": "aGVsbG8="},
}


def errors(resource: Any) -> list[tuple[str, str]]:
    return [(one.code, one.expression) for one in validate(resource) if one.severity in ("error", "fatal")]


@pytest.mark.parametrize(("resource", "code", "expression"), INVALID.values(), ids=INVALID.keys())
def test_an_invalid_resource_is_refused_at_the_place_of_its_error(resource: Any, code: str, expression: str) -> None:
    assert errors(resource) == [(code, expression)]


@pytest.mark.parametrize("key", BROKEN_INVARIANTS)
def test_a_broken_invariant_is_refused_by_its_key(key: str) -> None:
    resource, expression = BROKEN_INVARIANTS[key]
    found = [one for one in validate(resource) if one.severity == "error"]
    assert [(one.code, one.expression, f"({key})" in one.diagnostics) for one in found] == [("invariant", expression, True)]


@pytest.mark.parametrize("resource", VALID.values(), ids=VALID.keys())
def test_a_valid_resource_is_accepted(resource: dict[str, Any]) -> None:
    assert errors(resource) == []


@pytest.mark.parametrize("resource", VALID.values(), ids=VALID.keys())
def test_a_valid_resource_inside_a_bundle_is_accepted(resource: dict[str, Any]) -> None:
    assert errors(bundle(entry=[{"fullUrl": "urn:uuid:0d5a1b3e-7f44-4a6e-9e0f-7d4b1a3c5e6f", "resource": resource}])) == []


@pytest.mark.parametrize(("resource", "code", "expression"), [
    case for case in INVALID.values() if isinstance(case[0], dict) and case[0].get("resourceType") == "Patient"])
def test_an_error_inside_a_bundle_names_its_entry(resource: Any, code: str, expression: str) -> None:
    inside = bundle(entry=[{"resource": patient()}, {"resource": resource}])
    assert errors(inside) == [(code, "Bundle.entry[1].resource" + expression.removeprefix("Patient"))]


@pytest.mark.parametrize("resource", [case[0] for case in INVALID.values()], ids=INVALID.keys())
def test_validation_changes_nothing(resource: Any) -> None:
    before = copy.deepcopy(resource)
    validate(resource)
    assert resource == before
