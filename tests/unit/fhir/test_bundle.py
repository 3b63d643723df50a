"""What stands around the resources of a Bundle: plain entries are passed, and none that the validator would refuse."""

from __future__ import annotations

from typing import Any

import pytest

from hie.errors import FhirError
from hie.fhir import bundle

URL = "urn:uuid:11111111-1111-4111-8111-11111111111"
PLAIN: dict[str, Any] = {
    "fullUrl": f"{URL}0", "resource": {"resourceType": "Basic"}, "request": {"method": "POST", "url": "Basic"}}
ENTRIES: dict[str, list[Any]] = {
    "plain": [PLAIN, {**PLAIN, "fullUrl": f"{URL}1"}],
    "none": [],
    "one fullUrl twice": [PLAIN, PLAIN],
    "an empty fullUrl": [{**PLAIN, "fullUrl": ""}],
    "a fullUrl with a space": [{**PLAIN, "fullUrl": f"{URL} 0"}],
    "a fullUrl that is none": [{**PLAIN, "fullUrl": 1}],
    "no fullUrl": [{name: value for name, value in PLAIN.items() if name != "fullUrl"}],
    "a fullUrl with a version": [{**PLAIN, "fullUrl": "http://example.org/Basic/1/_history/1"}],
    "an unknown method": [{**PLAIN, "request": {"method": "SEND", "url": "Basic"}}],
    "no url": [{**PLAIN, "request": {"method": "POST"}}],
    "a url that is a list": [{**PLAIN, "request": {"method": "POST", "url": ["Basic"]}}],
    "an unknown type": [{**PLAIN, "request": {"method": "POST", "url": "Nothing"}}],
    "a request that is a list": [{**PLAIN, "request": [1]}],
    "more in the request": [{**PLAIN, "request": {"method": "POST", "url": "Basic", "colour": "red"}}],
    "more in the entry": [{**PLAIN, "colour": "red"}],
    "a response": [{**PLAIN, "response": {"status": "201"}}],
    "a search": [{**PLAIN, "search": {"mode": "match"}}],
    "a modifier extension": [{**PLAIN, "modifierExtension": [{"url": "urn:x", "valueCode": "x"}]}],
    "no object": [PLAIN, 1],
    "null": [None],
}


def told(entries: list[Any], **more: Any) -> list[Any] | None:
    whole = {"resourceType": "Bundle", "type": "transaction", "entry": entries, **more}
    try:
        bundle.validate_envelope(whole, entries)
    except FhirError as error:
        return error.issues
    return None


@pytest.mark.parametrize("more", [{}, {"colour": "red"}, {"timestamp": "yesterday"}], ids=["", "unknown", "wrong"])
@pytest.mark.parametrize("entries", ENTRIES.values(), ids=ENTRIES.keys())
def test_entries_are_judged_as_the_validator_judges_them(
    monkeypatch: pytest.MonkeyPatch, entries: list[Any], more: dict[str, Any]
) -> None:
    found = told(entries, **more)
    monkeypatch.setattr(bundle, "_are_plain", lambda _: False)
    assert found == told(entries, **more)


NOT_DONE = [{"url": "urn:x:not-done", "valueBoolean": True}]


@pytest.mark.parametrize(("entry", "more", "place"), [
    ({"modifierExtension": NOT_DONE}, {}, "Bundle.entry[1].modifierExtension"),
    ({"request": {**PLAIN["request"], "modifierExtension": NOT_DONE}}, {}, "Bundle.entry[1].request.modifierExtension"),
    ({}, {"link": [{"relation": "self", "url": "urn:x", "modifierExtension": NOT_DONE}]},
     "Bundle.link[0].modifierExtension"),
    ({}, {"implicitRules": "urn:x"}, "Bundle.implicitRules"),
], ids=["entry", "request", "link", "rules"])  # fmt: skip
def test_what_would_mean_something_else_is_not_carried_out(
    entry: dict[str, Any], more: dict[str, Any], place: str
) -> None:
    """Of a resource that is stored it is kept."""
    assert told([PLAIN, {**PLAIN, "fullUrl": f"{URL}1", "resource": {"modifierExtension": NOT_DONE}}]) is None
    found = told([PLAIN, {**PLAIN, "fullUrl": f"{URL}1", **entry}], **more)
    assert found is not None
    code = "extension" if "mod" in place else "not-supported"
    assert [(one.code, one.expression) for one in found] == [(code, place)]


def test_plain_entries_are_passed() -> None:
    assert bundle._are_plain(ENTRIES["plain"])
    assert not any(bundle._are_plain(entries) for name, entries in ENTRIES.items() if name != "plain")
