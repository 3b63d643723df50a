"""A request that is kept until a job does it (hie.interactions.kept_requests)."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import pytest

from hie.fhir import bundle_stream, json_format
from hie.fhir.http import Conditions, FhirRequest, Preferences
from hie.interactions import kept_requests
from tests.builders import bundle, patient, post

REQUEST = FhirRequest(
    "update", "Patient", "a", "1", "op", (("a", "b"), ("a", "ä")), {"n": [json_format.number("1.50")], "t": "\n"},
    b"\n\x00\xff", "image/png", Conditions("1", "2", "3", "4"), Preferences("minimal", "lenient", True), "PUT",
    compartment=("Patient", "a"), provenance="{}")  # fmt: skip
DONE = dataclasses.replace(REQUEST, preferences=Preferences("minimal", "lenient", False))


@pytest.mark.parametrize("change", [
    {}, {"resource": None}, {"body": b""}, {"resource": None, "body": b""}, {"resource": []}, {"compartment": None},
], ids=str)  # fmt: skip
def test_every_part_of_a_request_is_kept(change: dict[str, Any]) -> None:
    kept = kept_requests.packed(dataclasses.replace(REQUEST, **change), {"request_id": "one"})
    again = kept_requests.unpacked(kept)
    assert again == dataclasses.replace(DONE, **change)
    assert kept_requests.beside(kept)["request_id"] == "one"
    told = set(kept_requests.beside(kept)["request"])
    assert {one.name for one in dataclasses.fields(REQUEST)} - told == {"resource", "body", "arguments"}
    if again.resource:
        assert str(again.resource["n"][0]) == "1.50"


def test_a_request_that_an_earlier_version_kept_is_read() -> None:
    head = kept_requests.beside(kept_requests.packed(dataclasses.replace(REQUEST, resource=None, body=b""), {}))
    told = head["request"] | {"resource": '{"n":[1.50],"t":"\\n"}', "body": base64.b64encode(REQUEST.body).decode()}
    assert kept_requests.unpacked(json.dumps({"request": told, "request_id": "one"}).encode()) == DONE


def test_a_large_bundle_is_kept_as_it_is_and_read_entry_by_entry() -> None:
    body = json.dumps(bundle(*[post(patient())] * 3), indent=1).encode()
    kept = kept_requests.packed(dataclasses.replace(REQUEST, resource=bundle_stream.sound(body)), {})
    assert body in kept
    again = kept_requests.unpacked(kept)
    assert isinstance(again.resource["entry"], bundle_stream.Entries)
    assert len(list(again.resource["entry"].requests(3))) == 3
    assert again.body == REQUEST.body


@pytest.mark.parametrize("broken", [b"", b",", b",{}]", b"]}x"], ids=repr)
def test_a_body_that_is_not_sound_to_its_end_is_read_whole(broken: bytes) -> None:
    body = json.dumps(bundle(post(patient()))).encode()[:-2] + broken
    assert bundle_stream.begin(body) is not None
    assert bundle_stream.sound(body) is None
