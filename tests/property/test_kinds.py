"""Presence bits tell of every resource which rows of dates and numbers it may have: over the official examples."""

from __future__ import annotations

import os
import tarfile

import pytest

from hie.fhir import facts, json_format
from hie.store.crypto import Blind
from hie.store.search import kinds
from hie.store.search.index import index_rows
from tests.property.test_xml_format import EXAMPLES

#: Every nth example, so that the suite stays short; all of them: KINDS_EXAMPLES=1
EVERY = int(os.environ.get("KINDS_EXAMPLES", "5"))
BLIND = Blind(b"key")


@pytest.mark.skipif(not EXAMPLES.exists(), reason=f"the official examples are not at {EXAMPLES}")
def test_no_row_is_where_the_presence_bits_say_that_there_is_none() -> None:
    judged, without = 0, 0
    with tarfile.open(EXAMPLES) as archive:
        for number, member in enumerate(archive):
            file = archive.extractfile(member) if number % EVERY == 0 else None
            resource = json_format.parse(file.read()) if file is not None and member.name.endswith(".json") else {}
            if resource.get("resourceType") not in facts.RESOURCE_TYPES:
                continue
            rows = index_rows(resource, BLIND)
            told = kinds.of_presence(BLIND, resource["resourceType"], rows.presence)
            assert kinds.of_rows(rows) | told == told, member.name
            judged, without = judged + 1, without + (told == kinds.NONE)
    assert judged * EVERY >= 2_900 - EVERY
    assert without > judged / 2


@pytest.mark.parametrize(("resource", "expected"), [
    ({"resourceType": "Patient", "birthDate": "1970-01-01", "deceasedDateTime": "2020-01-01"}, kinds.NONE),
    ({"resourceType": "Encounter", "period": {"start": "2024-01-01"}}, kinds.NONE),
    ({"resourceType": "Encounter", "length": {"value": 1}}, kinds.Kinds(False, True)),
    ({"resourceType": "Encounter", "location": [{"period": {"start": "2024"}}]}, kinds.Kinds(True, False)),
    ({"resourceType": "Condition", "recordedDate": "2024-01-01", "onsetAge": {"value": 3}}, kinds.EVERY),
    ({"resourceType": "Binary", "contentType": "text/plain"}, kinds.Kinds(True, False)),
])  # fmt: skip
def test_a_types_own_date_and_what_is_only_hashed_need_no_rows(resource, expected) -> None:
    assert kinds.of_presence(BLIND, resource["resourceType"], index_rows(resource, BLIND).presence) == expected
