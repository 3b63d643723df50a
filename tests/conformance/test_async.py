"""Answers that come later, by Prefer: respond-async: https://hl7.org/fhir/R5/async-bundle.html"""

import json
import random
import threading
from dataclasses import replace

import pytest
from sqlalchemy import delete, select, update

from hie.interactions import asynchronous
from hie.jobs.worker import Worker
from hie.store import administration, audit
from hie.store.check import check
from hie.store.jobs import STATES
from hie.store.models import access_token, async_request, job
from hie.store.models import client as client_table
from tests.builders import bundle, entry, observation, patient, post
from tests.conformance.conftest import FHIR_JSON, FHIR_XML, Fhir
from tests.conformance.later import LATER, asked, only_entry, rows

HOUR = 3600


def div(seed):
    """Return 6,000 letters, which take 3,000 bytes sealed."""
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{random.Random(seed).randbytes(3_000).hex()}</div>'


@pytest.fixture
def application(app):
    return app.extensions["hie"]


@pytest.fixture
def work(application):
    """Do every job that is due."""
    worker = Worker(application, "test")

    def done():
        while worker.step():
            pass

    return done


@pytest.mark.proves("documentation:respond-async")
def test_a_request_is_accepted_done_and_answered_as_a_bundle(fhir, application, work):
    address = asked(fhir, "POST", "Patient", patient(family="Later"))
    assert fhir.total("Patient") == 0
    waiting = fhir.get(address)
    assert (waiting.status, waiting.headers["X-Progress"], waiting.headers["Retry-After"]) == (202, "waiting", "1")
    work()
    answer = fhir.get(address)
    row = only_entry(answer)
    id_ = row["resource"]["id"]
    assert (row["response"]["status"], row["response"]["etag"]) == ("201 Created", 'W/"1"')
    assert row["response"]["location"] == f"http://localhost/fhir/Patient/{id_}/_history/1"
    assert row["fullUrl"] == f"http://localhost/fhir/Patient/{id_}"
    assert "Expires" in answer.headers
    assert fhir.get(f"Patient/{id_}").json == row["resource"]
    assert only_entry(fhir.get(address))["resource"]["id"] == id_, "an answer may be fetched again"
    xml = fhir.get(address, Accept="application/fhir+xml")
    assert (xml.headers["Content-Type"], only_entry(xml)) == (FHIR_XML, row)
    assert check(application.store).problems == []


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_what_is_xml_and_no_fhir_is_told_later_too(fhir, work):
    body = b'<Patient xmlns="http://hl7.org/fhir"><nam/></Patient>'
    path = asked(fhir, "POST", "Patient/$validate", body, Content_Type="application/fhir+xml")
    work()
    assert "Patient has no element nam" in str(only_entry(fhir.get(path)))


@pytest.mark.proves("documentation:respond-async")
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_any_request_may_be_answered_later(fhir, work):
    id_ = fhir.create(patient(family="Any"))["id"]
    kept = fhir.create(patient(family="Kept"))["id"]
    asks = {
        "200 OK": [
            ("GET", f"Patient/{id_}", None), ("GET", f"Patient/{id_}/_history/1", None),
            ("GET", "Patient?family=any", None),
            ("GET", f"Patient/{id_}/_history", None), ("GET", "Patient/_history", None), ("GET", "_history", None),
            ("GET", f"Patient/{id_}/$everything", None), ("POST", "Patient/$validate", patient()),
            ("PUT", f"Patient/{id_}", patient(id=id_, family="Any", active=True)),
            ("POST", "", bundle(post(patient(family="One")))),
            ("POST", "", bundle(entry("GET", f"Patient/{id_}"), post(patient(family="Two")), type_="batch")),
            ("DELETE", f"Patient/{kept}", None),
        ],
        "404 Not Found": [("GET", "Patient/none", None), ("POST", "Patient/none/$everything", None)],
        "400 Bad Request": [("POST", "Patient", patient(gender="x")), ("GET", "Patient?colour=red", None)],
        "412 Precondition Failed": [("PUT", f"Patient/{id_}", patient(id=id_))],
    }  # fmt: skip
    asked_for = []
    for status, requests in asks.items():
        for method, url, body in requests:
            headers = {"If_Match": 'W/"7"'} if status.startswith("412") else {}
            asked_for.append((status, method, url, asked(fhir, method, url, body, **headers)))
    work()
    for status, method, url, address in asked_for:
        row = only_entry(fhir.get(address))
        assert row["response"]["status"] == status, (method, url, row)
        assert ("outcome" in row["response"]) == (status >= "4" or method == "DELETE" or "$validate" in url), (url, row)
    assert fhir.total("Patient?family=one,two") == 2
    assert fhir.get(f"Patient/{kept}").status == 410
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    address = asked(fhir, "POST", "Patient/_search", b"family=two", **form)
    image = asked(fhir, "POST", "Binary", b"\x00\x01", Content_Type="image/png")
    work()
    assert only_entry(fhir.get(address))["resource"]["total"] == 1
    assert only_entry(fhir.get(image))["resource"]["data"] == "AAE="


def test_operations_that_write_are_answered_and_audited_once(client, fhir, application, work):
    who = client("admin system/*.cruds")
    subject = fhir.create(patient(family="Any"))["id"]
    author = {"resourceType": "Composition", "status": "final", "type": {"text": "x"}, "date": "2024", "title": "x",
              "author": [{"reference": f"Patient/{subject}"}]}  # fmt: skip
    composition = fhir.create(author)["id"]
    tagged = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]}
    asks = [(f"Patient/{subject}/$meta-add", tagged), (f"Patient/{subject}/$meta-delete", tagged),
            (f"Composition/{composition}/$document?persist=true", None), (f"Patient/{subject}/$recommend", None),
            (f"Patient/{subject}/$reindex", None), (f"Patient/{subject}/_history", "DELETE")]  # fmt: skip
    for number, (url, body) in enumerate(asks):
        method = "DELETE" if body == "DELETE" else "POST"
        address = asked(who, method, url, None if method == "DELETE" else body, X_Request_Id=f"op-{number}")
        work()
        row = only_entry(who.get(address))
        assert row["response"]["status"] in ("200 OK", "201 Created"), (url, row)
        done = [one["status"] for one in records(application) if one["request"] == f"op-{number}"]
        assert sorted(done) in ([200, 202], [201, 202]), (url, done)
    assert fhir.total("Bundle") == 1


def test_a_read_that_is_answered_later_brings_the_part_that_it_asks_for(fhir, work):
    one = fhir.create(patient(gender="male"))["id"]
    part, none = (asked(fhir, "GET", f"Patient/{one}?{query}") for query in ("_elements=gender", "_summary=count"))
    work()
    assert set(only_entry(fhir("GET", part))["resource"]) == {"resourceType", "id", "meta", "gender"}
    assert only_entry(fhir("GET", none))["response"]["status"] == "400 Bad Request"


def test_that_a_read_is_accepted_is_told_whole_and_as_fhir(fhir, work):
    one = fhir.create(patient())["id"]
    held = fhir.create({"resourceType": "Binary", "contentType": "text/plain", "data": "QUJD"})["id"]
    for url in (f"Patient/{one}?_elements=gender", f"Patient/{one}?_summary=text", f"Binary/{held}"):
        answer = fhir("GET", url, None, **LATER)
        assert (answer.status, answer.headers["Content-Type"]) == (202, "application/fhir+json; charset=utf-8"), url
        assert (answer.json["resourceType"], "meta" in answer.json) == ("OperationOutcome", False), url
    work()
    address = asked(fhir, "GET", f"Binary/{held}")
    work()
    assert only_entry(fhir("GET", address))["resource"]["data"] == "QUJD"


def test_what_cannot_be_read_is_refused_at_once(fhir, nobody, application):
    fhir.post("Patient", b"{", **LATER).refused(400, "structure")
    fhir.get("Nothing", **LATER).refused(404, "not-supported")
    fhir.get("Patient?_outputFormat=ndjson", **LATER).refused(400, "not-supported", "_outputFormat")
    nobody.get("Patient", **LATER).refused(401, "login")
    assert rows(application) == []
    assert fhir.get("metadata", **LATER).status == 200
    assert fhir("HEAD", "Patient", **LATER).status == 200
    assert rows(application) == []


def test_another_client_or_a_token_of_other_scopes_finds_nothing(client, fhir, app, application, work):
    fhir.create(patient(family="Secret"))
    address = asked(fhir, "GET", "Patient")
    same_scopes = client("system/*.cruds", name="another client")

    def more_tokens(connection):
        id_ = connection.execute(select(access_token.c.client).order_by(access_token.c.created)).scalar()
        now = application.clock()
        return [administration.add_token(connection, 1, id_, scope, now, 2 * now)[1]
                for scope in ("system/Observation.rs", "system/*.cruds")]

    narrow, equal = (Fhir(app, token) for token in application.store.database.write(more_tokens))
    for _ in ("waiting", "done"):
        for stranger in (same_scopes, narrow):
            stranger.get(address).refused(404, "not-found", "http.url")
            stranger.delete(address).refused(404, "not-found", "http.url")
        assert equal.get(address).status in (200, 202)
        work()
    assert only_entry(equal.get(address))["resource"]["total"] == 1
    fhir.get("_async/" + "0" * 32).refused(404, "not-found")


def test_a_request_is_done_under_the_grant_that_asked(client, fhir, work):
    id_ = fhir.create(patient(family="Hidden"))["id"]
    fhir.create(observation(f"Patient/{id_}"))
    narrow = client("system/Observation.rs")
    found = asked(narrow, "GET", "Observation?_include=Observation:subject")
    refused = [asked(narrow, "GET", f"Patient/{id_}"), asked(narrow, "POST", "Patient", patient()),
               asked(narrow, "POST", "", bundle(entry("GET", f"Patient/{id_}"))),
               asked(narrow, "GET", "Observation?subject:Patient.family=hidden")]
    work()
    searchset = only_entry(narrow.get(found))["resource"]
    assert [one["resource"]["resourceType"] for one in searchset["entry"]] == ["Observation"]
    for address in refused:
        row = only_entry(narrow.get(address))
        assert row["response"]["status"][:3] in ("403", "400"), row
        assert "Hidden" not in json.dumps(row)
    assert fhir.total("Patient") == 1


def test_a_revoked_token_does_nothing_any_more_and_an_expired_one_does(client, fhir, application, work, clock):
    revoked, lasting = client("system/Patient.cruds", name="revoked"), client("system/Patient.cruds", name="lasting")
    first, second = asked(revoked, "POST", "Patient", patient()), asked(lasting, "POST", "Patient", patient())

    def change(connection):
        now = application.clock()
        for name, values in (("revoked", {"revoked": now}), ("lasting", {"expires": now - 1})):
            id_ = administration.client_named(connection, 1, name)
            connection.execute(update(access_token).where(access_token.c.client == id_).values(**values))

    application.store.database.write(change)
    work()
    results = {}
    for row in rows(application):
        context = application.context()
        asked_ = asynchronous.asynchronous.find(context.store, row.id)
        answer = asynchronous.asynchronous.result_of(context.store, asked_)
        results[row.id] = json.loads(answer)["entry"][0]["response"]
    one, two = (results[address.rpartition("/")[2]] for address in (first, second))
    assert (one["status"], one["outcome"]["issue"][0]["code"], two["status"]) == ("401 Unauthorized", "login",
                                                                                  "201 Created")
    assert fhir.total("Patient") == 1
    clock.forward(10)
    assert revoked.get(first).status == 401


@pytest.mark.parametrize("whose", ["token", "client"])
def test_a_token_that_is_revoked_half_way_ends_what_is_under_way(client, fhir, application, work, monkeypatch, whose):
    fhir.put("Patient/known", patient(id="known", family="Readable"))
    asking = client("system/Patient.cruds", name="asking")
    batch = bundle(*(post(patient(family=f"Batch{at}")) for at in range(3)), type_="batch")
    addresses = [asked(asking, *what) for what in (
        ("GET", "Patient/known", None), ("GET", "Patient", None), ("POST", "Patient", patient(family="Single")),
        ("POST", "", bundle(post(patient(family="Together")))), ("POST", "", batch))]
    same, less = client("system/Patient.cruds", name="asking2"), client("system/Patient.rs", name="asking3")
    done = asynchronous._done

    def revoke(connection):
        id_ = administration.client_named(connection, 1, "asking")
        if whose == "client":
            administration.revoke_client(connection, 1, id_, application.clock())
        else:
            for token in administration.tokens(connection, 1, id_):
                administration.revoke_token(connection, 1, token["id"], application.clock())

    def set_back(connection):
        connection.execute(update(access_token).values(revoked=None))
        connection.execute(update(client_table).values(revoked=None))

    def meanwhile(request, asked_, ctx):
        """Revoke as soon as the request has begun; of a batch after its first entry."""
        if request.interaction != "batch":
            ctx.store.database.write(revoke)
            return done(request, asked_, ctx)
        plain = ctx.dispatch

        def dispatch(inner, inner_ctx):
            answer = plain(inner, inner_ctx)
            if inner.interaction == "create":
                inner_ctx.store.database.write(revoke)
            return answer

        return done(request, asked_, replace(ctx, dispatch=dispatch))

    monkeypatch.setattr(asynchronous, "_done", meanwhile)
    store, worker = application.store.database, Worker(application, "test")
    while worker.step():
        store.write(set_back)
    store.write(set_back)
    for address in addresses:
        row = only_entry(asking.get(address))
        assert row["response"]["status"] == "401 Unauthorized", address
        assert "Readable" not in json.dumps(row)
    assert {one["name"][0]["family"] for one in fhir.get("Patient").resources()} == {"Readable", "Batch0"}
    for other in (same, less):
        other.get(addresses[0]).refused(404, "not-found")
    store.write(revoke)
    asking.get(addresses[0]).refused(401, "login")
    asking.delete(addresses[0]).refused(401, "login")


def test_an_answer_of_an_expired_token_is_for_a_new_one_of_the_same_scopes(client, application, work, clock):
    asking = client("system/Patient.rs", name="one")
    address = asked(asking, "GET", "Patient")
    clock.forward(11 * HOUR)
    work()
    asking.get(address).refused(401, "login")

    def another(connection, scope):
        id_ = administration.client_named(connection, 1, "one")
        now = application.clock()
        return administration.add_token(connection, 1, id_, scope, now, now + 10**10)[1]

    for scope, status in (("system/Patient.rs", 200), ("system/Patient.r", 404), ("system/*.cruds", 404)):
        token = application.store.database.write(lambda connection, scope=scope: another(connection, scope))
        assert Fhir(asking.app, token).get(address).status == status


def test_request_and_answer_are_sealed_and_the_request_is_erased(client, fhir, application, work):
    address = asked(fhir, "POST", "Patient", patient(family="Unreadable" * 30))
    (before,) = rows(application)
    work()
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


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_who_asked_what_does_not_open_any_more_is_told(fhir, application, work, clock):
    address = asked(fhir, "GET", "Patient")
    broken = update(async_request).values(request=b"broken")
    application.store.database.write(lambda connection: connection.execute(broken))
    for _ in range(3):
        work()
        clock.forward(30)
    row = only_entry(fhir.get(address))
    assert row["response"]["status"] == "500 Internal Server Error"
    assert "does not open" in row["response"]["outcome"]["issue"][0]["diagnostics"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_worker_that_was_not_told_the_base_writes_what_the_server_would(fhir, application):
    """`hie worker` on another machine may have been given no HIE_BASE_URL."""
    base = "https://exchange.example.org/fhir"
    object.__setattr__(application.store, "base_url", base)  # this test's own
    subject = fhir.create(patient())["id"]
    address = asked(fhir, "POST", "Observation", observation(f"{base}/Patient/{subject}"))
    context = application.context()
    asynchronous.perform({"request": address.rpartition("/")[2]},
                         replace(context, store=replace(context.store, base_url="")))
    assert only_entry(fhir.get(address))["response"]["status"] == "201 Created"
    assert fhir.total(f"Observation?subject=Patient/{subject}") == 1
    assert check(application.store).problems == []


def test_a_request_can_be_cancelled_and_an_answer_removed(fhir, application, work):
    waiting, done = asked(fhir, "POST", "Patient", patient()), asked(fhir, "GET", "Patient")
    assert fhir.delete(waiting).status == 202
    fhir.get(waiting).refused(404, "not-found")
    work()
    assert fhir.total("Patient") == 0
    assert (fhir.get(done).status, fhir.delete(done).status, fhir.get(done).status) == (200, 202, 404)
    fhir.delete(done).refused(404, "not-found")
    assert rows(application) == []


def test_a_request_whose_job_an_administrator_cancels_is_answered(client, fhir, work):
    waiting, admin = asked(fhir, "POST", "Patient", patient()), client("admin")
    number = max(job["id"] for job in admin.get("/admin/jobs").json["jobs"] if job["kind"] == "async")

    admin.post(f"/admin/jobs/{number}/cancel")

    answer = only_entry(fhir.get(waiting))
    assert answer["response"]["status"].startswith("500")
    assert "took it out of the queue" in answer["response"]["outcome"]["issue"][0]["diagnostics"]
    admin.post(f"/admin/jobs/{number}/retry")
    work()
    assert fhir.total("Patient") == 0


def test_an_answer_expires_and_is_removed(fhir, application, work, clock):
    fhir.create(patient())
    done, never = asked(fhir, "GET", "Patient"), asked(fhir, "GET", "Patient")
    application.store.jobs.cancel(3, application.clock())
    work()
    clock.forward(9 * HOUR)
    assert (fhir.get(done).status, fhir.get(never).status) == (200, 202)
    clock.forward(15 * HOUR)
    context = application.context()
    for one in (done, never):
        assert asynchronous.asynchronous.find(context.store, one.rpartition("/")[2]) is None
    work()
    assert rows(application) == []


def test_what_nothing_else_removes_is_removed_an_hour_later(client, fhir, application, work, clock):
    """The removal of a request can be cancelled, and an earlier version could keep a request without any job."""
    admin = client("admin")
    asked(fhir, "GET", "Patient"), asked(fhir, "GET", "Patient")
    work()
    removals = [one["id"] for one in admin.get("/admin/jobs").json["jobs"] if one["kind"] == "async-expiry"]
    assert admin.post(f"/admin/jobs/{removals[0]}/cancel").status == 200
    asked(fhir, "GET", "Observation")
    with application.store.database.engine.begin() as connection:
        connection.execute(delete(job).where(job.c.state == "ready", job.c.id > max(removals)))
    clock.forward(24 * HOUR)
    work()
    assert len(rows(application)) == 2
    clock.forward(2 * HOUR)
    work()
    assert rows(application) == []
    assert application.store.jobs.counts() == dict.fromkeys(STATES, 0) | {"done": 1, "cancelled": 1}
    clock.forward(26 * HOUR)
    work()
    assert application.store.jobs.list() == []
    assert check(application.store).problems == []


def records(application):
    application.store.database.settle_records()
    keys = application.store.tenants[1].audit_keys
    return audit.find(application.store.database.connection(), keys, 1)


def test_asking_and_doing_are_audited_under_one_request_id(fhir, application, work):
    id_ = fhir.create(patient())["id"]
    asked(fhir, "GET", f"Patient/{id_}?_pretty=true", X_Request_Id="later-1")
    asked(fhir, "PUT", f"Patient/{id_}", patient(id=id_, active=True), X_Request_Id="later-2")
    asked(fhir, "POST", "Patient", patient(gender="x"), X_Request_Id="later-3")
    work()
    found = {}
    for record in reversed(records(application)):
        found.setdefault(record["request"], []).append((record["interaction"], record["status"], record["client"]))
    assert {key: [one[:2] for one in found[key]] for key in ("later-1", "later-2", "later-3")} == {
        "later-1": [("read", 202), ("read", 200)], "later-2": [("update", 202), ("update", 200)],
        "later-3": [("create", 202), ("create", 400)],
    }  # fmt: skip
    assert len({one[2] for key in ("later-1", "later-2", "later-3") for one in found[key]}) == 1


def test_a_client_has_not_too_many_requests_waiting(fhir, monkeypatch):
    monkeypatch.setattr(asynchronous, "MOST_WAITING", 2)
    asked(fhir, "GET", "Patient")
    address = asked(fhir, "GET", "Patient")
    fhir.get("Patient", **LATER).refused(429, "throttled")
    fhir.delete(address)
    asked(fhir, "GET", "Patient")


def test_a_client_has_not_too_many_answers_kept(fhir, client, application, work, clock, monkeypatch):
    object.__setattr__(application.settings, "async_hours", 1)  # this test's own
    monkeypatch.setattr(asynchronous, "MOST_KEPT", 3)
    addresses = [asked(fhir, "GET", "Patient") for _ in range(3)]
    work()
    fhir.get("Patient", **LATER).refused(429, "throttled", None, "3 requests and answers")
    assert asked(client("system/*.cruds", name="another"), "GET", "Patient")
    assert fhir.delete(addresses[0]).status == 202
    asked(fhir, "GET", "Patient")
    fhir.get("Patient", **LATER).refused(429, "throttled", None, "the oldest is removed at 20")
    clock.forward(2 * HOUR)  # what has expired does not count, though no worker has removed it yet
    asked(fhir, "GET", "Patient")


def test_a_client_has_not_too_many_bytes_kept(fhir, application, work):
    object.__setattr__(application.settings, "async_client_bytes", 20_000)  # this test's own
    for number in range(8):
        fhir.create(patient(family=f"Name{number}", text={"status": "generated", "div": div(number)}))
    large, small = asked(fhir, "GET", "Patient"), asked(fhir, "GET", "Patient?_count=1")
    work()
    row = only_entry(fhir.get(large))
    assert row["response"]["status"] == "429 Too Many Requests"
    assert "more than 20000" in row["response"]["outcome"]["issue"][0]["diagnostics"]
    assert only_entry(fhir.get(small))["response"]["status"] == "200 OK"
    several = [post(patient(text={"status": "generated", "div": div(number)})) for number in range(8)]
    write = asked(fhir, "POST", "", bundle(*several), Prefer="respond-async, return=representation")
    work()
    assert len(only_entry(fhir.get(write))["resource"]["entry"]) == 8, "what was done is told whatever its size"
    fhir.get("Patient", **LATER).refused(429, "throttled", None, "no more than 20000 are kept")
    assert fhir.delete(write).status == 202
    work()
    assert asked(fhir, "GET", "Patient?_count=1")


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("url", "accept"), [("Patient", "application/fhir+xml"), ("Patient?_format=xml", "*/*")])
def test_the_answer_has_the_form_that_was_asked_for(fhir, work, url, accept):
    """R5: the Accept header of the request dictates the format of the Bundle. Who polls need not say it again."""
    address = asked(fhir, "GET", url, Accept=accept)
    assert fhir.get(address).headers["Content-Type"] == FHIR_XML
    work()
    answer = fhir.get(address)
    assert (answer.headers["Content-Type"], only_entry(answer)["resource"]["type"]) == (FHIR_XML, "searchset")
    assert fhir.get(address.partition("?")[0]).headers["Content-Type"] == FHIR_JSON
    assert fhir.delete(address).status == 202


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_status_has_no_parameters_but_those_of_its_form(fhir, work):
    address = asked(fhir, "GET", "Patient")
    work()
    for method in ("GET", "DELETE"):
        fhir(method, f"{address}?_summary=count").refused(400, "invalid", "http.url", "'_summary'")
    assert fhir.get(f"{address}?_pretty=true&_format=json").content.startswith(b"{\n")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_worker_rests_when_all_that_was_due_is_done(fhir, application):
    addresses = [asked(fhir, "GET", "Patient") for _ in range(2)]
    stop = threading.Event()
    Worker(application, "test").run(stop, rest=stop.set)
    assert [fhir.get(one).status for one in addresses] == [200, 200]


def test_a_status_is_not_for_bundles(fhir):
    address = asked(fhir, "GET", "Patient").removeprefix("/fhir/")
    for method in ("GET", "DELETE"):
        fhir.post("", bundle(entry(method, address))).refused(400, "not-supported", "Bundle.entry[0].request.url")
    assert fhir.get(address).status == 202


def test_a_search_that_is_held_to_a_compartment_stays_in_it(fhir, work):
    ids = [fhir.create(patient(family=name))["id"] for name in ("Smith", "Jones")]
    for id_ in ids:
        fhir.create(observation(f"Patient/{id_}"))
    addresses = [asked(fhir, "GET", f"Patient/{ids[0]}/{kind}") for kind in ("Observation", "*?_type=Observation")]
    work()
    for address in addresses:
        found = only_entry(fhir.get(address))["resource"]
        subjects = [row["resource"]["subject"]["reference"] for row in found["entry"]]
        assert subjects == [f"Patient/{ids[0]}"]
