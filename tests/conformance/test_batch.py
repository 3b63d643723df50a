"""batch: https://hl7.org/fhir/R4/http.html#transaction"""

import pytest

from hie.interactions import entries
from tests.builders import SYSTEM, bundle, entry, observation, patient, post, practitioner, put


def batch(*entries):
    return bundle(*entries, type_="batch")


@pytest.mark.proves("system:batch")
def test_each_entry_succeeds_or_fails_alone(fhir):
    answer = fhir.post("", batch(
        post(patient("One")), post(patient(gender="x")), entry("GET", "Patient/nobody"), put(patient(id="two")),
        entry("GET", "Patient/two"), entry("POST", "Patient/two"), entry("DELETE", "Patient/never")))
    assert answer.status == 200
    assert answer.json["type"] == "batch-response"
    rows = [row["response"] for row in answer.entries()]
    assert [row["status"] for row in rows] == [
        "201 Created", "400 Bad Request", "404 Not Found", "201 Created", "200 OK", "405 Method Not Allowed", "200 OK",
    ]  # fmt: skip
    assert rows[1]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[1].resource.gender"]
    assert rows[2]["outcome"]["issue"][0]["code"] == "not-found"
    assert answer.entries()[4]["resource"]["id"] == "two"
    assert fhir.total("Patient") == 2


@pytest.mark.parametrize("type_", ["batch", "transaction"])
def test_an_outcome_that_is_asked_for_stands_where_resources_do(fhir, type_):
    """What hints at a write does not: https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.response.outcome"""
    told = {"resourceType": "OperationOutcome", "id": "1", "issue": [{"severity": "error", "code": "invalid"}]}
    fhir.put("OperationOutcome/1", told)
    validated, read, part, written = fhir.post("", bundle(
        entry("POST", "Patient/$validate", patient()), entry("GET", "OperationOutcome/1"),
        entry("GET", "OperationOutcome/1?_elements=issue"), post(patient()),
        type_=type_), Prefer="return=OperationOutcome").entries()  # fmt: skip
    assert validated["resource"] == validated["response"]["outcome"]
    assert (read["fullUrl"], read["resource"]["id"]) == ("http://localhost/fhir/OperationOutcome/1", "1")
    assert part["resource"]["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert not any("outcome" in one["response"] for one in (read, part))
    assert ("resource" in written, "outcome" in written["response"]) == (False, True)


@pytest.mark.proves("system:batch")
@pytest.mark.parametrize("type_", ["batch", "transaction"])
def test_an_entry_that_reads_brings_the_part_that_it_asks_for(fhir, type_):
    one = fhir.create(patient(gender="male"))["id"]
    answer = fhir.post("", bundle(
        entry("GET", f"Patient/{one}?_elements=gender"), entry("GET", f"Patient/{one}/_history/1?_summary=text"),
        entry("GET", f"Patient/{one}?_summary=false"), entry("HEAD", f"Patient/{one}"), type_=type_))
    gender, text, whole, head = answer.entries()
    assert set(gender["resource"]) == {"resourceType", "id", "meta", "gender"}
    assert set(text["resource"]) == {"resourceType", "id", "meta"}
    assert gender["resource"]["meta"]["tag"] == text["resource"]["meta"]["tag"]
    assert gender["resource"]["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert "name" in whole["resource"]
    assert "tag" not in whole["resource"]["meta"]
    assert "resource" not in head
    assert head["response"] == {name: whole["response"][name] for name in ("status", "etag", "lastModified")}


@pytest.mark.parametrize("type_", ["batch", "transaction"])
def test_an_entry_has_the_full_url_of_the_resource_that_it_brings(fhir, type_):
    """https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.fullUrl: it agrees with the id of the resource."""
    one = fhir.create(patient())["id"]
    about = (f"Patient/{one}/_history", f"Patient/{one}/$everything", f"Patient/{one}/$meta")
    answer = fhir.post("", bundle(*(entry("GET", url) for url in (f"Patient/{one}", *about)), type_=type_))
    whole, *others = answer.entries()
    assert whole["fullUrl"] == f"http://localhost/fhir/Patient/{one}"
    assert [row["resource"]["resourceType"] for row in others] == ["Bundle", "Bundle", "Parameters"]
    assert [row for row in others if "fullUrl" in row] == []


def test_an_entry_that_refers_to_another_of_the_batch_is_refused(fhir):
    """R4: there are no dependencies between the entries of a batch. Medplum resolves them, as of a transaction; the
    reference was stored as it is, and led nowhere."""
    one, other = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "urn:uuid:8f14e45f-ceea-467f-9c5a-5dfb2a4c2d11"
    answer = fhir.post("", batch(
        post(patient(), one), post(observation(one)), post({"resourceType": "Basic", "code": {"text": "x"},
                                                            "subject": {"reference": other}}),
        put({"resourceType": "Basic", "id": "b", "code": {"text": "x"}, "extension": [
            {"url": "http://example.org/x", "valueReference": {"reference": one}}]}),
        post({"resourceType": "Observation", "subject": one})))
    rows = [row["response"] for row in answer.entries()]
    assert [row["status"][:3] for row in rows] == ["201", "400", "201", "400", "400"]
    issue = rows[1]["outcome"]["issue"][0]
    assert (issue["code"], issue["expression"]) == ("invalid", ["Bundle.entry[1].resource.subject.reference"])
    assert issue["diagnostics"].startswith(f"{one} is Bundle.entry[0]")
    assert rows[3]["outcome"]["issue"][0]["expression"] == [
        "Bundle.entry[3].resource.extension[0].valueReference.reference"]
    assert fhir.total("Observation") == 0


def test_criteria_may_stand_behind_a_slash_as_the_specification_writes_them(fhir):
    one, two = (fhir.create(patient(family=name))["id"] for name in ("One", "Two"))
    assert [row["id"] for row in fhir.get("Patient/?family=One").resources()] == [one]
    rows = fhir.post("", batch(entry("DELETE", "Patient/?family=One"), entry("GET", "Patient/?family=Two"))).entries()
    assert [row["response"]["status"] for row in rows] == ["200 OK", "200 OK"]
    assert [row["resource"]["id"] for row in rows[1]["resource"]["entry"]] == [two]
    assert fhir.delete("Patient/?family=Two").status == 200
    assert fhir.total("Patient") == 0
    for url in ("Patient//?family=One", f"Patient//{one}?_pretty=true", f"Patient/{one}//", "//"):
        fhir.get(url if url != "//" else "/fhir//").refused(404, "not-found", "http.url", "slash")
    assert fhir.get(f"Patient/{one}/?_pretty=true").status == 410
    assert fhir.get("metadata/?mode=full").status == 200
    fhir.delete("Patient/?_format=json").refused(400, "invalid")


@pytest.mark.proves("system:batch")
def test_a_part_that_a_read_has_not_is_refused_at_its_entry(fhir):
    one = fhir.create(patient())["id"]
    wrong = [entry("GET", f"Patient/{one}?{query}") for query in ("_summary=count", "_summary=x", "_elements=a-b")]
    rows = [row["response"] for row in fhir.post("", batch(*wrong)).entries()]
    assert [row["status"] for row in rows] == ["400 Bad Request"] * 3
    places = [row["outcome"]["issue"][0]["expression"][0] for row in rows]
    assert places == [f"Bundle.entry[{index}].request.url" for index in range(3)]


@pytest.mark.proves("system:batch")
def test_conditional_entries_are_conditional(fhir):
    once = post(practitioner("1"), ifNoneExist=f"identifier={SYSTEM}|1")
    answer = fhir.post("", batch(once, once))
    assert [row["response"]["status"] for row in answer.entries()] == ["201 Created", "200 OK"]
    assert fhir.total("Practitioner") == 1


def test_an_entry_that_refers_to_nothing_fails_alone(fhir):
    answer = fhir.post("", batch(post(observation("Patient/nobody")), post(patient())))
    first, second = (row["response"] for row in answer.entries())
    assert first["status"] == "400 Bad Request"
    assert first["outcome"]["issue"][0]["expression"] == ["Bundle.entry[0].resource.subject.reference"]
    assert second["status"] == "201 Created"


def test_an_entry_without_a_request_refuses_the_batch(fhir):
    answer = fhir.post("", batch(post(patient()), {"resource": patient()}))
    assert answer.status == 400
    assert fhir.total("Patient") == 0


def test_scopes_hold_for_each_entry(client, fhir):
    answer = client("system/Patient.c").post("", batch(post(patient()), post(observation())))
    assert [row["response"]["status"] for row in answer.entries()] == ["201 Created", "403 Forbidden"]
    assert fhir.total("Observation") == 0


def test_urls_may_begin_with_the_base_or_a_slash(fhir):
    fhir.put("Patient/a", patient(id="a"))
    answer = fhir.post("", batch(*(entry("GET", url) for url in (
        "Patient/a", "/Patient/a", "http://localhost/fhir/Patient/a", "http://other.example/fhir/Patient/a"))))
    statuses = [row["response"]["status"] for row in answer.entries()]
    assert statuses[:3] == ["200 OK"] * 3
    assert statuses[3].startswith("40")


@pytest.mark.parametrize("type_", ["batch", "transaction"])
def test_a_bundle_asks_what_the_server_can_as_any_other_request(client, fhir, nobody, type_):
    """A batch may hold any interaction, and what a server can is told anybody; in a transaction it is one more GET."""
    narrow = client("system/Patient.rs")
    rows = narrow.post("", bundle(
        entry("GET", "metadata"), entry("GET", "metadata?mode=terminology&_elements=name"),
        entry("HEAD", "metadata"), type_=type_)).entries()
    assert rows[0]["resource"] == nobody.get("metadata").json
    assert (rows[1]["resource"]["resourceType"], "codeSystem" in rows[1]["resource"]) == (
        "TerminologyCapabilities", False)
    assert "resource" not in rows[2]
    wrong = bundle(entry("GET", "metadata?mode=x"), type_=type_)
    if type_ == "batch":
        assert narrow.post("", wrong).entries()[0]["response"]["status"] == "400 Bad Request"
    else:
        narrow.post("", wrong).refused(400, "invalid", "Bundle.entry[0].request.url")
    (row,) = fhir.post("", bundle(entry("POST", "metadata"), type_="batch")).entries()
    assert row["response"]["status"] == "405 Method Not Allowed"


def test_what_the_entries_of_a_bundle_answer_together_is_bounded(fhir, monkeypatch):
    """A small Bundle may ask again and again for what is large."""
    one = fhir.create(patient("x" * 5_000))["id"]
    monkeypatch.setattr(entries, "MOST_ANSWERED", 12_000)
    asked = [*[entry("GET", f"Patient/{one}")] * 4, post(patient("Late"))]
    rows = [row["response"] for row in fhir.post("", batch(*asked)).entries()]
    assert [row["status"][:3] for row in rows] == ["200", "200", "200", "422", "422"]
    assert rows[3]["outcome"]["issue"][0] == {
        "severity": "error", "code": "too-costly", "expression": ["Bundle.entry[3].request.url"],
        "diagnostics": "The entries that were done have answers of more than 12000 bytes together; this one was not "
                       "done. Send it in another Bundle."}  # fmt: skip
    assert fhir.total("Patient?family=Late") == 0
    fhir.post("", bundle(*asked[:4], type_="transaction")).refused(422, "too-costly", "Bundle.entry[3].request.url")
    for type_ in ("batch", "transaction"):
        assert len(fhir.post("", bundle(*asked[:3], type_=type_)).resources()) == 3
