"""Texts and numbers that a database cannot hold are refused, or right, wherever they come in: never a 5xx."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.builders import bundle, observation, parameters, patient, post
from tests.conformance.conftest import Fhir

NUL, HALF = "a\x00b", "\ud83d"
LAST = "9999-12-31T23:59:59-14:00"
HUGE = "9" * 400
STRUCTURE = {
    "resourceType": "StructureDefinition", "url": "http://example.org/sd", "name": "X", "status": "active",
    "kind": "resource", "abstract": False, "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
    "derivation": "constraint", "differential": {"element": [{"id": "Patient", "path": "Patient"}]},
}  # fmt: skip


def asked(text: str) -> str:
    """Percent-encode a text as bytes, halves of surrogate pairs too."""
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


#: Where a text of the URL goes to the database; each is asked with NUL and half a surrogate pair.
URLS = (
    "Patient?name={}", "Patient?name:exact={}", "Patient?name:contains=abc{}", "Patient?identifier={}|{}",
    "Patient?identifier:of-type={}|b|{}", "Patient?general-practitioner=Practitioner/{}", "Patient?_id={}",
    "Patient?_tag={}", "Patient?_profile={}", "Patient?_source={}", "Patient?birthdate={}", "Patient?{}=x",
    "Patient?_filter=name eq {}", "Patient?_filter=_id eq \"{}\"", "Patient?_has:Observation:patient:code={}",
    "Patient?_text={}", "Patient?_list={}", "Patient?_sort={}", "Patient?_cursor={}", "Patient?_asOf={}",
    "Patient?_include={}", "Patient?_elements={}", "Observation?subject.name={}", "Observation?code:in={}",
    "Observation?code:below={}|{}", "Observation?value-quantity=5|{}|{}", "Location?near={}", "?_type={}",
    "ValueSet/$expand?url={}", "ValueSet/$expand?url=http://x&filter={}", "CodeSystem/$lookup?system={}&code={}",
    "ConceptMap/$translate?system={}&code={}", "_history?_since={}", "_history?_at={}", "Patient/$everything?_type={}",
    "Observation/$lastn?subject=Patient/{}", "$explain?name={}", "Patient/{}", "Patient/a/_history/{}",
    "/admin/audit?client={}", "/admin/audit?entity=Patient/{}", "/admin/jobs?state={}", "/admin/clients/{}",
    "/admin/models/{}/manifest", "/admin/jobs/{}", "/admin/jobs/9223372036854775808{}",
)  # fmt: skip


def test_texts_that_are_none_are_refused_in_urls(client: Any) -> None:
    fhir = client("system/*.cruds", "admin")
    fhir.put("Patient/a", patient(id="a"))
    found = {}
    for url in URLS:
        for text in (NUL, HALF):
            status = fhir.get(url.replace("{}", asked(text))).status
            if not 400 <= status < 500:
                found[url, text] = status
    assert found == {}
    assert fhir.get("Patient/a").status == 200


#: Bodies with a text in a place from where it goes to the database.
BODIES: tuple[tuple[str, str, str, Any], ...] = (
    ("POST", "Patient", "application/fhir+json", lambda text: patient(family=text)),
    ("PUT", "Patient/a", "application/fhir+json", lambda text: patient(id=text)),
    ("POST", "Observation", "application/fhir+json", lambda text: observation(f"Patient/{text}")),
    ("POST", "Patient", "application/fhir+json", lambda text: patient(identifier=text)),
    ("POST", "", "application/fhir+json", lambda text: bundle(post(patient(), ifNoneExist=f"name={text}"))),
    ("POST", "", "application/fhir+json", lambda text: bundle(post(patient(), full_url=text))),
    ("POST", "$graphql", "application/json", lambda text: {"query": f'{{ Patient(id: "{text}") {{ id }} }}'}),
    ("POST", "$graphql", "application/json",
     lambda text: {"query": "query($x: String) { PatientList(name: $x) { id } }", "variables": {"x": text}}),
    ("POST", "Patient/a/$fhirpath", "application/fhir+json",
     lambda text: parameters(expression=("String", f"'{json.dumps(text)[1:-1]}'"))),
    ("PATCH", "Patient/a", "application/json-patch+json",
     lambda text: [{"op": "add", "path": "/name/0/family", "value": text}]),
    ("PATCH", "Patient/a", "application/merge-patch+json", lambda text: {"name": [{"family": text}]}),
    ("POST", "/admin/clients", "application/json", lambda text: {"name": text}),
    ("POST", "/admin/packages/validation", "application/json", lambda text: {"validation": text}),
)  # fmt: skip


def test_texts_that_are_none_are_refused_in_bodies(client: Any) -> None:
    fhir = client("system/*.cruds", "admin")
    fhir.put("Patient/a", patient(id="a"))
    found = {}
    for at, (method, url, content_type, made) in enumerate(BODIES):
        for text in (NUL, HALF):
            answer = fhir(method, url, json.dumps(made(text)), Content_Type=content_type)
            # A string of FHIRPath may well hold NUL, and no name does: both are right, and nothing is stored.
            is_right = text == NUL and ("$fhirpath" in url or answer.content == b'{"data":{"PatientList":[]}}')
            if not 400 <= answer.status < 500 and not is_right:
                found[at, text] = answer.status, answer.content
    assert found == {}
    assert fhir.total("Patient") == 1


HEADERS = ("If-Match", "If-None-Match", "If-None-Exist", "X-Security-Context", "X-Request-Id", "Prefer", "X-Cascade")


@pytest.mark.parametrize("text", ["a\x7fb", "é\xff", "name=%00", "_id=%ED%A0%BD", "9" * 400, f"birthdate=gt{LAST}"])
def test_headers_with_such_texts_are_answered(fhir: Any, text: str) -> None:
    made = fhir.create(patient())
    for name in HEADERS:
        for method, url, body in (("POST", "Patient", patient()), ("PUT", f"Patient/{made['id']}", made),
                                  ("DELETE", "Patient/none", None), ("POST", "Binary", b"x")):
            assert fhir(method, url, body, **{name.replace("-", "_"): text}).status < 500, (name, method)


def test_numbers_and_dates_without_end_are_compared_as_they_are(fhir: Any) -> None:
    fhir.create(observation(value=80))
    for search, total in {
        "value-quantity=1e400": 0, "value-quantity=lt1e400": 1, "value-quantity=gt1e400": 0,
        "value-quantity=gt-1e400": 1,
        f"value-quantity=lt{10**30}": 1, f"value-quantity=ne{10**30}": 1, "value-quantity=gt1e-400": 1,
        "date=lt9999": 1, "date=gt9999": 0, "date=gt0001": 1, "date=ap0001": 0, "date=ap9999": 0,
        f"date=lt{LAST}": 1, "date=sa0001-01-01T00:00:00%2B14:00": 1, "_count=99999999999999999999": 1,
    }.items():  # fmt: skip
        assert fhir.total(f"Observation?{search}") == total, search
    for url, status, code in (
        ("Observation?date=0000", 400, "invalid"), ("Observation?date=gt10000", 400, "invalid"),
        ("Observation?_count=1e400", 400, "invalid"),
        ("Observation?_count=-1", 400, "invalid"), ("Observation?_offset=99999999999", 400, "invalid"),
        (f"Observation?_asOf={LAST}", 400, "invalid"), ("Patient/a/_history/2147483648", 404, "not-found"),
        ("Patient/a/_history/9223372036854775808", 404, "not-found"), ("_history?_count=1e400", 400, "invalid"),
        ("Location?near=1e400|0", 400, "invalid"),
    ):  # fmt: skip
        answer = fhir.get(url)
        answer.refused(status, code)


def test_numbers_without_end_are_stored_as_they_are_or_refused(fhir: Any) -> None:
    for resource, number, status in (
        ({"resourceType": "Location", "position": {"longitude": 0, "latitude": 0}}, HUGE, 201),
        ({"resourceType": "Location", "position": {"longitude": 0, "latitude": 0}}, "1e400", 201),
        (observation(), "1e400", 201), (observation(), HUGE, 201), (observation(), "-1e-400", 201),
        (observation(component=[{"code": {"text": "x"}, "valueInteger": 0}]), str(2**31), 400),
    ):  # fmt: skip
        text = json.dumps(resource)
        for old in ('"latitude": 0', '"valueInteger": 0', '"value": 80'):
            if old in text:
                text = text.replace(old, f"{old.rpartition(' ')[0]} {number}")
                break
        answer = fhir.post(resource["resourceType"], text)
        assert answer.status == status, (number, answer.content)
        if status == 201:
            assert number.encode() in fhir.get(f"{resource['resourceType']}/{answer.id}").content


def test_a_type_that_is_no_text_is_refused_by_its_place(fhir: Any) -> None:
    for value in (5, True, ["Patient"], {}, None):
        fhir.post("StructureDefinition", {**STRUCTURE, "type": value}).refused(400, "structure")
        assert fhir.post("StructureDefinition/$validate", {**STRUCTURE, "type": value}).status in (200, 400)


@pytest.mark.parametrize(("expression", "found"), [("'\\ud83d\\ude00'", "😀"), ("'\\u00e9'", "é"),
                                                   ("'\\\\ud83d'.unescape('json')", None)])
def test_escapes_of_fhirpath_make_whole_characters(fhir: Any, expression: str, found: str | None) -> None:
    answer = fhir.post("$fhirpath", parameters(expression=("String", expression), resource=patient()))
    assert answer.status == 200, answer.content
    texts = [one["valueString"] for one in answer.json["parameter"][1]["part"] if one["name"] != "empty"]
    assert texts == ([] if found is None else [found])


@pytest.mark.parametrize("expression", ["'\\ud83d'", "'\\ude00\\ud83d'", "`\\ud83d`", "%'\\ud83d'"])
def test_half_a_character_is_no_fhirpath(fhir: Any, expression: str) -> None:
    fhir.post("$fhirpath", parameters(expression=("String", expression), resource=patient())).refused(
        400, "invalid", None, "surrogate")


def _codings(number: int, prefix: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://example.org/codes", "code": f"{prefix}{n}"} for n in range(number)]}


def _coded(codes: int, values: int) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": _codings(codes, "c"),
            "valueCodeableConcept": _codings(values, "v")}  # fmt: skip


def test_codes_whose_combinations_could_not_be_indexed_are_refused(fhir: Fhir) -> None:
    told = "code-value-concept combines more than 10000 values (101 x 100 in one element)"
    too_many = _coded(101, 100)
    fhir("POST", "/fhir/Observation", too_many).refused(422, "processing", "Observation", told)
    within = {"resourceType": "Basic", "code": {"text": "x"}, "contained": [{**too_many, "id": "a"}],
              "subject": {"reference": "#a"}}  # fmt: skip
    fhir("POST", "/fhir/Basic", within).refused(422, "processing", "Observation", told)
    entry = {"resource": too_many, "request": {"method": "POST", "url": "Observation"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    fhir("POST", "/fhir", bundle).refused(422, "processing", "Bundle.entry[0].resource", told)
    kept = fhir("POST", "/fhir/Observation", _coded(50, 50))
    assert kept.status == 201
    fhir("PUT", f"/fhir/Observation/{kept.id}", {**too_many, "id": kept.id}).refused(422, "processing", None, told)
    assert fhir("GET", "/fhir/Observation?code-value-concept=c49$v49").json["total"] == 1
