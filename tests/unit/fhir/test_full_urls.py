"""What the fullUrl of a Bundle's entry has to be: https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.fullUrl

HL7's own examples break it, so it is told and nothing is refused.
"""

from __future__ import annotations

from typing import Any

import pytest

from hie.fhir.validation import validate
from tests.builders import patient

UUID = "urn:uuid:0d5a1b3e-7f44-4a6e-9e0f-7d4b1a3c5e6f"
URL = "http://example.org/fhir/Patient/1"


def told(*entries: dict[str, Any], kind: str = "collection") -> list[tuple[str, str]]:
    composition = {
        "resourceType": "Composition", "status": "final", "type": {"text": "a"}, "date": "2024", "title": "c",
        "author": [{"display": "b"}]}
    header = {"resourceType": "MessageHeader", "eventUri": "http://example.org/e", "source": {"endpoint": "http://a"}}
    first = {"document": [{"fullUrl": UUID, "resource": composition}],
             "message": [{"fullUrl": UUID, "resource": header}]}.get(kind, [])
    rows = [row if "request" in row or kind not in ("batch", "transaction") else
            {**row, "request": {"method": "POST", "url": "Patient"}} for row in entries]
    bundle = {"resourceType": "Bundle", "type": kind, "identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:a:b"},
              "timestamp": "2024-01-01T00:00:00Z", "entry": [*first, *rows]}
    found = [one for one in validate(bundle) if "fullUrl" in one.diagnostics]
    assert not [one for one in validate(bundle) if one.severity in ("error", "fatal")]
    return [(one.severity, one.expression) for one in found]


@pytest.mark.parametrize("url", ["Patient/1", "/Patient/1", "#1"])
def test_a_full_url_that_is_not_absolute_is_told(url: str) -> None:
    assert told({"fullUrl": url, "resource": patient(id="1")}) == [("warning", "Bundle.entry[0].fullUrl")]


@pytest.mark.parametrize(
    ("url", "resource", "is_right"),
    [
        (URL, patient(id="1"), True), (URL, patient(id="2"), False), (URL, patient(), True),
        ("http://example.org/fhir/Group/1", patient(id="1"), False),
        ("http://example.org/fhir/Group/1", patient(), False),
        (UUID, patient(id="1"), True),
        ("http://example.org/people/7", patient(id="1"), True),
    ],
)  # fmt: skip
def test_a_full_url_that_names_another_resource_is_told(url: str, resource: dict[str, Any], is_right: bool) -> None:
    expected = [] if is_right else [("warning", "Bundle.entry[0].fullUrl")]
    assert told({"fullUrl": url, "resource": resource}) == expected


@pytest.mark.parametrize(
    ("kind", "is_right"),
    [("document", False), ("message", False), ("collection", True), ("transaction", True), ("batch", True)],
)  # fmt: skip
def test_in_a_document_and_a_message_every_resource_has_a_full_url(kind: str, is_right: bool) -> None:
    at = 1 if kind in ("document", "message") else 0
    assert told({"resource": patient(id="1")}, kind=kind) == ([] if is_right else [("warning", f"Bundle.entry[{at}]")])


@pytest.mark.parametrize("other", [[], {}, 5, None, True, [[]]], ids=str)
@pytest.mark.parametrize("where", ["type", "fullUrl", "resource"])
def test_what_is_no_bundle_is_told_as_such(where: str, other: Any) -> None:
    """A list in the place of the type was looked up among the types, and answered 500."""
    entry: dict[str, Any] = {"fullUrl": URL, "resource": patient(id="1")}
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "document", "entry": [entry, {"resource": patient()}]}
    (bundle if where == "type" else entry)[where] = other
    assert [one for one in validate(bundle) if one.severity == "error"]
