"""Records of which some are hidden from tokens, the tokens' scopes, and what is asked about them by every path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PROFILES = ("on-changed", "on-absent", "changed-base", "absent-base")
PATIENT = "http://hl7.org/fhir/StructureDefinition/Patient"
LAB = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}
EXAM = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "exam"}]}
MALE, FEMALE = {"gender": "male"}, {"gender": "female"}


def an_observation(category: Any, subject: str, number: float, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [category],
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": subject},
        "effectiveDateTime": "2024-03-01",
        "valueQuantity": {"value": number, "unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL"},
    } | more


def person(id_: str, family: str, born: str, **more: Any) -> dict[str, Any]:
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


def shown() -> Iterator[dict[str, Any]]:
    """What both exchanges hold; some of it refers to what is hidden."""
    yield person("m", "Open", "1950-01-01", **MALE, generalPractitioner=[{"reference": "Practitioner/h"}])
    yield an_observation(LAB, "Patient/m", 10, id="lab1", performer=[{"reference": "Practitioner/h"}],
                       hasMember=[{"reference": "Observation/exam1"}])
    yield an_observation(LAB, "Patient/m", 12, id="lab2", effectiveDateTime="2024-03-02")
    yield an_observation(LAB, "Patient/f", 14, id="lab3", effectiveDateTime="2024-03-03")
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


def hidden(is_one: bool) -> Iterator[dict[str, Any]]:
    """What differs: contents where it is referred to, and whether it is there at all where it is not."""
    yield {"resourceType": "Practitioner", "id": "h", "name": [{"family": "Secret" if is_one else "Other"}],
           "active": is_one}
    yield person("f", "Secret" if is_one else "Other", "1970-01-01" if is_one else "1990-01-01", **FEMALE,
                  active=is_one)
    yield an_observation(EXAM, "Patient/m" if is_one else "Patient/f", 99 if is_one else 1, id="exam1")
    yield _profile("changed-base", "draft", PATIENT, max="1" if is_one else "2")


def absent() -> Iterator[dict[str, Any]]:
    """What only one of the two has."""
    yield person("g", "Hidden", "1960-01-01", **FEMALE)
    yield an_observation(EXAM, "Patient/m", 77, id="exam2", effectiveDateTime="2024-03-09")
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
NEW = an_observation(LAB, "Patient/m", 5)
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
    *(_graphql(UPDATE % vid, r=person("f", "New", "1999-01-01", **MALE)) for vid in (1, 2, 3)),
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
    *(("PUT", "Patient/f", person("f", "New", "1999-01-01", **MALE), {"If_Match": tag})
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
        person("x", "Secret", "1970-01-01", **FEMALE), person("x", "Other", "1990-01-01"),
        person("x", "Hidden", "1960-01-01"), person("x", "Open", "1950-01-01"))),
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
    ("POST", "", _bundle("transaction", _entry("PUT", "Patient/f", person("f", "X", "1999"), ifMatch='W/"1"')), {}),
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
