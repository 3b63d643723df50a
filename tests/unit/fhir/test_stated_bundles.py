"""What R4's text states of entries and documents: https://hl7.org/fhir/R4/documents.html, bundle.html#references"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hie.fhir import stated
from hie.fhir.validation import validate
from tests.builders import observation, patient
from tests.growth import Text, Work, growth

Json = dict[str, Any]
BASE = "http://example.org/fhir/"
UUID = "urn:uuid:00000000-0000-4000-8000-0000000000"


def entry(resource: Json, url: str | None = None) -> Json:
    return {"fullUrl": url or f"{BASE}{resource['resourceType']}/{resource['id']}", "resource": resource}


def composition(*sections: str, **more: Any) -> Json:
    held = {"section": [{"title": "x", "entry": [{"reference": one}]} for one in sections]} if sections else {}
    return {"resourceType": "Composition", "id": "c", "status": "final", "type": {"text": "x"}, "date": "2026-01-01",
            "title": "x", "author": [{"reference": "Practitioner/p"}], "subject": {"reference": "Patient/1"},
            **held, **more}  # fmt: skip


PERSON = {"resourceType": "Practitioner", "id": "p", "name": [{"family": "x"}]}
WHO = (entry(PERSON), entry(patient(id="1")))


def document(*entries: Json, **more: Any) -> Json:
    return {"resourceType": "Bundle", "type": "document", "timestamp": "2026-01-01T00:00:00Z",
            "identifier": {"system": "urn:x", "value": "1"}, "entry": list(entries), **more}  # fmt: skip


def collection(*entries: Json) -> Json:
    return {"resourceType": "Bundle", "type": "collection", "entry": list(entries)}


def told(resource: Json) -> list[tuple[str, str, str]]:
    assert not any(one.severity in ("error", "fatal") for one in validate(resource))
    return [(one.severity, one.code, one.expression) for one in stated.problems(resource)]


def message(focus: str, *entries: Json, **more: Any) -> Json:
    header = {"resourceType": "MessageHeader", "id": "m", "eventUri": "http://example.org/admitted", "source": {
        "endpoint": "http://example.org/sender"}, "focus": [{"reference": focus}], **more}  # fmt: skip
    return {"resourceType": "Bundle", "type": "message", "entry": [entry(header), *entries]}


def pulse(**more: Any) -> Json:
    return observation("Patient/1", **({"id": "o"} | more))


SECTION = "Bundle.entry[0].resource.section[0].entry[0].reference"
HISTORY = [entry(pulse(meta={"versionId": version})) for version in "12"]
CASES: list[tuple[str, Json, list[tuple[str, str, str]]]] = [
    ("all is there", document(entry(composition("Observation/o")), *WHO, entry(pulse())), []),
    ("the section's entry is absent", document(entry(composition("Observation/o")), *WHO),
     [("error", "not-found", SECTION)]),
    ("the author is absent", document(entry(composition()), entry(patient(id="1"))),
     [("error", "not-found", "Bundle.entry[0].resource.author[0].reference")]),
    ("what is inside of a section in a section", document(entry(composition(section=[{"title": "x", "section": [
        {"title": "y", "entry": [{"reference": "Observation/o"}]}]}])), *WHO),
     [("error", "not-found", "Bundle.entry[0].resource.section[0].section[0].entry[0].reference")]),
    ("of what it replaces nothing is wanted", document(entry(composition(relatesTo=[
        {"code": "replaces", "targetReference": {"reference": "Composition/old"}}])), *WHO), []),
    ("somebody who is only named, and one contained", document(entry(composition(
        author=[{"display": "x"}, {"reference": "#p"}], contained=[PERSON])), entry(patient(id="1"))), []),
    ("by absolute URLs and UUIDs", document(entry(composition(
        UUID + "03", author=[{"reference": UUID + "02"}], subject={"reference": BASE + "Patient/1"}), UUID + "01"),
        entry(PERSON, UUID + "02"), WHO[1], entry(pulse(), UUID + "03")), []),
    ("relative to no server", document(entry(composition("Observation/o", author=[{"display": "x"}], subject={
        "reference": BASE + "Patient/1"}), UUID + "01"), WHO[1], entry(pulse(), UUID + "03")),
     [("error", "not-found", SECTION)]),
    ("of another server", document(entry(composition("http://example.com/fhir/Observation/o")), *WHO, entry(pulse())),
     [("error", "not-found", SECTION)]),
    ("a version that is there", document(entry(composition("Observation/o/_history/2")), *WHO, *HISTORY), []),
    ("a version that is not", document(entry(composition("Observation/o/_history/3")), *WHO, *HISTORY),
     [("error", "not-found", SECTION)]),
    ("no word of which version", document(entry(composition("Observation/o")), *WHO, *HISTORY),
     [("warning", "value", SECTION)]),
    ("nothing leads there", document(entry(composition()), *WHO, entry({
        "resourceType": "Location", "id": "l", "name": "x"})), [("warning", "structure", "Bundle.entry[3]")]),
    ("by way of another entry, by a link back, by a URL, by a picture in a narrative", document(
        entry(composition("Observation/o")), *WHO, entry(pulse(device={"reference": "Device/d"})),
        entry({"resourceType": "Device", "id": "d", "url": BASE + "Binary/b", "text": {
            "status": "generated",
            "div": '<div xmlns="http://www.w3.org/1999/xhtml"><img src="Binary/i" alt="x"/></div>'}}),
        entry({"resourceType": "Binary", "id": "b", "contentType": "text/plain"}),
        entry({"resourceType": "Binary", "id": "i", "contentType": "image/png"}),
        entry({"resourceType": "Provenance", "id": "v", "recorded": "2026-01-01T00:00:00Z", "target": [
            {"reference": "Observation/o"}], "agent": [{"who": {"display": "x"}}]})),
     [("warning", "business-rule", "Bundle.entry[4].resource.text.div")]),
    ("a stylesheet", document(entry(composition()), *WHO, entry({
        "resourceType": "Binary", "id": "css", "contentType": "text/css"}),
        link=[{"relation": "stylesheet", "url": "Binary/css"}]), []),
    ("a reference in an extension", document(entry(composition(subject={
        "display": "x", "extension": [{"url": "http://example.org/x", "valueReference": {"reference": "Patient/9"}}]})),
        entry(PERSON)), []),
    ("a message with its focus", message("Patient/1", entry(patient(id="1"))), []),
    ("a message without it", message("Patient/1", entry(patient(id="2"))),
     [("error", "not-found", "Bundle.entry[0].resource.focus[0].reference")]),
    ("a message of which the sender is elsewhere", message("Patient/1", entry(patient(id="1")), sender={
        "reference": "Organization/9"}), []),
    ("a fullUrl that is relative", collection(entry(patient(id="1"), "Patient/1")),
     [("error", "value", "Bundle.entry[0].fullUrl")]),
    ("one of another resource", collection(entry(patient(id="1"), BASE + "Patient/2")),
     [("error", "value", "Bundle.entry[0].fullUrl")]),
    ("one on a server of a resource without an id", collection(entry(patient(), BASE + "Patient/2")),
     [("error", "value", "Bundle.entry[0].resource")]),
    ("one that is to be created there", {"resourceType": "Bundle", "type": "transaction", "entry": [
        {**entry(patient(), BASE + "Patient/2"), "request": {"method": "POST", "url": "Patient"}}]}, []),
    ("none in a document", document(entry(composition()), *WHO, {"resource": pulse()}),
     [("error", "value", "Bundle.entry[3]")]),
    ("a reference that says what a relative fullUrl says is told by the fullUrl alone", document(
        entry(composition(author=[{"display": "x"}])), entry(patient(id="1"), "Patient/1")),
     [("error", "value", "Bundle.entry[1].fullUrl")]),
]


@pytest.mark.parametrize(("resource", "expected"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_entries(resource: Json, expected: list[tuple[str, str, str]]) -> None:
    assert told(resource) == expected


def test_a_document_inside_of_parameters_is_told_where_it_stands() -> None:
    inner = document(entry(composition("Observation/o")), *WHO)
    outer = {"resourceType": "Parameters", "parameter": [{"name": "x", "resource": inner}]}
    assert told(outer) == [("error", "not-found", SECTION.replace("Bundle", "Parameters.parameter[0].resource", 1))]


def test_a_relative_reference_that_an_entry_looks_like_says_what_would_be_right() -> None:
    nobody = {"display": "x"}
    bare = document(entry(composition("Observation/o", author=[nobody], subject=nobody), UUID + "01"),
                    entry(pulse(), UUID + "03"))  # fmt: skip
    assert "the fullUrl of that entry" in stated.problems(bare)[0].diagnostics


def _in_a_row(number: int) -> Json:
    rows = [entry(pulse(id=f"o{n}", hasMember=[{"reference": f"Observation/o{n + 1}"}]),
                  Text(f"{BASE}Observation/o{n}")) for n in range(number)]  # fmt: skip
    return document(entry(composition("Observation/o0")), *WHO, *rows)


def _versions(number: int) -> Json:
    rows = [entry(pulse(meta={"versionId": f"{n}"}, hasMember=[{"reference": "Observation/o"}]),
                  Text(f"{BASE}Observation/o")) for n in range(number)]  # fmt: skip
    return document(entry(composition("Observation/o/_history/7")), *WHO, *rows)


@pytest.mark.parametrize("large", [_in_a_row, _versions])
def test_how_long_a_document_is_looked_at_grows_with_its_size(large: Callable[[int], Json]) -> None:
    def looked_at(number: int) -> Work:
        resource = large(number)

        def work() -> None:
            assert stated.problems(resource) == []

        return work

    assert growth(looked_at, 200) < 5
