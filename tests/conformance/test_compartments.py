"""Compartment search and search over all types, over HTTP: https://hl7.org/fhir/R4/http.html#search"""

import pytest

from hie.fhir import facts
from tests.builders import encounter, observation, patient, practitioner

FORM = {"Content_Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def records(fhir):
    """Two patients with an encounter, observations and a condition each; a device and somebody who performs."""

    def put(resource, id_):
        answer = fhir.put(f"{resource['resourceType']}/{id_}", {**resource, "id": id_})
        assert answer.status == 201, answer.content

    put(practitioner(), "doctor")
    put({"resourceType": "Device"}, "scale")
    put({"resourceType": "Organization", "name": "Clinic"}, "clinic")
    for name in ("smith", "jones"):
        put(patient(name.title(), managingOrganization={"reference": "Organization/clinic"}), name)
        put({"resourceType": "RelatedPerson", "patient": {"reference": f"Patient/{name}"}}, f"kin-{name}")
        put(encounter(f"Patient/{name}"), f"visit-{name}")
        put(observation(f"Patient/{name}", encounter={"reference": f"Encounter/visit-{name}"},
                        performer=[{"reference": "Practitioner/doctor"}]), f"pulse-{name}")
        put(observation(f"Patient/{name}", code="29463-7", device={"reference": "Device/scale"}), f"weight-{name}")
        put({"resourceType": "Condition", "subject": {"reference": f"Patient/{name}"},
             "asserter": {"reference": "Practitioner/doctor"}}, f"cold-{name}")
    put({"resourceType": "List", "status": "current", "mode": "working",
         "entry": [{"item": {"reference": "Observation/pulse-smith"}}, {"item": {"reference": "Patient/smith"}}]}, "42")
    put({"resourceType": "List", "status": "retired", "mode": "working",
         "entry": [{"item": {"reference": "Observation/pulse-jones"}}]}, "43")
    return fhir


def ids(answer, mode="match"):
    assert answer.status == 200, answer.content
    return sorted(row["resource"]["id"] for row in answer.entries() if row["search"]["mode"] == mode)


FOUND = {
    "Patient/smith/Observation": ["pulse-smith", "weight-smith"],
    "Patient/smith/Observation?code=8867-4": ["pulse-smith"],
    "Patient/smith/Observation?_sort=-date&_count=5": ["pulse-smith", "weight-smith"],
    "Patient/smith/Observation?encounter.status=finished": ["pulse-smith"],
    "Patient/smith/Patient": ["smith"],
    "Patient/nobody/Observation": [],
    "Practitioner/doctor/Condition": ["cold-jones", "cold-smith"],
    "Practitioner/doctor/Observation?subject=Patient/jones": ["pulse-jones"],
    "Encounter/visit-smith/Observation": ["pulse-smith"],
    "Encounter/visit-smith/Encounter": ["visit-smith"],
    "Device/scale/Observation": ["weight-jones", "weight-smith"],
    "RelatedPerson/kin-smith/RelatedPerson": ["kin-smith"],
    "Patient/smith/*": ["cold-smith", "kin-smith", "pulse-smith", "smith", "visit-smith", "weight-smith"],
    "Patient/smith/*?_type=Condition,Encounter": ["cold-smith", "visit-smith"],
    "Patient/smith/*?_type=Observation&code=8867-4": ["pulse-smith"],
    "Encounter/visit-smith/*": ["pulse-smith", "visit-smith"],
    "?_type=Condition": ["cold-jones", "cold-smith"],
    "?_type=Condition,Encounter&patient=smith": ["cold-smith", "visit-smith"],
    "?_type=Observation,Encounter&subject.name=jones": ["pulse-jones", "visit-jones", "weight-jones"],
    "?_id=smith,scale": ["scale", "smith"],
    "?_type=Patient,Practitioner&name:contains=mith,one": ["doctor", "jones", "smith"],
    "?_list=42": ["pulse-smith", "smith"],
    "Observation?_list=42,43": ["pulse-jones", "pulse-smith"],
    "Observation?_list=List/42,http://localhost/fhir/List/43": ["pulse-jones", "pulse-smith"],
    "Observation?subject._list=42": ["pulse-smith", "weight-smith"],
    "Observation?_list=44": [],
}


@pytest.mark.proves("system:search-system", "compartment:*", "parameter:_type", "parameter:_list")
def test_searches_of_compartments_systems_and_lists_find(records):
    assert {search: ids(records.get(search)) for search in FOUND} == FOUND


@pytest.mark.proves("system:search-system")
def test_a_search_over_all_types_finds_everything_the_token_sees(records, client):
    assert records.get("?_summary=count").json["total"] == 17
    narrow = client("system/Patient.rs", "system/Condition.rs?_id=cold-smith")
    assert ids(narrow.get("")) == ["cold-smith", "jones", "smith"]
    narrow.get("?_type=Patient,Observation").refused(403, "forbidden", text="system/Observation.s")
    client("system/Patient.r").get("").refused(403, "forbidden")


@pytest.mark.parametrize(
    ("address", "form", "found", "link"),
    [
        ("_search", "_type=Condition&_id=cold-smith", ["cold-smith"], "?_type=Condition&_id=cold-smith"),
        ("Patient/smith/Observation/_search", "code=8867-4", ["pulse-smith"], "/Patient/smith/Observation?code=8867-4"),
        ("Patient/smith/_search", "_type=Condition", ["cold-smith"], "/Patient/smith/*?_type=Condition"),
        ("Observation/_search", "_list=42", ["pulse-smith"], "/Observation?_list=42"),
    ],
)
def test_a_form_finds_the_same_and_links_to_the_address_that_does(records, address, form, found, link):
    answer = records.post(address, form, **FORM)
    assert ids(answer) == found
    assert answer.link("self") == f"http://localhost/fhir{link}"
    assert ids(records.get(answer.link("self"))) == found
    xml = records.post(address, f"{form}&_format=xml", **FORM)
    assert xml.headers["Content-Type"].startswith("application/fhir+xml")


@pytest.mark.parametrize("address", ["Patient/smith/*", "Patient/smith/Observation", "?_type=Observation,Condition"])
def test_pages_stay_within_their_address(records, address):
    join = "&" if "?" in address else "?"
    seen, url = [], f"{address}{join}_count=1&_total=accurate"
    while url:
        answer = records.get(url)
        seen, url = seen + ids(answer), answer.link("next")
    assert sorted(seen) == ids(records.get(address))
    assert answer.json["total"] == len(seen)
    cursor = records.get(f"{address}{join}_count=1").link("next").partition("_cursor=")[2]
    records.get(f"Patient/jones/Observation?_count=1&_cursor={cursor}").refused(400, "invalid", "_cursor")


def test_a_compartment_shows_nothing_beyond_the_grant(records, client):
    narrow = client("system/Observation.rs?code=8867-4", "system/Condition.r")
    assert ids(narrow.get("Patient/smith/Observation")) == ["pulse-smith"]
    assert ids(narrow.get("Patient/smith/*")) == ["pulse-smith"]
    assert narrow.get("Patient/smith/*?_summary=count").json["total"] == 1
    narrow.get("Patient/smith/Condition").refused(403, "forbidden")
    narrow.get("Observation?_list=42").refused(403, "forbidden", text="system/List.s")
    lists = client("system/Observation.rs", "system/List.rs?status=retired")
    assert ids(lists.get("Observation?_list=42,43")) == ["pulse-jones"]


def test_compartments_in_bundles(records):
    urls = ["Patient/smith/Observation?code=8867-4", "Patient/smith/*?_type=Condition", "?_type=Device"]
    bundle = {"resourceType": "Bundle", "type": "batch",
              "entry": [{"request": {"method": "GET", "url": url}} for url in urls]}
    rows = records.post("", bundle).entries()
    assert [row["response"]["status"][:3] for row in rows] == ["200"] * 3
    found = [[one["resource"]["id"] for one in row["resource"]["entry"]] for row in rows]
    assert found == [["pulse-smith"], ["cold-smith"], ["scale"]]


#: Of all types these are more values than are looked up for one criterion.
MANY = ",".join(f"v{number}" for number in range(300))


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_what_names_no_compartment_or_type_is_refused(fhir):
    for url, status, code, words in [
        ("Organization/1/Patient", 404, "not-found", "Device, Encounter, Patient, Practitioner, RelatedPerson"),
        ("Patient/1/Medication", 404, "not-found", "no Medication is in the compartment of a Patient"),
        ("Patient/1/Observations", 404, "not-found", ""),
        ("Patient/1/Observation/2", 404, "not-found", ""),
        ("Patient/A_B/Observation", 400, "invalid", "A_B"),
        ("Patient/1/Observation?nonsense=1", 400, "invalid", "nonsense"),
        ("Patient/1/*?code=1", 400, "invalid", "code"),
        ("?name=x", 400, "invalid", "name"),
        ("?_type=Patient,Observation&name=x", 400, "invalid", "Observation has no search parameter 'name'"),
        ("?_type=Patient,Bundle&_text=x", 400, "invalid", "Bundle has no search parameter '_text'"),
        ("?_type=Patent", 400, "invalid", "Patent"),
        ("?_type=Patient&_type=Observation", 400, "invalid", "twice"),
        ("?_type:not=Patient", 400, "invalid", "no modifier"),
        ("Patient?_type=Observation", 400, "invalid", "over all types"),
        (f"?_tag={MANY}", 400, "too-costly", "_type"),
        (f"?_tag:not={MANY}&_contained=both", 400, "too-costly", "_type"),
        ("Patient?_list=$current-problems", 400, "invalid", "A functional list is that of a patient"),
        ("Observation?patient._list=$current-problems", 400, "not-supported", "functional lists"),
        ("Patient?_list:not=1", 400, "invalid", "no modifiers"),
        ("Patient?_list=A_B", 400, "invalid", "A_B"),
        ("Patient?_list=Group/42", 400, "invalid", "_list is 'Group/42'; a List is named by its id, as in _list=42"),
    ]:
        fhir.get(url).refused(status, code, text=words)
    fhir("PUT", "Patient/1/Observation", {}).refused(405, "not-supported")
    for url in (f"?_tag={MANY}&_type=Patient,Observation", f"?_id={MANY}", f"?_id={MANY}&_contained=both"):
        assert fhir.get(url).json["total"] == 0


@pytest.mark.proves("compartment:*")
def test_every_compartment_is_stated_and_answers(fhir, nobody):
    rest = nobody.get("metadata").json["rest"][0]
    stated = {url.rpartition("/")[2] for url in rest["compartment"]}
    assert stated == {name.lower() for name in facts.COMPARTMENTS}
    assert "search-system" in {one["code"] for one in rest["interaction"]}
    for name in facts.COMPARTMENTS:
        assert fhir.get(f"{name}/1/*?_summary=count").json["total"] == 0
        for member in sorted(facts.COMPARTMENTS[name])[::20]:
            assert fhir.get(f"{name}/1/{member}?_summary=count").json["total"] == 0
