"""Answers that come later, by Prefer: respond-async: https://hl7.org/fhir/R5/async-bundle.html"""

import json
import threading
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from hie.interactions import asynchronous
from hie.jobs.worker import Worker
from hie.store import administration, audit
from hie.store.check import check
from hie.store.models import access_token, async_request
from hie.store.models import client as client_table
from tests.builders import bundle, entry, observation, patient, post
from tests.conformance.conftest import FHIR_JSON, FHIR_XML, Fhir
from tests.conformance.later import LATER, asked, only_entry, rows


@pytest.mark.proves("documentation:respond-async")
def test_a_request_is_accepted_done_and_answered_as_a_bundle(fhir, application, do_due):
    address = asked(fhir, "POST", "Patient", patient(family="Later"))
    assert fhir.total("Patient") == 0
    waiting = fhir.get(address)
    assert (waiting.status, waiting.headers["X-Progress"], waiting.headers["Retry-After"]) == (202, "waiting", "1")
    do_due()
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
def test_what_is_xml_and_no_fhir_is_told_later_too(fhir, do_due):
    body = b'<Patient xmlns="http://hl7.org/fhir"><nam/></Patient>'
    path = asked(fhir, "POST", "Patient/$validate", body, Content_Type="application/fhir+xml")
    do_due()
    assert "Patient has no element nam" in str(only_entry(fhir.get(path)))


@pytest.mark.proves("documentation:respond-async")
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_any_request_may_be_answered_later(fhir, do_due):
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
    do_due()
    for status, method, url, address in asked_for:
        row = only_entry(fhir.get(address))
        assert row["response"]["status"] == status, (method, url, row)
        assert ("outcome" in row["response"]) == (status >= "4" or method == "DELETE" or "$validate" in url), (url, row)
    assert fhir.total("Patient?family=one,two") == 2
    assert fhir.get(f"Patient/{kept}").status == 410
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    address = asked(fhir, "POST", "Patient/_search", b"family=two", **form)
    image = asked(fhir, "POST", "Binary", b"\x00\x01", Content_Type="image/png")
    do_due()
    assert only_entry(fhir.get(address))["resource"]["total"] == 1
    assert only_entry(fhir.get(image))["resource"]["data"] == "AAE="


def test_operations_that_write_are_answered_and_audited_once(client, fhir, application, do_due):
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
        do_due()
        row = only_entry(who.get(address))
        assert row["response"]["status"] in ("200 OK", "201 Created"), (url, row)
        done = [one["status"] for one in records(application) if one["request"] == f"op-{number}"]
        assert sorted(done) in ([200, 202], [201, 202]), (url, done)
    assert fhir.total("Bundle") == 1


def test_a_read_that_is_answered_later_brings_the_part_that_it_asks_for(fhir, do_due):
    one = fhir.create(patient(gender="male"))["id"]
    part, none = (asked(fhir, "GET", f"Patient/{one}?{query}") for query in ("_elements=gender", "_summary=count"))
    do_due()
    assert set(only_entry(fhir("GET", part))["resource"]) == {"resourceType", "id", "meta", "gender"}
    assert only_entry(fhir("GET", none))["response"]["status"] == "400 Bad Request"


def test_that_a_read_is_accepted_is_told_whole_and_as_fhir(fhir, do_due):
    one = fhir.create(patient())["id"]
    held = fhir.create({"resourceType": "Binary", "contentType": "text/plain", "data": "QUJD"})["id"]
    for url in (f"Patient/{one}?_elements=gender", f"Patient/{one}?_summary=text", f"Binary/{held}"):
        answer = fhir("GET", url, None, **LATER)
        assert (answer.status, answer.headers["Content-Type"]) == (202, "application/fhir+json; charset=utf-8"), url
        assert (answer.json["resourceType"], "meta" in answer.json) == ("OperationOutcome", False), url
    do_due()
    address = asked(fhir, "GET", f"Binary/{held}")
    do_due()
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


def test_another_client_or_a_token_of_other_scopes_finds_nothing(client, fhir, app, application, do_due):
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
        do_due()
    assert only_entry(equal.get(address))["resource"]["total"] == 1
    fhir.get("_async/" + "0" * 32).refused(404, "not-found")


def test_a_request_is_done_under_the_grant_that_asked(client, fhir, do_due):
    id_ = fhir.create(patient(family="Hidden"))["id"]
    fhir.create(observation(f"Patient/{id_}"))
    narrow = client("system/Observation.rs")
    found = asked(narrow, "GET", "Observation?_include=Observation:subject")
    refused = [asked(narrow, "GET", f"Patient/{id_}"), asked(narrow, "POST", "Patient", patient()),
               asked(narrow, "POST", "", bundle(entry("GET", f"Patient/{id_}"))),
               asked(narrow, "GET", "Observation?subject:Patient.family=hidden")]
    do_due()
    searchset = only_entry(narrow.get(found))["resource"]
    assert [one["resource"]["resourceType"] for one in searchset["entry"]] == ["Observation"]
    for address in refused:
        row = only_entry(narrow.get(address))
        assert row["response"]["status"][:3] in ("403", "400"), row
        assert "Hidden" not in json.dumps(row)
    assert fhir.total("Patient") == 1


def test_a_revoked_token_does_nothing_any_more_and_an_expired_one_does(client, fhir, application, do_due, clock):
    revoked, lasting = client("system/Patient.cruds", name="revoked"), client("system/Patient.cruds", name="lasting")
    first, second = asked(revoked, "POST", "Patient", patient()), asked(lasting, "POST", "Patient", patient())

    def change(connection):
        now = application.clock()
        for name, values in (("revoked", {"revoked": now}), ("lasting", {"expires": now - 1})):
            id_ = administration.client_named(connection, 1, name)
            connection.execute(update(access_token).where(access_token.c.client == id_).values(**values))

    application.store.database.write(change)
    do_due()
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
def test_a_token_that_is_revoked_half_way_ends_what_is_under_way(client, fhir, application, do_due, monkeypatch, whose):
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


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_who_asked_what_does_not_open_any_more_is_told(fhir, application, do_due, clock):
    address = asked(fhir, "GET", "Patient")
    broken = update(async_request).values(request=b"broken")
    application.store.database.write(lambda connection: connection.execute(broken))
    for _ in range(3):
        do_due()
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


def records(application):
    application.store.database.settle_records()
    keys = application.store.tenants[1].audit_keys
    return audit.find(application.store.database.connection(), keys, 1)


def test_asking_and_doing_are_audited_under_one_request_id(fhir, application, do_due):
    id_ = fhir.create(patient())["id"]
    asked(fhir, "GET", f"Patient/{id_}?_pretty=true", X_Request_Id="later-1")
    asked(fhir, "PUT", f"Patient/{id_}", patient(id=id_, active=True), X_Request_Id="later-2")
    asked(fhir, "POST", "Patient", patient(gender="x"), X_Request_Id="later-3")
    do_due()
    found = {}
    for record in reversed(records(application)):
        found.setdefault(record["request"], []).append((record["interaction"], record["status"], record["client"]))
    assert {key: [one[:2] for one in found[key]] for key in ("later-1", "later-2", "later-3")} == {
        "later-1": [("read", 202), ("read", 200)], "later-2": [("update", 202), ("update", 200)],
        "later-3": [("create", 202), ("create", 400)],
    }  # fmt: skip
    assert len({one[2] for key in ("later-1", "later-2", "later-3") for one in found[key]}) == 1


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("url", "accept"), [("Patient", "application/fhir+xml"), ("Patient?_format=xml", "*/*")])
def test_the_answer_has_the_form_that_was_asked_for(fhir, do_due, url, accept):
    """R5: the Accept header of the request dictates the format of the Bundle. Who polls need not say it again."""
    address = asked(fhir, "GET", url, Accept=accept)
    assert fhir.get(address).headers["Content-Type"] == FHIR_XML
    do_due()
    answer = fhir.get(address)
    assert (answer.headers["Content-Type"], only_entry(answer)["resource"]["type"]) == (FHIR_XML, "searchset")
    assert fhir.get(address.partition("?")[0]).headers["Content-Type"] == FHIR_JSON
    assert fhir.delete(address).status == 202


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_status_has_no_parameters_but_those_of_its_form(fhir, do_due):
    address = asked(fhir, "GET", "Patient")
    do_due()
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


def test_a_search_that_is_held_to_a_compartment_stays_in_it(fhir, do_due):
    ids = [fhir.create(patient(family=name))["id"] for name in ("Smith", "Jones")]
    for id_ in ids:
        fhir.create(observation(f"Patient/{id_}"))
    addresses = [asked(fhir, "GET", f"Patient/{ids[0]}/{kind}") for kind in ("Observation", "*?_type=Observation")]
    do_due()
    for address in addresses:
        found = only_entry(fhir.get(address))["resource"]
        subjects = [row["resource"]["subject"]["reference"] for row in found["entry"]]
        assert subjects == [f"Patient/{ids[0]}"]
