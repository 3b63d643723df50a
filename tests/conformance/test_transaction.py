"""transaction: https://hl7.org/fhir/R4/http.html#transaction"""

import pytest

from tests.builders import SYSTEM, bundle, encounter, entry, observation, parameters, patient, post, put
from tests.conformance.full_urls import E, O, P


@pytest.mark.proves("system:transaction")
def test_new_resources_refer_to_each_other_by_full_url(fhir):
    answer = fhir.post("", bundle(
        post(observation(P, encounter={"reference": E}), O), post(encounter(P), E), post(patient(), P)))
    assert answer.status == 200
    assert answer.json["type"] == "transaction-response"
    observed, met, person = (row["response"]["location"].split("/")[-4:-2] for row in answer.entries())
    assert (observed[0], met[0], person[0]) == ("Observation", "Encounter", "Patient")
    stored = fhir.get("/".join(["Observation", observed[1]])).json
    assert stored["subject"]["reference"] == f"Patient/{person[1]}"
    assert stored["encounter"]["reference"] == f"Encounter/{met[1]}"


def test_the_response_has_status_location_etag_and_time_in_the_requests_order(fhir):
    fhir.put("Patient/old", patient(id="old"))
    fhir.put("Patient/gone", patient(id="gone"))
    answer = fhir.post("", bundle(
        entry("GET", "Patient/old"), put(patient("New", id="old")), post(patient()), entry("DELETE", "Patient/gone")))
    read, updated, created, deleted = (row["response"] for row in answer.entries())
    assert [one["status"] for one in (read, updated, created, deleted)] == ["200 OK", "200 OK", "201 Created", "200 OK"]
    assert updated["location"] == "http://localhost/fhir/Patient/old/_history/2"
    assert (updated["etag"], created["etag"]) == ('W/"2"', 'W/"1"')
    assert created["lastModified"].startswith("2026-01-01T00:00:00")
    assert deleted["outcome"]["issue"][0]["severity"] == "information"
    # GET comes last, whatever its place: it sees what the others wrote.
    assert answer.entries()[0]["resource"]["name"][0]["family"] == "New"
    assert "resource" not in answer.entries()[2]


def test_prefer_decides_what_the_entries_bring_back(fhir):
    whole = fhir.post("", bundle(post(patient("Whole"))), Prefer="return=representation").entries()[0]
    assert whole["resource"]["name"][0]["family"] == "Whole"
    assert whole["fullUrl"].endswith(f"Patient/{whole['resource']['id']}")
    told = fhir.post("", bundle(post(patient())), Prefer="return=OperationOutcome").entries()[0]
    assert told["response"]["outcome"]["resourceType"] == "OperationOutcome"
    assert "resource" not in told


def test_deletes_come_first_and_updates_after_creates(fhir):
    fhir.put("Patient/a", patient("Old", id="a", identifier="1"))
    answer = fhir.post("", bundle(
        post(patient("New", identifier="1"), ifNoneExist=f"identifier={SYSTEM}|1"), entry("DELETE", "Patient/a")))
    assert [row["response"]["status"] for row in answer.entries()] == ["201 Created", "200 OK"]
    assert fhir.total(f"Patient?identifier={SYSTEM}|1") == 1


@pytest.mark.proves("system:transaction")
def test_the_order_of_the_entries_does_not_change_the_result(fhir):
    for number, order in enumerate(((0, 1, 2), (2, 1, 0), (1, 2, 0))):
        entries = [post(patient(f"Name{number}"), P), post(observation(P)), put(encounter(P, id=f"e{number}"))]
        answer = fhir.post("", bundle(*(entries[index] for index in order)))
        assert answer.status == 200
        target = fhir.get(f"Encounter/e{number}").json["subject"]["reference"]
        assert fhir.get(target).json["name"][0]["family"] == f"Name{number}"


def test_searches_by_post_work_inside_and_come_last(fhir):
    import base64

    form = {"resourceType": "Binary", "contentType": "application/x-www-form-urlencoded",
            "data": base64.b64encode(b"family=Found&_summary=count").decode()}
    for type_ in ("transaction", "batch"):
        answer = fhir.post("", bundle(entry("POST", "Patient/_search?family=Found"),
                                      entry("POST", "Patient/_search", form), post(patient("Found")), type_=type_))
        first, second = (row["resource"] for row in answer.entries()[:2])
        # a transaction reads at its end, a batch in its order
        assert (first["total"], second["total"]) == (1, 1)
        wrong = fhir.post("", bundle(entry("POST", "Patient/_search", patient())))
        wrong.refused(400, "invalid", "Bundle.entry[0].resource")


def test_an_address_elsewhere_and_a_missing_type_are_told_in_their_words(fhir):
    fhir.post("", bundle(entry("GET", "http://other.example/Patient/1"))).refused(
        404, "not-found", "Bundle.entry[0].request.url", "is no address of this server")
    fhir.post("", {"resourceType": "Bundle", "entry": [post(patient())]}).refused(
        400, "invalid", "Bundle.type", "Bundle.type is missing; it must be batch, transaction or history")
    fhir.post("Binary", b"x", Content_Type=None).refused(415, "not-supported", "http.Content-Type", "of the content")


def test_searches_operations_and_histories_can_be_read_inside(fhir):
    fhir.put("Patient/a", patient(id="a"))
    answer = fhir.post("", bundle(
        post(patient("Found")), entry("GET", "Patient?family=Found"), entry("GET", "Patient/a/_history"),
        entry("POST", "Patient/$validate", parameters(resource=patient()))))
    assert answer.status == 200
    _, searched, listed, validated = answer.entries()
    assert searched["resource"]["total"] == 1
    assert listed["resource"]["type"] == "history"
    assert validated["response"]["outcome"]["resourceType"] == "OperationOutcome"


REFUSED = {
    "an invalid resource": ([post(patient()), post(patient(gender="x"))], 400, None,
                            "Bundle.entry[1].resource.gender"),
    "a resource of another type": ([entry("POST", "Patient", observation())], 400, "invalid",
                                   "Bundle.entry[0].resource"),
    "a reference to nothing": ([post(patient()), post(observation("Patient/nobody"))], 400, "not-found",
                               "Bundle.entry[1].resource.subject.reference"),
    "a urn that is no entry": ([post(patient()), post(observation(P))], 400, "not-found",
                               "Bundle.entry[1].resource.subject.reference"),
    "no request": ([post(patient()), {"resource": patient()}], 400, "invalid", "Bundle.entry[1].request"),
    "an unknown method": ([entry("SEND", "Patient", patient())], 400, None, "Bundle.entry[0].request.method"),
    "a method that an address has not": ([entry("POST", "Patient/1", patient())], 405, "not-supported",
                                         "Bundle.entry[0].request.method"),
    "a patch of nothing": ([post(patient()), entry("PATCH", "Patient/1", {"resourceType": "Parameters"})], 404,
                           "not-found", None),
    "a patch without a patch": ([entry("PATCH", "Patient/1")], 400, "invalid", None),
    "no resource": ([entry("POST", "Patient")], 400, "invalid", None),
    "an unknown type": ([entry("POST", "Patients", patient())], 404, "not-supported", "Bundle.entry[0].request.url"),
    "an id that is none": ([entry("PUT", "Patient/A_B", patient(id="A_B"))], 400, None, "Bundle.entry[0].resource.id"),
    "another id than the url": ([entry("PUT", "Patient/a", patient(id="b"))], 400, "invalid",
                                "Bundle.entry[0].resource.id"),
    "two changes of one resource": ([put(patient(id="a")), entry("DELETE", "Patient/a")], 400, "invalid",
                                    "Bundle.entry[1].request.url"),
    "one fullUrl twice": ([post(patient(), P), post(patient(), P)], 400, None, None),
    "a transaction inside": ([entry("POST", "", bundle())], 400, None, None),
    "an unknown operation": ([entry("POST", "Patient/$nothing", parameters())], 404, "not-found",
                             "Bundle.entry[0].request.url"),
    "a read of nothing": ([post(patient()), entry("GET", "Patient/nobody")], 404, "not-found", None),
    "an unknown search parameter": ([post(patient()), entry("GET", "Patient?nonsense=1")], 400, None, None),
    # they are validated type by type, and told in the order of the entries
    "the first of two wrong ones": ([post({**patient(), "gender": "x"}, P), post({**observation(P), "status": "x"})],
                                    400, None, "Bundle.entry[0].resource.gender"),
    "empty criteria": ([post(patient(), ifNoneExist="identifier=")], 400, None, "Bundle.entry[0].request.ifNoneExist"),
}  # fmt: skip


@pytest.mark.proves("system:transaction")
def test_one_wrong_entry_refuses_the_whole_naming_the_place(fhir, subtests):
    for what, (entries, status, code, expression) in REFUSED.items():
        with subtests.test(what):
            answer = fhir.post("", bundle(*entries))
            assert answer.status == status, answer.content
            issues = answer.json["issue"]
            if code is not None:
                assert code in [one["code"] for one in issues]
            places = [place for one in issues for place in one.get("expression", [])]
            assert all(place.startswith("Bundle") for place in places), places
            if expression is not None:
                assert expression in places, places
            assert fhir.total("Patient") == 0


@pytest.mark.parametrize("body", [
    {"resourceType": "Bundle", "type": "collection"},
    {"resourceType": "Bundle", "type": "searchset", "entry": []},
    {"resourceType": "Bundle"},
], ids=["collection", "searchset", "no type"])  # fmt: skip
def test_a_bundle_of_another_type_is_refused_at_the_base(fhir, body):
    fhir.post("", body).refused(400, "invalid", "Bundle.type")


def test_another_resource_is_refused_at_the_base(fhir):
    fhir.post("", patient()).refused(400, "invalid", "resourceType")


@pytest.mark.parametrize("entries", [{}, "x", [1], [None], [{"request": 1}], [{"request": {"method": "GET"}}]])
def test_a_bundle_whose_entries_are_none_is_refused(fhir, entries):
    answer = fhir.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert answer.status == 400
    assert answer.json["issue"][0]["expression"][0].startswith("Bundle.entry")


def test_a_bundle_without_entries_does_nothing(fhir):
    answer = fhir.post("", {"resourceType": "Bundle", "type": "transaction"})
    assert (answer.status, answer.entries()) == (200, [])


def test_more_entries_than_are_taken_are_refused(fhir):
    answer = fhir.post("", bundle(*[post(patient())] * 5001))
    answer.refused(413, "too-long", "Bundle.entry")
    assert fhir.total("Patient") == 0


def test_a_large_transaction_is_stored_whole(fhir):
    entries = [post(patient(), P), *(post(observation(P, value=number)) for number in range(600))]
    answer = fhir.post("", bundle(*entries))
    assert answer.status == 200
    assert len(answer.entries()) == 601
    assert fhir.total("Observation") == 600


def test_a_bundle_can_also_be_stored_as_a_resource(fhir):
    stored = fhir.create({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": patient()}]})
    assert fhir.get(f"Bundle/{stored['id']}").json["entry"][0]["resource"]["resourceType"] == "Patient"
    assert fhir.total("Patient") == 0


def test_scopes_hold_for_every_entry(client, fhir):
    narrow = client("system/Patient.c")
    narrow.post("", bundle(post(patient()), post(observation()))).refused(403, "forbidden", "Bundle.entry[1]")
    assert fhir.total("Patient") == 0
    assert narrow.post("", bundle(post(patient()))).status == 200


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("method", "url", "status", "code"), [
    ("GET", "Patient?_sort=nothing", 400, "invalid"), ("GET", "Patient/nobody", 404, "not-found"),
    ("DELETE", "Patient?nothing=1", 400, "invalid"),
])  # fmt: skip
def test_what_an_entry_without_a_resource_does_wrong_is_in_its_url(fhir, method, url, status, code):
    answer = fhir.post("", bundle(post(patient()), {"request": {"method": method, "url": url}}))
    answer.refused(status, code, "Bundle.entry[1].request.url")


@pytest.mark.parametrize("kind", ["transaction", "batch"])
def test_links_of_a_search_inside_show_what_it_saw(fhir, kind):
    rows = [put(patient("Walked", id=f"w{number}")) for number in range(3)]
    answer = fhir.post("", bundle(*rows, entry("GET", "Patient?family=walked&_count=1"), type_=kind))
    page = answer.entries()[-1]["resource"]
    fhir.put("Patient/w1", patient("Changed", id="w1"))
    fhir.delete("Patient/w2")
    fhir.put("Patient/new", patient("Walked", id="new"))
    found = []
    while True:
        found += [(row["resource"]["id"], row["resource"]["name"][0]["family"]) for row in page["entry"]]
        onwards = next((one["url"] for one in page["link"] if one["relation"] == "next"), None)
        if onwards is None:
            break
        page = fhir.get(onwards.partition("/fhir/")[2]).json
    assert found == [(f"w{number}", "Walked") for number in range(3)]
