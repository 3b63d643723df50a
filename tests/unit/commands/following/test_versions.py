"""Entries of histories, and the versions that they tell of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hie.commands.following.versions import Unfollowable, Version, of_entry
from hie.fhir.json_format import parse

BASE = "https://there.example/fhir"


def entry(**changes: Any) -> dict[str, Any]:
    row = {
        "fullUrl": f"{BASE}/Patient/a",
        "resource": {"resourceType": "Patient", "id": "a", "meta": {"versionId": "2"}},
        "request": {"method": "PUT", "url": "Patient/a"},
        "response": {"status": "200", "lastModified": "2024-05-01T10:00:00.5Z"},
    }
    return {name: value for name, value in {**row, **changes}.items() if value is not None}


@pytest.mark.parametrize(("changes", "number"), [
    ({}, "2"),
    ({"response": {"etag": 'W/"7"'}}, "2"),
    ({"resource": {"resourceType": "Patient", "id": "a"}, "response": {"etag": 'W/"7"'}}, "7"),
    ({"resource": {"resourceType": "Patient", "id": "a"}, "response": {"etag": "7"}}, "7"),
    ({"resource": None, "request": {"method": "DELETE", "url": "Patient/a/_history/3"}}, "3"),
    ({"resource": None, "request": {"method": "DELETE", "url": "Patient/a"},
      "response": {"location": "Patient/a/_history/4"}}, "4"),
    ({"resource": {"resourceType": "Patient", "id": "a", "meta": {"versionId": "not an id"}}}, "at-1714557600500000"),
])  # fmt: skip
def test_the_number_is_where_the_server_says_it(changes, number):
    assert of_entry(entry(**changes), BASE).number == number


@pytest.mark.parametrize(("full_url", "kept"), [
    (f"{BASE}/Patient/a", f"{BASE}/Patient/a"), ("http://inside:8080/r4/Patient/a", "http://inside:8080/r4/Patient/a"),
    (f"{BASE}/Patient/a/_history/2", f"{BASE}/Patient/a"), ("Patient/a", f"{BASE}/Patient/a"),
    ("/Patient/a", f"{BASE}/Patient/a"), (f"{BASE}/Patient/b", f"{BASE}/Patient/a"), (None, f"{BASE}/Patient/a"),
    (7, f"{BASE}/Patient/a"), ("urn:uuid:5c1b5b4e-0000-4000-8000-000000000000", f"{BASE}/Patient/a"),
])  # fmt: skip
def test_the_address_is_the_one_by_which_the_server_refers_to_it(full_url, kept):
    assert of_entry(entry(fullUrl=full_url), BASE).full_url == kept


@pytest.mark.parametrize(("changes", "method"), [
    ({}, "PUT"), ({"request": {"method": "POST", "url": "Patient"}}, "POST"), ({"request": None}, "PUT"),
    ({"request": {"method": "GET", "url": "Patient/a/_history/2"}}, "PUT"),
    ({"request": {"method": "DELETE", "url": "Patient/a"}}, "DELETE"),
    ({"resource": None, "request": {"method": "GET", "url": "Patient/a/_history/2"}, "response": {"status": "410"}},
     "DELETE"),
])  # fmt: skip
def test_the_method_tells_what_was_done(changes, method):
    version = of_entry(entry(**changes), BASE)
    assert (version.method, version.resource is None) == (method, method == "DELETE")


@pytest.mark.parametrize("changes", [
    {"resource": None}, {"resource": [], "request": {"method": "POST", "url": "Patient"}},
    {"resource": {"resourceType": "Patient"}, "fullUrl": None, "request": {"method": "POST", "url": "Patient"}},
    {"resource": {"resourceType": "Patient", "id": "a b"}}, {"resource": {"resourceType": "patient", "id": "a"}},
    {"resource": {"resourceType": "Patient", "id": "a"}, "response": {"lastModified": "today"}},
    {"resource": None, "fullUrl": None, "request": {"method": "DELETE", "url": "Nothing/a"}},
])  # fmt: skip
def test_what_tells_of_no_version_is_refused(changes):
    with pytest.raises(Unfollowable):
        of_entry(entry(**changes), BASE)


def test_what_is_kept_is_read_as_it_was_and_numbers_keep_their_digits():
    value = b'{"resourceType":"Observation","id":"o","meta":{"versionId":"1"},"valueQuantity":{"value":1.00}}'
    for method in ("PUT", "DELETE"):
        version = of_entry(entry(resource=parse(value), request={"method": method, "url": "Observation/o"}), BASE)
        assert Version.load(version.dump()) == version
        assert (version.resource == value) == (method == "PUT")


def test_it_is_sent_as_an_entry_of_a_history():
    sent = json.loads(of_entry(entry(search={"mode": "match"}), BASE).created().entry())
    assert sent == {**entry(), "request": {"method": "POST", "url": "Patient"}, "response": {
        "status": "201", "etag": 'W/"2"', "lastModified": "2024-05-01T10:00:00.500Z"}}
