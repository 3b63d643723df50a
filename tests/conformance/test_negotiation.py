"""Formats in and out: https://hl7.org/fhir/R4/http.html#mime-type"""

import pytest

from hie.web.negotiation import FHIR_XML
from tests.builders import observation, patient
from tests.one_database import ONE_DATABASE


@ONE_DATABASE
@pytest.mark.proves("format:application/fhir+json")
@pytest.mark.parametrize("accept", [None, "*/*", "application/fhir+json", "application/*;q=0.1",
                                    "application/fhir+json;fhirVersion=4.0", "text/html, */*;q=0.5",
                                    "application/fhir+xml;q=0.5, application/fhir+json"])
def test_fhir_json_is_what_is_offered(fhir, accept):
    id_ = fhir.create(patient())["id"]
    answer = fhir.get(f"Patient/{id_}", **({"Accept": accept} if accept else {}))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/fhir+json; charset=utf-8")


@ONE_DATABASE
@pytest.mark.parametrize("accept", ["application/json", "text/json", "application/xml", "text/xml",
                                    "application/json+fhir", "application/xml+fhir"])
def test_a_generic_media_type_is_answered_by_the_same(fhir, accept):
    """http.html#mime-type: a server SHOULD respond with the requested mime type"""
    created = fhir.post("Patient", patient(), Accept=accept)
    answers = [created, *(fhir.get(url, Accept=accept) for url in (
        f"Patient/{created.headers['Location'].split('/')[-3]}", "Patient", "_history", "metadata"))]  # fmt: skip
    assert {one.headers["Content-Type"] for one in answers} == {f"{accept}; charset=utf-8"}
    assert {one.content[:1] for one in answers} == {b"<" if "xml" in accept else b"{"}
    named = fhir.get("Patient?_format=json", Accept=accept)
    assert named.headers["Content-Type"] == "application/fhir+json; charset=utf-8"


def test_a_range_of_text_is_answered_by_a_text_type(fhir):
    """RFC 9110, 12.5.1: text/* is every type of text, of which JSON and XML have one each"""
    url = f"Patient/{fhir.create(patient())['id']}"
    for accept, given in (("text/*", "text/json"), ("text/json;q=0, text/*", "text/xml"),
                          ("text/html, text/*;q=0.1", "text/json")):
        answer = fhir.get(url, Accept=accept)
        assert (answer.status, answer.headers["Content-Type"]) == (200, f"{given}; charset=utf-8")
    fhir.get("Patient/none", Accept="text/*").refused(404, "not-found")
    note = fhir.create({"resourceType": "Binary", "contentType": "text/plain", "data": "aGVsbG8="})["id"]
    assert fhir.get(f"Binary/{note}", Accept="text/*").content == b"hello"


@ONE_DATABASE
@pytest.mark.parametrize("accept", ["application/fhir+ndjson", "text/html", "application/fhir+turtle",
                                    "application/fhir+json;q=0", "application/fhir+xml;fhirVersion=5.0"])
def test_what_is_not_offered_is_refused_with_what_is(fhir, accept):
    fhir.get("Patient/1", Accept=accept).refused(406, "not-supported", "http.Accept", "application/fhir+json")
    fhir.post("Patient", patient(), Accept=accept).refused(406, "not-supported", "http.Accept")
    assert fhir.total("Patient") == 0


@pytest.mark.proves("format:json")
def test_format_goes_before_accept(fhir):
    id_ = fhir.create(patient())["id"]
    assert fhir.get(f"Patient/{id_}?_format=json", Accept="application/fhir+xml").status == 200
    assert fhir.get(f"Patient/{id_}?_format=application/fhir%2Bjson").status == 200
    fhir.get(f"Patient/{id_}?_format=ttl").refused(406, "not-supported", "_format")
    for empty in ("_format=", "_format=%20"):  # names no format
        assert fhir.get(f"Patient/{id_}?{empty}").status == 200
        assert fhir.get(f"Patient?{empty}", Accept=FHIR_XML).headers["Content-Type"].startswith(FHIR_XML)
        assert fhir.get(f"Patient/nobody?{empty}", Accept=FHIR_XML).headers["Content-Type"].startswith(FHIR_XML)
    assert fhir.get(f"Patient/{id_}?_format=&_format=xml").headers["Content-Type"].startswith(FHIR_XML)
    fhir.get(f"Patient/{id_}?_format=", Accept="text/turtle").refused(406, "not-supported", "http.Accept")
    fhir.get("Patient?_format=ndjson").refused(406, "not-supported", "_format", "bulk files alone")


@ONE_DATABASE
@pytest.mark.parametrize("content_type", ["application/fhir+ndjson", "application/fhir+turtle", "text/plain",
                                          "application/fhir+xml; charset=utf-16", "text/xml; fhirVersion=5.0",
                                          "application/json; charset=iso-8859-1", "application/x-www-form-urlencoded"])
def test_a_body_in_another_format_is_refused(fhir, content_type):
    for method, url in (("POST", "Patient"), ("PUT", "Patient/1"), ("POST", "")):
        fhir(method, url, b"<Patient/>", Content_Type=content_type).refused(
            415, "not-supported", "http.Content-Type")
    assert fhir.total("Patient") == 0


def test_a_body_without_a_content_type_is_refused(fhir):
    fhir.post("Patient", b"{}", Content_Type=None).refused(415, "not-supported", "http.Content-Type")


@ONE_DATABASE
@pytest.mark.parametrize(
    ("body", "code", "expression", "text"),
    [
        (b"", "structure", None, "no body"),
        (b"{", "structure", None, "not JSON"),
        (b"[]", "structure", None, "object"),
        (b'"Patient"', "structure", None, "object"),
        (b'{"resourceType":"Patient","active":tru}', "structure", None, "column"),
        (b'{"resourceType":"Patient","active":true,"active":false}', "structure", "Patient.active", "twice"),
        (b'{"resourceType":"Patient","name":' + b"[" * 5000 + b"]" * 5000 + b"}", "structure", None, "nested"),
        (b'{"resourceType":"Patient","active":\xff}', "structure", None, "UTF-8"),
        ('{"resourceType":"Patient"}'.encode("utf-16"), "structure", None, "UTF-8"),
        (b'{"resourceType":"Observation","valueQuantity":{"value":NaN}}', "structure", None, "NaN"),
        (b'{"resourceType":"Patient","name":[{"family":"\\ud800"}]}', "structure", None, "surrogate"),
    ],
    ids=["empty", "cut", "array", "string", "word", "duplicate", "deep", "bytes", "utf-16", "nan", "surrogate"],
)
def test_broken_json_is_refused_naming_the_place(fhir, body, code, expression, text):
    fhir.post("Patient", body).refused(400, code, expression, text)
    assert fhir.total("Patient") == 0


def test_a_body_beyond_the_limit_is_refused_unread(fhir):
    fhir.post("Patient", b"x" * 32_000_001).refused(413, "too-long")


def test_an_upload_that_breaks_off_writes_nothing(fhir):
    body = b'{"resourceType":"Patient"}'
    fhir.post("Patient", body, Content_Length=str(len(body) + 1)).refused(400, "invalid", "http.Content-Length")
    assert fhir.total("Patient") == 0


def test_the_request_id_is_taken_from_the_client_where_it_is_sane(fhir):
    assert fhir.get("metadata", X_Request_Id="abc-123").headers["X-Request-Id"] == "abc-123"
    assert fhir.get("metadata", X_Correlation_Id="visit-7").headers["X-Correlation-Id"] == "visit-7"
    assert "X-Correlation-Id" not in fhir.get("metadata", X_Correlation_Id='"><script>').headers
    made = fhir.get("metadata", X_Request_Id='"><script>').headers
    assert len(made["X-Request-Id"]) == 32
    assert "X-Correlation-Id" not in made


def test_a_request_id_that_is_not_taken_comes_back_beside_the_servers_own(fhir):
    """https://hl7.org/fhir/R4/http.html#custom"""
    for own in ("a" * 65, "{3F2504E0-4F89-11D3-9A0C-0305E82C3301}"):
        answer = fhir.get("metadata", X_Request_Id=own).headers
        assert (len(answer["X-Request-Id"]), answer["X-Correlation-Id"]) == (32, own)
        assert fhir.get("metadata", X_Request_Id=own, X_Correlation_Id="v").headers["X-Correlation-Id"] == "v"


def test_a_host_that_is_none_is_refused(fhir):
    fhir.post("Observation", observation(), Host="evil/x").refused(400, "invalid", "http.Host")
    assert fhir.total("Observation") == 0


def test_a_refusal_is_indented_where_that_is_asked_for(fhir):
    for url in ("Patient/none?_pretty=true", "Patient?foo=1&_pretty=true", "Nothing?_pretty=true"):
        assert fhir.get(url).content.startswith(b'{\n  "resourceType": "OperationOutcome"'), url
        assert b"\n  <issue>\n" in fhir.get(url, Accept="application/fhir+xml").content, url
    assert b"\n" not in fhir.get("Patient/none").content
