"""What HTTP itself asks for: HEAD, OPTIONS, 405, codings, and web pages of other origins (RFC 9110, Fetch)."""

import base64
import gzip
import json
from dataclasses import replace

import brotli
import pytest

from hie.app import create_app
from hie.fhir.scopes import FULL_GRANT
from hie.settings import SettingsError
from hie.store import audit
from hie.store.search.query import parse
from tests.builders import bundle, entry, observation, patient
from tests.conformance.conftest import Answer, Fhir

ORIGIN = "https://app.example.org"
pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])  # nothing here asks the database


def raw(text: str) -> str:
    """Return bytes that were not percent-encoded as WSGI gives them (PEP 3333)."""
    return text.encode().decode("latin-1")


def asked(fhir: Fhir, query: str) -> Answer:
    """Search with a query string as it is."""
    sent = {"Authorization": f"Bearer {fhir.token}"}
    environ = {"QUERY_STRING": query}
    answer = fhir.app.test_client().open("/fhir/Patient", headers=sent, environ_overrides=environ)
    return Answer(answer.status_code, answer.headers, answer.data)


def test_what_curl_sends_as_it_was_typed_is_utf_8(fhir: Fhir) -> None:
    fhir.create(patient(family="Müller"))
    form = {"Content_Type": "application/x-www-form-urlencoded"}

    by_url = asked(fhir, raw("name=Müller&name=M%C3%BCll"))
    by_form = fhir.post("Patient/_search", "name=Müller".encode(), **form)
    known = fhir.post("Patient", patient(family="Müller"), If_None_Exist=raw("family:exact=Müller"))
    carried = {"resourceType": "Binary", "contentType": form["Content_Type"],
               "data": base64.b64encode("name=Müller".encode()).decode()}
    inside = fhir.post("", bundle(entry("GET", "Patient?name=Müller"), entry("POST", "Patient/_search", carried),
                                  type_="batch")).json["entry"]

    assert (by_url.json["total"], by_form.json["total"], known.status) == (1, 1, 200)
    assert [one["resource"]["total"] for one in inside] == [1, 1]
    assert by_url.link("self") == "http://localhost/fhir/Patient?name=M%C3%BCller&name=M%C3%BCll"
    asked(fhir, "name=M\xfcller").refused(400, "invalid", "http.url", "UTF-8")
    fhir.post("Patient", patient(), If_None_Exist="name=M\xfcller").refused(400, "invalid", None, "UTF-8")


def test_head_answers_what_get_does_without_the_body(fhir):
    id_ = fhir.create(patient())["id"]
    for url in (f"Patient/{id_}", f"Patient/{id_}/_history/1", f"Patient/{id_}/_history", "Patient?_count=1",
                "_history", "metadata", f"Patient/{id_}/$everything", "Patient/none", "Nothing", "/health",
                "/openapi.json", "/fhir/.well-known/smart-configuration"):
        got, head = fhir.get(url), fhir("HEAD", url)
        assert (head.status, head.content) == (got.status, b""), url
        same = {"Content-Type", "ETag", "Last-Modified", "Vary"}
        assert {name: head.headers.get(name) for name in same} == {name: got.headers.get(name) for name in same}, url
    assert fhir("HEAD", f"Patient/{id_}", If_None_Match='W/"1"').status == 304


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("", "GET, HEAD, OPTIONS, POST"), ("metadata", "GET, HEAD, OPTIONS"), ("_history", "GET, HEAD, OPTIONS"),
        ("Patient", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"), ("Patient/_search", "OPTIONS, POST"),
        ("Patient/1", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"), ("Patient/1/_history/1", "DELETE, GET, HEAD, OPTIONS"),
        ("Patient/1/$everything", "GET, HEAD, OPTIONS, POST"), ("Media/1/$diagnose", "OPTIONS, POST"),
    ],
)  # fmt: skip
def test_options_tells_the_methods_of_an_address_and_a_wrong_one_is_told_the_same(nobody, fhir, path, allowed):
    answer = nobody("OPTIONS", path)
    assert (answer.status, answer.headers["Allow"], answer.content) == (200, allowed, b"")
    assert ("Accept-Patch" in answer.headers) == ("PATCH" in allowed)  # RFC 5789 section 3.1
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "PURGE"} - set(allowed.split(", ")):
        refused = fhir(method, path)
        refused.refused(405, "not-supported", "http.method")
        assert refused.headers["Allow"] == allowed, method


def test_an_operation_that_there_is_not_is_not_found_by_any_method(nobody, fhir):
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        fhir(method, "Patient/1/$nothing").refused(404, "not-found", "http.url", "There is no operation $nothing")
        nobody(method, "Patient/1/$nothing").refused(401, "login")
        fhir("POST", "", bundle(entry(method, "Patient/1/$nothing"), type_="transaction")).refused(404, "not-found")
    refused = fhir("POST", "", bundle(entry("PUT", "Patient/1/$meta-add")))
    refused.refused(405, "not-supported", "Bundle.entry[0].request.method", "Allowed: OPTIONS, POST")


def test_addresses_with_a_slash_at_the_end_are_answered_at_once_under_the_same_grant(fhir, client, nobody, app):
    created = fhir.post("Patient/", patient("Slash", id="x"))
    assert (created.status, created.headers["Location"]) == (
        201, f"http://localhost/fhir/Patient/{created.id}/_history/1")
    entries = [("POST", "Patient/", patient("Slash")), ("GET", f"Patient/{created.id}/"),
               ("DELETE", f"Patient/{created.id}/_history/")]  # fmt: skip
    done = fhir.post("/fhir/", bundle(*(entry(*one) for one in entries), type_="batch"))
    assert [one["response"]["status"][:3] for one in done.entries()] == ["201", "200", "404"]
    found = fhir.get("Patient/?family=slash")
    assert (len(found.entries()), found.link("self")) == (2, "http://localhost/fhir/Patient?family=slash")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert len(fhir("POST", "Patient/_search/", "family=slash", **form).entries()) == 2
    assert len(fhir.get("Patient/").entries()) == len(fhir.get("/fhir/").entries()) == 2
    assert fhir.put(f"Patient/{created.id}/", patient("Other", id=created.id)).vid == "2"
    assert fhir.get("metadata/").json["resourceType"] == "CapabilityStatement"
    assert len(fhir.get(f"Patient/{created.id}/_history/").entries()) == 2
    fhir.get(f"Patient//{created.id}").refused(404, "not-found", "http.url", "slash")
    fhir.delete("Patient/").refused(400, "invalid", "http.url", "criteria")
    assert nobody.get("Patient/").status == 401
    client("system/Observation.rs").get(f"Patient/{created.id}/").refused(403, "forbidden")
    narrow = client("system/Patient.rs?family=slash")
    assert (len(narrow.get("Patient/").entries()), narrow.get(f"Patient/{created.id}/").status) == (1, 404)
    store = app.extensions["hie"].store
    store.database.settle_records()
    told = audit.find(store.database.connection(), store.tenants[1].audit_keys, 1, count=2)
    assert sorted((one["interaction"], one["type"], one["id"]) for one in told) == [
        ("read", "Patient", created.id), ("search-type", "Patient", None)]


def test_options_of_no_address_is_refused(nobody, fhir):
    for path in ("Nothing", "Patient/1/2/3", "Patient/$unheard-of", "Patient/A_B"):
        for one in (nobody, fhir):  # what addresses there are, /metadata tells everybody
            assert one("OPTIONS", path).status in (400, 404), path
    assert nobody.get("Nothing").status == 401


def test_other_addresses_name_their_methods_too(fhir):
    for url in ("/health", "/openapi.json", "/metrics", "/admin/status"):
        answer = fhir("PUT", url)
        assert (answer.status, "GET" in answer.headers["Allow"]) == (405, True), url
        assert answer.json["issue"][0]["diagnostics"] == (
            f"PUT is not allowed on {url}. Allowed: {answer.headers['Allow']}."), url


@pytest.mark.parametrize(("coding", "opened"), [("gzip", gzip.decompress), ("br", brotli.decompress)])
def test_a_long_answer_is_compressed_when_asked_and_a_short_one_never(fhir, coding, opened):
    id_ = fhir.create(patient())["id"]
    plain, packed = fhir.get("metadata"), fhir.get("metadata", Accept_Encoding=f"{coding}, deflate")
    assert packed.headers["Content-Encoding"] == coding
    assert opened(packed.content) == plain.content
    assert int(packed.headers["Content-Length"]) == len(packed.content) < len(plain.content) / 5
    assert "Content-Encoding" not in plain.headers
    short = fhir.get(f"Patient/{id_}", Accept_Encoding=coding)
    assert ("Content-Encoding" in short.headers, short.id) == (False, id_)
    assert {answer.headers["Vary"] for answer in (plain, packed, short)} == {"Accept, Accept-Encoding"}
    assert opened(fhir.get("metadata?_format=xml", Accept_Encoding=coding).content).startswith(b"<?xml")
    image = bytes(5_000)
    id_ = fhir.post("Binary", image, Content_Type="image/png", Prefer="return=representation").id
    assert fhir.get(f"Binary/{id_}", Accept_Encoding=coding).content == image


@pytest.mark.parametrize(("coding", "packed"), [("gzip", gzip.compress), ("br", brotli.compress)])
def test_a_compressed_body_is_taken_and_a_bomb_is_not(fhir, coding, packed):
    body = packed(json.dumps(patient(family="Packed")).encode())
    assert fhir.post("Patient", body, Content_Encoding=coding).status == 201
    form = "application/x-www-form-urlencoded"
    found = fhir.post("Patient/_search", packed(b"family=packed"), Content_Type=form, Content_Encoding=coding)
    assert found.json["total"] == 1
    fhir.post("Patient", packed(b" " * 32_000_001), Content_Encoding=coding).refused(
        413, "too-long", "http.Content-Encoding")
    fhir.post("Patient", body[:-2], Content_Encoding=coding).refused(400, "invalid", "http.Content-Encoding")
    unknown = fhir.post("Patient", body, Content_Encoding="zstd")
    unknown.refused(415, "not-supported", "http.Content-Encoding")
    assert unknown.headers["Accept-Encoding"] == "br, gzip"
    assert fhir.total("Patient") == 1


# ---- web pages of other origins --------------------------------------------------------------------------------------


@pytest.fixture
def of_page(settings, clock, client):
    """A client of a server to which the pages of ORIGIN may speak."""
    made = []

    def of(origins):
        app = create_app(replace(settings, cors_origins=origins), clock=clock)
        made.append(app)
        return Fhir(app, client("system/*.cruds", name=origins).token)

    yield of
    for app in made:
        app.extensions["hie"].close()


PREFLIGHT = {"Access_Control_Request_Method": "PUT", "Access_Control_Request_Headers": "authorization,if-match"}


@pytest.mark.proves("security:cors")
@pytest.mark.parametrize(("origins", "allowed"), [(f"https://other.example.org {ORIGIN}", ORIGIN), ("*", "*")])
def test_a_page_of_an_allowed_origin_may_ask(of_page, origins, allowed):
    page = of_page(origins)
    asked = Fhir(page.app, None)("OPTIONS", "Patient/1", Origin=ORIGIN, **PREFLIGHT)
    assert (asked.status, asked.headers["Access-Control-Allow-Origin"]) == (200, allowed)
    assert {"PUT", "PATCH", "DELETE"} <= set(asked.headers["Access-Control-Allow-Methods"].split(", "))
    taken = asked.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"authorization", "content-type", "if-match", "if-none-exist", "prefer"} <= set(taken)
    made = page.post("Patient", patient(), Origin=ORIGIN)
    refused = page.get("Patient/none", Origin=ORIGIN)
    discovery = page.get("/fhir/.well-known/smart-configuration", Origin=ORIGIN)
    for answer in (made, refused, discovery, page.get("metadata", Origin=ORIGIN), asked):
        assert answer.headers["Access-Control-Allow-Origin"] == allowed
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Origin" in answer.headers["Vary"]
    told = set(made.headers["Access-Control-Expose-Headers"].split(", "))
    assert told >= {"Date", "ETag", "Location", "Last-Modified", "Content-Location", "Preference-Applied",
                    "X-Request-Id"}
    assert page.get("metadata").json["rest"][0]["security"]["cors"] is True


@pytest.mark.proves("security:cors")
@pytest.mark.parametrize("origin", ["https://evil.example.org", "null", "http://app.example.org", ORIGIN + ".evil.org",
                                    ORIGIN + ":8443", None])
def test_a_page_of_another_origin_may_not(of_page, origin):
    page = of_page(ORIGIN)
    sent = {"Origin": origin} if origin else {}
    for answer in (page("OPTIONS", "Patient/1", **PREFLIGHT, **sent), page.get("Patient", **sent)):
        assert answer.status == 200
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
        assert "Origin" in answer.headers["Vary"]


@pytest.mark.proves("security:cors")
@pytest.mark.parametrize("address", ["metadata", "OperationDefinition/-hie-diff",
                                     "/fhir/.well-known/smart-configuration", "/.well-known/smart-configuration"])
def test_what_needs_no_token_is_for_pages_of_any_origin(of_page, address):
    """https://hl7.org/fhir/smart-app-launch/app-launch.html (CORS)"""
    page = Fhir(of_page(ORIGIN).app, None)
    for origin, allowed in (("https://other.example.org", "*"), ("null", "*"), (ORIGIN, ORIGIN)):
        answer = page.get(address, Origin=origin)
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, allowed)
        assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Origin" not in page.get(address).headers
    asked = page("OPTIONS", "metadata", Origin="https://other.example.org", **PREFLIGHT)
    assert (asked.status, asked.headers["Access-Control-Allow-Origin"]) == (200, "*")


def test_no_page_may_ask_unless_the_operator_says_so(fhir):
    for answer in (fhir("OPTIONS", "Patient/1", Origin=ORIGIN, **PREFLIGHT), fhir.get("metadata", Origin=ORIGIN)):
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
    assert fhir.get("metadata").json["rest"][0]["security"]["cors"] is False


@pytest.mark.parametrize("origins", ["app.example.org", "https://app.example.org/", "https://a.org,https://b.org",
                                     "https://*.example.org", "null"])
def test_what_is_no_origin_stops_the_start(settings, origins):
    with pytest.raises(SettingsError):
        replace(settings, cors_origins=origins)


def test_a_base_url_may_end_with_a_slash(settings, clock):
    """References by it were somebody else's then: found by no search, and asked for by no rule."""
    app = create_app(replace(settings, base_url="https://hie.example/fhir/"), clock=clock)
    application = app.extensions["hie"]
    try:
        assert (application.base_url, application.store.base_url) == ("https://hie.example/fhir",) * 2
        store = application.context(grant=FULL_GRANT).store
        page = store.transact(lambda within: [
            within.create("Patient", {"resourceType": "Patient"}, id="p"),
            within.create("Observation", observation("https://hie.example/fhir/Patient/p"))])
        asked = parse("Observation", [("subject", "Patient/p")], base_url=application.base_url)
        assert [one.id for one in store.search(asked).matches] == [page[1].id]
    finally:
        application.close()
