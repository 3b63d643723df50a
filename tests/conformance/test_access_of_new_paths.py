"""What a token may not see changes no answer: two exchanges that differ in hidden records alone answer it alike.

One question for every path at once, rather than one assertion for each: whatever is asked, a status, a text, a count,
an order or an ETag that follows from a hidden record tells the two apart.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import make_url

from hie.app import create_app
from hie.fhir.instants import instant
from hie.settings import Settings
from hie.store import administration, audit, packages
from hie.store.check import check

from .conftest import TOKEN_HOURS, Answer, Fhir

PROFILES = ("on-changed", "on-absent", "changed-base", "absent-base")
PATIENT = "http://hl7.org/fhir/StructureDefinition/Patient"
LAB = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}
EXAM = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "exam"}]}
MALE, FEMALE = {"gender": "male"}, {"gender": "female"}
#: What every server says anew each time.
_CHANGING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}"
    r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[0-9.]*(?:Z|[+-]\d\d:\d\d)|_cursor=[^\"&]+"
)
_HEADERS = ("ETag", "Location", "Content-Location", "Allow", "WWW-Authenticate", "Content-Type")


def _observation(category: Any, subject: str, number: float, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [category],
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": subject},
        "effectiveDateTime": "2024-03-01",
        "valueQuantity": {"value": number, "unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL"},
    } | more


def _person(id_: str, family: str, born: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, "name": [{"family": family}], "birthDate": born} | more


def _profile(id_: str, status: str, base: str, **said: Any) -> dict[str, Any]:
    return {"resourceType": "StructureDefinition", "id": id_, "url": f"http://example.org/{id_}", "name": "P",
            "status": status, "kind": "resource", "abstract": False, "type": "Patient", "derivation": "constraint",
            "baseDefinition": base, "differential": {"element": [
                {"id": "Patient", "path": "Patient"}, {"id": "Patient.photo", "path": "Patient.photo"} | said]}}


def _led() -> Iterator[dict[str, Any]]:
    """A profile of Patients whose practitioner, whom they refer to, is active, and one of active practitioners."""
    definition = {"resourceType": "StructureDefinition", "status": "active", "kind": "resource", "abstract": False,
                  "derivation": "constraint"}
    base = "http://hl7.org/fhir/StructureDefinition/"
    active = {"id": "Practitioner.active", "path": "Practitioner.active", "fixedBoolean": True}
    yield definition | {"id": "doctor", "url": "http://example.org/doctor", "name": "D", "type": "Practitioner",
                        "baseDefinition": f"{base}Practitioner", "differential": {"element": [
                            {"id": "Practitioner", "path": "Practitioner"}, active]}}
    element = {"path": "Patient.generalPractitioner"}
    by = {"discriminator": [{"type": "value", "path": "resolve().active"}], "rules": "closed"}
    yield definition | {"id": "led", "url": "http://example.org/led", "name": "L", "type": "Patient",
                        "baseDefinition": PATIENT, "differential": {"element": [
                            {"id": "Patient", "path": "Patient"},
                            {"id": "Patient.generalPractitioner", "slicing": by, **element},
                            {"id": "Patient.generalPractitioner:one", "sliceName": "one", "min": 1, "max": "1",
                             "type": [{"code": "Reference", "targetProfile": ["http://example.org/doctor"]}],
                             **element}]}}


def _shown() -> Iterator[dict[str, Any]]:
    """What both exchanges hold; some of it refers to what is hidden."""
    yield _person("m", "Open", "1950-01-01", **MALE, generalPractitioner=[{"reference": "Practitioner/h"}])
    yield _observation(LAB, "Patient/m", 10, id="lab1", performer=[{"reference": "Practitioner/h"}],
                       hasMember=[{"reference": "Observation/exam1"}])
    yield _observation(LAB, "Patient/m", 12, id="lab2", effectiveDateTime="2024-03-02")
    yield _observation(LAB, "Patient/f", 14, id="lab3", effectiveDateTime="2024-03-03")
    member = {"path": "hasMember", "min": 1, "target": [{"type": "Observation", "compartment": [
        {"use": "requirement", "code": "Patient", "rule": "matching"}]}]}
    performer = {"path": "performer", "max": "0", "target": [{"type": "Practitioner"}]}
    everybody = {"path": "*", "min": 3, "target": [{"type": "Resource", "compartment": [
        {"use": "condition", "code": "Patient", "rule": "custom", "expression": "active.exists()"},
        {"use": "requirement", "code": "Patient", "rule": "custom", "expression": "active"}]}]}
    values = [{"type": "Observation", "params": "subject={ref}", "link": [member, performer, everybody]}]
    yield {"resourceType": "GraphDefinition", "id": "whole", "url": "http://example.org/whole", "name": "Whole",
           "status": "active", "start": "Patient", "link": [
               {"path": "generalPractitioner", "min": 1, "target": [{"type": "Practitioner"}]},
               {"min": 4, "target": values},
               *({"min": 1, "target": [{"type": one, "params": f"{code}={{ref}}"}]} for one, code in (
                   ("Condition", "patient"), ("List", "item"), ("Observation", "patient.name=Secret&patient"),
                   ("Observation", "_sort=-date&_count=1&subject"), ("Encounter", "patient"),
                   ("Patient", "_has:Observation:patient:category=exam&_has:Observation:patient:subject")))]}
    yield from _led()
    for base in ("changed", "absent"):
        yield _profile(f"on-{base}", "active", f"http://example.org/{base}-base", min=1)
    yield {"resourceType": "GraphDefinition", "id": "each", "url": "http://example.org/each", "name": "Each",
           "status": "active", "start": "Resource", "link": [everybody]}


def _hidden(is_one: bool) -> Iterator[dict[str, Any]]:
    """What differs: contents where it is referred to, and whether it is there at all where it is not."""
    yield {"resourceType": "Practitioner", "id": "h", "name": [{"family": "Secret" if is_one else "Other"}],
           "active": is_one}
    yield _person("f", "Secret" if is_one else "Other", "1970-01-01" if is_one else "1990-01-01", **FEMALE,
                  active=is_one)
    yield _observation(EXAM, "Patient/m" if is_one else "Patient/f", 99 if is_one else 1, id="exam1")
    yield _profile("changed-base", "draft", PATIENT, max="1" if is_one else "2")


def _absent() -> Iterator[dict[str, Any]]:
    """What only one of the two has."""
    yield _person("g", "Hidden", "1960-01-01", **FEMALE)
    yield _observation(EXAM, "Patient/m", 77, id="exam2", effectiveDateTime="2024-03-09")
    yield {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/m"}, "code": {"text": "secret"}}
    yield {"resourceType": "List", "id": "l", "status": "current", "mode": "working",
           "entry": [{"item": {"reference": "Patient/m"}}]}
    yield {"resourceType": "Composition", "id": "d", "status": "final", "type": {"text": "x"}, "date": "2024-01-01",
           "author": [{"reference": "Practitioner/h"}], "title": "secret", "subject": {"reference": "Patient/m"}}
    yield _profile("absent-base", "draft", PATIENT, max="0")
    yield {"resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "AMB"},
           "subject": {"reference": "Patient/m"}}
    for url in ("whole", "secret"):
        yield {"resourceType": "GraphDefinition", "id": f"no-{url}", "url": f"http://example.org/{url}", "version": "9",
               "name": "Whole", "status": "draft", "start": "Patient"}
    yield {"resourceType": "CodeSystem", "id": "s", "url": "http://example.org/secret", "status": "active",
           "content": "complete", "concept": [{"code": "718-7"}, {"code": "b"}]}
    yield {"resourceType": "ValueSet", "id": "v", "url": "http://example.org/secret-set", "status": "active",
           "compose": {"include": [{"system": "http://loinc.org", "concept": [{"code": "718-7"}]}]}}
    yield {"resourceType": "ConceptMap", "id": "t", "url": "http://example.org/secret-map", "status": "active",
           "sourceUri": "http://example.org/secret-set", "group": [
               {"source": "http://loinc.org", "target": "http://example.org/secret",
                "element": [{"code": "718-7", "target": [{"code": "b", "equivalence": "equal"}]}]}]}


GRANTS = {
    "patients": ("system/Patient.rs?gender=male",),
    "observations": ("system/Observation.rs?category=laboratory",),
    "granular": ("system/Patient.rs?gender=male", "system/Observation.rs?category=laboratory"),
    "read-alone": ("system/Patient.r?gender=male", "system/Observation.r?category=laboratory"),
    "search-alone": ("system/Patient.s?gender=male", "system/Observation.s?category=laboratory"),
    "all-but": ("system/Patient.cruds?gender=male", "system/Observation.cruds?category=laboratory",
                "system/Bundle.cruds"),
    "write-alone": ("system/Patient.cud?gender=male", "system/Observation.cud?category=laboratory"),
    "update-alone": ("system/Observation.u?category=laboratory",),
    "delete-alone": ("system/Patient.d?gender=male", "system/Observation.d?category=laboratory"),
    "lists": ("system/List.u",),
    "all-others": ("system/Patient.rs?gender:not=female", "system/Observation.rs?category:not=exam"),
    "graphs": ("system/Patient.rs?gender=male", "system/Observation.rs?category=laboratory",
               "system/GraphDefinition.rs?status=active"),
    "profiles": ("system/Patient.crus?gender=male", "system/StructureDefinition.rs?status=active"),
    "terminology": ("system/Observation.rs?category=laboratory", "system/ValueSet.rs?status=draft"),
    "summaries": ("system/Patient.rs?gender=male", "system/Observation.rs?category=laboratory",
                  "system/Condition.rs?clinical-status=active", *(f"system/{one}.rs" for one in (
                      "AllergyIntolerance", "MedicationStatement", "MedicationRequest", "MedicationAdministration",
                      "MedicationDispense"))),
}

CODE = "http://loinc.org%7C718-7"
READS = [
    "Patient/f", "Patient/g", "Patient/f/_history", "Patient/f/_history/1", "Patient/f/_history/2", "Patient/g/$diff",
    "Observation/gone", "Observation/gone/_history", "Observation/gone/_history/1", "Observation/gone/$diff",
    "Observation/exam1", "Observation/exam2", "Condition/c", "List/l", "Practitioner/h", "_history", "Patient/_history",
    "Observation/_history?_count=1", "Observation/lab1/_history", "Patient?_total=accurate",
    "Observation?_total=accurate", "Patient?_sort=_lastUpdated", "Patient?_sort=-_lastUpdated&_count=1&_total=accurate",
    "Observation?_sort=-date", *(f"Patient?_sort={key}&_total=accurate" for key in (
        "birthdate", "-birthdate", "name", "family", "gender", "general-practitioner", "-_lastUpdated,name")),
    *(f"Observation?_sort={key}&_count=2" for key in ("code", "patient", "-category", "performer", "has-member")),
    *(f"Observation?_sort={key}&_count=2&_total=accurate" for key in (
        "patient.family", "-subject:Patient.birthdate", "patient._id,-patient._lastUpdated", "-date,patient.gender",
        "has-member.value-quantity", "-has-member:Observation.patient.family", "performer:Practitioner.name",
        "patient.general-practitioner:Practitioner.name,-_id", "-Patient:subject.family")),
    "Encounter?_sort=-patient.birthdate", "?_type=Encounter,Observation&_sort=patient.name",
    "?_type=Patient,Observation&_sort=_lastUpdated", "Observation?_sort=-code&_include=*",
    "Observation?_sort=value-quantity", "?_type=Patient,Observation&_total=accurate", "?_lastUpdated=gt2000",
    "Observation?subject:Patient.name=Secret", "Observation?patient.name=Secret", "Observation?patient.name=Other",
    "Observation?subject.birthdate=lt1980", "Observation?performer:Practitioner.name=Secret",
    "Observation?patient.active=true", "Observation?patient.name:contains=ecre",
    "Observation?patient.name:exact=Secret",
    "Observation?patient.general-practitioner.name=Secret", "Observation?subject._has:Observation:patient:code=718-7",
    "Observation?patient:missing=false", "Observation?patient._lastUpdated=gt2000", "Observation?patient._id=f",
    "Observation?patient._id=g", "Observation?has-member.value-quantity=99", "Observation?has-member._id=exam1",
    "Observation?has-member.date=2024-03-01", "Observation?has-member.code:not=x",
    "Patient?_has:Observation:patient:value-quantity=77", "Patient?_has:Observation:patient:category=exam",
    "Patient?_has:Observation:patient:_id=exam2", "Patient?_has:Observation:patient:_id=exam1",
    "Patient?_has:Observation:patient:_has:Observation:has-member:code=718-7",
    "Observation?_has:Observation:has-member:_id=lab1",
    "Patient?_has:Condition:patient:_id=c", "Patient?_has:List:item:_id=l", "Patient?_list=l", "Patient?_list=zz",
    "?_type=Patient&_list=l", "Patient?general-practitioner.name=Secret", "Patient?general-practitioner.active=true",
    *(f"Patient?_not-referenced={one}" for one in ("*:*", "Observation:*", "Observation:patient", "Condition:*")),
    "Practitioner?_not-referenced=*:*", "?_not-referenced=*:*", "Observation?patient._not-referenced=List:*",
    "Observation?_not-referenced=*:*&_total=accurate",
    "Patient?_filter=general-practitioner.name eq Secret".replace(" ", "%20"),
    "Observation?_filter=not%20(patient.name%20eq%20Secret)", "Observation?_filter=patient.name%20co%20ecre",
    "Observation?_filter=has-member.value-quantity%20gt%2050", "Observation?patient.name:not=Secret",
    "Observation?_include=*&_include:iterate=*", "Observation?_include=Observation:has-member",
    "Observation?_include:iterate=Observation:has-member&_revinclude=*", "Patient?_revinclude=*",
    "Patient?_revinclude:iterate=*&_include:iterate=*", "Patient?_revinclude=Observation:patient",
    "Patient?_revinclude=Condition:patient&_revinclude=List:item", "Patient/m/*", "Patient/m/Observation",
    "Patient/f/Observation", "Patient/f/*", "Patient/g/*", "Patient/m/Condition", "Practitioner/h/*",
    "Practitioner/h/Observation", "Encounter/e/*", "Patient/m/$everything", "Patient/f/$everything",
    "Patient/g/$everything", "Patient/$everything", "Encounter/e/$everything", "Patient/m/$everything?_count=1",
    "Patient/m/$everything?_type=Observation", "Patient/m/$everything?start=2024-03-09",
    *(f"Patient/{asked}" for asked in ("m/$summary", "f/$summary", "g/$summary", "m/$summary?_asOf=NOW")),
    f"Observation/$lastn?subject=Patient/m&code={CODE}&max=5", "Observation/$lastn?subject=Patient/f&max=5",
    "Observation/$lastn?subject=Patient/m&_include=*&_revinclude=*&max=9", "Observation/$lastn?patient.name=Secret",
    "Observation/$stats?subject=Patient/m&code=718-7&system=http://loinc.org&statistic=average&statistic=count"
    "&include=true",
    "Observation/$stats?subject=Patient/f&code=718-7&system=http://loinc.org&statistic=total-count",
    *(f"{place}/$graph?graph={name}" for place in ("Patient/m", "Patient/f", "Patient/g", "Observation/lab1")
      for name in ("Whole", "Each", "http://example.org/whole", "http://example.org/whole%7C9",
                   "http://example.org/secret", "GraphDefinition/no-secret")),
    "Composition/d/$document?graph=Each", "Patient/m/$graph?graph=Whole&_asOf=NOW",
    "Composition/d/$document", "Composition/zz/$document", "Patient/f/$diff", "Observation/exam1/$diff",
    "$diff?from=Patient/m&to=Patient/f", "$diff?from=Patient/m&to=Patient/g", "$diff?from=Patient/m&to=Practitioner/h",
    "Patient/f/$meta", "Patient/g/$meta", "Patient/$meta", "$meta", "Patient/f/$fhirpath?expression=name",
    "Patient/g/$fhirpath?expression=name", "Patient/m/$fhirpath?expression=generalPractitioner.resolve().name",
    "Observation/lab1/$fhirpath?expression=hasMember.resolve().value", "Observation/lab1/$fhirpath?expression="
    "%25resource.subject.resolve()", "Patient/$explain?name=Secret", "Observation/$explain?patient.name=Secret",
    "Observation/$explain?patient.name:contains=ecre&_sort=-date&_total=accurate",
    "Observation/$explain?code:in=http://example.org/secret-set", "$explain?search=Observation%3Fpatient.name=Secret",
    "$explain?_id=f", "Observation?code:in=http://example.org/secret-set", "Observation?code:in=ValueSet/v",
    "Observation?code:not-in=http://example.org/secret-set", "Observation?code:below=http://example.org/secret%7Cb",
    "Observation?code:in=ValueSet/zz", "ValueSet/$expand?url=http://example.org/secret-set", "ValueSet/v/$expand",
    "ValueSet/$validate-code?url=http://example.org/secret-set&code=718-7&system=http://loinc.org",
    "CodeSystem/$lookup?system=http://example.org/secret&code=b", "CodeSystem/s/$validate-code?code=b",
    "CodeSystem/$validate-code?url=http://example.org/secret&code=b",
    "CodeSystem/$subsumes?system=http://example.org/secret&codeA=b&codeB=718-7",
    "NamingSystem/$preferred-id?id=http://example.org/secret&type=uri", "List/$find?patient=m&name=$current-problems",
    "Condition?patient=m&_list=$current-problems", "CapabilityStatement/$subset?resource=Patient&server=urn:no",
    "StructureDefinition/$snapshot?url=http://example.org/secret",
    *(asked + name for name in PROFILES for asked in (
        "Patient/m/$validate?profile=http://example.org/", "StructureDefinition/",
        "StructureDefinition/$snapshot?url=http://example.org/")),
    *(f"ValueSet/$expand?context=http://example.org/{name}%23Patient.gender" for name in PROFILES),
    *(f"Patient/m/$fhirpath?expression=conformsTo('http://example.org/{name}')"
      for name in PROFILES),
    *(f"StructureDefinition/{name}/$snapshot" for name in PROFILES),
    "CodeSystem/$find-matches?system=http://example.org/secret&exact=false", "CodeSystem/s/$find-matches?exact=true",
    "ConceptMap/$translate?url=http://example.org/secret-map&code=718-7&system=http://loinc.org",
    "ConceptMap/$translate?code=718-7&system=http://loinc.org&source=http://example.org/secret-set",
    "ConceptMap/t/$translate?code=718-7&system=http://loinc.org", "metadata",
    *(f"{asked}_asOf=NOW" for asked in (
        "Patient?", "Patient/f?", "Patient/g?", "Observation/exam1?", "Observation/exam2?", "Practitioner/h?",
        "Observation?patient.name=Secret&", "Observation?patient.name:contains=ecre&", "Patient?name=Secret&",
        "Observation?has-member.value-quantity=99&", "Patient?_has:Observation:patient:value-quantity=77&",
        "Patient?_has:Observation:patient:_id=exam2&", "Patient?_has:Condition:patient:_id=c&", "Patient?_list=l&",
        "Patient?_not-referenced=*:*&", "Observation?_not-referenced=Observation:*&",
        "Observation?_include=*&_include:iterate=*&_total=accurate&", "Patient?_revinclude=*&", "Patient/m/*?",
        "Patient/m/$everything?", "Patient/f/$everything?", "?_type=Patient,Observation&_total=accurate&",
        "Observation?_sort=-date&_total=accurate&", "Observation?_sort=-patient.family&", "Observation?code:in=http://example.org/secret-set&",
        "Observation?_filter=patient.name%20eq%20Secret&")),
    *(f"{asked}_at=NOW" for asked in ("_history?", "Patient/_history?", "Patient/f/_history?", "Patient/g/_history?",
                                      "Observation/exam1/_history?", "Observation/_history?")),
    "$graphql?query={PatientList(name:\"Secret\"){id}}", "$graphql?query={Patient(id:\"f\"){id}}",
    "$graphql?query={Patient(id:\"g\"){id}}", "$graphql?query={Patient(id:\"m\"){id generalPractitioner{resource{...on "
    "Practitioner{name{family}}}}}}", "$graphql?query={ObservationConnection{count edges{resource{id}}}}",
    "$graphql?query={ObservationList{id subject{resource{...on Patient{name{family}}}}hasMember{resource{...on "
    "Observation{id valueQuantity{value}}}}}}", "$graphql?query={PatientList{id ObservationList(_reference:patient)"
    "{id}ConditionList(_reference:patient){id}}}", "$graphql?query={PatientList{id ObservationConnection("
    "_reference:patient){count}}}", "Patient?_text=secret", "Patient?_content=secret", "Patient?near=1|1|1|km",
    "Observation?_sort=patient", "Observation?subject:identifier=x%7Cy", "Patient?_count=0&_total=accurate",
    "Patient?_elements=name&_summary=count", "_async/00000000000000000000000000000000", "Patient/m/$validate",
    "Patient/m/$validate?profile=http://example.org/led", "$graphql?query={PatientList{id generalPractitioner{resource"
    "{...on Practitioner{active}}}ObservationList(_reference:patient,_count:1){id hasMember{resource{id}}}}"
    "ObservationConnection(_count:1,_sort:\"-date\"){count edges{resource{id}}}}&_asOf=NOW",
    "Patient?_type=Observation", "Observation?subject:Patient.organization:missing=true",
    "Observation?patient.general-practitioner:missing=true",
]  # fmt: skip


def _patch(path: str, value: Any) -> list[dict[str, Any]]:
    return [{"op": "test", "path": path, "value": value}]


def _entry(method: str, url: str, resource: Any = None, **request: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"request": {"method": method, "url": url} | request}
    return row | ({"resource": resource} if resource is not None else {})


def _bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def _xml(sel: str) -> str:
    return f'<diff xmlns="http://hl7.org/fhir"><remove sel="{sel}"/></diff>'


def _graphql(query: str, **variables: Any) -> tuple[str, str, Any, dict[str, str]]:
    return "POST", "$graphql", {"query": query, "variables": variables}, {"Content_Type": "application/json"}


META = {"resourceType": "Parameters", "parameter": [
    {"name": "meta", "valueMeta": {"tag": [{"system": "http://example.org", "code": "t"}]}}]}  # fmt: skip
NEW = _observation(LAB, "Patient/m", 5)
LED = {"resourceType": "Patient", **MALE, "meta": {"profile": ["http://example.org/led"]}}
JSON_PATCH = "application/json-patch+json"
XML_PATCH = {"Content_Type": "application/xml-patch+xml"}
UPDATE = "mutation ($r: PatientInput) { PatientUpdate(id: f, ifMatch: %d, resource: $r) { resource { id } } }"
WRITES: list[tuple[str, str, Any, dict[str, str]]] = [
    *(("PATCH", place, _patch("/active", True), {"Content_Type": JSON_PATCH}) for place in
      ("Patient/f", "Patient/g", "Practitioner/h", "Patient?name=Secret", "Patient?birthdate=1960-01-01",
       "Observation?patient.name=Secret&_id=lab3")),
    *(("PATCH", place, _xml("Patient[active/@value='true']/name"), XML_PATCH) for place in
      ("Patient/f", "Patient/g", "Patient?name=Secret", "Patient?birthdate=1960-01-01")),
    ("PATCH", "Observation/lab2", '<diff xmlns="http://hl7.org/fhir"><add sel="Observation"><hasMember><reference '
     'value="Observation/exam2"/></hasMember></add></diff>', XML_PATCH),
    *(_graphql(UPDATE % vid, r=_person("f", "New", "1999-01-01", **MALE)) for vid in (1, 2, 3)),
    *(_graphql(f'mutation {{ ObservationDelete(id: "{id_}", ifMatch: {vid}) {{ information {{ issue {{ code '
               f"diagnostics }} }} }} }}")
      for id_ in ("exam1", "exam2", "gone") for vid in (1, 2)),
    *(_graphql("mutation ($r: ObservationInput) { ObservationCreate(resource: $r) { resource { status "
               "subject { resource { ... on Patient { name { family } } } } ObservationList(_reference: has_member) "
               "{ id } } information { issue { diagnostics } } } }", r=resource) for resource in (
        NEW, NEW | {"subject": {"reference": "Patient/g"}}, NEW | {"hasMember": [{"reference": "Observation/exam1"}]},
        NEW | {"hasMember": [{"reference": "Observation/exam2"}]},
        NEW | {"performer": [{"reference": "Practitioner/h/_history/3"}]})),
    _graphql("mutation { ObservationCreate(resource: {status: final, code: {text: c}, category: {coding: {system: "
             '"http://terminology.hl7.org/CodeSystem/observation-category", code: laboratory}}, subject: {reference: '
             '"Patient/f"}}) { resource { subject { resource { ... on Patient { name { family } } } } } } }'),
    *(("PATCH", "Patient/f", _patch("/active", True), {"Content_Type": JSON_PATCH, "If_Match": tag})
      for tag in ('W/"1"', 'W/"2"', 'W/"3"')),
    *(("PUT", "Patient/f", _person("f", "New", "1999-01-01", **MALE), {"If_Match": tag})
      for tag in ('W/"1"', 'W/"2"', 'W/"3"')),
    *(("PUT", "Practitioner/h", {"resourceType": "Practitioner", "id": "h"}, {"If_Match": tag})
      for tag in ('W/"1"', 'W/"2"', 'W/"3"')),
    *(("PUT", "Condition/c", {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/m"}},
       headers) for headers in ({}, {"If_Match": 'W/"1"'}, {"If_Match": 'W/"2"'})),
    *(("DELETE", place, None, headers) for place in
      ("Patient/f", "Patient/g", "Observation/exam1", "Observation/exam2", "Condition/c", "Practitioner/h")
      for headers in ({}, {"If_Match": 'W/"1"'}, {"If_Match": 'W/"2"'})),
    *(("DELETE", place, None, {}) for place in
      ("Patient?name=Secret", "Patient?birthdate=1960-01-01", "Observation?category=exam&_count=9",
       "Observation?patient.name=Secret&_count=9", "Observation/lab1/_history", "Observation/exam2/_history",
       "Condition?_id=c")),
    *(("POST", "Patient/$match", asked, {}) for asked in (
        _person("x", "Secret", "1970-01-01", **FEMALE), _person("x", "Other", "1990-01-01"),
        _person("x", "Hidden", "1960-01-01"), _person("x", "Open", "1950-01-01"))),
    *(("POST", place, META, {}) for place in
      ("Patient/f/$meta-add", "Patient/g/$meta-add", "Observation/exam2/$meta-delete", "Condition/c/$meta-add")),
    *(("POST", "Observation", NEW, {"If_None_Exist": criteria}) for criteria in
      ("_id=exam2", "_id=exam1", "patient.name=Secret", "_has:Observation:has-member:_id=lab1")),
    *(("PUT", "Observation?" + criteria, NEW, {}) for criteria in
      ("_id=exam2", "category=exam", "patient.name=Secret&_id=lab3")),
    ("POST", "", _bundle("batch", *(_entry("GET", url) for url in (
        "Patient/f", "Patient/g", "Patient/f/$everything", "Observation?patient.name=Secret", "Patient?_list=l",
        "Observation/exam2", "Patient/m/*", "Observation/$lastn?subject=Patient/m&max=9", "Patient/f/$diff"))), {}),
    ("POST", "", _bundle("transaction", _entry("GET", "Patient/f")), {}),
    ("POST", "", _bundle("transaction", _entry("GET", "Patient/g")), {}),
    ("POST", "", _bundle("transaction", _entry("PUT", "Patient/f", _person("f", "X", "1999"), ifMatch='W/"1"')), {}),
    ("POST", "", _bundle("transaction", _entry("DELETE", "Observation/exam2")), {}),
    ("POST", "", _bundle("transaction", _entry("DELETE", "Observation?_id=exam2")), {}),
    ("POST", "", _bundle("transaction", _entry(
        "POST", "Observation", NEW | {"performer": [{"reference": "Practitioner?name=Secret"}]})), {}),
    ("POST", "", _bundle("transaction", _entry(
        "POST", "Observation", NEW | {"subject": {"reference": "Patient?birthdate=1960-01-01"}})), {}),
    ("POST", "Observation", NEW | {"derivedFrom": [{"reference": "Observation/exam1/_history/9"}]}, {}),
    ("POST", "Observation", NEW | {"subject": {"reference": "Patient/f/_history/9"}}, {}),
    *(("POST", "Observation", NEW | {"hasMember": [{"reference": to}]}, {}) for to in
      ("Observation/exam2", "Observation/exam1/_history/2", "Observation/exam1/_history/3")),
    ("POST", "Observation", NEW | {"performer": [{"reference": "Practitioner/h/_history/3"}]}, {}),
    *(("POST", "Observation", NEW | {"subject": {"reference": to}}, {}) for to in
      ("Patient/g", "Patient/g/_history/1", "Patient/f/_history/2", "Patient/f/_history/3")),
    ("PATCH", "Observation/lab2", [{"op": "add", "path": "/hasMember", "value": [{"reference": "Observation/exam2"}]}],
     {"Content_Type": "application/json-patch+json"}),
    ("POST", "", _bundle("transaction", _entry("POST", "Observation", NEW | {
        "hasMember": [{"reference": "Observation/exam2"}], "subject": {"reference": "Patient/f/_history/3"}})), {}),
    *(("POST", place, {"resourceType": "Patient", **MALE, "photo": [{"url": "http://example.org/1"}] * number,
                       "meta": {"profile": [f"http://example.org/{name}"]}}, {"Prefer": "return=OperationOutcome"})
      for name in PROFILES for number in (1, 2)
      for place in ("Patient", "Patient/$validate")),
    *(("POST", place, LED | {"generalPractitioner": [{"reference": "Practitioner/h"}]}, {})
      for place in ("Patient", "Patient/$validate", "Patient/$validate?mode=create")),
    *(("POST", "", _bundle("transaction", _entry(
        "POST", "Patient", LED | {"generalPractitioner": [{"reference": "Practitioner/h"}]}), entry), {})
      for entry in (_entry("GET", "Patient/m"), _entry("PUT", "Practitioner/h", {
          "resourceType": "Practitioner", "id": "h", "active": True}))),
    *(("POST", "StructureDefinition/$snapshot", _profile("more", "active", f"http://example.org/{name}"), {})
      for name in PROFILES),
    ("POST", "Patient/_search", "birthdate=1960-01-01", {"Content_Type": "application/x-www-form-urlencoded"}),
]  # fmt: skip


class World:
    """One exchange with its records, and a client for each grant."""

    def __init__(self, app: Flask, *, is_one: bool) -> None:
        self.app, self._application = app, app.extensions["hie"]
        self._application.store.database.write(lambda connection: packages.set_mode(connection, 1, "reject"))
        full = self.full = self.client("system/*.cruds")
        hidden = list(_hidden(is_one))
        practitioner, patient, exam, base = hidden
        first = [practitioner, patient]
        for one in [*first, next(iter(_shown())), exam, base, *list(_shown())[1:], *(_absent() if is_one else ())]:
            self._put(full, one)
        for profile in ("on-changed", "on-absent"):  # so that what may be kept of them is kept
            full.get(f"Patient/m/$validate?profile=http://example.org/{profile}")
        for number in range(2 if is_one else 1):  # so that versions differ too
            for one in (patient, practitioner, exam):
                self._put(full, one | {"language": f"de-x{number}"})
        if is_one:  # what is deleted has no values, and so matches every :not
            self._put(full, _observation(EXAM, "Patient/m", 55, id="gone"))
            assert full.delete("Observation/gone").status == 200
        self.clients = {name: self.client(*scopes) for name, scopes in GRANTS.items()}

    def client(self, *scopes: str) -> Fhir:
        def unit(connection: Any) -> str:
            now, scope = self._application.clock(), " ".join(scopes)
            client_id = administration.add_client(connection, 1, f"client {scope}", now)
            return administration.add_token(connection, 1, client_id, scope, now, now + TOKEN_HOURS * 3_600_000_000)[1]

        return Fhir(self.app, self._application.store.database.write(unit))

    def _put(self, full: Fhir, resource: dict[str, Any]) -> None:
        answer = full.put(f"{resource['resourceType']}/{resource['id']}", resource)
        assert answer.status < 300, answer.content


@pytest.fixture
def worlds(
    settings: Settings, clock: Callable[[], int], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[World, World]]:
    settings = replace(settings, token_cache_seconds=60)  # as 12,000 requests are made with the same few tokens
    shutil.copytree(settings.data_dir, tmp_path / "other")
    other = replace(settings, data_dir=tmp_path / "other")
    server = request.getfixturevalue("postgres") if settings.database_url else None
    name = server.create(make_url(settings.database_url).database) if server else ""
    if server:
        other = replace(other, database_url=server.url(name))
    apps = [create_app(one, clock=clock) for one in (settings, other)]
    yield World(apps[0], is_one=True), World(apps[1], is_one=False)
    for one in apps:
        one.extensions["hie"].close()
    if server:
        server.drop(name)


def _told(answer: Answer) -> tuple[Any, ...]:
    """What a client can tell from an answer."""
    body = _CHANGING.sub("~", answer.content.decode())
    return answer.status, body, [_CHANGING.sub("~", str(answer.headers.get(name))) for name in _HEADERS]


#: PostgreSQL is asked with some grants; the statements of the others differ by values alone.
ASKED = {"sqlite": tuple(GRANTS), "postgresql": ("granular", "all-but", "all-others")}


def test_hidden_records_change_no_answer(
    worlds: tuple[World, World], database_kind: str, clock: Callable[[], int]
) -> None:
    one, other = worlds
    now = instant(clock())
    requests: list[Any] = [*(("GET", url, None, {}) for url in READS), *WRITES]
    found, answered, recorded = [], dict.fromkeys(GRANTS, 0), dict[str, int]()
    for name in ASKED[database_kind]:
        for method, url, body, headers in requests:
            url = url.replace("NOW", now)
            here, there = (world.clients[name](method, url, body, **headers) for world in (one, other))
            answered[name] += here.status < 400
            if url != "$graphql" and (url or body["type"] != "batch"):  # which leave one for each part too
                recorded[here.headers["X-Request-Id"]] = 1
            if here.status >= 500 or _told(here) != _told(there):
                found.append((name, method, url, headers, _told(here), _told(there)))
    assert not found
    assert answered["granular"] > 90, "most of what is asked here is answered"
    graph = one.clients["graphs"].get("Patient/m/$graph?graph=Whole").resources()
    assert [row["id"] for row in graph[:3]] == ["m", "lab1", "lab2"]
    assert len(graph[-1]["issue"]) > 5  # what it lacks is hidden, or absent
    made = one.clients["profiles"].get("Patient/m/$validate?profile=http://example.org/on-changed")
    made.refused(400, "not-supported", "profile", "The base definition http://example.org/changed-base is not known")
    for world, seen in ((one, []), (other, ["required"])):
        told = world.full.get("Patient/m/$validate?profile=http://example.org/led").json["issue"]
        assert [row["code"] for row in told if row["severity"] == "error" and row["code"] == "required"] == seen
    whole = one.full.post("Patient", {"resourceType": "Patient", "photo": [{"title": "x"}] * 2,
                                      "meta": {"profile": ["http://example.org/on-changed"]}})
    whole.refused(422, "structure", "Patient.photo", "At most 1")
    store = one.app.extensions["hie"].store
    assert check(store).problems == []
    records = audit.find(store.database.connection(), store.tenants[1].audit_keys, 1, count=100_000)
    left = Counter(record["request"] for record in records)
    assert {id_: left[id_] for id_ in recorded} == recorded, "one audit record for every request"


def test_a_cursor_belongs_to_the_grant_it_was_given_to(client, fhir):
    for number in range(3):
        fhir.create(_person(f"p{number}", "Many", "1950-01-01", **(MALE if number else FEMALE)))
    page = fhir.get("Patient?_count=1&_total=accurate&_sort=_id").link("next")
    narrow = client("system/Patient.rs?gender=male")
    narrow.get(page).refused(400, "invalid", "_cursor")
    assert client("system/*.cruds", name="again").get(page).json["total"] == 3


def test_who_may_read_what_may_not_be_deleted_is_told(client, fhir):
    fhir.put("Patient/f", _person("f", "X", "1950", **FEMALE))
    client("system/Patient.rs", "system/Patient.d?gender=male").delete("Patient/f").refused(403, "forbidden")
    client("system/Patient.rs").delete("Patient/f").refused(403, "forbidden")
    narrow = client("system/Patient.d?gender=male")
    assert "not there" in narrow.delete("Patient/f").json["issue"][0]["diagnostics"]
    narrow.delete("Patient/f", If_Match='W/"1"').refused(412, "conflict")
    assert fhir.get("Patient/f").status == 200
