"""_include and _revinclude: wildcards and :iterate. https://hl7.org/fhir/R4/search.html#revinclude"""

import pytest

from tests.builders import encounter, observation, patient


@pytest.fixture
def records(fhir):
    """An observation of a patient of a clinic of a region of a country; a second one is part of the first."""

    def put(resource, id_):
        answer = fhir.put(f"{resource['resourceType']}/{id_}", {**resource, "id": id_})
        assert answer.status == 201, answer.content

    put({"resourceType": "Organization", "name": "Country"}, "country")
    put({"resourceType": "Organization", "name": "Region", "partOf": {"reference": "Organization/country"}}, "region")
    put({"resourceType": "Organization", "name": "Clinic", "partOf": {"reference": "Organization/region"}}, "clinic")
    put(patient("Smith", managingOrganization={"reference": "Organization/clinic"}), "smith")
    put(encounter("Patient/smith"), "visit")
    put(observation("Patient/smith", code="1-8"), "part")
    put(observation("Patient/smith", encounter={"reference": "Encounter/visit"},
                    hasMember=[{"reference": "Observation/part"}]), "whole")
    return fhir


def included(answer):
    assert answer.status == 200, answer.content
    rows = [row for row in answer.entries() if row["search"]["mode"] == "include"]
    names = [f"{row['resource']['resourceType']}/{row['resource']['id']}" for row in rows]
    assert len(names) == len(set(names))
    return sorted(names)


FOUND = {
    "Observation?_id=whole&_include=*": ["Encounter/visit", "Observation/part", "Patient/smith"],
    "Observation?_id=whole&_include=Observation:*": ["Encounter/visit", "Observation/part", "Patient/smith"],
    "Observation?_id=whole&_include=Observation:*:Patient": ["Patient/smith"],
    "Observation?_id=whole&_include=Observation:subject&_include:iterate=Patient:organization": [
        "Organization/clinic", "Patient/smith"],
    "Observation?_id=whole&_include=Observation:subject&_include:iterate=Patient:organization"
    "&_include:iterate=Organization:partof": [
        "Organization/clinic", "Organization/country", "Organization/region", "Patient/smith"],
    "Observation?_id=whole&_include:iterate=*": [
        "Encounter/visit", "Observation/part", "Organization/clinic", "Organization/country", "Organization/region",
        "Patient/smith"],
    "Organization?_id=country&_revinclude:iterate=Organization:partof&_revinclude:iterate=Patient:organization": [
        "Organization/clinic", "Organization/region", "Patient/smith"],
    "Organization?_id=country&_revinclude=Organization:partof": ["Organization/region"],
    "Patient?_revinclude=*": ["Encounter/visit", "Observation/part", "Observation/whole"],
    "Patient?_revinclude=Observation:*": ["Observation/part", "Observation/whole"],
    "Patient?_revinclude=Observation:*:Patient&_include=*": [
        "Observation/part", "Observation/whole", "Organization/clinic"],
    "Encounter?_revinclude=Observation:encounter&_include:iterate=Observation:has-member": [
        "Observation/part", "Observation/whole"],
    "?_id=visit,clinic&_include=*&_revinclude=*": [
        "Observation/whole", "Organization/region", "Patient/smith"],
}


@pytest.mark.proves("include:*", "parameter:_include", "parameter:_revinclude")
def test_wildcards_and_iterate_include(records):
    assert {search: included(records.get(search)) for search in FOUND} == FOUND
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert included(records.post("Patient/_search", "_revinclude=*", **form)) == FOUND["Patient?_revinclude=*"]


@pytest.mark.proves("include:*")
def test_nothing_is_included_beyond_the_grant(records, client):
    narrow = client("system/Observation.rs", "system/Patient.rs", "system/Organization.r?name=region")
    search = "Observation?_id=whole&_include:iterate=*"
    assert included(narrow.get(search)) == ["Observation/part", "Patient/smith"]
    narrow = client("system/Patient.rs", "system/Observation.rs?code=1-8", "system/Encounter.r")
    assert included(narrow.get("Patient?_revinclude=*")) == ["Observation/part"]
    assert included(narrow.get("Patient?_revinclude:iterate=*")) == ["Observation/part"]
    assert included(client("system/Patient.rs").get("Patient?_revinclude=Observation:*&_include=*")) == []


@pytest.mark.parametrize("bound", ["MOST_ROUNDS", "MOST_INCLUDED"])
def test_a_bound_that_cuts_is_told(records, monkeypatch, bound):
    search = "Observation?_id=whole&_include=Observation:subject&_include:iterate=Patient:organization" \
             "&_include:iterate=Organization:partof"
    assert [row["search"]["mode"] for row in records.get(search).entries()] == ["match", *["include"] * 4]
    monkeypatch.setattr(f"hie.store.search.inclusion.{bound}", 2)
    answer = records.get(search)
    assert included(answer) == {
        "MOST_ROUNDS": ["Organization/clinic", "Organization/region", "Patient/smith"],
        "MOST_INCLUDED": ["Organization/clinic", "Patient/smith"],
    }[bound]
    told = answer.entries()[0]["resource"]["issue"][0]
    assert (told["code"], "by _has" in told["diagnostics"]) == ("incomplete", True)  # a page of one match has no less
    several = records.get(search.replace("_id=whole&", "")).entries()[0]["resource"]["issue"][0]
    assert "a smaller _count" in several["diagnostics"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_an_include_that_cannot_be_read_is_refused(fhir):
    for search, words in [
        ("Observation?_include=Observation:subject&_include=Patient:organization", "with :iterate"),
        ("Observation?_include:recurse=Observation:subject", "R4 calls it :iterate"),
        ("Observation?_include:every=Observation:subject", "it has :iterate"),
        ("Observation?_include=Observation", "written as"),
        ("Observation?_include=Observation:subject:Patent", "written as"),
        ("Observation?_include:iterate=Observation:code", "no reference"),
        ("Medication?_revinclude=Observation:*:Patient", "cannot refer to a Medication"),
    ]:
        fhir.get(search).refused(400, "invalid", search.partition("?")[2].partition(":")[0].partition("=")[0], words)


def test_a_reference_to_a_version_includes_that_version(fhir, client):
    """search.html#versions"""
    def seen(answer):
        return sorted((one["resource"]["id"], one["resource"]["meta"]["versionId"])
                      for one in answer.entries() if one["search"]["mode"] == "include")

    for gender, family in (("male", "One"), ("male", "Two"), ("female", "Three"), ("male", "Four")):
        assert fhir.put("Patient/p", patient(family, id="p", gender=gender)).status in (200, 201)
    for id_, place in (("v1", "Patient/p/_history/1"), ("v3", "Patient/p/_history/3"), ("now", "Patient/p"),
                       ("v4", "Patient/p/_history/4")):
        assert fhir.put(f"Observation/{id_}", observation(place, id=id_)).status == 201
    search = "Observation?_include=Observation:subject&_id="
    for asked, expected in {"v1": ["1"], "v3": ["3"], "now": ["4"], "v4": ["4"], "v1,v3": ["1", "3"],
                            "v1,now": ["1", "4"], "v4,now": ["4"], "v1,v3,v4,now": ["1", "3", "4"]}.items():
        assert seen(fhir.get(search + asked)) == [("p", vid) for vid in expected], asked
    (entry,) = [one for one in fhir.get(search + "v1").entries() if one["search"]["mode"] == "include"]
    assert entry["resource"]["name"][0]["family"] == "One"
    males = client("system/Patient.rs?gender=male", "system/Observation.rs")
    assert seen(males.get(search + "v1")) == [("p", "1")]
    assert seen(males.get(search + "v3")) == [("p", "4")], "version 3 is none that this token sees"
    assert seen(client("system/Patient.rs?gender=female", "system/Observation.rs").get(search + "v1")) == []
    page = fhir.get("Observation?_include=Observation:subject&_count=1&_sort=_id")
    assert fhir.put("Patient/p", patient("Five", id="p", gender="male")).status == 200
    found = [seen(page)]
    while (link := page.link("next")) is not None:
        page = fhir.get(link)
        found.append(seen(page))
    assert found == [[("p", "4")], [("p", "1")], [("p", "3")], [("p", "4")]]
    assert fhir.delete("Patient/p").status == 409
