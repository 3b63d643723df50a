"""What the URL of a write may say besides what it means: https://hl7.org/fhir/R4/http.html#update"""

import pytest

from tests.builders import bundle, entry, observation, patient, post

JSON_PATCH = {"Content-Type": "application/json-patch+json"}
FHIR_PATCH = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
    {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Patient.gender"},
    {"name": "value", "valueCode": "female"}]}]}
OTHER = patient("Other", id="1", gender="female")

#: A write by its id (or without criteria at all) that a client may believe to be conditional.
UNHEARD = [
    ("PUT", "Patient/1?identifier=x", OTHER, "PUT Patient?identifier"),
    ("PUT", "Patient/1?_count=1", OTHER, "'_count'"),
    ("PUT", "Patient/new?foo=bar&_format=json", patient(id="new"), "'foo'"),
    ("PATCH", "Patient/1?_lastUpdated=lt2020", FHIR_PATCH, "PATCH Patient?identifier"),
    ("DELETE", "Patient/1?family=Nobody", None, "DELETE Patient?identifier"),
    ("DELETE", "Patient/1?_count=1", None, "'_count'"),
    ("POST", "Patient?x=y", OTHER, "If-None-Exist"),
]
IDS = [f"{method} {url}" for method, url, _, _ in UNHEARD]


@pytest.fixture
def stored(fhir):
    assert fhir.put("Patient/1", patient("One", id="1", gender="male")).status == 201
    return fhir


WRITES = [
    ("POST", "Patient", OTHER, {}), ("PUT", "Patient/1", OTHER, {}), ("PATCH", "Patient/1", FHIR_PATCH, {}),
    ("PATCH", "Patient?family=One", FHIR_PATCH, {}), ("DELETE", "Patient/1", None, {}),
    ("POST", "", bundle(post(patient())), {}), ("POST", "", bundle(post(patient()), type_="batch"), {}),
    ("POST", "Patient/1/$meta-add", {"resourceType": "Parameters", "parameter": [
        {"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]}, {}),
    ("POST", "Patient", OTHER, {"Prefer": "respond-async"}), ("POST", "Patient", OTHER, {"Prefer": "return=minimal"}),
    ("POST", "Patient", OTHER, {"Accept": "application/fhir+xml"}),
]  # fmt: skip


def test_a_write_that_cannot_be_answered_as_asked_is_not_done(stored, work, subtests):
    for method, url, body, headers in WRITES:
        for wrong in ("_pretty=1", "_summary=foo", "_elements=a.b.c"):
            if "$" in url and wrong != "_pretty=1":
                continue  # these an operation passes over
            with subtests.test(f"{method} {url} {wrong} {headers}"):
                joined = "&" if "?" in url else "?"
                answer = stored(method, f"{url}{joined}{wrong}", body, **headers)
                assert (answer.status, answer.json["issue"][0]["expression"]) == (400, [wrong.partition("=")[0]])
    inside = [entry("POST", "Patient?_summary=foo", OTHER), entry("PUT", "Patient/1?_elements=a.b.c", OTHER)]
    refused = stored.post("", bundle(*inside, type_="batch")).entries()
    assert [one["response"]["status"] for one in refused] == ["400 Bad Request"] * 2
    stored.post("", bundle(inside[0])).refused(400, "invalid", "Bundle.entry[0].request.url")
    work()
    assert stored.total("Patient") == 1
    assert stored.get("Patient/1").json["meta"].keys() == {"versionId", "lastUpdated"}
    assert stored.get("Patient/1").vid == "1"


def test_what_a_write_answers_is_cut_as_asked_and_whole_in_the_store(stored):
    made = stored.post("Patient?_elements=gender", OTHER).json
    assert (made.keys(), made["meta"]["tag"][0]["code"]) == ({"resourceType", "id", "meta", "gender"}, "SUBSETTED")
    assert "tag" not in stored.get(f"Patient/{made['id']}").json["meta"]
    assert "name" in stored.get(f"Patient/{made['id']}").json
    assert stored.put("Patient/1?_summary=text", OTHER).json.keys() == {"resourceType", "id", "meta"}
    inside = entry("PUT", "Patient/1?_elements=gender", OTHER | {"birthDate": "1990-01-01"})
    for type_ in ("batch", "transaction"):
        (row,) = stored.post("", bundle(inside, type_=type_), Prefer="return=representation").entries()
        assert row["resource"].keys() == {"resourceType", "id", "meta", "gender"}
    told = stored.put("Patient/1?_elements=gender", OTHER | {"active": True}, Prefer="return=OperationOutcome").json
    assert told["issue"]


@pytest.mark.parametrize(("method", "url", "body", "text"), UNHEARD, ids=IDS)
def test_a_write_refuses_parameters_that_it_would_pass_over(stored, method, url, body, text):
    stored(method, url, body).refused(400, "invalid", "http.url", text)
    stored(method, url, body, Prefer="handling=lenient").refused(400, "invalid", "http.url", text)
    inside = entry(method, url, body)
    refused = stored.post("", bundle(inside, post(patient("Beside")), type_="batch")).entries()
    assert [row["response"]["status"] for row in refused] == ["400 Bad Request", "201 Created"]
    assert refused[0]["response"]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[0].request.url"]
    stored.post("", bundle(post(patient()), inside)).refused(400, "invalid", "Bundle.entry[1].request.url", text)
    assert stored.total("Patient") == 2
    assert stored.get("Patient/1").json["meta"]["versionId"] == "1"


def test_criteria_of_a_conditional_create_that_matches_do_not_hide_what_its_url_says(stored):
    found = entry("POST", "Patient?x=y", patient(), ifNoneExist="family=One")
    stored.post("", bundle(found)).refused(400, "invalid", "Bundle.entry[0].request.url")


def test_a_bundle_and_an_erasure_take_no_parameters_of_their_own(stored, client):
    stored.post("?identifier=x", bundle(post(patient()))).refused(400, "invalid", "http.url", "'identifier'")
    stored.put("Patient/1", OTHER)
    admin = client("admin", "system/*.cruds")
    admin.delete("Patient/1/_history?_before=2020").refused(400, "invalid", "http.url", "'_before'")
    admin.delete("Patient/1/_history/1?_since=2020").refused(400, "invalid", "http.url", "'_since'")
    assert stored.get("Patient/1/_history").json["total"] == 2
    assert stored.post("?_format=json", bundle(post(patient()))).status == 200


def test_how_to_answer_may_be_said_in_every_write(stored):
    asked = "?_format=json&_pretty=true&_summary=true"
    assert stored.put(f"Patient/1{asked}", OTHER).status == 200
    assert stored("PATCH", f"Patient/1{asked}", [{"op": "remove", "path": "/gender"}], **JSON_PATCH).status == 200
    stored.put("Observation/2", observation("Patient/1", id="2"))
    assert stored.delete(f"Patient/1{asked}&_cascade=delete").status == 200
    assert stored.total("Observation") == 0
    done = stored.post("", bundle(entry("PUT", "Patient/3?_format=json", patient(id="3"))))
    assert done.entries()[0]["response"]["status"] == "201 Created"
