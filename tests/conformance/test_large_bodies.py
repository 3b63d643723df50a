"""A large body waits for its turn; requests beside it are answered meanwhile."""

from __future__ import annotations

import json
import threading

import pytest

from hie.fhir import patching
from hie.web import turns
from tests.builders import patient
from tests.conformance.conftest import Fhir
from tests.waiting import until


def test_a_large_bundle_waits_for_its_turn_and_others_do_not(fhir: Fhir, monkeypatch: pytest.MonkeyPatch) -> None:
    line = turns.Turns()
    monkeypatch.setattr(turns, "_turns", line)
    entry = {"resource": patient(), "request": {"method": "POST", "url": "Patient"}}
    number = turns.LARGE // len(json.dumps(entry)) + 1
    large = {"resourceType": "Bundle", "type": "transaction", "entry": [entry] * number}
    assert line.take(0)
    statuses: list[int] = []
    sender = threading.Thread(target=lambda: statuses.append(fhir("POST", "/fhir", large).status))
    sender.start()
    until(lambda: len(line._waiting) == 1)
    assert fhir("POST", "/fhir/Patient", patient()).status == 201
    assert fhir("GET", "/fhir/Patient?_summary=count").json["total"] == 1
    line.leave()
    sender.join(30)
    assert statuses == [200]
    assert line.take(0), "the Bundle left its turn"
    line.leave()
    assert fhir("POST", "/fhir", {**large, "type": "nonsense"}).status in (400, 422)
    assert line.take(0), "a refused one left it too"


@pytest.mark.parametrize("format_", patching.DOCUMENTS)
def test_a_large_patch_waits_for_its_turn_as_well(fhir: Fhir, monkeypatch: pytest.MonkeyPatch, format_: str) -> None:
    line = turns.Turns()
    monkeypatch.setattr(turns, "_turns", line)
    id_, family = fhir.create(patient("Early"))["id"], "x" * turns.LARGE
    body = {patching.JSON_PATCH: json.dumps([{"op": "replace", "path": "/name/0/family", "value": family}]),
            patching.MERGE_PATCH: json.dumps({"name": [{"family": family}]}),
            patching.XML_PATCH: '<diff xmlns:f="http://hl7.org/fhir"><replace sel="f:Patient/f:name/f:family/@value">'
                                f"{family}</replace></diff>"}[format_]  # fmt: skip
    assert line.take(0)
    statuses: list[int] = []
    sender = threading.Thread(
        target=lambda: statuses.append(fhir("PATCH", f"Patient/{id_}", body, Content_Type=format_).status))
    sender.start()
    until(lambda: len(line._waiting) == 1)
    line.leave()
    sender.join(30)
    assert statuses == [200]
    assert line.take(0), "the patch left its turn"
