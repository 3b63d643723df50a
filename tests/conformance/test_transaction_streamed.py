"""transaction, read entry by entry as a large body is: everything that holds of a small one holds of it."""

import json

import pytest

from hie.fhir import bundle_stream
from hie.store import unit_of_work
from hie.store.check import check
from tests.builders import bundle, observation, patient, post
from tests.conformance.full_urls import P

# Every test of transactions runs here again.
from tests.conformance.test_transaction import *  # noqa: F403
from tests.conformance.test_transaction_conditional_references import *  # noqa: F403
from tests.conformance.test_transaction_conditions import *  # noqa: F403
from tests.conformance.test_transaction_references import *  # noqa: F403


@pytest.fixture(params=["sqlite"])
def database_kind(request):
    return request.param


@pytest.fixture(autouse=True)
def streamed(monkeypatch):
    """Read every body in windows of a few bytes, and let versions wait in the file almost at once."""
    monkeypatch.setattr(bundle_stream, "LARGE", 0)
    monkeypatch.setattr(bundle_stream, "_WINDOW", 50)
    monkeypatch.setattr(unit_of_work, "MANY", 2)
    begun = []
    begin = bundle_stream.begin

    def counted(body):
        begun.append(begin(body))
        return begun[-1]

    monkeypatch.setattr(bundle_stream, "begin", counted)
    return begun


@pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"])
def test_what_waited_in_a_file_is_stored_whole(app, fhir, streamed):
    entries = [post(patient("Größe \U0001f600"), P), *(post(observation(P, value=number)) for number in range(50))]
    answer = fhir.post("", json.dumps(bundle(*entries), ensure_ascii=False, indent=1).encode())
    assert (answer.status, len(answer.entries())) == (200, 51)
    assert streamed[0] is not None
    assert fhir.total("Observation?value-quantity=ge0") == 50
    assert fhir.get("Patient?family=Gr%C3%B6%C3%9Fe").resources()[0]["name"][0]["family"] == "Größe \U0001f600"
    assert check(app.extensions["hie"].store).problems == []
    fhir.post("", bundle(*entries, post(observation("Patient/nobody")))).refused(
        400, "not-found", "Bundle.entry[51].resource.subject.reference")
    assert fhir.total("Observation") == 50


ENTRY = json.dumps(post(patient()))
HEAD = '{"resourceType":"Bundle","type":"transaction","entry":['
#: what stands behind the head; @ is an entry
BODIES: dict[str, tuple[str, int]] = {
    "properties behind": ('@],"meta":{"tag":[{"code":"x"}]},"timestamp":"2024-01-01T00:00:00Z"}', 200),
    "spaces": (' @ ,\r\n\t@\n] } ', 200), "no entries": ("]}", 400),
    "an unknown property": ('@],"colour":"red"}', 400), "a property twice": ('@],"type":"transaction"}', 400),
    "entries twice": ('@],"entry":[]}', 400), "a comma at the end": ("@,]}", 400), "no end": ("@", 400),
    "no end of the object": ("@]", 400), "more behind": ("@]}x", 400), "no comma": ("@ @]}", 400),
    "a number": ("1]}", 400),
    "null": ("@,null]}", 400), "an empty request": ('@,{"request":{}}]}', 400), "no request": ("@,{}]}", 400),
    "half a character": (ENTRY.replace("Smith", "\\ud800") + "]}", 400),
    "too deep": ("[" * 100 + "]" * 100 + "]}", 400),
    "no number": ("@,NaN]}", 400), "a name twice": ('@,{"x":1,"x":1}]}', 400),
    "a comma behind everything": ("@],}", 400),
}  # fmt: skip


@pytest.mark.parametrize(("tail", "status"), BODIES.values(), ids=BODIES.keys())
def test_layouts_and_breaks_are_told_as_of_a_small_body(fhir, monkeypatch, tail, status):
    see_that_it_is_told_as_of_a_small_one(fhir, monkeypatch, HEAD + tail.replace("@", ENTRY), status)


def see_that_it_is_told_as_of_a_small_one(fhir, monkeypatch, body, status):
    """Send a Bundle of Patients named Smith as a large one, and as one that is read whole."""
    large = fhir.post("", body.encode())
    assert large.status == status, large.content
    assert fhir.total("Patient") == (body.count("Smith") if status == 200 else 0)
    monkeypatch.setattr(bundle_stream, "LARGE", 10**9)
    whole = fhir.post("", body.encode())
    assert whole.status == status
    if status == 400:
        assert whole.json["issue"] == large.json["issue"]


def test_a_large_body_for_later_is_read_entry_by_entry_too(fhir, streamed, work):
    for broken in ("", ",", ",]", "]", "]}x"):
        fhir.post("", (HEAD + ENTRY + broken).encode(), Prefer="respond-async").refused(400, "structure")
    address = fhir.post("", (HEAD + ENTRY + "]}").encode(), Prefer="respond-async").headers["Content-Location"]
    streamed.clear()
    work()
    assert [len(one["entry"].named) for one in streamed] == [0]
    assert fhir.get(address).resources()[0]["type"] == "transaction-response"
    assert fhir.total("Patient") == 1


def test_a_type_behind_the_entries_and_other_text_are_read_whole(fhir, streamed):
    late = '{"resourceType":"Bundle","entry":[' + ENTRY + '],"type":"transaction"}'
    assert fhir.post("", late.encode()).status == 200
    no_array = HEAD.replace("[", "{}}")
    for body in (b"", b"[]", b"{", no_array.encode(), b"\xff\xfe{", b'{"a":1,"a":2}'):
        assert fhir.post("", body).status == 400, body
    assert streamed == [None] * 7
