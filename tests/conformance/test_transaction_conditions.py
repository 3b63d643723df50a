"""Conditional entries of a transaction, and entries that mean one resource: https://hl7.org/fhir/R4/http.html#trules"""

import pytest

from tests.builders import SYSTEM, bundle, entry, observation, patient, post, practitioner, put
from tests.conformance.full_urls import E, O, P


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


def test_two_conditional_updates_that_mean_one_resource_are_refused(fhir):
    id_ = fhir.create(patient("Old", identifier="1"))["id"]
    fhir.post("", bundle(entry("PUT", f"Patient?identifier={SYSTEM}|1", patient("A")),
                         put(patient("B", id=id_)))).refused(400, "invalid", "Bundle.entry[1].request.url")
    assert fhir.get(f"Patient/{id_}").vid == "1"


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


@pytest.mark.parametrize("other", ["update", "create"])
def test_two_entries_with_the_same_criteria_never_make_two_resources(fhir, other):
    url = f"Patient?identifier={SYSTEM}|7"
    first = entry("PUT", url, patient(identifier="7"))
    second = (entry("PUT", url, patient("Other", identifier="7")) if other == "update"
              else post(patient(identifier="7"), ifNoneExist=f"identifier={SYSTEM}|7"))
    answer = fhir.post("", bundle(first, second))
    answer.refused(400, "invalid", text="same search criteria")
    assert fhir.total(url) == 0
