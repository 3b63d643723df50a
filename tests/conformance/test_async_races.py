"""Workers and clients that meet at one request which is answered later: it is done once, or the client is told."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hie.interactions import asynchronous
from hie.interactions.dispatch import INTERACTIONS
from hie.store import audit
from hie.store.check import check
from tests.builders import bundle, patient, post
from tests.conformance.later import LATER, asked, only_entry


def perform(address: str, application: Any) -> None:
    asynchronous.perform({"request": address.rpartition("/")[2]}, application.context())


def statuses(application: Any) -> list[int]:
    application.store.database.settle_records()
    keys = application.store.tenants[1].audit_keys
    return [one["status"] for one in audit.find(application.store.database.connection(), keys, 1)]


@pytest.mark.parametrize("kind", ["create", "transaction"])
def test_a_write_is_done_once_by_two_workers_of_which_one_was_thought_lost(fhir, application, monkeypatch, kind):
    """A worker that was stopped for longer than its claim lasts goes on when another has done the request."""
    body = patient(family="Once") if kind == "create" else bundle(post(patient(family="Once")))
    address = asked(fhir, "POST", "Patient" if kind == "create" else "", body)
    real, others = INTERACTIONS[kind], [True]

    def stopped(request: Any, ctx: Any) -> Any:
        if others.pop() if others else False:
            perform(address, application)  # what another worker does meanwhile
        return real(request, ctx)

    monkeypatch.setitem(INTERACTIONS, kind, stopped)
    perform(address, application)
    assert fhir.total("Patient?family=once") == 1
    assert only_entry(fhir.get(address))["response"]["status"] in ("201 Created", "200 OK")
    assert statuses(application).count(409) == 1, "what was taken back is in the audit trail as such"
    assert check(application.store).problems == []


@pytest.mark.parametrize("kind", ["create", "batch"])
def test_what_was_told_not_to_have_begun_is_not_done(fhir, application, monkeypatch, kind):
    """It is cancelled when a worker has read it and not begun it yet."""
    body = patient() if kind == "create" else bundle(post(patient()), type_="batch")
    address = asked(fhir, "POST", "Patient" if kind == "create" else "", body)
    begin = asynchronous.asynchronous.begin

    def cancelled(*arguments: Any) -> Any:
        assert "it was not begun" in fhir.delete(address).json["issue"][0]["diagnostics"]
        return begin(*arguments)

    monkeypatch.setattr(asynchronous.asynchronous, "begin", cancelled)
    perform(address, application)
    assert fhir.total("Patient") == 0
    assert 500 not in statuses(application), "nothing failed"


def test_a_write_that_is_cancelled_while_it_is_under_way_is_taken_back(fhir, application, monkeypatch):
    address = asked(fhir, "POST", "", bundle(post(patient())))
    real = INTERACTIONS["transaction"]

    def cancelled(request: Any, ctx: Any) -> Any:
        assert "taken back" in fhir.delete(address).json["issue"][0]["diagnostics"]
        return real(request, ctx)

    monkeypatch.setitem(INTERACTIONS, "transaction", cancelled)
    perform(address, application)
    assert fhir.total("Patient") == 0
    fhir.get(address).refused(404, "not-found")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_the_rest_of_a_batch_that_is_cancelled_half_way_is_not_done(fhir, application, monkeypatch):
    address = asked(fhir, "POST", "", bundle(*(post(patient()) for _ in range(4)), type_="batch"))
    real, told = INTERACTIONS["create"], []

    def cancelled(request: Any, ctx: Any) -> Any:
        answer = real(request, ctx)
        if not told:
            told.append(fhir.delete(address).json["issue"][0]["diagnostics"])
        return answer

    monkeypatch.setitem(INTERACTIONS, "create", cancelled)
    perform(address, application)
    assert "entries of a batch that were done" in told[0]
    assert fhir.total("Patient") == 1
    assert sorted(statuses(application)).count(409) == 3


def test_however_many_ask_at_once_no_more_wait_than_may(fhir, monkeypatch):
    monkeypatch.setattr(asynchronous, "MOST_WAITING", 2)
    start = threading.Barrier(8)

    def ask(_: int) -> int:
        start.wait()
        return int(fhir.get("Patient", **LATER).status)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(ask, range(8))) == [202] * 2 + [429] * 6


def test_what_is_done_between_two_steps_of_a_cancellation_is_told(fhir, application, monkeypatch):
    """The worker finishes when the cancellation has looked how far it is, and not removed it yet."""
    address = asked(fhir, "POST", "Patient", patient())
    remove = asynchronous.asynchronous.remove

    def done(*arguments: Any) -> Any:
        perform(address, application)
        return remove(*arguments)

    monkeypatch.setattr(asynchronous.asynchronous, "remove", done)
    assert "done" in fhir.delete(address).json["issue"][0]["diagnostics"]
    assert fhir.total("Patient") == 1
    monkeypatch.undo()
    again = asked(fhir, "GET", "Patient")

    def removed(*arguments: Any) -> Any:
        remove(*arguments)
        return remove(*arguments)

    monkeypatch.setattr(asynchronous.asynchronous, "remove", removed)
    fhir.delete(again).refused(404, "not-found", "http.url")
