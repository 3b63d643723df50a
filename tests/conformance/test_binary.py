"""Binary in its own format: https://hl7.org/fhir/R4/binary.html#rest"""

import base64

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


def test_a_binary_as_a_resource_is_stored_like_any_other(fhir):
    answer = fhir.post("Binary", {"resourceType": "Binary", "contentType": "text/plain", "data": "eA=="})
    assert answer.status == 201
    assert fhir.get(f"Binary/{answer.id}", Accept="text/plain").content == b"x"


def test_content_without_a_type_or_without_bytes_is_refused(fhir):
    fhir.post("Binary", b"x", Content_Type=None).refused(415, "not-supported", "http.Content-Type")
    fhir.post("Binary", b"", Content_Type="image/png").refused(400, "invalid", "Binary.data")
    fhir.post("Binary", b"x", Content_Type="png").refused(400, "invalid", "Binary.contentType")
