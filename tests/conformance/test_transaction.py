"""transaction: https://hl7.org/fhir/R4/http.html#transaction"""

import pytest

from tests.builders import SYSTEM, bundle, encounter, entry, observation, parameters, patient, post, practitioner, put

P = "urn:uuid:11111111-1111-1111-1111-111111111111"
E = "urn:uuid:22222222-2222-2222-2222-222222222222"
O = "urn:uuid:33333333-3333-3333-3333-333333333333"  # noqa: E741


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


def test_links_in_narratives_and_uris_are_rewritten(fhir):
    note = observation(P, text={"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">'
                                                              f'<a href="{P}">patient</a></div>'})
    answer = fhir.post("", bundle(post(note), post(patient(), P)), Prefer="return=representation")
    stored, person = answer.resources()
    assert f'<a href="Patient/{person["id"]}">' in stored["text"]["div"]


def test_a_cycle_of_references_is_stored(fhir):
    one = patient(link=[{"other": {"reference": E}, "type": "seealso"}])
    two = patient(link=[{"other": {"reference": P}, "type": "seealso"}])
    first, second = fhir.post("", bundle(post(one, P), post(two, E)), Prefer="return=representation").resources()
    assert first["link"][0]["other"]["reference"] == f"Patient/{second['id']}"
    assert second["link"][0]["other"]["reference"] == f"Patient/{first['id']}"


def test_references_between_resources_of_another_server_are_kept_together(fhir):
    base = "http://other.example/fhir"
    answer = fhir.post("", bundle(post(patient(), f"{base}/Patient/7"),
                                  post(observation("Patient/7"), f"{base}/Observation/8")),
                       Prefer="return=representation")
    person, observed = answer.resources()
    assert person["id"] != "7"
    assert observed["subject"]["reference"] == f"Patient/{person['id']}"


def test_conditional_references_are_resolved(fhir):
    id_ = fhir.create(practitioner("7"))["id"]
    text = f"Practitioner?identifier={SYSTEM}|7"
    answer = fhir.post("", bundle(post(patient(generalPractitioner=[{"reference": text}]))),
                       Prefer="return=representation")
    assert answer.resources()[0]["generalPractitioner"][0]["reference"] == f"Practitioner/{id_}"


def test_a_conditional_reference_that_matches_none_or_several_rolls_everything_back(fhir):
    for _ in range(2):
        fhir.create(practitioner("twin"))
    for identifier, status, code in (("none", 412, "conflict"), ("twin", 412, "multiple-matches")):
        broken = patient(generalPractitioner=[{"reference": f"Practitioner?identifier={SYSTEM}|{identifier}"}])
        fhir.post("", bundle(post(patient()), post(broken))).refused(
            status, code, "Bundle.entry[1].resource.generalPractitioner[0].reference")
    assert fhir.total("Patient") == 0


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("search", [
    f"identifier={SYSTEM}|7", "name=jon", "name:contains=nes", "identifier:missing=false"])
def test_a_conditional_reference_sees_resources_of_the_same_bundle_wherever_they_stand(fhir, order, search):
    entries = [post(practitioner("7")), post(patient(generalPractitioner=[{"reference": f"Practitioner?{search}"}]))]
    answer = fhir.post("", bundle(*(entries[index] for index in order)), Prefer="return=representation")
    made, person = (answer.resources()[order.index(index)] for index in (0, 1))
    assert person["generalPractitioner"][0]["reference"] == f"Practitioner/{made['id']}"


def test_conditional_references_may_form_a_circle(fhir):
    url = f"Patient?identifier={SYSTEM}|"
    first = patient(identifier="1", link=[{"other": {"reference": url + "2"}, "type": "seealso"}])
    second = patient(identifier="2", link=[{"other": {"reference": url + "1"}, "type": "refer"}])
    one, two = fhir.post("", bundle(post(first), post(second)), Prefer="return=representation").resources()
    assert one["link"][0]["other"]["reference"] == f"Patient/{two['id']}"
    assert two["link"][0]["other"]["reference"] == f"Patient/{one['id']}"


def test_a_conditional_reference_means_what_is_there_after_the_transaction(fhir):
    """What the Bundle updates is judged by its new content, what it deletes is gone, what it makes counts."""
    fhir.put("Practitioner/old", practitioner("1", id="old"))
    fhir.put("Practitioner/gone", practitioner("7", id="gone"))
    text = f"Practitioner?identifier={SYSTEM}|7"
    refers = post(patient(generalPractitioner=[{"reference": text}]))
    place = "Bundle.entry[0].resource.generalPractitioner[0].reference"
    fhir.post("", bundle(refers, put(practitioner("7", id="old")))).refused(412, "multiple-matches", place)
    fhir.post("", bundle(refers, post(practitioner("7")))).refused(412, "multiple-matches", place)
    fhir.post("", bundle(refers, put(practitioner("8", id="gone")))).refused(412, "conflict", place)
    change = {"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Practitioner.identifier.value"},
        {"name": "value", "valueString": "7"}]}
    patched = entry("PATCH", "Practitioner/old", {"resourceType": "Parameters", "parameter": [change]})
    fhir.post("", bundle(refers, patched)).refused(412, "multiple-matches", place)
    refused = {**patched, "resource": {"resourceType": "Parameters", "parameter": [{"name": "x"}]}}
    fhir.post("", bundle(refers, refused)).refused(400, "invariant", "Bundle.entry[1].resource.parameter[0]")
    answer = fhir.post("", bundle(refers, put(practitioner("7", id="old")), entry("DELETE", "Practitioner/gone")),
                       Prefer="return=representation")
    assert answer.entries()[0]["resource"]["generalPractitioner"][0]["reference"] == "Practitioner/old"


def test_criteria_that_only_the_database_can_judge_are_refused_where_the_bundle_could_match(fhir):
    refers = observation(hasMember=[{"reference": "Observation?date=gt2020"}])
    fhir.post("", bundle(post(refers))).refused(400, "not-supported", "Bundle.entry[0].resource.hasMember[0].reference")
    refers = patient(generalPractitioner=[{"reference": "Practitioner?_lastUpdated=gt2020"}])
    made = fhir.create(practitioner())["id"]
    answer = fhir.post("", bundle(post(refers)), Prefer="return=representation")
    assert answer.resources()[0]["generalPractitioner"][0]["reference"] == f"Practitioner/{made}"


def test_a_conditional_reference_needs_the_scope_to_search(client, fhir):
    fhir.create(practitioner("7"))
    refers = bundle(post(patient(generalPractitioner=[{"reference": f"Practitioner?identifier={SYSTEM}|7"}])),
                    post(practitioner("7")))
    client("system/*.cu").post("", refers).refused(403, "forbidden")
    # a hidden one is not there for this token: its own is the only one
    own = client("system/Patient.cruds", "system/Practitioner.c", "system/Practitioner.s?name=Mine")
    mine = bundle(post(patient(generalPractitioner=[{"reference": f"Practitioner?identifier={SYSTEM}|7"}])),
                  post(practitioner("7", name=[{"family": "Mine"}])))
    assert own.post("", mine).status == 200


def test_references_to_versions_of_resources_of_the_bundle_become_versions_here(fhir):
    base = "http://other.example/fhir"
    person = patient(id="7", meta={"versionId": "4"})
    answer = fhir.post("", bundle(
        post(person, f"{base}/Patient/7"), post(observation("Patient/7/_history/4"), f"{base}/Observation/8"),
        post(observation(f"{base}/Patient/7/_history/4"), f"{base}/Observation/9")), Prefer="return=representation")
    made, first, second = answer.resources()
    assert first["subject"]["reference"] == second["subject"]["reference"] == f"Patient/{made['id']}/_history/1"
    assert fhir.get(first["subject"]["reference"]).status == 200
    fhir.post("", bundle(post(person, f"{base}/Patient/7"), post(observation("Patient/7/_history/3"),
              f"{base}/Observation/8"))).refused(400, "not-found", "Bundle.entry[1].resource.subject.reference")
    kept = fhir.post("", bundle(post(observation(f"Patient/{made['id']}/_history/1"))), Prefer="return=representation")
    assert kept.resources()[0]["subject"]["reference"] == f"Patient/{made['id']}/_history/1"


def test_a_version_that_is_referred_to_must_be_there(fhir):
    fhir.put("Patient/a", patient("One", id="a"))
    fhir.put("Patient/a", patient("Two", id="a"))
    for version in ("1", "2"):
        assert fhir.post("Observation", observation(f"Patient/a/_history/{version}")).status == 201
    for version in ("3", "0", "x", "9" * 60):
        fhir.post("Observation", observation(f"Patient/a/_history/{version}")).refused(
            400, "not-found", "Observation.subject.reference", "versions 1 to 2")
    third = put(patient("Three", id="a"))
    place = "Bundle.entry[1].resource.subject.reference"
    fhir.post("", bundle(third, post(observation("Patient/a/_history/4")))).refused(400, "not-found", place)
    assert fhir.post("", bundle(third, post(observation("Patient/a/_history/3")))).status == 200


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


def test_a_resource_may_be_changed_by_one_entry_only_however_it_is_named(fhir):
    """http.html#trules: identities that overlap, resolved ones included, refuse the transaction."""
    fhir.put("Patient/a", patient(id="a", identifier="1"))
    url = f"Patient?identifier={SYSTEM}|1"
    nothing = {"resourceType": "Parameters"}
    for first, second in (
        (entry("DELETE", url), entry("DELETE", "Patient/a")), (entry("DELETE", "Patient/a"), entry("DELETE", url)),
        (entry("DELETE", url), put(patient(id="a"))), (put(patient(id="a")), entry("PATCH", url, nothing)),
        (entry("PATCH", "Patient/a", nothing), entry("PATCH", url, nothing)),
        (entry("PUT", url, patient(identifier="1")), entry("PATCH", "Patient/a", nothing)),
        (entry("DELETE", url), entry("PATCH", "Patient/a", nothing)),
    ):  # fmt: skip
        answer = fhir.post("", bundle(first, second))
        answer.refused(400, "invalid", text="both change Patient/a")
        assert fhir.get("Patient/a").vid == "1"


def test_a_full_url_that_contradicts_its_resource_is_refused(fhir):
    wrong = post(patient(id="8"), "http://other.example/fhir/Patient/7")
    fhir.post("", bundle(wrong)).refused(400, "invalid", "Bundle.entry[0].fullUrl")


def test_if_none_exist_finds_or_makes_and_references_follow(fhir):
    known = fhir.create(practitioner("1"))["id"]
    answer = fhir.post("", bundle(
        post(practitioner("1"), P, ifNoneExist=f"identifier={SYSTEM}|1"),
        post(practitioner("2"), E, ifNoneExist=f"identifier={SYSTEM}|2"),
        post(practitioner("2"), O, ifNoneExist=f"identifier={SYSTEM}|2"),
        post(patient(generalPractitioner=[{"reference": P}, {"reference": E}, {"reference": O}])),
    ), Prefer="return=representation")
    assert [row["response"]["status"] for row in answer.entries()] == ["200 OK", "201 Created", "200 OK", "201 Created"]
    found, made, same, person = answer.resources()
    assert found["id"] == known
    assert same == made
    targets = [one["reference"] for one in person["generalPractitioner"]]
    assert targets == [f"Practitioner/{known}", f"Practitioner/{made['id']}", f"Practitioner/{made['id']}"]
    assert fhir.total("Practitioner") == 2


def test_conditional_updates_and_deletes_work_inside(fhir):
    id_ = fhir.create(patient("Old", identifier="1"))["id"]
    fhir.create(patient(identifier="9"))
    answer = fhir.post("", bundle(
        entry("PUT", f"Patient?identifier={SYSTEM}|1", patient("New", identifier="1"), P),
        entry("PUT", f"Patient?identifier={SYSTEM}|2", patient("Made", identifier="2")),
        entry("DELETE", f"Patient?identifier={SYSTEM}|9"), post(observation(P)),
    ), Prefer="return=representation")
    assert [row["response"]["status"] for row in answer.entries()] == ["200 OK", "201 Created", "200 OK", "201 Created"]
    assert answer.entries()[3]["resource"]["subject"]["reference"] == f"Patient/{id_}"
    assert fhir.get(f"Patient/{id_}").json["name"][0]["family"] == "New"
    assert fhir.total("Patient") == 2


def test_conditions_of_reads_and_updates_hold_inside(fhir):
    fhir.put("Patient/a", patient(id="a"))
    answer = fhir.post("", bundle(entry("GET", "Patient/a", ifNoneMatch='W/"1"')))
    assert answer.entries()[0]["response"]["status"] == "304 Not Modified"
    fhir.post("", bundle(post(patient()), put(patient("X", id="a"), ifMatch='W/"5"'))).refused(
        412, "conflict", "Bundle.entry[1].request.ifMatch", "is at version 1; read it again")
    fhir.post("", bundle(post(patient()), put(patient("X", id="none"), ifMatch='W/"5"'))).refused(
        412, "conflict", "Bundle.entry[1].request.ifMatch", "does not exist; leave If-Match out where it may be absent")
    assert fhir.total("Patient") == 1


def test_an_address_elsewhere_and_a_missing_type_are_told_in_their_words(fhir):
    fhir.post("", bundle(entry("GET", "http://other.example/Patient/1"))).refused(
        404, "not-found", "Bundle.entry[0].request.url", "is no address of this server")
    fhir.post("", {"resourceType": "Bundle", "entry": [post(patient())]}).refused(
        400, "invalid", "Bundle.type", "Bundle.type is missing; it must be batch or transaction")
    fhir.post("Binary", b"x", Content_Type=None).refused(415, "not-supported", "http.Content-Type", "of the content")


@pytest.mark.parametrize("type_", ["transaction", "batch"])
@pytest.mark.parametrize(
    ("row", "place"),
    [(post(patient(), ifNoneExist="nope=1"), "ifNoneExist"), (post(patient(), ifNoneExist="birthdate=x"),
      "ifNoneExist"),
     (post(patient(), ifNoneExist="family=x&_sort=family"), "ifNoneExist"),
     (post(patient(), ifNoneExist="_count=1"), "ifNoneExist"),
     (entry("PUT", "Patient?nope=1", patient()), "url"), (entry("PUT", "Patient?birthdate=x", patient()), "url"),
     (entry("DELETE", "Patient?nope=1"), "url"),
     (entry("PATCH", "Patient?nope=1", {"resourceType": "Parameters"}), "url")],
    ids=["create", "create, a value", "create, sorted", "create, counted", "update", "update, a value",
         "delete", "patch"],
)  # fmt: skip
def test_wrong_criteria_of_an_entry_are_placed_where_they_stand(fhir, row, place, type_):
    answer = fhir.post("", bundle(row, type_=type_))
    told = answer.json if type_ == "transaction" else answer.entries()[0]["response"]["outcome"]

    (issue,) = told["issue"]
    assert (issue["code"], issue["expression"]) == ("invalid", [f"Bundle.entry[0].request.{place}"])


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
@pytest.mark.parametrize(("entries", "status", "code", "expression"), REFUSED.values(), ids=REFUSED.keys())
def test_one_wrong_entry_refuses_the_whole_naming_the_place(fhir, entries, status, code, expression):
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


def test_what_is_still_referred_to_cannot_be_deleted_inside_either(fhir):
    id_ = fhir.create(patient())["id"]
    observed = fhir.create(observation(f"Patient/{id_}"))["id"]
    fhir.post("", bundle(entry("DELETE", f"Patient/{id_}"))).refused(409, "conflict")
    together = bundle(entry("DELETE", f"Patient/{id_}"), entry("DELETE", f"Observation/{observed}"))
    assert fhir.post("", together).status == 200
    assert fhir.total("Patient") == 0


def test_two_conditional_updates_that_mean_one_resource_are_refused(fhir):
    id_ = fhir.create(patient("Old", identifier="1"))["id"]
    fhir.post("", bundle(entry("PUT", f"Patient?identifier={SYSTEM}|1", patient("A")),
                         put(patient("B", id=id_)))).refused(400, "invalid", "Bundle.entry[1].request.url")
    assert fhir.get(f"Patient/{id_}").vid == "1"


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


ONE, TWO = f"identifier={SYSTEM}|1", "family=smith"
BOTH = {"identifier": "1"}
#: Entries of which one looks for what another one makes or changes, and where that is told.
DOUBLES = {
    "create": ([post(patient(**BOTH)), post(patient("X", **BOTH), ifNoneExist=ONE)], "entry[1].request.ifNoneExist"),
    "create, before": ([post(patient(**BOTH), ifNoneExist=ONE), post(patient(**BOTH))], "entry[0].request.ifNoneExist"),
    "create, by other criteria": ([post(patient(**BOTH), ifNoneExist=ONE), post(patient(**BOTH), ifNoneExist=TWO)],
                                  "entry[0].request.ifNoneExist"),
    "create, by alternatives": ([post(patient(), ifNoneExist="family=x,smith&active:missing=true"), post(patient())],
                                "entry[0].request.ifNoneExist"),
    "update": ([post(patient(**BOTH)), entry("PUT", f"Patient?{ONE}", patient(**BOTH))], "entry[1].request.url"),
    "update of what becomes one": ([put(patient(id="old", **BOTH)), post(patient(**BOTH), ifNoneExist=ONE)],
                                   "entry[1].request.ifNoneExist"),
    "update of one by other criteria": ([entry("PUT", f"Patient?{ONE}", patient(**BOTH)),
                                         entry("PUT", f"Patient?{TWO}", patient(**BOTH))], "entry[0].request.url"),
    "update under its own id": ([entry("PUT", f"Patient?{ONE}", patient(id="new", **BOTH)), post(patient(**BOTH))],
                                "entry[0].request.url"),
}  # fmt: skip


@pytest.mark.parametrize("case", DOUBLES)
def test_what_an_entry_looks_for_is_not_made_by_another_one(fhir, case):
    """http.html#trules: the order of the entries does not decide, and identities that overlap fail."""
    entries, place = DOUBLES[case]
    fhir.put("Patient/old", patient("Old", id="old"))
    fhir.post("", bundle(*entries)).refused(400, "invalid", f"Bundle.{place}", "both mean one Patient")
    assert fhir.total("Patient") == 1


def test_entries_that_look_for_different_things_make_them(fhir):
    entries = [post(patient(identifier=str(one)), ifNoneExist=f"identifier={SYSTEM}|{one}") for one in range(20)]
    entries += [post(patient("Jones")), entry("PUT", "Patient?family=brown", patient("Brown")),
                post(patient("Green"), ifNoneExist="family=green&birthdate=ge1900&_lastUpdated=ge1900")]  # fmt: skip
    for status in ("201", "200"):
        answers = fhir.post("", bundle(*entries)).entries()
        assert {one["response"]["status"][:3] for one in answers[:20]} == {status}
    assert fhir.total("Patient") == 24, "what is made without a condition is made twice"


def test_a_large_transaction_is_stored_whole(fhir):
    entries = [post(patient(), P), *(post(observation(P, value=number)) for number in range(600))]
    answer = fhir.post("", bundle(*entries))
    assert answer.status == 200
    assert len(answer.entries()) == 601
    assert fhir.total("Observation") == 600


@pytest.mark.parametrize("type_", ["transaction", "batch"])
@pytest.mark.parametrize(("row", "place"), [
    (post(patient(), ifNoneExist="family=Twin"), "ifNoneExist"),
    (entry("PUT", "Patient?family=Twin", patient()), "url"),
    (entry("PATCH", "Patient?family=Twin", {"resourceType": "Parameters"}), "url"),
    (entry("DELETE", "Patient?family=Twin"), "url"),
], ids=["create", "update", "patch", "delete"])  # fmt: skip
def test_criteria_that_match_several_are_told_where_they_stand(fhir, row, place, type_):
    for _ in range(2):
        fhir.create(patient("Twin"))
    answer = fhir.post("", bundle(row, type_=type_))
    told = answer.json if type_ == "transaction" else answer.entries()[0]["response"]["outcome"]
    (issue,) = told["issue"]
    assert (issue["code"], issue["expression"]) == ("multiple-matches", [f"Bundle.entry[0].request.{place}"])


def test_an_attachment_by_an_absolute_full_url_leads_to_the_binary(fhir):
    """http.html#trules: all matching links, in narratives and urls too."""
    far = "http://other.example/fhir/Binary/5"
    note = {"resourceType": "DocumentReference", "status": "current",
            "text": {"status": "additional",
                     "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{far}">a</a></div>'},
            "content": [{"attachment": {"url": far}}, {"attachment": {"url": "Binary/5"}}]}
    content = {"resourceType": "Binary", "contentType": "text/plain", "data": "YQ=="}
    answer = fhir.post("", bundle(post(content, far), post(note, "http://other.example/fhir/DocumentReference/6")),
                       Prefer="return=representation")
    binary, stored = answer.resources()
    assert [one["attachment"]["url"] for one in stored["content"]] == [f"Binary/{binary['id']}"] * 2
    assert f'href="Binary/{binary["id"]}"' in stored["text"]["div"]


def test_a_uuid_in_a_resource_is_no_link(fhir):
    told = {"resourceType": "Basic", "code": {"text": "x"}, "extension": [
        {"url": "http://example.org/x", "valueUuid": P}, {"url": "http://example.org/x", "valueUri": P}]}
    answer = fhir.post("", bundle(post(patient(), P), post(told)), Prefer="return=representation")
    person, basic = answer.resources()
    assert basic["extension"][0]["valueUuid"] == P
    assert basic["extension"][1]["valueUri"] == f"Patient/{person['id']}"


@pytest.mark.parametrize("reference", ["Patient/tmp", "http://localhost/fhir/Patient/tmp"])
def test_a_full_url_of_this_server_is_meant_by_a_relative_reference_too(fhir, reference):
    new = post(patient(id="tmp"), "http://localhost/fhir/Patient/tmp")
    answer = fhir.post("", bundle(new, post(observation(reference))), Prefer="return=representation")
    person, pulse = answer.resources()
    assert person["id"] != "tmp"
    assert pulse["subject"]["reference"] == f"Patient/{person['id']}"


def test_a_reference_to_the_id_of_what_is_created_says_how_to_name_it(fhir):
    """The id of a create is not kept: it names nothing, unless it is part of a fullUrl."""
    answer = fhir.post("", bundle(post(patient(id="tmp")), post(observation("Patient/tmp"))))
    answer.refused(400, "not-found", "Bundle.entry[1].resource.subject.reference", "Bundle.entry[0]")
    assert "fullUrl" in answer.json["issue"][0]["diagnostics"]


def test_a_bundle_inside_stays_as_it_came(fhir):
    """What its entries say of each other is theirs: bundle.html#references; a document may be signed."""
    urls = [f"urn:uuid:aaaaaaaa-0000-4000-8000-00000000000{number}" for number in range(4)]
    note = {"resourceType": "Composition", "status": "final", "type": {"text": "x"}, "date": "2024-01-01", "title": "t",
            "subject": {"reference": urls[1]}, "author": [{"reference": "Practitioner?identifier=none"}],
            "encounter": {"reference": urls[3]}, "identifier": {"system": urls[1], "value": "1"}}
    document = {
        "resourceType": "Bundle", "type": "document", "identifier": {"system": "urn:x", "value": "1"},
        "timestamp": "2024-01-01T00:00:00Z",
        "entry": [{"fullUrl": urls[0], "resource": note}, {"fullUrl": urls[1], "resource": patient("Inside")}],
    }
    outside = [post(patient("Outside"), urls[1]), post(document, urls[2]),
               post(observation(urls[1]))]
    answer = fhir.post("", bundle(*outside), Prefer="return=representation")
    person, stored, pulse = answer.resources()
    assert {name: stored[name] for name in document} == document
    assert pulse["subject"]["reference"] == f"Patient/{person['id']}"


def test_a_bundle_can_also_be_stored_as_a_resource(fhir):
    stored = fhir.create({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": patient()}]})
    assert fhir.get(f"Bundle/{stored['id']}").json["entry"][0]["resource"]["resourceType"] == "Patient"
    assert fhir.total("Patient") == 0


def test_scopes_hold_for_every_entry(client, fhir):
    narrow = client("system/Patient.c")
    narrow.post("", bundle(post(patient()), post(observation()))).refused(403, "forbidden", "Bundle.entry[1]")
    assert fhir.total("Patient") == 0
    assert narrow.post("", bundle(post(patient()))).status == 200


@pytest.mark.parametrize("other", ["update", "create"])
def test_two_entries_with_the_same_criteria_never_make_two_resources(fhir, other):
    url = f"Patient?identifier={SYSTEM}|7"
    first = entry("PUT", url, patient(identifier="7"))
    second = (entry("PUT", url, patient("Other", identifier="7")) if other == "update"
              else post(patient(identifier="7"), ifNoneExist=f"identifier={SYSTEM}|7"))
    answer = fhir.post("", bundle(first, second))
    answer.refused(400, "invalid", text="same search criteria")
    assert fhir.total(url) == 0


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
