"""StructureDefinition/$snapshot; what snapshots are made of is in tests/unit/fhir/test_snapshots.py"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hie.fhir.validation import validate
from tests.builders import patient
from tests.conformance.conftest import Answer, Fhir
from tests.unit.fhir.test_snapshots import BASE, a_slice, of, profile

URL = "http://example.org/StructureDefinition/named"
NAMED = profile("Patient", of("Patient.name", min=1), of("Patient.name.family", min=1, mustSupport=True), url=URL)


def elements(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.content
    assert [one for one in validate(answer.json, "StructureDefinition") if one.severity == "error"] == []
    return {one["id"]: one for one in answer.json["snapshot"]["element"]}


@pytest.mark.proves("operation:StructureDefinition/$snapshot")
def test_a_snapshot_is_made_of_a_stored_definition_and_of_one_that_is_sent(fhir: Fhir) -> None:
    stored = fhir.put("StructureDefinition/n", NAMED | {"id": "n"}).json
    assert stored.get("snapshot") is None
    body = {"resourceType": "Parameters", "parameter": [{"name": "url", "valueString": URL}]}
    sent = {"resourceType": "Parameters", "parameter": [{"name": "definition", "resource": NAMED}]}
    for answer in (
        fhir.get("StructureDefinition/n/$snapshot"), fhir.get(f"StructureDefinition/$snapshot?url={URL}"),
        fhir.get(f"StructureDefinition/n/$snapshot?url={BASE}Group"),  # beside an instance parameters mean nothing
        fhir.post("StructureDefinition/$snapshot", body), fhir.post("StructureDefinition/$snapshot", sent),
        fhir.post("StructureDefinition/$snapshot", NAMED),
        fhir.post("StructureDefinition/$snapshot", NAMED, Accept="application/fhir+xml"),
    ):  # fmt: skip
        found = elements(answer)
        assert (found["Patient.name"]["min"], found["Patient.name.family"]["mustSupport"]) == (1, True)
        assert answer.json["differential"] == NAMED["differential"]
    assert "snapshot" not in fhir.get("StructureDefinition/n").json, "nothing is stored"
    with_snapshot = fhir.get("StructureDefinition/n/$snapshot").json
    with_snapshot["snapshot"]["element"][1]["short"] = "another"
    again = elements(fhir.post("StructureDefinition/$snapshot", with_snapshot))  # made anew, of the differential
    assert again["Patient.id"]["short"] == "Logical id of this artifact"
    fhir.put("StructureDefinition/n", with_snapshot)
    assert fhir.post("Patient/$validate?profile=" + URL, patient()).status == 200
    below = profile("Patient", a_slice("Patient.name", "x") | {"max": "1"}, of("Patient.photo", max="0"), base=URL)
    below["differential"]["element"].insert(0, of("Patient.name", slicing={
        "discriminator": [{"type": "value", "path": "use"}], "rules": "open"}))
    found = elements(fhir.post("StructureDefinition/$snapshot", below))
    assert (found["Patient.name:x.family"]["min"], found["Patient.photo"]["max"]) == (1, "0")


def test_definitions_of_r4_come_as_they_were_published(fhir: Fhir) -> None:
    for name, number in (("Patient", 45), ("bodyweight", 82), ("patient-birthPlace", 5)):
        answer = fhir.get(f"StructureDefinition/$snapshot?url={BASE}{name}%7C4.0.1")
        assert len(elements(answer)) == number
        assert answer.json["url"] == BASE + name


def test_what_is_made_is_what_the_token_may_see(fhir: Fhir, client: Callable[..., Fhir]) -> None:
    fhir.put("StructureDefinition/n", NAMED | {"id": "n"})
    narrow = client("system/Patient.rs")
    narrow.get("StructureDefinition/n/$snapshot").refused(403, "forbidden")
    narrow.get(f"StructureDefinition/$snapshot?url={URL}").refused(404, "not-found", "url")
    below = narrow.post("StructureDefinition/$snapshot", profile("Patient", of("Patient"), base=URL))
    below.refused(422, "not-found", "StructureDefinition.baseDefinition", f"{URL} is not known here")
    assert narrow.post("StructureDefinition/$snapshot", NAMED).status == 200
    some = client("system/StructureDefinition.rs?status=draft")
    some.get("StructureDefinition/n/$snapshot").refused(404, "not-found")
    some.get(f"StructureDefinition/$snapshot?url={URL}").refused(404, "not-found", "url")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_what_no_snapshot_can_be_made_of_is_refused(fhir: Fhir) -> None:
    wrong = profile("Patient", of("Patient.nme", min=1), of("Patient.birthDate", max="*"))
    answer = fhir.post("StructureDefinition/$snapshot", wrong)
    answer.refused(422, "processing", "StructureDefinition.differential.element[0]", "no such element here")
    answer.refused(422, "processing", "StructureDefinition.differential.element[1]", "max is *")
    fhir.get("StructureDefinition/$snapshot").refused(400, "invalid", "url", "one of definition and url")
    fhir.post(f"StructureDefinition/$snapshot?url={URL}", NAMED).refused(400, "invalid", "url")
    fhir.get(f"StructureDefinition/$snapshot?url={URL}").refused(404, "not-found", "url")
    fhir.get("StructureDefinition/nobody/$snapshot").refused(404, "not-found")
    fhir.post("StructureDefinition/$snapshot", patient()).refused(400, "invalid", "resourceType")
    fhir.get("StructureDefinition/$snapshot?definition=x").refused(400, "invalid", "definition", "by POST")
