"""Binary in its own format: https://hl7.org/fhir/R4/binary.html#rest"""

import base64
import json

import pytest

from tests.one_database import ONE_DATABASE

CONTENT = bytes(range(256))


def test_content_in_its_own_format_becomes_a_binary(fhir):
    answer = fhir.post("Binary", CONTENT, Content_Type="application/octet-stream")
    assert answer.status == 201
    assert answer.json["contentType"] == "application/octet-stream"
    assert base64.b64decode(answer.json["data"]) == CONTENT


def test_who_does_not_ask_for_fhir_gets_the_content(fhir):
    id_ = fhir.post("Binary", CONTENT, Content_Type="image/png").id
    for accept in ("image/png", "*/*", "application/octet-stream"):
        answer = fhir.get(f"Binary/{id_}", Accept=accept)
        assert (answer.status, answer.content) == (200, CONTENT)
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"] == "attachment"
        assert answer.headers["ETag"] == 'W/"1"'


@pytest.mark.parametrize("version", ["", "/_history/1"])
def test_content_tells_in_a_header_what_it_is_seen_by(fhir, version):
    """As who sends it says it; the resource says it itself."""
    patient = fhir.create({"resourceType": "Patient"})["id"]
    seen = fhir.post("Binary", b"x", Content_Type="text/plain", X_Security_Context=f"Patient/{patient}").id
    for method in ("GET", "HEAD"):
        answer = fhir(method, f"Binary/{seen}{version}", Accept="text/plain")
        assert answer.headers["X-Security-Context"] == f"Patient/{patient}"
    assert "X-Security-Context" not in fhir.get(f"Binary/{seen}{version}", Accept="application/fhir+json").headers
    free = fhir.post("Binary", b"x", Content_Type="text/plain").id
    logical = fhir.create({"resourceType": "Binary", "contentType": "text/plain", "data": "eA==",
                           "securityContext": {"identifier": {"value": "1"}}})["id"]
    far = fhir.create({"resourceType": "Binary", "contentType": "text/plain", "data": "eA==",
                       "securityContext": {"reference": "http://example.org/fhir/Patient/\u00fc?a"}})
    for id_ in (free, logical, far["id"]):
        assert "X-Security-Context" not in fhir.get(f"Binary/{id_}", Accept="text/plain").headers


def test_who_asks_for_fhir_gets_the_resource(fhir):
    id_ = fhir.post("Binary", CONTENT, Content_Type="image/png").id
    for answer in (fhir.get(f"Binary/{id_}", Accept="application/fhir+json"), fhir.get(f"Binary/{id_}?_format=json")):
        assert answer.headers["Content-Type"] == "application/fhir+json; charset=utf-8"
        assert answer.json["resourceType"] == "Binary"


def test_a_binary_is_updated_in_its_own_format(fhir):
    assert fhir.put("Binary/b1", b"one", Content_Type="text/plain").status == 201
    assert fhir.put("Binary/b1", b"two", Content_Type="text/plain; charset=utf-8").vid == "2"
    assert fhir.get("Binary/b1", Accept="text/plain").content == b"two"


def test_the_security_context_is_kept(fhir):
    patient = fhir.create({"resourceType": "Patient"})["id"]
    answer = fhir.post("Binary", b"x", Content_Type="text/plain", X_Security_Context=f"Patient/{patient}")
    assert answer.json["securityContext"] == {"reference": f"Patient/{patient}"}
    fhir.post("Binary", b"x", Content_Type="text/plain", X_Security_Context="Patient/nobody").refused(
        400, "not-found", "Binary.securityContext.reference")


@ONE_DATABASE
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_context_that_would_be_lost_is_refused(fhir, method):
    """Else everybody would see what was to be guarded. granian gives a header that is not ASCII as an empty one."""
    url = "Binary" if method == "POST" else "Binary/b"
    for value in ("", " "):
        fhir(method, url, b"x", Content_Type="text/plain", X_Security_Context=value).refused(
            400, "invalid", "http.X-Security-Context", "is empty")
    fhir.put("Patient/1", {"resourceType": "Patient", "id": "1"})
    whole = {"resourceType": "Binary", "id": "b", "contentType": "text/plain", "data": "eA=="}
    guarded = whole | {"securityContext": {"reference": "Patient/1"}}
    for body in (whole, guarded | {"securityContext": {"reference": "Patient/2"}}):
        fhir(method, url, body, X_Security_Context="Patient/1").refused(
            400, "invalid", "http.X-Security-Context", "securityContext")
    assert fhir.total("Binary") == 0
    assert fhir(method, url, guarded, X_Security_Context="Patient/1").status == 201


def test_a_binary_as_a_resource_is_stored_like_any_other(fhir):
    answer = fhir.post("Binary", {"resourceType": "Binary", "contentType": "text/plain", "data": "eA=="})
    assert answer.status == 201
    assert fhir.get(f"Binary/{answer.id}", Accept="text/plain").content == b"x"


JSON, XML = "application/fhir+json", "application/fhir+xml"
DOCUMENT = json.dumps({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Binary"}}]})


@pytest.mark.parametrize(("content_type", "content"), [
    (JSON, DOCUMENT), (JSON, json.dumps({"id": "x", "resourceType": "Patient"})), (JSON, "no JSON"),
    ("application/json", '{"a": [1, 2.50]}'), ("application/json", "[1]"),
    (XML, '<Patient xmlns="http://hl7.org/fhir"><id value="p"/></Patient>'),
    (XML, "<?xml version='1.0'?><!-- <Binary> --><f:Bundle xmlns:f='http://hl7.org/fhir'/>"), (XML, "no XML"),
    (XML, "<!--" * 5000), (XML, "<!DOCTYPE x [" + "] " * 5000), ("text/xml", "<Binary/>"),
])  # fmt: skip
def test_content_in_fhirs_own_formats_is_content_too(fhir, content_type, content):
    """binary.html#rest: accepted as it is, except where the content is itself a Binary resource."""
    made = fhir.post("Binary", content, Content_Type=content_type, Accept="application/fhir+json")
    assert (made.status, made.json["contentType"]) == (201, content_type)
    assert base64.b64decode(made.json["data"]).decode() == content
    assert fhir.get(f"Binary/{made.id}", Accept="*/*").content.decode() == content
    assert fhir.put(f"Binary/{made.id}", content + " ", Content_Type=content_type).vid == "2"


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("content_type", "content", "status"), [
    (JSON, '{"resourceType": "Binary", "contentType": "text/plain"}', 201),
    (JSON, '{"contentType": "text/plain", "resourceType": "Binary"}', 201),
    ("application/json", ' {"resourceType":"Binary"}', 400), (JSON, '{"resourceType": "Binary", ', 400),
    (JSON, '{"data": "eA==", "resourceType": "Binary"', 400),
    (XML, '\ufeff<?xml version="1.0"?> <!-- x -->\n<Binary xmlns="http://hl7.org/fhir"><contentType value="a/b"/>'
     "</Binary>", 201),
    (XML, '<f:Binary xmlns:f="http://hl7.org/fhir"><f:contentType value="a/b"/></f:Binary>', 201),
    (XML, '<Binary xmlns="http://hl7.org/fhir">', 400),
    (XML, '<!DOCTYPE Binary SYSTEM "x"><Binary xmlns="http://hl7.org/fhir"><contentType value="a/b"/></Binary>', 400),
    (XML, '<!DOCTYPE x [<!ENTITY a "b">]><Binary xmlns="http://hl7.org/fhir"><contentType value="a/b"/></Binary>', 400),
])  # fmt: skip
def test_what_says_that_it_is_a_binary_is_read_as_one(fhir, content_type, content, status):
    answer = fhir.post("Binary", content.encode(), Content_Type=content_type)
    assert answer.status == status
    assert status == 400 or answer.json["contentType"] in ("text/plain", "a/b")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_who_asks_for_json_as_such_gets_content_that_is_json(fhir):
    held = fhir.post("Binary", '{"a": 1}', Content_Type="application/json; charset=utf-8").id
    assert fhir.get(f"Binary/{held}", Accept="application/json").content == b'{"a": 1}'
    assert fhir.get(f"Binary/{held}", Accept="application/json, application/fhir+json").json["resourceType"] == "Binary"
    other = fhir.post("Binary", "x", Content_Type="text/plain").id
    assert fhir.get(f"Binary/{other}", Accept="application/json").json["resourceType"] == "Binary"


def test_content_without_a_type_or_without_bytes_is_refused(fhir):
    fhir.post("Binary", b"x", Content_Type=None).refused(415, "not-supported", "http.Content-Type")
    fhir.post("Binary", b"", Content_Type="image/png").refused(400, "invalid", "Binary.data")
    fhir.post("Binary", b"x", Content_Type="png").refused(400, "invalid", "Binary.contentType")
