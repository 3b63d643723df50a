"""`_sort` by what matches refer to, over HTTP: https://hl7.org/fhir/R4/search.html#sort, search.html#chaining"""

import pytest

from hie.store.search import chained_order, narrowed, opened_order
from tests.builders import encounter, entry, observation, patient, practitioner

FORM = {"Content_Type": "application/x-www-form-urlencoded"}


def put(fhir, id_, resource):
    answer = fhir.put(f"{resource['resourceType']}/{id_}", {**resource, "id": id_})
    assert answer.status in (200, 201), answer.content


def to(place):
    return {"reference": place}


@pytest.fixture
def records(fhir):
    """Three patients of two clinics in two regions, with their visits and pulses; and what refers to none of them."""
    put(fhir, "south", {"resourceType": "Organization", "name": "Zone South"})
    put(fhir, "north", {"resourceType": "Organization", "name": "Area North"})
    put(fhir, "lake", {"resourceType": "Organization", "name": "Lake Clinic", "partOf": to("Organization/south")})
    put(fhir, "hill", {"resourceType": "Organization", "name": "Hill Clinic", "partOf": to("Organization/north")})
    put(fhir, "gp-a", practitioner("7", name=[{"family": "Adler"}]))
    put(fhir, "gp-z", practitioner("8", name=[{"family": "Zorn"}]))
    put(fhir, "gp-m", practitioner("9", name=[{"family": "Moser"}]))
    put(fhir, "jones", patient("Jones", "Bea", gender="male", birthDate="2001-02-03", identifier="1",
                               managingOrganization=to("Organization/lake"),
                               generalPractitioner=[to("Practitioner/gp-a"), to("Practitioner/gp-z")]))
    put(fhir, "smith", patient("Smith", "Cid", birthDate="1950", identifier="2",
                               managingOrganization=to("Organization/hill"), generalPractitioner=[
                                   to("Practitioner/gp-m")]))
    put(fhir, "abel", patient("\u00c1bel", "Ann", birthDate="1950-07", identifier="10", meta={"profile": ["http://p/x"]}))
    for day, name in enumerate(("smith", "jones", "abel"), start=1):
        put(fhir, f"visit-{name}", encounter(f"Patient/{name}", period={"start": f"2024-02-0{4 - day}"},
                                             length={"value": day * 5 % 7, "unit": "h"}))
        put(fhir, name[0], observation(f"Patient/{name}", day, encounter=to(f"Encounter/visit-{name}"),
                                       effectiveDateTime=f"2024-03-0{1 + day % 2}"))
    put(fhir, "x", observation("https://elsewhere.example/fhir/Patient/abel", effectiveDateTime="2024-03-01"))
    put(fhir, "c", observation("#p", effectiveDateTime="2024-03-02", contained=[patient("Aal", id="p")]))
    put(fhir, "n", observation(effectiveDateTime="2024-03-01"))
    put(fhir, "d", {"resourceType": "Device", "deviceName": [{"name": "Mixer", "type": "user-friendly-name"}]})
    put(fhir, "v", observation("Device/d", code="1-8", effectiveDateTime="2024-03-02"))
    return fhir


def ids(answer):
    assert answer.status == 200, answer.content
    return " ".join(row["resource"]["id"] for row in answer.entries() if row["search"]["mode"] == "match")


#: s, j and a are of Smith, Jones and Ábel; x, c, n and v refer to what is elsewhere, contained, nothing and a Device.
SORTED = [
    ("Observation?_sort=patient.family", "a j s x c n v"), ("Observation?_sort=-patient.family", "s j a x c n v"),
    ("Observation?_sort=subject:Patient.family", "a j s x c n v"),
    ("Observation?_sort=Patient:subject.family", "a j s x c n v"),  # as HAPI has it
    ("Observation?_sort=-subject.family", "s j a x c n v"),
    ("Observation?_sort=subject.device-name", "v s j a x c n"),
    ("Observation?_sort=subject._id", "a v j s x c n"), ("Observation?_sort=-subject._lastUpdated", "v a s j x c n"),
    ("Observation?_sort=patient.birthdate", "s a j x c n v"), ("Observation?_sort=-patient.birthdate", "j a s x c n v"),
    ("Observation?_sort=patient.gender,-patient.given", "s a j x c n v"),
    ("Observation?_sort=patient.identifier", "j a s x c n v"), ("Observation?_sort=-patient._profile", "a s j x c n v"),
    ("Observation?_sort=-patient.organization", "j s a x c n v"),
    ("Observation?_sort=encounter.date", "a j s x c n v"), ("Observation?_sort=-encounter.length", "s j a x c n v"),
    ("Observation?_sort=patient.organization.name", "s j a x c n v"),
    ("Observation?_sort=patient.organization.partof.name", "s j a x c n v"),
    ("Observation?_sort=-encounter.patient.organization:Organization.partof.name", "j s a x c n v"),
    ("Observation?_sort=date,patient.family", "j x n a s c v"),
    ("Observation?_sort=-date,-patient.family", "s a c v j x n"),
    ("Observation?_sort=patient.active,-_id", "x v s n j c a"),  # nobody says it
    ("Observation?_sort=code,-patient.family,date", "v s j a x n c"),
    ("Observation?_sort=-patient.gender,value-quantity", "j s a x c n v"),
    ("Patient?_sort=general-practitioner:Practitioner.family", "jones smith abel"),  # Adler, Moser
    ("Patient?_sort=-general-practitioner:Practitioner.family", "jones smith abel"),  # Zorn, Moser
    ("Patient?_sort=general-practitioner.identifier", "jones smith abel"),
    ("Patient/smith/Observation?_sort=patient.family", "s"),
    ("Observation?_sort=patient.family&patient.gender=female", "a s c"),
    ("Patient?_has:Observation:patient:status=final&_sort=-organization.name", "jones smith abel"),
    ("?_type=Observation,Encounter&_sort=patient.family,_id", "a visit-abel j visit-jones s visit-smith c n v x"),
    ("?_type=Observation,Encounter&subject=Patient/abel,Patient/smith&_sort=-subject:Patient.birthdate,-_id",
     "visit-abel a visit-smith s"),
]  # fmt: skip


@pytest.mark.proves("parameter:_sort")
def test_matches_come_in_the_order_of_what_they_refer_to(records):
    assert {search: ids(records.get(search)) for search, _ in SORTED} == dict(SORTED)


def test_pages_of_such_an_order_follow_each_other_both_ways(records):
    for search, expected in SORTED[::2]:
        whole = expected.split()
        pages = [records.get(f"{search}&_count=2&_total=accurate")]
        while (following := pages[-1].link("next")) is not None:
            pages.append(records.get(following))
        assert " ".join(map(ids, pages)) == expected, search
        assert {page.json["total"] for page in pages} == {len(whole)}
        if len(pages) > 1:
            last = records.get(pages[0].link("last"))
            assert ids(last) == ids(pages[-1])
            assert ids(records.get(last.link("previous"))) == ids(pages[-2])
    assert ids(records.get("Observation?_sort=-patient.family&_count=2&_offset=1")) == "j a"


def test_wherever_a_search_is_sorted_it_may_be_by_a_chain(records):
    expected = "a j s x c n v"
    assert ids(records.post("Observation/_search", "_sort=patient.family", **FORM)) == expected
    assert ids(records.post("_search", "_type=Observation&_sort=patient.family", **FORM)) == expected
    batch = records.post("", {"resourceType": "Bundle", "type": "batch", "entry": [
        entry("GET", "Observation?_sort=patient.family")]})  # fmt: skip
    found = batch.json["entry"][0]["resource"]
    assert [row["resource"]["id"] for row in found["entry"]] == expected.split()
    assert found["link"][0]["url"].endswith("_sort=patient.family")
    asked = {"query": '{ ObservationList(_sort: "-subject:Patient.family", _count: 3) { id } }'}
    told = records.post("$graphql", asked, Content_Type="application/json").json
    assert [one["id"] for one in told["data"]["ObservationList"]] == ["s", "j", "a"]
    put(records, "l", {"resourceType": "List", "status": "current", "mode": "working",
                       "entry": [{"item": to(f"Observation/{one}")} for one in "sajn"]})
    assert ids(records.get("Observation?_list=l&_sort=patient.family")) == "a j s n"


def test_a_list_is_sorted_by_the_best_of_what_it_has(records):
    for id_, items in (("one", ["smith", "jones"]), ("two", ["abel", "smith"]), ("none", ["nobody"])):
        put(records, id_, {"resourceType": "Group", "type": "person", "actual": True, "member": [
            {"entity": to(f"Patient/{one}") if one != "nobody" else {"display": one}} for one in items]})
    assert ids(records.get("Group?_sort=member:Patient.family")) == "two one none"
    assert ids(records.get("Group?_sort=-member:Patient.birthdate")) == "one two none"


def test_contained_resources_are_sorted_by_what_they_refer_to_outside(records):
    for id_, name in (("r1", "smith"), ("r2", "abel"), ("r3", "jones")):
        held = observation(f"Patient/{name}", code="7-7", id=name)
        put(records, id_, {"resourceType": "DiagnosticReport", "status": "final", "code": {"text": "x"},
                           "contained": [held], "result": [to(f"#{name}")]})
    search = "Observation?code=7-7&_containedType=contained&_sort=-patient.family&_contained="
    assert ids(records.get(f"{search}true")) == "smith jones abel"
    put(records, "o", observation("Patient/jones", code="7-7"))
    assert ids(records.get(f"{search}both")) == "smith jones o abel"
    records.get("Observation?_contained=true&_sort=patient.family").refused(
        400, "not-supported", "_sort", "sorted by _id and _lastUpdated")


def test_canonical_urls_lead_to_the_versions_that_they_mean(fhir):
    def form(id_, url, version, title):
        put(fhir, id_, {"resourceType": "Questionnaire", "status": "active", "url": url, "version": version,
                        "title": title})

    form("q1", "http://q/a", "1", "Middle")
    form("q2", "http://q/a", "2", "Alpha")
    form("q3", "http://q/b", "1", "Beta")
    for id_, named in (("b", "http://q/b"), ("m", "http://q/a|1"), ("both", "http://q/a"), ("gone", "http://q/c"),
                       ("old", "http://q/a|3"), ("here", "Questionnaire/q1"), ("none", None)):
        put(fhir, id_, {"resourceType": "QuestionnaireResponse", "status": "completed",
                        **({"questionnaire": named} if named else {})})
    assert ids(fhir.get("QuestionnaireResponse?_sort=questionnaire.title")) == "both b m here gone old none"
    assert ids(fhir.get("QuestionnaireResponse?_sort=-questionnaire.title")) == "m both here b gone old none"


REFUSED = [
    ("Observation?_sort=subject:Patient.nme", "invalid", "did you mean name"),
    ("Observation?_sort=subject:Practitioner.name", "invalid", "refers to Device, Group, Location, Patient"),
    ("Observation?_sort=Practitioner:subject.name", "invalid", "refers to Device, Group, Location, Patient"),
    ("Observation?_sort=subject.nonsense", "invalid", "a parameter of none of Device"),
    ("Observation?_sort=code.name", "invalid", "of type token: no reference"),
    ("Observation?_sort=-subjct.name", "invalid", "did you mean subject"),
    ("Observation?_sort=subject.", "invalid", "nothing behind"),
    ("Observation?_sort=patient..name", "invalid", "nothing behind"),
    ("Observation?_sort=.name", "invalid", "has no search parameter ''"),
    ("Observation?_sort=patient.family:desc", "invalid", "- in front of it is descending"),
    ("Observation?_sort=patient.family:exact", "invalid", "has no modifier"),
    ("Observation?_sort=patient.-family", "invalid", "has no search parameter '-family'"),
    ("Observation?_sort=has-member:Observation.code-value-quantity", "invalid", "cannot be sorted by"),
    ("Encounter?_sort=location.near", "invalid", "cannot be sorted by"),
    ("Observation?_sort=patient._text", "invalid", "cannot be sorted by"),
    ("Observation?_sort=patient._score", "invalid", "has no search parameter '_score'"),
    ("DiagnosticReport?_sort=result.value-quantity,subject.codes", "invalid", "a parameter of none"),
    ("Provenance?_sort=target._id", "invalid", "50 types"),
    ("Observation?_sort=" + "has-member:Observation." * 13 + "code", "invalid", "more than 12 hops"),
    ("Patient?_sort=_has:Observation:patient.code", "not-supported", "not by what refers to them"),
    ("?_sort=patient.family", "invalid", "Resource has no search parameter 'patient'"),
    ("?_type=Observation,Patient&_sort=patient.family", "invalid", "Patient has no search parameter 'patient'"),
    ("Observation?_sort=part-of.series", "invalid", "several kinds (string for Immunization, token for ImagingStudy)"),
    ("Observation?_sort=" + ",".join(["patient.family"] * 6), "invalid", "more than 5 keys"),
]  # fmt: skip


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("handling", ["strict", "lenient"])
def test_a_chain_that_cannot_be_sorted_by_is_refused(fhir, handling):
    for search, code, words in REFUSED:
        fhir.get(search, Prefer=f"handling={handling}").refused(400, code, "_sort", words)


# ---- the grant, at every hop ----------------------------------------------------------------------------------------


@pytest.mark.proves("parameter:_sort")
def test_what_the_token_may_not_see_is_to_the_order_as_if_it_were_not_there(records, client):
    women = client("system/Patient.rs?gender=female", "system/Observation.rs", "system/Organization.rs?_id=hill",
                   "system/Encounter.rs")
    assert ids(women.get("Observation?_sort=patient.family")) == "a s j x c n v"
    assert ids(women.get("Observation?_sort=-patient.birthdate")) == "a s j x c n v"
    assert ids(women.get("Observation?_sort=encounter.subject:Patient.family")) == "a s j x c n v"
    assert ids(women.get("Observation?_sort=-patient.organization.partof.name")) == ids(women.get("Observation"))
    first = women.get("Observation?_sort=patient.family&_count=2&_total=accurate")
    put(records, "jones", {**records.get("Patient/jones").json, "name": [{"family": "Aaron"}]})
    assert ids(women.get(first.link("next"))) == "j x"
    again = women.get("Observation?_sort=patient.family&_count=2&_total=accurate")
    assert [ids(again), again.json["total"]] == [ids(first), first.json["total"]]
    assert len(again.link("next")) == len(first.link("next"))
    assert records.delete("Patient/jones?_cascade=delete").status == 200
    assert ids(women.get("Observation?_sort=patient.family")) == "a s x c n v"


def test_a_chain_into_a_type_without_a_scope_is_refused_and_an_untyped_one_leaves_it_out(records, client):
    narrow = client("system/Observation.rs", "system/Device.s", "system/Patient.r")
    for sort in ("subject:Patient.family", "patient.family", "subject.family", "-date,patient._id",
                 "subject.device-name,patient.family"):
        narrow.get(f"Observation?_sort={sort}").refused(403, "forbidden", text="system/Patient.s")
        narrow.get(f"Observation?_sort={sort}&_summary=count").refused(403, "forbidden", text="system/Patient.s")
    assert ids(narrow.get("Observation?_sort=subject._id")) == "v s j a x c n"
    client("system/Observation.rs", "system/Patient.rs").get("Observation?_sort=patient.organization.name").refused(
        403, "forbidden", text="system/Organization.s")
    searching = client("system/Observation.s", "system/Patient.s")
    assert ids(searching.get("Observation?_sort=patient.family&_count=1")) == "a"


def test_a_deleted_target_sorts_as_none(records):
    for id_, target in (("first", "v"), ("second", "n"), ("third", "x")):
        put(records, id_, {"resourceType": "Provenance", "target": [to(f"Observation/{target}")],
                           "recorded": "2024-01-01T00:00:00Z", "agent": [{"who": {"display": "x"}}]})
    assert ids(records.get("Provenance?_sort=-target:Observation._id")) == "third first second"
    assert records.delete("Observation/x").status == 200  # a Provenance keeps nothing from that
    assert ids(records.get("Provenance?_sort=-target:Observation._id")) == "first second third"
    assert ids(records.get("Provenance?_sort=target:Observation._id")) == "second first third"


# ---- states, bounds and cost ----------------------------------------------------------------------------------------


def test_pages_show_the_order_that_the_first_one_saw(records, clock):
    before = records.get("Patient/abel").json
    first = records.get("Observation?_sort=-patient.family&_count=2")
    put(records, "abel", {**before, "name": [{"family": "Zz"}]})
    assert records.delete("Observation/v").status == 200
    second = records.get(first.link("next"))
    assert (ids(first), ids(second)) == ("s j", "a x")
    assert ids(records.get(second.link("previous"))) == "s j"
    assert ids(records.get("Observation?_sort=-patient.family&_count=2")) == "a s"
    then = before["meta"]["lastUpdated"]
    assert ids(records.get(f"Patient?_sort=-organization.name&_asOf={then}")) == "jones smith abel"
    at = records.get("Observation/v/_history").entries()[-1]["resource"]["meta"]["lastUpdated"]
    assert ids(records.get(f"Observation?_sort=-patient.family&_asOf={at}")) == "s j a x c n v"


def test_a_transaction_sorts_by_what_it_writes(records):
    new = "urn:uuid:aaaaaaaa-0000-4000-8000-000000000001"
    answer = records.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [
        entry("PUT", "Patient/abel", patient("Zz", id="abel")),
        entry("POST", "Patient", patient("Aa"), new), entry("PUT", "Observation/y", observation(new, id="y")),
        entry("GET", "Observation?_sort=patient.family"), entry("GET", "Observation?_sort=date,-patient.family")]})
    *_, by_family, by_date = answer.entries()
    orders = [" ".join(row["resource"]["id"] for row in one["resource"]["entry"]) for one in (by_family, by_date)]
    assert orders == ["y j s a x c n v", "j x n y a s c v"]


def test_a_reference_to_a_version_leads_to_the_resource_as_it_is(records):
    put(records, "s", observation("Patient/smith/_history/1"))
    put(records, "smith", {**records.get("Patient/smith").json, "name": [{"family": "Aaa"}]})
    assert ids(records.get("Observation?_sort=patient.family")) == "s a j x c n v"


def test_an_order_that_opens_too_much_is_refused(records, client, monkeypatch):
    monkeypatch.setattr(opened_order, "MOST", 6)
    records.get("Observation?_sort=patient.family").refused(
        422, "too-costly", "_sort", "More than 6 resources match, and sorting by patient.family opens each")
    assert records.get("Observation?_sort=date,patient.family").status == 200
    monkeypatch.setattr(opened_order, "MOST", 7)
    monkeypatch.setattr(chained_order, "MOST_TARGETS", 3)
    assert ids(records.get("Observation?_sort=patient.family,-patient.given&_count=1")) == "a"
    records.get("Observation?_sort=patient.organization.name").refused(
        422, "too-costly", "_sort", "What matches refer to is more than 3 resources")
    women = client("system/Patient.rs?gender=female", "system/Observation.rs")
    monkeypatch.setattr(chained_order, "MOST_TARGETS", 2)  # what is hidden counts as what is not there
    women.get("Observation?_sort=patient.family").refused(422, "too-costly", "_sort", "narrow the search")
    put(records, "j", observation("Patient/smith"))
    assert women.get("Observation?_sort=patient.family").status == 200


def test_targets_are_read_together_and_each_once(records, monkeypatch):
    for number in range(40):
        records.create(observation(f"Patient/{('smith', 'jones', 'abel')[number % 3]}", number, code="5-5"))
    read, real = [], narrowed.matches

    def matches(store, type_name, asked):
        found = [*real(store, type_name, asked)]
        read.append(" ".join(sorted(version.id for version, _ in found)))
        return iter(found)

    monkeypatch.setattr(narrowed, "matches", matches)
    for sort, expected in (("patient.family,-patient.birthdate,subject:Patient.given", ["abel jones smith"]),
                           ("patient.family,encounter.date", ["abel jones smith"]),
                           ("date,-patient.family", ["abel jones smith"]),
                           ("patient.organization.name,patient._id", ["abel jones smith", "hill lake"])):  # fmt: skip
        read.clear()
        assert records.get(f"Observation?code=5-5&_sort={sort}&_count=50").json["total"] == 40
        assert read == expected, sort


def test_an_explanation_tells_that_targets_are_opened(records, client):
    admin = client("system/*.cruds", "admin")
    told = str(admin.get("Observation/$explain?_sort=-date,patient.family").json)
    assert "patient.family: what matches refer to is opened too, each resource once, at most 20000" in told
    assert "in the order of date;" in told


def test_parameters_of_ones_own_end_a_chain(records, work):
    put(records, "city", {
        "resourceType": "SearchParameter", "url": "http://x/born", "name": "born", "status": "active",
        "description": "x", "code": "born", "base": ["Patient"], "type": "string",
        "expression": "Patient.extension('http://x/born').value"})  # fmt: skip
    work()
    for name, city in (("smith", "Aarau"), ("jones", "Zug")):
        person = records.get(f"Patient/{name}").json
        put(records, name, {**person, "extension": [{"url": "http://x/born", "valueString": city}]})
    assert ids(records.get("Observation?_sort=patient.born")) == "s j a x c n v"
