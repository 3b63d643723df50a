"""Chained searches and `_has`, over HTTP: https://hl7.org/fhir/R4/search.html#chaining, search.html#has"""

import pytest

from hie.fhir.instants import instant
from tests.builders import SYSTEM, encounter, observation, patient, practitioner

FORM = {"Content_Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def records(fhir):
    """Two patients of two hospitals, one of which belongs to the other, each with an encounter and an observation."""

    def put(resource, id_):
        answer = fhir.put(f"{resource['resourceType']}/{id_}", {**resource, "id": id_})
        assert answer.status == 201, answer.content

    put({"resourceType": "Organization", "name": "Region North", "active": True}, "north")
    put({"resourceType": "Organization", "name": "Clinic", "partOf": {"reference": "Organization/north"}}, "clinic")
    put(practitioner("7"), "doctor")
    put(patient("Smith", identifier="1", managingOrganization={"reference": "Organization/clinic"},
                generalPractitioner=[{"reference": "Practitioner/doctor"}]), "smith")
    put(patient("Jones", identifier="2", gender="male", birthDate="2001-02-03",
                managingOrganization={"reference": "Organization/north"}), "jones")
    for name in ("smith", "jones"):
        put(encounter(f"Patient/{name}"), f"visit-{name}")
        put(observation(f"Patient/{name}", 80 if name == "smith" else 120,
                        encounter={"reference": f"Encounter/visit-{name}"}), f"pulse-{name}")
    put({"resourceType": "Device", "deviceName": [{"name": "Smith & Sons", "type": "user-friendly-name"}]}, "device")
    put(observation("Device/device", code="1-8"), "calibration")
    put({"resourceType": "Group", "type": "person", "actual": True,
         "member": [{"entity": {"reference": "Patient/jones"}}]}, "group")
    return fhir


def ids(answer):
    assert answer.status == 200, answer.content
    return sorted(row["id"] for row in answer.resources() if row["resourceType"] != "OperationOutcome")


FOUND = [
    ("Observation?subject:Patient.name=smith", ["pulse-smith"]),
    ("Observation?subject.name=smith", ["pulse-smith"]),
    ("Observation?subject.device-name=smith", ["calibration"]),
    (f"Observation?patient.identifier={SYSTEM}|2", ["pulse-jones"]),
    ("Observation?patient.family:exact=Smith", ["pulse-smith"]),
    ("Observation?patient.family:contains=mit,one", ["pulse-jones", "pulse-smith"]),
    ("Observation?patient.gender:not=male", ["pulse-smith"]),
    ("Observation?patient.birthdate=ge2000", ["pulse-jones"]),
    ("Observation?patient.general-practitioner:missing=true", ["pulse-jones"]),
    ("Observation?patient._id=smith", ["pulse-smith"]),
    ("Observation?patient.general-practitioner=Practitioner/doctor", ["pulse-smith"]),
    ("Observation?patient._lastUpdated=ge2020", ["pulse-jones", "pulse-smith"]),
    ("Observation?patient.organization.name=clinic", ["pulse-smith"]),
    ("Observation?subject:Patient.organization:Organization.partof.name=region", ["pulse-smith"]),
    ("Observation?encounter.subject:Patient.organization.partof.active=true", ["pulse-smith"]),
    ("Observation?patient.name=smith&patient.gender=male", []),
    ("Observation?patient.name=smith,jones&code=8867-4&_sort=-date", ["pulse-jones", "pulse-smith"]),
    ("Patient?general-practitioner:Practitioner.identifier=7", ["smith"]),
    ("Patient?_has:Observation:patient:code=8867-4", ["jones", "smith"]),
    ("Patient?_has:Observation:subject:value-quantity=gt100", ["jones"]),
    ("Patient?_has:Observation:patient:code-value-quantity=8867-4$lt100", ["smith"]),
    ("Patient?_has:Observation:patient:status:not=final", []),
    ("Patient?_has:Observation:patient:encounter.status=finished&gender=male", ["jones"]),
    ("Organization?_has:Patient:organization:_has:Observation:patient:value-quantity=lt100", ["clinic"]),
    ("Organization?_has:Patient:organization:name:contains=ohn,ones", ["north"]),
    ("Encounter?patient._has:Group:member:_id=group", ["visit-jones"]),
    ("Encounter?_has:Observation:encounter:patient.organization.name=clinic", ["visit-smith"]),
    ("Device?_has:Observation:subject:code=1-8", ["device"]),
]


@pytest.mark.proves("chain:*", "parameter:_has")
def test_a_chain_finds_through_references(records):
    assert {search: ids(records.get(search)) for search, _ in FOUND} == dict(FOUND)
    for search, found in FOUND[::4]:
        type_name, _, parameters = search.partition("?")
        assert ids(records.post(f"{type_name}/_search", parameters, **FORM)) == found
        assert records.total(search) == len(found)


REFUSED = [
    ("Observation?subject:Patient.nme=x", "invalid", "did you mean name"),
    ("Observation?subject:Practitioner.name=x", "invalid", "refers to Device, Group, Location, Patient"),
    ("Observation?subject.nonsense=x", "invalid", "a parameter of none of Device"),
    ("Observation?code.name=x", "invalid", "of type token"),
    ("Observation?subjct.name=x", "invalid", "did you mean subject"),
    ("Observation?subject.=x", "invalid", "nothing behind"),
    ("Observation?patient.birthdate=20", "invalid", "birthdate"),
    ("Observation?patient.name:text=x", "invalid", "its modifiers are :missing, :exact, :contains"),
    ("QuestionnaireResponse?questionnaire.nonsense=x", "invalid", "has no search parameter 'nonsense'"),
    ("QuestionnaireResponse?questionnaire:Patient.name=x", "invalid", "refers to Questionnaire"),
    ("Patient?_has:QuestionnaireResponse:questionnaire:status=x", "invalid", "cannot refer to a Patient"),
    ("Device?_has:ActivityDefinition:composed-of:status=x", "invalid", "cannot refer to a Device"),
    ("Questionnaire?_has:Bundle:composition:status=x", "not-supported", "a resource inside"),
    ("Bundle?composition._has:List:item:status=x", "not-supported", "not by _has"),
    ("Bundle?composition._lastUpdated=2020", "not-supported", "not by _has"),
    ("Bundle?composition.nonsense=x", "invalid", "nonsense"),
    ("Bundle?composition:Patient.name=x", "invalid", "refers to Composition"),
    ("Bundle?_contained=true&composition.title=x", "not-supported", "a Bundle is not contained"),
    ("Patient?_has:Observation:patient=x", "invalid", "_has:Type:reference:parameter"),
    ("Patient?_has=x", "invalid", "_has:Type:reference:parameter"),
    ("Patient?_has:Observashun:patient:code=x", "invalid", "no resource type"),
    ("Patient?_has:Observation:device:code=x", "invalid", "cannot refer to a Patient"),
    ("Patient?_has:Observation:patient:cod=x", "invalid", "did you mean code"),
    ("Observation?" + "has-member." * 13 + "code=x", "invalid", "more than 12 hops"),
    ("Provenance?target.subject._id=x", "invalid", "50 types"),
    ("Observation?focus.focus.focus.focus.focus._id=x", "invalid", "name "),
    ("Observation?focus._list=x", "invalid", "50 types"),
]


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("handling", ["strict", "lenient"])
def test_a_chain_that_cannot_be_read_is_refused(fhir, handling):
    for search, code, words in REFUSED:
        answer = fhir.get(search, Prefer=f"handling={handling}")
        answer.refused(400, code, search.partition("?")[2].partition("=")[0][:80], words)


def test_long_and_branching_chains_are_within_what_the_databases_take(fhir):
    chains = [
        "has-member." * 11 + "code", "subject:Patient._has:Observation:patient:" * 4 + "code", "subject.identifier",
        "encounter.subject.organization.partof.partof.name:contains", "has-member:Observation.subject.identifier",
    ]  # fmt: skip
    for chain in chains:
        assert fhir.get(f"Observation?{chain}=xyz").json.get("total") == 0, chain


# ---- the grant, at every hop ----------------------------------------------------------------------------------------


HIDDEN = [
    "Observation?patient.name=jones", "Observation?subject.name:contains=one",
    "Observation?encounter.patient.birthdate=gt2000", "Observation?patient.gender=male",
    "Observation?patient.organization.name=region", "Observation?patient._id=jones",
    "Observation?patient.gender:not=female", "Observation?patient.name:missing=false&subject=Patient/jones",
    "Organization?_has:Patient:organization:gender=male", "Group?member.birthdate=gt2000",
    "Organization?_has:Patient:organization:_has:Observation:patient:value-quantity=120",
    "Organization?_has:Patient:organization:name:contains=ones",
]


@pytest.mark.proves("chain:*", "parameter:_has")
def test_nothing_is_told_through_a_resource_that_the_token_may_not_search(records, client):
    """hapi-fhir#6065: a value that may not be read must not be found out by halving its range through a chain."""
    narrow = client("system/Patient.rs?gender=female", "system/Observation.rs", "system/Organization.rs",
                    "system/Encounter.rs", "system/Group.rs")
    for search in HIDDEN:
        assert records.total(search) == 1, search
        answer = narrow.get(f"{search}&_total=accurate")
        assert (answer.json["total"], ids(answer), answer.link("next")) == (0, [], None), search


def test_the_middle_of_a_chain_is_under_the_grant_too(records, client):
    narrow = client("system/Observation.rs", "system/Encounter.rs?_id=visit-smith", "system/Patient.rs")
    search = "Observation?encounter.patient.birthdate=gt1900"
    assert ids(records.get(search)) == ["pulse-jones", "pulse-smith"]
    assert ids(narrow.get(search)) == ["pulse-smith"]


def test_a_chain_into_a_type_without_a_scope_is_refused_and_an_untyped_one_leaves_it_out(records, client):
    narrow = client("system/Observation.rs", "system/Device.s", "system/Patient.r")
    narrow.get("Observation?subject:Patient.name=smith").refused(403, "forbidden", text="system/Patient.s")
    narrow.get("Observation?subject.name=smith").refused(403, "forbidden")
    assert ids(narrow.get("Observation?subject._id=device,smith")) == ["calibration"]
    client("system/Patient.rs").get("Patient?_has:Observation:patient:code=8867-4").refused(403, "forbidden")
    client("system/Patient.rs", "system/Observation.rs").get(
        "Patient?_has:Observation:patient:encounter.status=finished").refused(403, "forbidden")


def test_a_deleted_resource_is_no_end_of_a_chain(records):
    assert records.delete("Observation/pulse-smith").status == 200
    assert ids(records.get("Patient?_has:Observation:patient:code=8867-4")) == ["jones"]
    records.put("Observation/pulse-jones", {**observation("Patient/smith"), "id": "pulse-jones"})
    assert ids(records.get("Patient?_has:Observation:patient:code=8867-4")) == ["smith"]


# ---- wherever criteria stand ----------------------------------------------------------------------------------------


def test_conditions_may_be_chains(records):
    condition = f"patient.identifier={SYSTEM}|1"
    assert records.post("Observation", observation("Patient/smith"), If_None_Exist=condition).status == 200
    assert records.put(f"Observation?{condition}", observation("Patient/smith", 99)).status == 200
    assert records.get("Observation/pulse-smith").json["valueQuantity"]["value"] == 99
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"request": {"method": "GET", "url": "Observation?patient.name=smith"}},
        {"request": {"method": "POST", "url": "Encounter"}, "resource": encounter(
            "Patient?_has:Observation:patient:value-quantity=120")},
    ]}  # fmt: skip
    answer = records.post("", bundle)
    assert answer.status == 200, answer.content
    found, made = answer.entries()
    assert [one["resource"]["id"] for one in found["resource"]["entry"]] == ["pulse-smith"]
    written = records.get("/".join(made["response"]["location"].split("/")[-4:-2])).json
    assert written["subject"]["reference"] == "Patient/jones"


def test_pages_of_a_chain_follow_each_other(records):
    for number in range(5):
        records.create(observation("Patient/smith", number, code="2-2"))
    seen, url = [], "Observation?patient.family=smith&code=2-2&_count=2"
    while url:
        answer = records.get(url)
        seen += ids(answer)
        url = answer.link("next")
    assert (len(seen), len(set(seen))) == (5, 5)


def test_a_chain_that_would_open_too_much_is_refused_not_cut(records, monkeypatch):
    monkeypatch.setattr("hie.store.search.narrowed._BATCH", 1)
    monkeypatch.setattr("hie.store.search.narrowed.MOST_OPENED", 2)
    records.get("Observation?patient.name:contains=nna").refused(400, "too-costly", text="More than 2 resources")
    assert ids(records.get("Observation?patient.name:contains=mith")) == ["pulse-smith"]


@pytest.mark.parametrize("search", ["_has:Observation:patient:status=final", "_has:Observation:patient:status=final&"
                                    "_sort=family", "_has:Observation:patient:_has:Observation:has-member:code=9-9"])
def test_a_page_is_not_refused_that_follows_one_that_was_answered(records, clock, monkeypatch, search):
    """Further pages are of the first one's moment, when chains are resolved by opening: here that would be too much."""
    for number in range(6):
        here = f"Patient/p{number}"
        records.put(here, patient(f"Fam{number}", id=f"p{number}"))
        part = records.create(observation(here))["id"]
        records.create(observation(here, code="9-9", hasMember=[{"reference": f"Observation/{part}"}]))
    url = f"Patient?{search}&_total=accurate"
    expected = [one["id"] for one in records.get(f"{url}&_count=100").resources()]
    monkeypatch.setattr("hie.store.search.narrowed._BATCH", 1)
    monkeypatch.setattr("hie.store.search.narrowed.MOST_OPENED", 2)
    pages = [records.get(f"{url}&_count=2")]
    while (following := pages[-1].link("next")) is not None:
        pages.append(records.get(following))
    assert [one["id"] for page in pages for one in page.resources()] == expected
    assert {page.json["total"] for page in pages} == {len(expected)}
    back = [records.get(pages[0].link("last"))]
    while (before := back[-1].link("previous")) is not None:
        back.append(records.get(before))
    assert [one["id"] for page in reversed(back) for one in page.resources()] == expected
    then = f"Patient?{search}&_count=100&_asOf={instant(clock())}"
    assert [one["id"] for one in records.get(then).resources()] == expected  # nothing has been replaced since
    clock.forward(10)
    for one in records.get("Observation?_count=100").resources():
        assert records.put(f"Observation/{one['id']}", one | {"status": "amended"}).status == 200
    monkeypatch.setattr("hie.store.search.then._BATCH", 1)
    records.get(then).refused(400, "too-costly")
