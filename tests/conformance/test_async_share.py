"""How much is kept for one client of what is answered later: a small request may ask for what is large."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hie.interactions import asynchronous
from tests.builders import bundle, entry, patient, post
from tests.conformance.later import LATER, asked, only_entry, rows

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])
SHARE = 20_000


@pytest.fixture
def application(app: Any) -> Any:
    object.__setattr__(app.extensions["hie"].settings, "async_client_bytes", SHARE)  # this test's own
    return app.extensions["hie"]


@pytest.fixture
def large(fhir: Any, application: Any) -> str:
    """A Patient of 6,000 letters that take 3,000 bytes sealed."""
    letters = random.Random(1).randbytes(3_000).hex()
    text = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{letters}</div>'}
    return str(fhir.create(patient(family="Large", text=text))["id"])


@pytest.mark.parametrize("type_", ["batch", "transaction"])
def test_a_bundle_that_also_writes_reads_no_more_than_may_be_kept(fhir, application, work, large, type_):
    """What it wrote must be told, so that its answer is kept whatever its size: it could be any."""
    reads = [entry("GET", f"Patient/{large}"), entry("POST", f"Patient/{large}/$everything")] * 10
    address = asked(fhir, "POST", "", bundle(post(patient(family="Small")), *reads, type_=type_))
    work()
    row = only_entry(fhir.get(address))
    if type_ == "transaction":
        assert row["response"]["status"] == "429 Too Many Requests"
        assert fhir.total("Patient?family=small") == 0
        return
    found = [one["response"]["status"][:3] for one in row["resource"]["entry"]]
    assert found[:2] == ["201", "200"]
    assert found[-10:] == ["429"] * 10
    assert sum(len(one.result) for one in rows(application)) < 2 * SHARE
    told = row["resource"]["entry"][-1]["response"]["outcome"]["issue"][0]
    assert (told["code"], told["expression"]) == ("throttled", ["Bundle.entry[20].request.url"])
    assert "was not done. DELETE the addresses of answers" in told["diagnostics"]


def test_a_batch_that_only_reads_is_refused_and_repeated_as_a_read_is(fhir, application, work, large):
    reads = bundle(*[entry("GET", f"Patient/{large}"), entry("HEAD", f"Patient/{large}")] * 9, type_="batch")
    small = asked(fhir, "POST", "", bundle(entry("GET", "Patient?_summary=count"), type_="batch"))
    context = application.context()
    kept = asynchronous.asynchronous.find(context.store, small.rpartition("/")[2])
    assert asynchronous.asynchronous.begin(context.store, kept), "a worker began it, and was lost"
    too_large = asked(fhir, "POST", "", reads)
    work()
    assert only_entry(fhir.get(small))["resource"]["entry"][0]["resource"]["total"] == 1
    found = [one["response"]["status"][:3] for one in only_entry(fhir.get(too_large))["resource"]["entry"]]
    assert found[0] == "200"
    assert found[-2:] == ["429", "429"]
    assert sum(len(one.result) for one in rows(application)) < SHARE + 8_000


def test_who_asks_for_too_much_is_told_when_to_ask_again(fhir, application, monkeypatch):
    monkeypatch.setattr(asynchronous, "MOST_WAITING", 2)
    asked(fhir, "GET", "Patient"), asked(fhir, "GET", "Patient")
    assert fhir.get("Patient", **LATER).headers["Retry-After"] == "10"
    monkeypatch.setattr(asynchronous, "MOST_KEPT", 2)
    monkeypatch.setattr(asynchronous, "MOST_WAITING", 3)
    answer = fhir.get("Patient", **LATER)
    assert (answer.status, answer.headers["Retry-After"]) == (429, str(24 * 3600))
