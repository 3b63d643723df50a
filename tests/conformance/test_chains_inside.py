"""Chains into a Bundle, to what stands in a document or message: https://hl7.org/fhir/R4/bundle.html#search"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.builders import bundle, patient, practitioner, put
from tests.conformance.conftest import Answer, Fhir

URN = "urn:uuid:aaaaaaaa-0000-4000-8000-00000000000"
BASE = "http://elsewhere.example/fhir/"


def entry(full_url: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {"fullUrl": full_url, "resource": resource}


def document(id_: str, title: str, subject: str, author: str, *others: dict[str, Any]) -> dict[str, Any]:
    head = {"resourceType": "Composition", "id": f"c-{id_}", "status": "final", "type": {"coding": [
        {"system": "http://loinc.org", "code": "60591-5"}]}, "date": "2024-03-01", "title": title,
        "subject": {"reference": subject}, "author": [{"reference": author}]}  # fmt: skip
    root = BASE if "/" in subject and not subject.startswith("urn:") else ""
    return {"resourceType": "Bundle", "id": id_, "type": "document", "timestamp": "2024-03-01T10:00:00Z",
            "identifier": {"system": "urn:d", "value": id_},
            "entry": [entry(f"{root}Composition/c-{id_}" if root else f"{URN}0", head), *others]}


MESSAGE = {
    "resourceType": "Bundle", "id": "m", "type": "message",
    "entry": [entry(f"{URN}5", {"resourceType": "MessageHeader", "id": "h", "eventCoding": {
        "system": "urn:e", "code": "admit"}, "source": {"endpoint": "http://x"}, "focus": [{"reference": f"{URN}6"}]}),
        entry(f"{URN}6", patient("Focus", identifier="9"))],
}  # fmt: skip
RECORDS = [
    document("urns", "Summary", f"{URN}1", f"{URN}2", entry(f"{URN}1", patient("Inside", identifier="1")),
             entry(f"{URN}2", practitioner("7"))),
    document("urls", "Letter", "Patient/p", "Practitioner/d",
             entry(f"{BASE}Patient/p", patient("Inside", id="p", identifier="2")),
             entry(f"{BASE}Practitioner/d", practitioner("8", id="d"))),
    document("outside", "Summary too", "urn:oid:1.2.3", "Practitioner/none"),
    MESSAGE, {"resourceType": "Bundle", "id": "set", "type": "collection", "entry": [{"resource": patient("Inside")}]},
]  # fmt: skip


@pytest.fixture
def stored(fhir: Fhir) -> Fhir:
    assert fhir.post("", bundle(*map(put, RECORDS))).status == 200
    return fhir


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.content
    return sorted(row["id"] for row in answer.resources())


FOUND = {
    "Bundle?composition.title=summary": ["outside", "urns"],
    "Bundle?composition.type=http://loinc.org|60591-5&composition.title:contains=etter": ["urls"],
    "Bundle?composition.type:not=60591-5": [],
    "Bundle?composition.date=ge2024-03&composition:Composition.status=final": ["outside", "urls", "urns"],
    "Bundle?composition.patient.identifier=http://example.org/mrn|1": ["urns"],
    "Bundle?composition.subject:Patient.family=inside": ["urls", "urns"],
    "Bundle?composition.patient.family=inside&composition.author:Practitioner.identifier=8": ["urls"],
    "Bundle?composition.author.identifier=7,8": ["urls", "urns"],
    "Bundle?composition.patient=Patient/p": ["urls"],
    "Bundle?message.event=urn:e|admit": ["m"],
    "Bundle?message.focus:Patient.identifier=9": ["m"],
    "Bundle?message.event=discharge": [],
    "Bundle?identifier=urls&composition.title=summary": [],
    "?_type=Bundle&composition.title=letter": ["urls"],
}


def test_documents_and_messages_are_found_by_what_stands_in_them(stored: Fhir) -> None:
    for search, expected in FOUND.items():
        answer = stored.get(quote(search, safe="?&=:|/$,-"))
        assert ids(answer) == expected, search
        assert answer.json["total"] == len(expected), search
    first = stored.get("Bundle?composition.patient.family=inside&_count=1&_sort=_id")
    changed = document("urns", "Summary", f"{URN}1", f"{URN}2", entry(f"{URN}1", patient("Other")))
    assert stored.put("Bundle/urns", changed).status == 200
    assert ids(first) + ids(stored.get(first.link("next") or "")) == ["urls", "urns"], "pages show what the first saw"
    assert ids(stored.get("Bundle?composition.patient.family=inside")) == ["urls"]


def test_what_stands_inside_is_asked_of_types_that_the_token_may_search(
    stored: Fhir, client: Callable[..., Fhir]
) -> None:
    search = "Bundle?composition.patient.family=inside"
    for scopes in (["system/Bundle.rs"], ["system/Bundle.rs", "system/Composition.rs"],
                   ["system/Bundle.rs", "system/Composition.rs", "system/Patient.rs?gender=female"],
                   ["system/Bundle.rs", "system/Composition.r", "system/Patient.rs"]):
        client(*scopes).get(search).refused(403, "forbidden")
    both = client("system/Bundle.rs?identifier=urls", "system/Composition.rs", "system/Patient.rs")
    assert ids(both.get(search)) == ["urls"]
    assert both.get(f"{search}&_summary=count").json["total"] == 1
    some = client("system/Bundle.rs", "system/Composition.rs", "system/Practitioner.rs")
    assert ids(some.get("Bundle?composition.author.identifier=7")) == ["urns"]
    assert ids(some.get("Bundle?composition.title=summary")) == ["outside", "urns"]


SORTED = {
    "Bundle?_sort=composition.title": "urls urns outside m set",
    "Bundle?_sort=-composition.title": "outside urns urls m set",
    "Bundle?_sort=-composition.patient.identifier": "urls urns outside m set",
    "Bundle?_sort=Composition:composition.author.identifier,-_id": "urns urls set outside m",
    "Bundle?_sort=message.event,composition._id": "m outside urls urns set",
    "Bundle?_sort=message.focus:Patient.family,-composition.date,_id": "m outside urls urns set",
    "?_type=Bundle&_sort=composition.title": "urls urns outside m set",
}


def test_documents_are_sorted_by_what_stands_in_them(stored: Fhir, client: Callable[..., Fhir]) -> None:
    for search, expected in SORTED.items():
        assert " ".join(row["id"] for row in stored.get(search).resources()) == expected, search
    stored.get("Bundle?_sort=composition._lastUpdated").refused(400, "not-supported", "_sort", "not by canonical URLs")
    stored.get("Bundle?_sort=composition:Patient.name").refused(400, "invalid", "_sort", "refers to Composition")
    client("system/Bundle.rs", "system/Composition.rs?status=final").get("Bundle?_sort=composition.title").refused(
        403, "forbidden", text="without conditions")
    some = client("system/Bundle.rs", "system/Composition.rs", "system/Device.rs", "system/Patient.r")
    found = some.get("Bundle?_sort=-composition.author.identifier,_id").resources()
    assert [row["id"] for row in found] == ["m", "outside", "set", "urls", "urns"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_it_is_told_what_that_costs(stored: Fhir, client: Callable[..., Fhir]) -> None:
    told = client("system/*.rs admin").get("Bundle/$explain?composition.title=x").json["parameter"]
    assert any("only narrows" in row.get("valueString", "") for row in told)
    answer = stored.post("Bundle", document("new", "Summary", f"{URN}1", f"{URN}2"),
                         If_None_Exist="composition.title=letter")
    assert (answer.status, answer.id) == (200, "urls")
