"""batch, read entry by entry as a large body is: everything that holds of a small one holds of it."""

import json

import pytest

from hie.fhir import bundle_stream
from tests.builders import bundle, entry, observation, patient, post
from tests.conformance.test_batch import *  # noqa: F403 - every test of batches runs here again
from tests.conformance.test_transaction_streamed import (
    BODIES,
    ENTRY,
    HEAD,
    see_that_it_is_told_as_of_a_small_one,
    streamed,  # noqa: F401 - a fixture
)

BATCH = HEAD.replace('"transaction"', '"batch"')


@pytest.fixture(params=["sqlite"])
def database_kind(request):
    return request.param


@pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"])
def test_each_entry_is_read_again_when_it_is_its_turn(fhir, streamed):  # noqa: F811
    entries = [post(patient("Größe \U0001f600")), post(patient(gender="x")), post(observation("Patient/nobody")),
               entry("GET", "Patient?family=Gr%C3%B6%C3%9Fe"),
               *(post(observation(value=number)) for number in range(9))]
    body = json.dumps(bundle(*entries, type_="batch"), ensure_ascii=False, indent=1).encode()
    answer = fhir.post("", body, Prefer="return=representation")
    assert (answer.status, len(answer.entries())) == (200, 13)
    assert isinstance(streamed[0]["entry"], bundle_stream.Entries)
    rows = [row["response"] for row in answer.entries()]
    assert [row["status"][:3] for row in rows] == ["201", "400", "400", "200", *["201"] * 9]
    assert rows[1]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[1].resource.gender"]
    assert rows[2]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[2].resource.subject.reference"]
    assert answer.entries()[3]["resource"]["total"] == 1
    assert answer.entries()[0]["resource"]["name"][0]["family"] == "Größe \U0001f600"
    assert fhir.total("Observation") == 9


@pytest.mark.parametrize(("tail", "status"), BODIES.values(), ids=BODIES.keys())
def test_layouts_and_breaks_are_told_as_of_a_small_body(fhir, monkeypatch, tail, status):
    tail = tail.replace('"type":"transaction"', '"type":"batch"')
    see_that_it_is_told_as_of_a_small_one(fhir, monkeypatch, BATCH + tail.replace("@", ENTRY), status)


def test_more_entries_than_are_taken_are_refused_before_the_first_is_done(fhir, monkeypatch):
    monkeypatch.setattr(bundle_stream, "_WINDOW", 1 << 21)
    many = [post(patient()), *[entry("GET", "Patient/x")] * 5_000]
    fhir.post("", bundle(*many, type_="batch")).refused(413, "too-long", "Bundle.entry", "5000 entries")
    assert fhir.total("Patient") == 0
