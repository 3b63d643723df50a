"""$everything: https://hl7.org/fhir/R4/patient-operation-everything.html, …/encounter-operation-everything.html"""

import pytest

from hie.operations import surroundings
from tests.builders import bundle, encounter, observation, parameters, patient, post, practitioner, put


@pytest.fixture
def record(fhir):
    """A patient with a record, and another patient whose record must stay out."""
    person = "urn:uuid:11111111-1111-1111-1111-111111111111"
    doctor = "urn:uuid:22222222-2222-2222-2222-222222222222"
    other = "urn:uuid:33333333-3333-3333-3333-333333333333"
    answer = fhir.post("", bundle(
        post(patient("Smith"), person), post(practitioner(), doctor), post(patient("Other"), other),
        post(encounter(person, participant=[{"individual": {"reference": doctor}}])),
        *(post(observation(person, value=number)) for number in range(4)), post(observation(other)),
    ), Prefer="return=representation")  # fmt: skip
    assert answer.status == 200
    return answer.resources()[0]["id"]


def kinds(answer):
    assert answer.status == 200, answer.content
    return sorted(one["resourceType"] for one in answer.resources())


@pytest.mark.proves("operation:Patient/$everything")
def test_the_whole_record_comes_with_what_it_refers_to(fhir, record):
    answer = fhir.get(f"Patient/{record}/$everything")
    assert kinds(answer) == ["Encounter", "Observation", "Observation", "Observation", "Observation", "Patient",
                             "Practitioner"]
    modes = {row["resource"]["resourceType"]: row["search"]["mode"] for row in answer.entries()}
    assert (modes["Patient"], modes["Practitioner"]) == ("match", "include")
    assert answer.json["total"] == 6
    assert {one["id"] for one in answer.resources() if one["resourceType"] == "Patient"} == {record}
    assert fhir.post(f"Patient/{record}/$everything").status == 200


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_reference_to_a_version_brings_that_version(fhir, client):
    fhir.put("Patient/p", patient(id="p"))
    for name in ("a", "b", "c"):
        fhir.put("Practitioner/d", practitioner(name, id="d"))
    texts = ("Practitioner/d/_history/1", "Practitioner/d/_history/2", "Practitioner/d")
    for number, text in enumerate(texts):
        fhir.put(f"Observation/{number}", observation("Patient/p", id=str(number), performer=[{"reference": text}]))

    def versions(url):
        return [one["meta"]["versionId"] for one in fhir.get(url).resources() if one["resourceType"] == "Practitioner"]

    query = "{ performer { resource { meta { versionId } } } }"
    asked = [fhir.get(f"Observation/{number}/$graphql?query={query}").json["data"]["performer"][0]["resource"]["meta"]
             for number in range(3)]
    assert [one["versionId"] for one in asked] == ["1", "2", "3"]
    assert versions("Patient/p/$everything") == ["3", "1", "2"]
    for number in range(103):
        fhir.put("Practitioner/e", practitioner(str(number), id="e"))
    many = [{"reference": f"Practitioner/e/_history/{number + 1}"} for number in range(103)]
    fhir.put("Observation/many", observation(id="many", performer=many))
    answer = fhir.get(f"Observation/many/$graphql?query={query}").json["data"]["performer"]
    assert [one["resource"]["meta"]["versionId"] for one in answer] == [str(number + 1) for number in range(103)]
    assert client("system/*.cruds", "admin").delete("Practitioner/d/_history/1").status == 200
    assert versions("Patient/p/$everything") == ["3", "2"]
    assert fhir.get(f"Observation/0/$graphql?query={query}").json["data"]["performer"][0]["resource"]["meta"] == {
        "versionId": "3"}


def test_members_on_other_pages_keep_nothing_out(fhir, record, monkeypatch):
    """A Provenance names all of a record, as Synthea's do: these are read and left, and none of them is included."""
    monkeypatch.setattr(surroundings, "MOST", 3)
    members = [{"reference": f"{one['resourceType']}/{one['id']}"}
               for one in fhir.get(f"Patient/{record}/*").resources()]
    machine = fhir.create({"resourceType": "Device", "deviceName": [{"name": "Writer", "type": "other"}]})["id"]
    agent = {"who": {"reference": f"Device/{machine}"}}
    fhir.create({"resourceType": "Provenance", "recorded": "2024-05-01T10:00:00Z", "target": members, "agent": [agent]})
    url, found = f"Patient/{record}/$everything?_count=2", []
    while url:
        answer = fhir.get(url)
        found += kinds(answer)
        url = answer.link("next")
    assert (found.count("Device"), found.count("Provenance"), found.count("OperationOutcome")) == (1, 1, 0)
    monkeypatch.setattr(surroundings, "MOST_READ", 3)
    assert "OperationOutcome" in kinds(fhir.get(answer.link("self")))


def test_pages_hold_the_record_once(fhir, record):
    seen, url, answers = [], f"Patient/{record}/$everything?_count=2", []
    while url:
        answer = fhir.get(url)
        answers.append(answer)
        assert answer.status == 200
        seen += [row["resource"]["id"] for row in answer.entries() if row["search"]["mode"] == "match"]
        assert answer.json["total"] == 6
        url = answer.link("next")
    assert len(seen) == len(set(seen)) == 6
    first, second, third = answers
    assert fhir.get(first.link("last")).resources() == third.resources()
    assert fhir.get(third.link("previous")).resources() == second.resources()
    assert fhir.get(second.link("previous")).resources() == first.resources()
    assert fhir.get(third.link("first")).resources() == first.resources()


def test_the_record_may_be_cut_or_counted(fhir, record):
    """http.html#parameters: _summary and _elements are for all interactions."""
    counted = fhir.get(f"Patient/{record}/$everything?_summary=count").json
    assert (counted["total"], "entry" in counted) == (6, False)
    for asked in ("_elements=status", "_summary=true", "_summary=data"):
        found = fhir.get(f"Patient/{record}/$everything?{asked}").resources()
        assert len(found) == 7
        assert all(one["meta"]["tag"][0]["code"] == "SUBSETTED" for one in found), asked
    first = fhir.get(f"Patient/{record}/$everything?_elements=status&_count=3")
    shown = [*first.resources(), *fhir.get(first.link("next")).resources()]
    assert {name for one in shown if one["resourceType"] == "Observation" for name in one} == {
        "resourceType", "id", "meta", "status", "code"}


def test_a_page_link_belongs_to_its_own_record(fhir, record):
    link = fhir.get(f"Patient/{record}/$everything?_count=2").link("next")
    other = fhir.create(patient())["id"]
    fhir.get(link.replace(record, other)).refused(400, "invalid", "_cursor")


def test_types_choose(fhir, record):
    assert kinds(fhir.get(f"Patient/{record}/$everything?_type=Patient,Encounter")) == ["Encounter", "Patient"]
    assert kinds(fhir.get(f"Patient/{record}/$everything?_type=Practitioner")) == ["Practitioner"]
    body = parameters(_type=("Code", "Encounter"))
    assert kinds(fhir.post(f"Patient/{record}/$everything", body)) == ["Encounter"]
    fhir.get(f"Patient/{record}/$everything?_type=Nothing").refused(400, "invalid", "_type")


def test_since_leaves_out_what_is_older(fhir, record, clock):
    clock.forward(3600)
    fhir.create(observation(f"Patient/{record}"))
    assert kinds(fhir.get(f"Patient/{record}/$everything?_since=2026-01-01T00:30:00Z")) == ["Observation"]
    fhir.get(f"Patient/{record}/$everything?_since=x").refused(400, "invalid", "_since")


def test_deleted_resources_are_left_out(fhir, record):
    met = next(one for one in fhir.get(f"Patient/{record}/$everything").resources()
               if one["resourceType"] == "Encounter")
    fhir.delete(f"Encounter/{met['id']}")
    assert "Encounter" not in kinds(fhir.get(f"Patient/{record}/$everything"))


def test_scopes_cut_the_record(client, record):
    assert kinds(client("system/Patient.rs system/Observation.rs").get(f"Patient/{record}/$everything")) == [
        "Observation"] * 4 + ["Patient"]
    client("system/Observation.rs").get(f"Patient/{record}/$everything").refused(403, "forbidden")
    narrow = client("system/Patient.rs system/Observation.rs?code=http://loinc.org|1234-5")
    assert kinds(narrow.get(f"Patient/{record}/$everything")) == ["Patient"]


def test_what_cannot_be_answered_is_refused(fhir, record):
    fhir.get("Patient/nobody/$everything").refused(404, "not-found")
    fhir.get(f"Patient/{record}/$everything?start=soon").refused(400, "invalid", "start")
    fhir.get(f"Patient/{record}/$everything?end=2020-13").refused(400, "invalid", "end")
    fhir.get(f"Patient/{record}/$everything?start=2021&end=2020").refused(400, "invalid", "start")
    fhir.get(f"Patient/{record}/$everything?start=2020&start=2021").refused(400, "invalid", "start")
    fhir.get(f"Patient/{record}/$everything?nonsense=1").refused(400, "invalid", "nonsense")
    fhir.get("Patient/$everything?_count=0").refused(400, "invalid", "_count")
    fhir.get("Patient/$everything?_summary=count").refused(400, "invalid", "_summary")
    fhir.get(f"Patient/{record}/$everything?_summary=some").refused(400, "invalid", "_summary")
    fhir.get("Encounter/$everything").refused(404, "not-found", "http.url")
    fhir.get("Encounter/nobody/$everything").refused(404, "not-found")
    fhir.get(f"Observation/{record}/$everything").refused(404, "not-found", "http.url")


# ---- pages while others write ----------------------------------------------------------------------------------------


def _pages(client, url, meanwhile=lambda: None):
    """Return what each page shows; `meanwhile` is done after the first."""
    pages = []
    while url:
        answer = client.get(url)
        assert answer.status == 200, answer.content
        pages.append([(row["search"]["mode"], row["resource"]) for row in answer.entries()])
        if len(pages) == 1:
            meanwhile()
        url = answer.link("next")
    return pages


@pytest.mark.parametrize("address", ["Patient/p0", "Patient", "Encounter/e", "Group/all"])
def test_further_pages_show_what_the_first_saw_and_what_that_referred_to(fhir, client, cohort, address):
    """The doctor is changed, the place deleted, the encounter and its patient go: what is included is of then, too."""
    doctor = {"performer": [{"reference": "Practitioner/d"}], "encounter": {"reference": "Encounter/e"}}
    at = {"location": [{"location": {"reference": "Location/l"}}]}
    fhir.post("", bundle(
        put(practitioner(id="d")), put({"resourceType": "Location", "id": "l", "name": "Ward"}),
        put(encounter("Patient/p0", id="e", **at)),
        *(put(observation("Patient/p0", number, id=f"more{number}", **doctor)) for number in range(4))))

    def meanwhile():
        fhir.put("Practitioner/d", practitioner(id="d", active=False))
        fhir.put("Observation/more3", observation("Patient/p1", 3, id="more3"))
        fhir.put("Encounter/e", encounter("Patient/p1", id="e"))
        assert fhir.delete("Location/l").status == 200
        fhir.put("Group/all", _group("all", "Patient/p3", "Patient/p5"))
        assert fhir.delete("Patient/p0?_cascade=delete").status == 200
        assert fhir.delete("Encounter/e?_cascade=delete").status == 200

    url = f"{address}/$everything?_count=2"
    whole = _pages(fhir, url)
    assert {one["resourceType"] for page in whole for mode, one in page if mode == "include"} >= {"Practitioner"}
    assert _pages(fhir, url, meanwhile) == whole
    assert len(whole) > 2


def test_links_to_the_records_of_a_group_belong_to_what_was_asked_and_expire(fhir, client, cohort, clock):
    def link(url):
        answer = fhir.get(url)
        while len(answer.entries()) and "Patient/p1" not in str(answer.entries()[-1]["fullUrl"]):
            answer = fhir.get(answer.link("next"))
        return answer.link("next")

    other = client("system/*.rs")
    leads = [link(f"Group/all/$everything?_count={count}&_type=Patient") for count in (1, 2)]  # within a record, behind
    for one in leads:
        assert fhir.get(one).status == 200
        fhir.get(one.replace("_type=Patient", "_type=Patient,Observation")).refused(400, "invalid", "_cursor")
        other.get(one).refused(400, "invalid", "_cursor")
        fhir.get(one.replace("_cursor=", "_cursor=until.")).refused(400, "invalid", "_cursor", "next links")
    clock.forward(24.1 * 3600)
    later = client("system/*.cruds", name="later")
    for one in leads:
        later.get(one).refused(400, "expired", "_cursor", "24 hours")


# ---- dates of care ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "values"), [
    ("start=2020-02-01", {2, 3, 9}),
    ("end=2020-02-01", {1, 2, 9}),
    ("start=2020-02-01&end=2020-02-01", {2, 9}),
    ("start=2020-01-15&end=2020-01-20", {9}),
    ("start=2019&end=2020", {1, 2, 3, 9}),
    ("start=2020-02-01T10:00:00Z&end=2020-02-01T10:00:00Z", {2, 9}),
    ("start=2020-02-01T10:00:01Z&end=2020-02-02", {9}),
    ("end=2019", {9}),
])  # fmt: skip
def test_start_and_end_are_dates_of_care_and_what_has_none_stays(fhir, asked, values):
    person = fhir.create(patient())["id"]
    days = {1: "2020-01-01", 2: "2020-02-01T10:00:00Z", 3: "2020-03-01"}
    for value, day in days.items():
        fhir.create(observation(f"Patient/{person}", value, effectiveDateTime=day))
    undated = observation(f"Patient/{person}", 9)
    del undated["effectiveDateTime"]
    fhir.create(undated)
    found = fhir.get(f"Patient/{person}/$everything?{asked}").resources()
    assert {one["valueQuantity"]["value"] for one in found if one["resourceType"] == "Observation"} == values
    assert person in {one["id"] for one in found}, "a Patient has no date of care"


def test_a_stay_that_reaches_into_the_dates_is_in(fhir):
    person = fhir.create(patient())["id"]
    stay = {"start": "2020-01-01T08:00:00Z", "end": "2020-03-01T08:00:00Z"}
    fhir.create(encounter(f"Patient/{person}", period=stay))
    for dates, there in (("start=2020-02-01&end=2020-02-02", True), ("start=2020-03-02", False), ("end=2019", False)):
        assert ("Encounter" in kinds(fhir.get(f"Patient/{person}/$everything?{dates}"))) is there


# ---- what the record refers to ---------------------------------------------------------------------------------------


def test_references_are_followed_to_where_they_end_and_not_into_other_records(fhir, record):
    firm = fhir.create({"resourceType": "Organization", "name": "Firm"})["id"]
    drug = fhir.create({"resourceType": "Medication", "manufacturer": {"reference": f"Organization/{firm}"}})["id"]
    binary = fhir.post("Binary", b"text", Content_Type="text/plain")
    scan = str(binary.headers["Location"]).split("/Binary/")[1].split("/")[0]
    other = fhir.create(patient("Other"))["id"]
    theirs = fhir.create(observation(f"Patient/{other}", 1))["id"]
    nobodys = fhir.create({"resourceType": "Specimen", "status": "available"})["id"]
    subject = {"subject": {"reference": f"Patient/{record}"}}
    fhir.create({
        "resourceType": "MedicationRequest", "status": "active", "intent": "order", **subject,
        "medicationReference": {"reference": f"Medication/{drug}"},
    })  # fmt: skip
    fhir.create({
        "resourceType": "DocumentReference", "status": "current", **subject,
        "content": [{"attachment": {"contentType": "text/plain", "url": f"Binary/{scan}"}}],
    })  # fmt: skip
    mine = observation(f"Patient/{record}", hasMember=[{"reference": f"Observation/{theirs}"}])
    fhir.create({**mine, "specimen": {"reference": f"Specimen/{nobodys}"}})
    answer = fhir.get(f"Patient/{record}/$everything")
    included = {(row["resource"]["resourceType"], row["resource"]["id"]) for row in answer.entries()
                if row["search"]["mode"] == "include"}
    assert included >= {("Medication", drug), ("Organization", firm), ("Binary", scan), ("Specimen", nobodys)}
    assert not {other, theirs} & {id_ for _, id_ in included}, "another's record is no part of this one"
    assert len({one["id"] for one in answer.resources()}) == len(answer.resources())


def test_what_the_record_refers_to_stays_within_the_grant(client, fhir, record):
    firm = fhir.create({"resourceType": "Organization", "name": "Firm"})["id"]
    fhir.put(f"Patient/{record}", {**patient("Smith"), "id": record,
                                   "managingOrganization": {"reference": f"Organization/{firm}"}})
    assert "Organization" in kinds(fhir.get(f"Patient/{record}/$everything"))
    narrow = client("system/Patient.rs system/Organization.rs?name:exact=Other")
    assert kinds(narrow.get(f"Patient/{record}/$everything")) == ["Patient"]


# ---- all patients, and an encounter ----------------------------------------------------------------------------------


def _all(client, url):
    seen = []
    while url:
        answer = client.get(url)
        assert answer.status == 200, answer.content
        assert "total" not in answer.json
        seen += [(row["resource"]["resourceType"], row["resource"]["id"]) for row in answer.entries()
                 if row["search"]["mode"] == "match"]
        url = answer.link("next")
    assert len(seen) == len(set(seen))
    return seen


@pytest.mark.proves("operation:Patient/$everything")
def test_everything_of_all_patients_is_everybodys_record_once(fhir, record):
    fhir.create(observation(value=5))  # nobody's
    group = {"resourceType": "Group", "type": "person", "actual": True}
    fhir.create(observation(f"Group/{fhir.create(group)['id']}", value=6))
    ahead = fhir.get("Patient/$everything?_count=1").link("next")
    assert fhir.get(ahead).link("previous") is None
    fhir.get(ahead.replace("_cursor=", "_cursor=until.")).refused(400, "invalid", "_cursor", "next links")
    for count in (1, 3, 1000):
        seen = _all(fhir, f"Patient/$everything?_count={count}")
        assert sorted({type_ for type_, _ in seen}) == ["Encounter", "Observation", "Patient"]
        assert len(seen) == 8
    assert {type_ for type_, _ in _all(fhir, "Patient/$everything?_type=Observation&end=2024-03-01")} == {"Observation"}
    assert _all(fhir, "Patient/$everything?_type=Observation&end=2023") == []
    assert {one["resourceType"] for one in fhir.get("Patient/$everything").resources()} >= {"Practitioner"}


def test_everything_of_all_patients_is_of_those_that_the_token_sees(client, fhir, record):
    narrow = client("system/Observation.rs system/Patient.rs?family:exact=Other")
    seen = _all(narrow, "Patient/$everything")
    assert sorted(type_ for type_, _ in seen) == ["Observation", "Patient"]
    assert ("Patient", record) not in seen
    client("system/Observation.rs").get("Patient/$everything").refused(403, "forbidden")


@pytest.mark.proves("operation:Encounter/$everything")
def test_everything_of_an_encounter_is_its_compartment_and_what_that_refers_to(client, fhir, record):
    met = fhir.create(encounter(f"Patient/{record}"))["id"]
    condition = fhir.create({"resourceType": "Condition", "subject": {"reference": f"Patient/{record}"}})["id"]
    fhir.put(f"Encounter/{met}", {**encounter(f"Patient/{record}"), "id": met,
                                  "diagnosis": [{"condition": {"reference": f"Condition/{condition}"}}]})
    value = fhir.create(observation(f"Patient/{record}", 1, encounter={"reference": f"Encounter/{met}"}))["id"]
    url = f"Encounter/{met}/$everything"
    modes = {(row["resource"]["id"], row["search"]["mode"]) for row in fhir.get(url).entries()}
    assert modes == {(met, "match"), (value, "match"), (condition, "include"), (record, "include")}
    assert kinds(fhir.get(f"{url}?_type=Observation")) == ["Observation"]
    assert kinds(client("system/Encounter.rs").get(url)) == ["Encounter"]
    client("system/Observation.rs").get(url).refused(403, "forbidden")
    fhir.get(f"{url}?start=2020").refused(400, "invalid", "start")


# ---- a group ---------------------------------------------------------------------------------------------------------


def _group(id_, *members, **more):
    rows = [{"entity": {"reference": one}} if isinstance(one, str) else one for one in members]
    return {"resourceType": "Group", "id": id_, "type": "person", "actual": True} | more | (
        {"member": rows} if rows else {})


@pytest.fixture
def cohort(fhir):
    """Patients p0 to p5 with two Observations each, p5 in no group; one Observation of both p0 and p1."""
    stored = [patient(f"P{number}", id=f"p{number}") for number in range(6)]
    stored += [observation(f"Patient/p{number}", value, id=f"o{number}{value}")
               for number in range(6) for value in range(2)]
    stored.append(observation("Patient/p0", id="both", performer=[{"reference": "Patient/p1"}]))
    stored.append(_group("inner", "Patient/p3", "Group/all"))
    gone = {"entity": {"reference": "Patient/p4"}, "inactive": True}
    left = {"entity": {"reference": "Patient/p5"}, "period": {"start": "2019", "end": "2020"}}
    kept = {"entity": {"reference": "Patient/p2"}, "period": {"start": "2019"}}
    stored.append(_group("all", "Patient/p1", "Patient/p0", kept, "Group/inner", gone, left))
    answer = fhir.post("", bundle(*map(put, stored)))
    assert answer.status == 200, answer.content
    return [("Patient", f"p{n}") for n in range(4)] + [("Observation", f"o{n}{v}") for n in range(4) for v in range(2)]


@pytest.mark.proves("operation:Group/$everything")
def test_everything_of_a_group_is_the_record_of_each_member_once(fhir, client, cohort):
    # A Group is in the compartments of its members.
    expected = sorted([*cohort, ("Observation", "both"), ("Group", "all"), ("Group", "inner")])
    for count in (1, 2, 5, 1000):
        assert sorted(_all(fhir, f"Group/all/$everything?_count={count}")) == expected
    assert fhir.post("Group/all/$everything").status == 200
    assert sorted(_all(fhir, "Group/inner/$everything")) == expected  # each is in the other
    assert _all(fhir, "Group/all/$everything?_type=Patient&_count=3") == expected[11:]
    assert _all(fhir, "Group/all/$everything?_type=Observation&start=2030") == []
    assert _all(fhir, "Group/all/$everything?_since=2027-01-01T00:00:00Z") == []
    fhir.put("Group/none", _group("none"))
    assert _all(fhir, "Group/none/$everything") == []
    link = fhir.get("Group/all/$everything?_count=2").link("next")
    assert ":" not in link.partition("_cursor=")[2], "whose record comes next stands in no link"
    fhir.put("Group/all", _group("all", "Patient/p3"))
    assert {id_ for kind, id_ in _all(fhir, link) if kind == "Patient"} == {"p1", "p2", "p3"}  # as the first page saw
    assert {id_ for kind, id_ in _all(fhir, "Group/all/$everything") if kind == "Patient"} == {"p3"}
    narrow = client("system/Group.r system/Observation.rs system/Patient.rs?family:exact=P3")
    assert sorted(_all(narrow, "Group/inner/$everything")) == sorted([
        ("Observation", "o30"), ("Observation", "o31"), ("Patient", "p3")])


def test_a_group_shows_what_the_token_may_see(fhir, client, cohort):
    some = client("system/Group.r?_id=all system/Observation.rs system/Patient.rs?family=P1,P3")
    seen = _all(some, "Group/all/$everything?_count=2")  # P3 is in the group within, which it may not read
    assert sorted(seen) == [("Observation", "both"), ("Observation", "o10"), ("Observation", "o11"), ("Patient", "p1")]
    client("system/Patient.rs").get("Group/all/$everything").refused(403, "forbidden")
    client("system/Group.r?_id=all").get("Group/inner/$everything").refused(404, "not-found")
    assert _all(client("system/Group.r"), "Group/all/$everything") == []


def test_what_a_group_cannot_answer_is_refused(fhir, cohort):
    fhir.put("Group/kind", _group("kind", actual=False))
    fhir.get("Group/kind/$everything").refused(422, "processing", "Group.actual")
    fhir.put("Group/around", _group("around", "Group/kind"))
    fhir.get("Group/around/$everything").refused(422, "processing", "Group.actual", "Group/kind")
    unknown = {"modifierExtension": [{"url": "urn:x:but", "valueBoolean": True}]}
    for changed in (_group("rare", **unknown), _group("rare", "Patient/p1", implicitRules="urn:x"),
                    _group("rare", {"entity": {"reference": "Patient/p1"}} | unknown)):
        assert fhir.put("Group/rare", changed).status in (200, 201)
        fhir.get("Group/rare/$everything").refused(422, "processing", text="not known here")
    for asked, expression in (("_summary=count", "_summary"), ("_count=0", "_count"), ("_cursor=p1", "_cursor"),
                              ("_cursor=p1:x", "_cursor"), ("start=x", "start"), ("_sort=_id", "_sort")):
        fhir.get(f"Group/all/$everything?{asked}").refused(400, "invalid", expression)
    other = fhir.get("Group/all/$everything?_count=2").link("next").replace("Group/all", "Group/inner")
    fhir.get(other).refused(400, "invalid", "_cursor")
    fhir.get("Group/nobody/$everything").refused(404, "not-found")
    fhir.get("Group/$everything").refused(404, "not-found", "http.url")


def test_what_refers_to_the_patient_outside_of_r4s_compartment_is_one_search_more(fhir):
    here = {"reference": "Patient/a"}
    fhir.put("Patient/a", patient(id="a"))
    outside = [
        {"resourceType": "Device", "id": "x", "patient": here},
        {"resourceType": "Task", "id": "x", "status": "requested", "intent": "order", "for": here},
        {"resourceType": "GuidanceResponse", "id": "x", "status": "success", "moduleUri": "urn:m", "subject": here},
        {"resourceType": "Contract", "id": "x", "subject": [here]},
    ]
    for one in outside:
        assert fhir.put(f"{one['resourceType']}/x", one).status == 201
    assert kinds(fhir.get("Patient/a/$everything")) == ["Patient"]
    assert kinds(fhir.get("?_type=Contract,Device,GuidanceResponse,Task&patient=a")) == sorted(
        one["resourceType"] for one in outside)
    fhir.put("Observation/x", observation(here["reference"], device={"reference": "Device/x"}, id="x"))
    assert kinds(fhir.get("Patient/a/$everything")) == ["Device", "Observation", "Patient"]
