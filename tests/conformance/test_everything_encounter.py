"""What belongs to an encounter beside its compartment: https://hl7.org/fhir/R4/encounter-operation-everything.html"""

import pytest

from tests.builders import encounter, observation, patient

ASSOCIATED = "http://hl7.org/fhir/StructureDefinition/encounter-associatedEncounter"


def associated(to="Encounter/met"):
    return {"extension": [{"url": ASSOCIATED, "valueReference": {"reference": to}}]}


def goal(id_, **more):
    return {"resourceType": "Goal", "id": id_, "lifecycleStatus": "active", "description": {"text": "x"},
            "subject": {"reference": "Patient/p"}} | more


@pytest.fixture
def stay(fhir):
    """An encounter, one Observation of it, and a Goal that says so by the extension alone."""
    for resource in (patient(id="p"), encounter("Patient/p", id="met"), encounter("Patient/p", id="other"),
                     observation("Patient/p", id="value", encounter={"reference": "Encounter/met"}),
                     goal("goal", **associated()), goal("theirs", **associated("Encounter/other")), goal("none")):
        assert fhir.put(f"{resource['resourceType']}/{resource['id']}", resource).status == 201
    return fhir


def found(fhir, asked="", mode="match"):
    answer = fhir.get(f"Encounter/met/$everything{asked}")
    assert answer.status == 200, answer.content
    return sorted(row["resource"]["id"] for row in answer.entries() if row["search"]["mode"] == mode)


@pytest.mark.proves("operation:Encounter/$everything")
def test_what_the_extension_associates_belongs_to_the_encounter(stay):
    assert found(stay) == ["goal", "met", "value"]
    assert stay.get("Encounter/met/$everything").json["total"] == 3
    assert stay.get("Encounter/met/$everything?_summary=count").json["total"] == 3
    stay.put("Goal/goal", goal("goal"))
    assert found(stay) == ["met", "value"]
    stay.put("Goal/goal", goal("goal", **associated("Encounter/met/_history/1")))
    assert found(stay) == ["goal", "met", "value"]
    stay.put("Goal/goal", goal("goal", **associated("http://elsewhere.example/Encounter/met")))
    assert found(stay) == ["met", "value"]


def test_so_does_what_says_it_by_an_element_that_no_search_parameter_reads(stay):
    """AllergyIntolerance.encounter, Immunization.encounter and others are in no definition of the compartment."""
    allergy = {"resourceType": "AllergyIntolerance", "id": "nuts", "patient": {"reference": "Patient/p"},
               "code": {"text": "x"}, "encounter": {"reference": "Encounter/met"}, "clinicalStatus": {"coding": [
                   {"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]}}
    assert stay.put("AllergyIntolerance/nuts", allergy).status == 201
    assert found(stay) == ["goal", "met", "nuts", "value"]


@pytest.mark.parametrize("to", ["Encounter/met", "Encounter/met/_history/1"])
def test_an_encounter_that_is_part_of_it_as_well_belongs_to_it_once(stay, client, to):
    """partOf is a search parameter's and makes no compartment; what the extension says holds beside it."""
    whole = {"partOf": {"reference": "Encounter/met"}}
    stay.put("Encounter/part", encounter("Patient/p", id="part", **whole, **associated(to)))
    stay.put("Encounter/only-part", encounter("Patient/p", id="only-part", **whole))
    assert found(stay) == ["goal", "met", "part", "value"]
    assert stay.get("Encounter/met/$everything").json["total"] == 4
    assert found(stay, mode="include") == ["p"]
    assert found(stay, "?_type=Encounter") == ["met", "part"]
    stay.put("Observation/value", observation(
        "Patient/p", id="value", encounter={"reference": "Encounter/met"}, focus=[{"reference": "Encounter/part"}]))
    assert found(stay, mode="include") == ["p"]
    assert found(client("system/*.rs"), "?_count=10") == ["goal", "met", "part", "value"]
    assert found(client("system/Encounter.rs?_id=met,only-part", "system/Goal.rs")) == ["goal", "met"]
    stay.put("Encounter/part", encounter("Patient/p", id="part", **whole))
    assert found(stay) == ["goal", "met", "value"]


def test_a_list_that_names_the_encounter_is_no_part_of_it(stay):
    """A worklist names the encounters of many patients; its items are what a search parameter reads."""
    names = {"resourceType": "List", "id": "work", "status": "current", "mode": "working",
             "entry": [{"item": {"reference": "Encounter/met"}}, {"item": {"reference": "Encounter/other"}}]}
    assert stay.put("List/work", names).status == 201
    assert found(stay) == ["goal", "met", "value"]


@pytest.mark.parametrize(("asked", "ids"), [
    ("?_type=Goal", ["goal"]), ("?_type=Observation,Encounter", ["met", "value"]), ("?_type=Practitioner", []),
    ("?_type=Goal,Observation", ["goal", "value"]),
])  # fmt: skip
def test_types_choose_among_them(stay, asked, ids):
    assert found(stay, asked) == ids


def test_pages_hold_each_once_and_what_one_refers_to_is_not_shown_twice(stay):
    stay.put("Observation/value", observation(
        "Patient/p", id="value", encounter={"reference": "Encounter/met"}, focus=[{"reference": "Goal/goal"}]))
    assert found(stay, mode="include") == ["p"]
    url, seen = "Encounter/met/$everything?_count=1", []
    while url:
        answer = stay.get(url)
        seen += [row["resource"]["id"] for row in answer.entries() if row["search"]["mode"] == "match"]
        assert answer.json["total"] == 3
        assert all(row["resource"]["id"] in ("p",) for row in answer.entries() if row["search"]["mode"] == "include")
        url = answer.link("next")
    assert sorted(seen) == ["goal", "met", "value"]


def test_what_is_associated_since_or_as_of_an_instant(stay, clock):
    clock.forward(3600)
    instant = stay.put("Goal/late", goal("late", **associated())).json["meta"]["lastUpdated"]
    assert found(stay, f"?_since={instant}") == ["late"]
    clock.forward(3600)
    stay.put("Goal/goal", goal("goal"))
    stay.delete("Goal/late")
    assert found(stay) == ["met", "value"]
    assert found(stay, f"?_asOf={instant}") == ["goal", "late", "met", "value"]


def test_it_stays_within_the_grant(stay, client):
    everything = ["Encounter", "Goal", "Observation"]
    for types in (["Encounter"], ["Encounter", "Goal"], ["Encounter", "Observation"], everything):
        token = client(*(f"system/{name}.rs" for name in types))
        kinds = sorted(one["resourceType"] for one in token.get("Encounter/met/$everything").resources())
        assert kinds == types
    narrow = client("system/Encounter.rs", "system/Goal.rs?lifecycle-status=completed", "system/Observation.rs?_id=x")
    answer = narrow.get("Encounter/met/$everything").json
    assert ([row["resource"]["id"] for row in answer["entry"]], answer["total"]) == (["met"], 1)
    one = client("system/Encounter.rs", "system/Goal.rs?lifecycle-status=active")
    assert found(one) == ["goal", "met"]
    assert one.get("Encounter/met/$everything?_type=Goal").json.get("total") is None
    client("system/Goal.rs").get("Encounter/met/$everything").refused(403, "forbidden")
