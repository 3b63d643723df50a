"""What is kept of requests that are answered later: how long, how much, and readable by whom: docs/api/async.md"""

import random

from sqlalchemy import delete, update

from hie.interactions import asynchronous
from hie.store import administration
from hie.store.check import check
from hie.store.jobs import STATES
from hie.store.models import async_request, job
from tests.builders import bundle, patient, post
from tests.conformance.conftest import Fhir
from tests.conformance.later import LATER, asked, only_entry, rows

HOUR = 3600


def div(seed):
    """Return 6,000 letters, which take 3,000 bytes sealed."""
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{random.Random(seed).randbytes(3_000).hex()}</div>'


def test_an_answer_of_an_expired_token_is_for_a_new_one_of_the_same_scopes(client, application, do_due, clock):
    asking = client("system/Patient.rs", name="one")
    address = asked(asking, "GET", "Patient")
    clock.forward(11 * HOUR)
    do_due()
    asking.get(address).refused(401, "login")

    def another(connection, scope):
        id_ = administration.client_named(connection, 1, "one")
        now = application.clock()
        return administration.add_token(connection, 1, id_, scope, now, now + 10**10)[1]

    for scope, status in (("system/Patient.rs", 200), ("system/Patient.r", 404), ("system/*.cruds", 404)):
        token = application.store.database.write(lambda connection, scope=scope: another(connection, scope))
        assert Fhir(asking.app, token).get(address).status == status


def test_request_and_answer_are_sealed_and_the_request_is_erased(client, fhir, application, do_due):
    address = asked(fhir, "POST", "Patient", patient(family="Unreadable" * 30))
    (before,) = rows(application)
    do_due()
    (after,) = rows(application)
    assert (before.result, after.request) == (None, None)
    for sealed in (before.request, after.result):
        assert b"Unreadable" not in bytes(sealed)
        assert b"Patient" not in bytes(sealed)
    thief = client("system/*.cruds", name="thief")

    def move(connection):
        to = administration.client_named(connection, 1, "thief")
        connection.execute(update(async_request).values(client=to))

    application.store.database.write(move)
    assert any("does not open" in problem for problem in check(application.store).problems)
    thief.get(address).refused(500, "security")


def test_a_request_can_be_cancelled_and_an_answer_removed(fhir, application, do_due):
    waiting, done = asked(fhir, "POST", "Patient", patient()), asked(fhir, "GET", "Patient")
    assert fhir.delete(waiting).status == 202
    fhir.get(waiting).refused(404, "not-found")
    do_due()
    assert fhir.total("Patient") == 0
    assert (fhir.get(done).status, fhir.delete(done).status, fhir.get(done).status) == (200, 202, 404)
    fhir.delete(done).refused(404, "not-found")
    assert rows(application) == []


def test_a_request_whose_job_an_administrator_cancels_is_answered(client, fhir, do_due):
    waiting, admin = asked(fhir, "POST", "Patient", patient()), client("admin")
    number = max(job["id"] for job in admin.get("/admin/jobs").json["jobs"] if job["kind"] == "async")

    admin.post(f"/admin/jobs/{number}/cancel")

    answer = only_entry(fhir.get(waiting))
    assert answer["response"]["status"].startswith("500")
    assert "took it out of the queue" in answer["response"]["outcome"]["issue"][0]["diagnostics"]
    admin.post(f"/admin/jobs/{number}/retry")
    do_due()
    assert fhir.total("Patient") == 0


def test_an_answer_expires_and_is_removed(fhir, application, do_due, clock):
    fhir.create(patient())
    done, never = asked(fhir, "GET", "Patient"), asked(fhir, "GET", "Patient")
    application.store.jobs.cancel(3, application.clock())
    do_due()
    clock.forward(9 * HOUR)
    assert (fhir.get(done).status, fhir.get(never).status) == (200, 202)
    clock.forward(15 * HOUR)
    context = application.context()
    for one in (done, never):
        assert asynchronous.asynchronous.find(context.store, one.rpartition("/")[2]) is None
    do_due()
    assert rows(application) == []


def test_what_nothing_else_removes_is_removed_an_hour_later(client, fhir, application, do_due, clock):
    """The removal of a request can be cancelled, and an earlier version could keep a request without any job."""
    admin = client("admin")
    asked(fhir, "GET", "Patient"), asked(fhir, "GET", "Patient")
    do_due()
    removals = [one["id"] for one in admin.get("/admin/jobs").json["jobs"] if one["kind"] == "async-expiry"]
    assert admin.post(f"/admin/jobs/{removals[0]}/cancel").status == 200
    asked(fhir, "GET", "Observation")
    with application.store.database.engine.begin() as connection:
        connection.execute(delete(job).where(job.c.state == "ready", job.c.id > max(removals)))
    clock.forward(24 * HOUR)
    do_due()
    assert len(rows(application)) == 2
    clock.forward(2 * HOUR)
    do_due()
    assert rows(application) == []
    assert application.store.jobs.counts() == dict.fromkeys(STATES, 0) | {"done": 1, "cancelled": 1}
    clock.forward(26 * HOUR)
    do_due()
    assert application.store.jobs.list() == []
    assert check(application.store).problems == []


def test_a_client_has_not_too_many_requests_waiting(fhir, monkeypatch):
    monkeypatch.setattr(asynchronous, "MOST_WAITING", 2)
    asked(fhir, "GET", "Patient")
    address = asked(fhir, "GET", "Patient")
    fhir.get("Patient", **LATER).refused(429, "throttled")
    fhir.delete(address)
    asked(fhir, "GET", "Patient")


def test_a_client_has_not_too_many_answers_kept(fhir, client, application, do_due, clock, monkeypatch):
    object.__setattr__(application.settings, "async_hours", 1)  # this test's own
    monkeypatch.setattr(asynchronous, "MOST_KEPT", 3)
    addresses = [asked(fhir, "GET", "Patient") for _ in range(3)]
    do_due()
    fhir.get("Patient", **LATER).refused(429, "throttled", None, "3 requests and answers")
    assert asked(client("system/*.cruds", name="another"), "GET", "Patient")
    assert fhir.delete(addresses[0]).status == 202
    asked(fhir, "GET", "Patient")
    fhir.get("Patient", **LATER).refused(429, "throttled", None, "the oldest is removed at 20")
    clock.forward(2 * HOUR)  # what has expired does not count, though no worker has removed it yet
    asked(fhir, "GET", "Patient")


def test_a_client_has_not_too_many_bytes_kept(fhir, application, do_due):
    object.__setattr__(application.settings, "async_client_bytes", 20_000)  # this test's own
    for number in range(8):
        fhir.create(patient(family=f"Name{number}", text={"status": "generated", "div": div(number)}))
    large, small = asked(fhir, "GET", "Patient"), asked(fhir, "GET", "Patient?_count=1")
    do_due()
    row = only_entry(fhir.get(large))
    assert row["response"]["status"] == "429 Too Many Requests"
    assert "more than 20000" in row["response"]["outcome"]["issue"][0]["diagnostics"]
    assert only_entry(fhir.get(small))["response"]["status"] == "200 OK"
    several = [post(patient(text={"status": "generated", "div": div(number)})) for number in range(8)]
    write = asked(fhir, "POST", "", bundle(*several), Prefer="respond-async, return=representation")
    do_due()
    assert len(only_entry(fhir.get(write))["resource"]["entry"]) == 8, "what was done is told whatever its size"
    fhir.get("Patient", **LATER).refused(429, "throttled", None, "no more than 20000 are kept")
    assert fhir.delete(write).status == 202
    do_due()
    assert asked(fhir, "GET", "Patient?_count=1")
