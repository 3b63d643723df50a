"""read: https://hl7.org/fhir/R4/http.html#read"""

import pytest

from tests.builders import observation, patient


@pytest.mark.proves("interaction:read", "resource:versioning=versioned")
def test_read_answers_the_resource_with_its_version_and_time(fhir):
    created = fhir.create(patient("Smith"))
    answer = fhir.get(f"Patient/{created['id']}")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/fhir+json; charset=utf-8"
    assert answer.headers["ETag"] == 'W/"1"'
    assert answer.headers["Last-Modified"] == "Thu, 01 Jan 2026 00:00:00 GMT"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.json == created


def test_read_keeps_every_digit_and_the_order_of_the_elements(fhir):
    body = (b'{"resourceType":"Observation","status":"final","valueQuantity":{"value":1.00},'
            b'"code":{"text":"x"},"effectiveDateTime":"2024-01-01"}')
    answer = fhir.get(f"Observation/{fhir.post('Observation', body).id}")
    assert answer.content.endswith(
        b'"status":"final","valueQuantity":{"value":1.00},"code":{"text":"x"},"effectiveDateTime":"2024-01-01"}'
    )


def test_read_of_what_never_was_is_not_found(fhir):
    fhir.get("Patient/nobody").refused(404, "not-found", "Patient")


@pytest.mark.proves("interaction:read")
def test_read_of_a_deleted_patient_is_gone(fhir):
    id_ = fhir.create(patient())["id"]
    fhir.delete(f"Patient/{id_}")
    fhir.get(f"Patient/{id_}").refused(410, "deleted", "Patient")


def test_read_of_another_type_with_the_same_id_is_not_found(fhir):
    id_ = fhir.create(patient())["id"]
    fhir.get(f"Observation/{id_}").refused(404, "not-found")


def test_head_answers_the_headers_of_get_without_a_body(fhir):
    id_ = fhir.create(patient())["id"]
    got, head = fhir.get(f"Patient/{id_}"), fhir("HEAD", f"Patient/{id_}")
    assert (head.status, head.content) == (200, b"")
    for name in ("ETag", "Last-Modified", "Content-Type", "Content-Length"):
        assert head.headers[name] == got.headers[name]


@pytest.mark.proves("resource:conditionalRead=full-support")
@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("If_None_Match", 'W/"1"', 304),
        ("If_None_Match", 'W/"2"', 200),
        ("If_None_Match", "*", 304),
        ("If_None_Match", "1", 304),
        ("If_None_Match", "2", 200),
        ("If_Modified_Since", "Thu, 01 Jan 2026 00:00:00 GMT", 304),
        ("If_Modified_Since", "Wed, 31 Dec 2025 23:59:59 GMT", 200),
        ("If_Modified_Since", "yesterday", 200),
    ],
)
def test_a_conditional_read_answers_304_where_nothing_changed(fhir, header, value, status):
    id_ = fhir.create(patient())["id"]
    answer = fhir.get(f"Patient/{id_}", **{header: value})
    assert answer.status == status
    assert answer.headers["ETag"] == 'W/"1"'
    assert (answer.content == b"") is (status == 304)


def test_a_condition_that_cannot_be_read_is_refused(fhir):
    id_ = fhir.create(patient())["id"]
    for value in ("W/1", "01", "one", "1, 2"):
        fhir.get(f"Patient/{id_}", If_None_Match=value).refused(400, "invalid", "http.If-None-Match")


@pytest.mark.proves("parameter:_summary", "parameter:_elements")
def test_summary_and_elements_cut_and_mark_the_resource(fhir):
    id_ = fhir.create(observation())["id"]
    answer = fhir.get(f"Observation/{id_}?_elements=issued").json
    assert set(answer) == {"resourceType", "id", "meta", "status", "code"}
    assert answer["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert "valueQuantity" in fhir.get(f"Observation/{id_}?_summary=true").json
    fhir.get(f"Observation/{id_}?_summary=count").refused(400, "invalid", "_summary")
    fhir.get(f"Observation/{id_}?_summary=some").refused(400, "invalid", "_summary")


def test_pretty_indents_the_same_content(fhir):
    id_ = fhir.create(patient())["id"]
    plain, pretty = fhir.get(f"Patient/{id_}"), fhir.get(f"Patient/{id_}?_pretty=true")
    assert plain.json == pretty.json
    assert b'\n  "id"' in pretty.content
    assert b"\n" not in plain.content
    fhir.get(f"Patient/{id_}?_pretty=2").refused(400, "invalid", "_pretty")


@pytest.mark.parametrize("id_", ["A_B", "a" * 65, "%20", "..", "%2e%2e", "a%00"])
def test_an_id_that_fhir_does_not_allow_is_refused(fhir, id_):
    answer = fhir.get(f"Patient/{id_}")
    assert answer.status == 400
    assert answer.json["issue"][0]["code"] == "invalid"


@pytest.mark.parametrize(
    ("path", "status"),
    [("Patient%2F1", 400), ("Patient/1/", 404), ("Patient//1", 404), ("Patient/../metadata", 400), ("Patients/1", 404),
     ("Medication/1/Observation", 404), ("Patient/1/extra", 404), ("%5c..%5cetc", 400)],
)  # fmt: skip
def test_a_url_that_names_nothing_is_refused(fhir, path, status):
    assert fhir.get(path).status == status


def test_a_token_without_the_scope_is_refused(client, fhir):
    id_ = fhir.create(patient())["id"]
    client("system/Observation.rs").get(f"Patient/{id_}").refused(403, "forbidden")
    client("system/Patient.s").get(f"Patient/{id_}").refused(403, "forbidden")


def test_what_a_scope_does_not_cover_is_not_found(client, fhir):
    heart = fhir.create(observation(code="8867-4"))["id"]
    other = fhir.create(observation(code="1234-5"))["id"]
    narrow = client("system/Observation.rs?code=http://loinc.org|8867-4")
    assert narrow.get(f"Observation/{heart}").status == 200
    narrow.get(f"Observation/{other}").refused(404, "not-found")
