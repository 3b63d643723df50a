"""Workers that are lost while they do what is answered later: it is done once, or the client is told."""

import json

import pytest

from hie.errors import Busy
from hie.fhir import bundle_stream
from hie.interactions import asynchronous
from hie.interactions.dispatch import INTERACTIONS
from tests.builders import bundle, entry, patient, post
from tests.conformance.later import asked, only_entry


class Lost(BaseException):
    """The worker is killed."""


def test_a_write_is_done_once_however_often_its_worker_is_lost(fhir, application, do_due, clock, monkeypatch):
    address = asked(fhir, "POST", "", bundle(post(patient(family="Once"))))
    payload = {"request": address.rpartition("/")[2]}
    with monkeypatch.context() as patched:
        patched.setattr(asynchronous.entries, "response", killed)  # while the answer joins the transaction
        with pytest.raises(Lost):
            asynchronous.perform(payload, application.context())
    assert fhir.total("Patient") == 0
    asynchronous.perform(payload, application.context())
    asynchronous.perform(payload, application.context())
    do_due()
    assert fhir.total("Patient") == 1
    assert only_entry(fhir.get(address))["response"]["status"] == "200 OK"


def killed(*_):
    raise Lost


@pytest.mark.parametrize("large", [bundle_stream.LARGE, 0], ids=["small", "large"])
def test_a_batch_that_was_interrupted_is_not_repeated(fhir, application, do_due, monkeypatch, large):
    monkeypatch.setattr(bundle_stream, "LARGE", large)
    address = asked(fhir, "POST", "", bundle(post(patient(family="Half")), type_="batch"))
    with monkeypatch.context() as patched:
        patched.setattr(asynchronous.asynchronous, "finish", killed)
        with pytest.raises(Lost):
            asynchronous.perform({"request": address.rpartition("/")[2]}, application.context())
    assert fhir.get(address).headers["X-Progress"].startswith("in progress since 2026-")
    do_due()
    row = only_entry(fhir.get(address))
    assert row["response"]["status"] == "500 Internal Server Error"
    assert "Nothing was repeated" in row["response"]["outcome"]["issue"][0]["diagnostics"]
    assert fhir.total("Patient") == 1


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_who_sent_a_batch_that_was_interrupted_is_told_what_it_wrote(fhir, application, do_due, monkeypatch):
    known = fhir.create(patient())["id"]
    fhir.create(patient(family="Before"))
    batch = bundle(
        post(patient()), entry("GET", f"Patient/{known}"), post(patient(gender="x")),
        entry("DELETE", f"Patient/{known}"), post(patient(family="Never")), type_="batch")
    address = asked(fhir, "POST", "", batch, X_Request_Id="mine")
    real, made = INTERACTIONS["create"], []

    def lost(request, ctx):
        if request.resource["name"][0]["family"] == "Never":
            raise Lost
        made.append(real(request, ctx))
        return made[-1]

    with monkeypatch.context() as patched:
        patched.setitem(INTERACTIONS, "create", lost)
        with pytest.raises(Lost):
            asynchronous.perform({"request": address.rpartition("/")[2]}, application.context())
    do_due()
    first, second = only_entry(fhir.get(address))["response"]["outcome"]["issue"]
    assert (first["severity"], second["severity"]) == ("error", "information")
    assert "what it wrote is told below" in first["diagnostics"]
    assert second["diagnostics"] == f"Written: Patient/{made[0].entity[1]}, Patient/{known}."


@pytest.mark.parametrize("error", [Busy("The database is busy."), ValueError("a defect")], ids=["busy", "defect"])
def test_what_fails_for_a_moment_is_tried_again_and_at_last_answered(fhir, do_due, clock, monkeypatch, error):
    fhir.create(patient())
    first, second = asked(fhir, "GET", "Patient"), asked(fhir, "GET", "Patient")
    real, left = INTERACTIONS["search-type"], [1]

    def failing(request, ctx):
        if left[0] > 0:
            left[0] -= 1
            raise error
        return real(request, ctx)

    monkeypatch.setitem(INTERACTIONS, "search-type", failing)
    do_due()
    clock.forward(10)
    do_due()
    assert {only_entry(fhir.get(one))["response"]["status"] for one in (first, second)} == {"200 OK"}
    third, left[0] = asked(fhir, "GET", "Patient"), 99
    for _ in range(5):
        do_due()
        clock.forward(30)
    row = only_entry(fhir.get(third))
    assert row["response"]["status"] == "500 Internal Server Error"
    assert "a defect" not in json.dumps(row)
