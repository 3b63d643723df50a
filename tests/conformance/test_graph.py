"""[type]/[id]/$graph: https://hl7.org/fhir/R4/resource-operation-graph.html"""

from threading import Thread

import pytest
from sqlalchemy import event

from hie.operations.graph import reading, searching
from hie.store.resources import ResourceStore
from tests.builders import VITAL_SIGN, encounter, observation, parameters, patient, practitioner
from tests.conformance.test_audit import records
from tests.conformance.test_profiles_stored import stored
from tests.growth import growth
from tests.packages import BASE, element, slicing
from tests.packages import profile as profile_of

URL = "http://example.org/graphs/visit"


def definition(*links, start="Encounter", name="Visit", **more):
    """Return a GraphDefinition."""
    return {"resourceType": "GraphDefinition", "url": URL, "name": name, "status": "active", "start": start,
            "link": list(links), **more}


def by_path(path, type_, *links, **more):
    """Return a link with one target."""
    target = {"type": type_, **({"link": list(links)} if links else {}), **more.pop("target", {})}
    return {"path": path, "target": [target], **more}


def by_search(type_, params, *links, **more):
    """Return a link without path."""
    target = {"type": type_, "params": params, **({"link": list(links)} if links else {}), **more.pop("target", {})}
    return {"target": [target], **more}


def ids(answer):
    """Return which resources a graph has, in its order."""
    assert answer.status == 200, answer.content
    assert answer.json["type"] == "collection"
    return [f"{one['resourceType']}/{one['id']}" for one in answer.resources()
            if one["resourceType"] != "OperationOutcome"]


def warnings(answer):
    """Return what a graph warns of: expression and text."""
    return [(one["expression"][0], one["diagnostics"]) for row in answer.resources()
            if row["resourceType"] == "OperationOutcome" for one in row["issue"]]


@pytest.fixture
def visit(fhir):
    """Return the references of a visit, its patient, doctor and two values of it, and of somebody else's."""
    made = {}
    for name, resource in (
        ("patient", lambda: patient()), ("other", lambda: patient("Other")), ("doctor", lambda: practitioner("1")),
        ("visit", lambda: encounter(made["patient"], participant=[{"individual": {"reference": made["doctor"]}}])),
        ("first", lambda: observation(made["patient"], 1, encounter={"reference": made["visit"]},
                                      category=[VITAL_SIGN])),
        ("second", lambda: observation(made["patient"], 2, encounter={"reference": made["visit"]},
                                       category=[VITAL_SIGN], hasMember=[{"reference": made["first"]}])),
        ("apart", lambda: observation(made["other"], 3)),
    ):  # fmt: skip
        stored = fhir.create(resource())
        made[name] = f"{stored['resourceType']}/{stored['id']}"
    return made


WHOLE = definition(
    by_path("Encounter.subject", "Patient"),
    by_path("Encounter.participant.individual", "Practitioner"),
    by_search("Observation", "encounter={ref}", by_path("Observation.hasMember", "Observation")),
)


@pytest.mark.proves("operation:any/$graph")
def test_a_graph_is_the_resource_with_all_that_the_links_lead_to(fhir, visit):
    fhir.create({**WHOLE, "version": "1"})
    url = f"{visit['visit']}/$graph"
    wanted = [visit["visit"], visit["patient"], visit["doctor"]]
    for text in (URL, f"{URL}|1", "Visit"):
        answer = fhir.get(f"{url}?graph={text}")
        assert ids(answer)[:3] == wanted
        assert sorted(ids(answer)[3:]) == sorted([visit["first"], visit["second"]])
        assert [row["fullUrl"] for row in answer.entries()] == [f"http://localhost/fhir/{one}" for one in ids(answer)]
    assert ids(fhir.post(url, parameters(graph=("Uri", URL)))) == ids(fhir.get(f"{url}?graph={URL}"))
    assert ids(fhir.get(f"{url}?graph={URL}", Accept="application/fhir+xml")) == ids(answer)
    assert fhir.post("Bundle/$validate", answer.json).json["issue"][0]["severity"] in ("information", "warning")


def test_of_several_versions_the_newest_is_followed_and_a_place_names_one(fhir, visit):
    old = fhir.create({**definition(by_path("Encounter.subject", "Patient")), "version": "9"})
    fhir.create({**definition(by_path("participant.individual", "Practitioner")), "version": "10"})
    url = f"{visit['visit']}/$graph?graph="
    for text in (URL, "Visit", f"{URL}|10"):
        assert ids(fhir.get(url + text)) == [visit["visit"], visit["doctor"]]
    for text in (f"{URL}|9", f"GraphDefinition/{old['id']}"):
        assert ids(fhir.get(url + text)) == [visit["visit"], visit["patient"]]
    fhir.get(f"{url}{URL}|11").refused(404, "not-found", "graph")
    fhir.create({**WHOLE, "url": "http://example.org/graphs/other"})
    fhir.get(f"{url}Visit").refused(422, "multiple-matches", "graph", "graphs/other")


def test_only_what_the_token_may_see_is_there_at_every_step(fhir, client, visit):
    fhir.create(WHOLE)
    url = f"{visit['visit']}/$graph?graph={URL}"
    scopes = "system/Encounter.rs system/GraphDefinition.s"
    assert ids(client(scopes).get(url)) == [visit["visit"]]
    assert ids(client(f"{scopes} system/Patient.r").get(url)) == [visit["visit"], visit["patient"]]
    # Without s on Observation nothing is found; of what the criterion leaves out nothing leads on.
    assert ids(client(f"{scopes} system/Observation.r").get(url)) == [visit["visit"]]
    category = [{"coding": [{"system": "http://example.org/c", "code": "seen"}]}]
    second = fhir.get(visit["second"]).json
    fhir.put(visit["second"], {**second, "category": category})
    narrow = client(f"{scopes} system/Observation.rs?category=http://example.org/c|seen")
    assert ids(narrow.get(url)) == [visit["visit"], visit["second"]]
    client("system/Encounter.rs").get(url).refused(404, "not-found", "graph")
    client("system/Patient.rs system/GraphDefinition.s").get(url).refused(403, "forbidden")


def test_what_is_asked_of_the_database_does_not_grow_with_the_resources(app, fhir, visit):
    """One search or read for all resources of a link, and one for a profile."""
    fhir.create(stored(profile_of("valued", "Observation", element("Observation.value[x]", min=1))))
    values = by_search("Observation", "encounter={ref}", by_path("performer", "Practitioner"),
                       target={"profile": f"{BASE}valued"})  # fmt: skip
    fhir.create(definition(by_search("Encounter", "patient={ref}", values), start="Patient"))
    engine, url, numbers = app.extensions["hie"].store.database.engine, f"{visit['patient']}/$graph?graph={URL}", []
    least: list[int] = []

    def heard(*_):
        numbers[-1] += 1

    for more in (0, 12):
        for number in range(more):
            other = fhir.create(encounter(visit["patient"]))["id"]
            fhir.create(observation(visit["patient"], number, encounter={"reference": f"Encounter/{other}"},
                                    performer=[{"reference": visit["doctor"]}]))  # fmt: skip
        each = []
        for _ in range(3):  # a page is read again where something was committed meanwhile, an audit record even
            numbers.append(0)
            event.listen(engine, "before_cursor_execute", heard)
            assert len(ids(fhir.get(url))) == 4 + more * 2 + bool(more)
            event.remove(engine, "before_cursor_execute", heard)
            each.append(numbers.pop())
        least.append(min(each))
    assert least[1] <= least[0] + 1  # the Practitioners are read


def test_circles_end_and_what_is_reached_twice_comes_once(fhir, visit):
    fhir.put(visit["first"], {**fhir.get(visit["first"]).json, "hasMember": [{"reference": visit["second"]}]})
    member = by_path("hasMember", "Observation", by_path("hasMember", "Observation", by_path("*", "Resource")))
    fhir.create(definition(member, start="Observation"))
    found = ids(fhir.get(f"{visit['first']}/$graph?graph={URL}"))
    assert found[:2] == [visit["first"], visit["second"]]
    assert sorted(found[2:]) == sorted([visit["patient"], visit["visit"]])


def test_all_references_and_contained_resources_are_followed(fhir, visit):
    held = {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": visit["doctor"]}}
    stored = fhir.create(observation(visit["patient"], contained=[held], performer=[{"reference": "#r"}]))
    place = f"Observation/{stored['id']}"
    role = by_path("Observation.performer", "PractitionerRole", by_path("practitioner", "Practitioner"), min=1, max="1")
    fhir.create(definition(role, start="Observation"))
    assert ids(fhir.get(f"{place}/$graph?graph={URL}")) == [place, visit["doctor"]]
    fhir.create(definition(by_path("*", "Patient"), start="Resource", name="All", url="urn:oid:1.2"))
    assert ids(fhir.get(f"{place}/$graph?graph=All")) == [place, visit["patient"]]
    assert ids(fhir.get(f"{visit['visit']}/$graph?graph=urn:oid:1.2")) == [visit["visit"], visit["patient"]]


def test_canonical_urls_lead_to_what_the_token_may_search(fhir, client):
    library = {"resourceType": "Library", "url": "http://example.org/lib", "status": "active",
               "type": {"text": "logic"}}  # fmt: skip
    first, second = (fhir.create({**library, "version": one})["id"] for one in ("1", "2"))
    plan = {"resourceType": "PlanDefinition", "status": "active"}
    named = fhir.create({**plan, "library": ["http://example.org/lib|1"]})["id"]
    newest = fhir.create({**plan, "library": ["http://example.org/lib", "http://example.org/none"]})["id"]
    fhir.create(definition(by_path("library", "Library"), start="PlanDefinition"))
    blind = client("system/PlanDefinition.r system/GraphDefinition.s system/Library.r")
    for id_, found in ((named, first), (newest, second)):
        url = f"PlanDefinition/{id_}/$graph?graph={URL}"
        assert ids(fhir.get(url)) == [f"PlanDefinition/{id_}", f"Library/{found}"]
        assert ids(blind.get(url)) == [f"PlanDefinition/{id_}"]


def test_a_search_takes_criteria_order_and_a_number(fhir, visit):
    for value in (4, 5, 6):
        fhir.create(observation(visit["patient"], value, effectiveDateTime=f"2024-04-0{value}"))
    last = by_search("Observation", "subject={ref}&_sort=-date&_count=2")
    fhir.create(definition(by_path("subject", "Patient", last)))
    answer = fhir.get(f"{visit['visit']}/$graph?graph={URL}")
    assert [one["valueQuantity"]["value"] for one in answer.resources()[2:]] == [6, 5]
    chained = by_search("Observation", "?encounter.subject={ref}&value-quantity=gt1")
    fhir.create(definition(chained, start="Patient", name="Chained", url="urn:oid:1.3"))
    assert ids(fhir.get(f"{visit['patient']}/$graph?graph=Chained")) == [visit["patient"], visit["second"]]


def test_a_search_is_asked_for_resources_that_its_parameter_can_refer_to(fhir, visit):
    """What is on a list may be of any type; a Practitioner is nobody's subject."""
    rows = [{"item": {"reference": visit[one]}} for one in ("doctor", "patient")]
    list_ = fhir.create({"resourceType": "List", "status": "current", "mode": "working", "entry": rows})["id"]
    values = by_search("Observation", "subject={ref}")
    fhir.create(definition(by_path("entry.item", "Resource", values), start="List"))
    found = ids(fhir.get(f"List/{list_}/$graph?graph={URL}"))
    assert sorted(found[3:]) == sorted([visit["first"], visit["second"]])


def test_what_a_search_finds_for_many_is_told_apart(fhir, monkeypatch, visit):
    """Each of many gets its own: rules and numbers are of each relation."""
    monkeypatch.setattr(searching, "PAGE", 2)
    rows = [{"entity": {"reference": one}} for one in (visit["patient"], visit["other"])]
    group = fhir.create({"resourceType": "Group", "type": "person", "actual": True, "member": rows})["id"]
    values = by_search("Observation", "subject={ref}", max="1")
    fhir.create(definition(by_path("member.entity", "Patient", values), start="Group"))
    answer = fhir.get(f"Group/{group}/$graph?graph={URL}")
    assert sorted(ids(answer)[3:]) == sorted([visit["first"], visit["second"], visit["apart"]])
    assert [one for one, _ in warnings(answer)] == ["GraphDefinition.link[0].target[0].link[0]"]
    assert warnings(answer)[0][1].startswith(f"{visit['patient']} leads by this link to 2")


@pytest.mark.parametrize(("rule", "found"), [
    ({"use": "requirement", "code": "Patient", "rule": "identical"}, ["first"]),
    ({"use": "requirement", "code": "Patient", "rule": "different"}, ["apart"]),
    ({"use": "condition", "code": "Patient", "rule": "identical"}, ["first", "apart"]),
    ({"use": "requirement", "code": "Encounter", "rule": "identical"}, ["first", "apart"]),
    ({"use": "requirement", "code": "Patient", "rule": "custom", "expression": "value.value > 2"}, ["apart"]),
    ({"use": "requirement", "code": "Patient", "rule": "custom", "expression": "subject = %source.subject"}, ["first"]),
], ids=lambda one: one["rule"] if isinstance(one, dict) else "")  # fmt: skip
def test_compartment_rules_decide_which_relations_are_followed(fhir, visit, rule, found):
    rows = [{"item": {"reference": visit[one]}} for one in ("first", "apart")]
    list_ = fhir.create({"resourceType": "List", "status": "current", "mode": "working",
                         "subject": {"reference": visit["patient"]}, "entry": rows})["id"]  # fmt: skip
    fhir.create(definition(by_path("List.entry.item", "Resource", target={"compartment": [rule]}), start="List"))
    answer = fhir.get(f"List/{list_}/$graph?graph={URL}")
    assert ids(answer) == [f"List/{list_}", *(visit[one] for one in found)]
    place = "GraphDefinition.link[0].target[0].compartment[0]"
    assert [one for one, _ in warnings(answer)] == [place] * (2 - len(found))


def test_the_rule_matching_takes_linked_patients_for_one(fhir, visit):
    rows = [{"item": {"reference": visit[one]}} for one in ("first", "apart")]
    list_ = fhir.create({"resourceType": "List", "status": "current", "mode": "working",
                         "subject": {"reference": visit["patient"]}, "entry": rows})["id"]  # fmt: skip
    rule = {"use": "requirement", "code": "Patient", "rule": "matching"}
    fhir.create(definition(by_path("entry.item", "Observation", target={"compartment": [rule]}), start="List"))
    url = f"List/{list_}/$graph?graph={URL}"
    assert ids(fhir.get(url))[1:] == [visit["first"]]
    link = [{"other": {"reference": visit["patient"]}, "type": "seealso"}]
    fhir.put(visit["other"], {**fhir.get(visit["other"]).json, "link": link})
    assert ids(fhir.get(url))[1:] == [visit["first"], visit["apart"]]


def test_a_profile_chooses_the_resources_that_declare_it_or_are_as_it_says(fhir, visit):
    profile = "http://example.org/profile"
    fhir.put(visit["first"], {**fhir.get(visit["first"]).json, "meta": {"profile": [f"{profile}|2"]}})
    link = by_search("Observation", "encounter={ref}", target={"profile": profile})
    fhir.create(definition(link))
    answer = fhir.get(f"{visit['visit']}/$graph?graph={URL}")
    assert ids(answer) == [visit["visit"], visit["first"]]
    assert [one for one, _ in warnings(answer)] == ["GraphDefinition.link[0].target[0].profile"]
    fhir.create(stored(profile_of("valued", "Observation", element("Observation.value[x]", min=1))))
    fhir.put(visit["second"], {name: one for name, one in fhir.get(visit["second"]).json.items()
                               if name != "valueQuantity"})  # fmt: skip
    for place, found in ((f"{BASE}valued", ["first"]),
                         ("http://hl7.org/fhir/StructureDefinition/Observation", ["first", "second"])):
        fhir.create(definition(by_search("Observation", "encounter={ref}", target={"profile": place}), version=place))
        answer = fhir.get(f"{visit['visit']}/$graph?graph={URL}|{place}")
        assert (sorted(ids(answer)[1:]), warnings(answer)) == (sorted(visit[one] for one in found), [])


SECTION = "Composition.section"
SECTIONS = (
    element(SECTION, slicing=slicing(("pattern", "code"))),
    element(f"{SECTION}:vitals", path=SECTION, sliceName="vitals"),
    element(f"{SECTION}:vitals.code", path=f"{SECTION}.code", min=1,
            patternCodeableConcept={"coding": [{"system": "urn:s", "code": "vitals"}]}),
    element(f"{SECTION}.entry"), element("Composition.author"),
)  # fmt: skip


def test_a_slice_of_a_profile_says_which_values_are_followed(fhir, visit):
    """The slice may stand anywhere on the path, as section does in Composition.section.entry."""
    sections = [{"code": {"coding": [{"system": "urn:s", "code": code}]}, "entry": [{"reference": visit[name]}]}
                for code, name in (("vitals", "first"), ("other", "second"), ("vitals", "apart"))]
    note = fhir.create({"resourceType": "Composition", "status": "final", "type": {"text": "Note"}, "title": "Note",
                        "date": "2024-03-01", "author": [{"reference": visit["doctor"]}], "section": sections})["id"]
    fhir.create(stored(profile_of("sectioned", "Composition", *SECTIONS)))
    vitals = by_path("Composition.section.entry", "Observation", sliceName="vitals", max="2")
    fhir.create(definition(vitals, start="Composition", profile=f"{BASE}sectioned"))
    url = f"Composition/{note}/$graph?graph="
    assert (ids(fhir.get(url + URL))[1:], warnings(fhir.get(url + URL))) == ([visit["first"], visit["apart"]], [])
    back = by_search("Composition", "entry={ref}", vitals, target={"profile": f"{BASE}sectioned"})
    fhir.create(definition(back, start="Observation", name="Back", url="urn:oid:1.2"))
    found = ids(fhir.get(f"{visit['second']}/$graph?graph=Back"))
    assert found == [visit["second"], f"Composition/{note}", visit["first"], visit["apart"]]
    place = "GraphDefinition.link[0].sliceName"
    for number, (link, profile, code, text) in enumerate((
        (vitals, None, "not-supported", "needs a path of names"),
        ({**vitals, "path": "section.where(title.exists()).entry"}, "sectioned", "not-supported", "path of names"),
        (vitals, "unheard-of", "processing", "is not known here"),
        ({**vitals, "sliceName": "labs"}, "sectioned", "processing", "has no slice 'labs' on this path"),
        ({**vitals, "path": "author"}, "sectioned", "processing", "has no slice"),
    )):
        named = f"urn:oid:1.3.{number}"
        fhir.create(definition(link, start="Composition", name=f"N{number}", url=named,
                               **({"profile": BASE + profile} if profile else {})))  # fmt: skip
        fhir.get(url + named).refused(422, code, place, text)


def test_a_definition_with_a_modifier_is_not_followed(fhir, visit):
    """What it makes of the links is not known: https://hl7.org/fhir/R4/extensibility.html#modifierExtension"""
    link = by_path("Encounter.subject", "Patient")
    link["target"][0]["modifierExtension"] = [{"url": "urn:x:not", "valueBoolean": True}]
    fhir.create(definition(link))
    fhir.get(f"{visit['visit']}/$graph?graph={URL}").refused(
        422, "processing", "GraphDefinition.link[0].target[0].modifierExtension", "urn:x:not")


def test_a_slice_that_cannot_be_told_is_warned_of(fhir, visit):
    """Profiles do not read what a reference points at."""
    wanted = [{"code": "Reference", "targetProfile": [f"{BASE}valued"]}]
    profile = profile_of(
        "led", "Encounter", element("Encounter.participant"),
        element("Encounter.participant.individual", slicing=slicing(("profile", "resolve()"))),
        element("Encounter.participant.individual:one", path="Encounter.participant.individual", sliceName="one",
                type=wanted))  # fmt: skip
    fhir.create(stored(profile))
    fhir.create(stored(profile_of("valued", "Practitioner")))
    link = by_path("participant.individual", "Practitioner", sliceName="one")
    fhir.create(definition(link, profile=f"{BASE}led"))
    answer = fhir.get(f"{visit['visit']}/$graph?graph={URL}")
    assert ids(answer) == [visit["visit"]]
    assert [place for place, _ in warnings(answer)] == ["GraphDefinition.link[0].sliceName"]


def test_what_a_definition_wants_and_is_not_there_is_told(fhir, visit):
    fhir.create(definition(by_path("Encounter.location.location", "Location", min=1)))
    answer = fhir.get(f"{visit['visit']}/$graph?graph={URL}")
    assert ids(answer) == [visit["visit"]]
    assert warnings(answer) == [("GraphDefinition.link[0]",
                                 f"{visit['visit']} leads by this link to 0; 1..* is right.")]  # fmt: skip


def test_a_graph_is_of_then_and_can_be_cut(fhir, clock, visit):
    fhir.create(WHOLE)
    then = fhir.get(visit["first"]).json["meta"]["lastUpdated"]
    clock.forward(10)
    fhir.put(visit["first"], {**fhir.get(visit["first"]).json, "status": "amended"})
    answer = fhir.get(f"{visit['visit']}/$graph?graph={URL}&_asOf={then}")
    assert ids(answer) == [visit["visit"], visit["patient"], visit["doctor"], visit["first"]]
    assert answer.resources()[-1]["status"] == "final"
    cut = fhir.get(f"{visit['visit']}/$graph?graph={URL}&_elements=id")
    assert all("SUBSETTED" in str(one["meta"]["tag"]) for one in cut.resources())
    fhir.get(f"{visit['visit']}/$graph?graph={URL}&_summary=count").refused(400, "invalid", "_summary")


def test_one_record_of_the_audit_names_the_resource(app, fhir, visit):
    fhir.create(WHOLE)
    before = len(records(app))
    fhir.get(f"{visit['visit']}/$graph?graph={URL}")
    found = records(app)
    assert len(found) == before + 1
    assert (found[0]["interaction"], f"{found[0]['type']}/{found[0]['id']}") == ("$graph", visit["visit"])


@pytest.mark.parametrize(("link", "expression", "text"), [
    (by_path("subject.resolve()", "Patient"), "link[0].path", "resolve()"),
    (by_path("subject..x", "Patient"), "link[0].path", ""),
    (by_path("Encounter.status", "Patient"), "link[0].path", "code"),
    (by_path("Encounter.contained", "Patient"), "link[0].path", "Resource"),
    (by_path("subject", "Patient", sliceName="one"), "link[0].sliceName", "profile"),
    (by_path("subject", "Patient", max="many"), "link[0]", "many"),
    (by_path("subject", "Patient", target={"params": "x={ref}"}), "link[0].target[0].params", "two ways"),
    ({"target": [{"type": "Patient"}]}, "link[0].target[0].params", "without path"),
    (by_search("Resource", "_id={ref}"), "link[0].target[0].type", "one type"),
    (by_search("Observation", "subject=Patient/1"), "link[0].target[0].params", "{ref}"),
    (by_search("Observation", "sbject={ref}"), "link[0].target[0].params", "sbject"),
    (by_search("Observation", "encounter={ref}&_include=*"), "link[0].target[0].params", "criteria"),
    (by_search("Observation", "encounter={ref}&_elements=id"), "link[0].target[0].params", "criteria"),
    (by_search("Observation", "encounter={ref}&_cursor=x"), "link[0].target[0].params", ""),
    (by_path("subject", "Patient", target={"compartment": [
        {"use": "requirement", "code": "Patient", "rule": "custom"}]}),
     "link[0].target[0].compartment[0].expression", "custom"),
], ids=lambda one: "" if isinstance(one, dict) else one)  # fmt: skip
def test_a_definition_that_cannot_be_followed_is_refused_with_its_place(fhir, visit, link, expression, text):
    fhir.create(definition(link))
    answer = fhir.get(f"{visit['visit']}/$graph?graph={URL}")
    assert answer.status == 422, answer.content
    assert any(one["expression"] == [f"GraphDefinition.{expression}"] and text in one["diagnostics"]
               for one in answer.json["issue"]), answer.json  # fmt: skip


@pytest.mark.parametrize(("name", "most"), [("MOST_RESOURCES", 3), ("MOST_BYTES", 1000), ("MOST_FETCHES", 2),
                                            ("MOST_SECONDS", 0.0), ("MOST_HANDLED", 0)])  # fmt: skip
def test_a_graph_is_bounded(fhir, monkeypatch, visit, name, most):
    monkeypatch.setattr(reading, name, most)
    some = by_path("participant.where(individual.exists()).individual", "Practitioner")
    fhir.create({**WHOLE, "link": [some, *WHOLE["link"]]})
    fhir.get(f"{visit['visit']}/$graph?graph={URL}").refused(422, "too-costly")


def test_links_are_nested_and_counted_within_bounds(fhir, visit):
    link = by_path("subject", "Patient")
    for _ in range(10):
        link = by_path("subject", "Patient", link)
    fhir.create(definition(link))
    fhir.create(definition(*[by_path("subject", "Patient")] * 101, name="Wide", url="urn:oid:1.2"))
    for name in ("Visit", "Wide"):
        fhir.get(f"{visit['visit']}/$graph?graph={name}").refused(422, "too-costly")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_thousands_of_contained_resources_are_found_at_once(fhir):
    """Looking at all for each took 5 s for 8,000."""

    def found(number):
        names = [f"c{one}" for one in range(number)]
        made = fhir.create({
            "resourceType": "List", "status": "current", "mode": "working",
            "contained": [{"resourceType": "Basic", "id": one, "code": {"text": "x"}} for one in names],
            "entry": [{"item": {"reference": f"#{one}"}} for one in names]})
        named = f"{URL}/{made['id']}"
        fhir.create(definition(by_path("entry.item", "Basic", min=number, max=str(number)), start="List", url=named))

        def work():
            answer = fhir.get(f"List/{made['id']}/$graph?graph={named}")
            assert (ids(answer), warnings(answer)) == ([f"List/{made['id']}"], [])

        return work

    assert growth(found, 200) < 5


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("url", "status", "code", "expression"), [
    ("Encounter/nobody/$graph?graph=x", 404, "not-found", "Encounter"),
    ("Patient/x/$graph", 400, "invalid", "graph"),
    ("Patient/x/$graph?graph=a&graph=b", 400, "invalid", "graph"),
    ("Patient/x/$graph?graph=a&depth=2", 400, "invalid", "depth"),
    ("Patient/$graph?graph=a", 404, "not-found", "http.url"),
    ("$graph?graph=a", 404, "not-found", "http.url"),
])  # fmt: skip
def test_what_means_nothing_is_refused(fhir, url, status, code, expression):
    fhir.get(url).refused(status, code, expression)


def test_the_definition_has_to_start_at_the_type(fhir, visit):
    fhir.create(WHOLE)
    fhir.get(f"{visit['patient']}/$graph?graph={URL}").refused(422, "processing", "graph", "starts at Encounter")
    fhir.get(f"{visit['patient']}/$graph?graph=Nothing").refused(404, "not-found", "graph")
    gone = fhir.create(encounter(visit["patient"]))["id"]
    fhir.delete(f"Encounter/{gone}")
    fhir.get(f"Encounter/{gone}/$graph?graph={URL}").refused(410, "deleted")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_references_of_entries_lead_to_nothing_that_is_stored(fhir):
    """bundle.html#references: they mean the entries. A path led to the stored resource of the same type and id."""
    fhir.put("Patient/p", patient(id="p"))
    entries = [{"resource": observation("Patient/p")}]
    fhir.put("Bundle/b", {"resourceType": "Bundle", "id": "b", "type": "collection", "entry": entries})
    fhir.create(definition(by_path("entry.resource.ofType(Observation).subject", "Patient"), start="Bundle"))
    assert ids(fhir.get(f"Bundle/b/$graph?graph={URL}")) == ["Bundle/b"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("url", ["Composition/c/$graph?graph=all", "Composition/c/$document"])
def test_what_is_read_together_is_of_one_state(fhir, monkeypatch, url):
    """A doctor who came later was shown beside the note of before, which another one had written then."""
    fhir.put("Practitioner/d", {"resourceType": "Practitioner", "id": "d", "name": [{"text": "Before"}]})
    fhir.create({"resourceType": "GraphDefinition", "name": "all", "status": "active", "start": "Composition",
                 "link": [{"path": "*", "target": [{"type": "Practitioner"}]}]})  # fmt: skip
    fhir.put("Composition/c", {"resourceType": "Composition", "id": "c", "status": "final", "type": {"text": "x"},
                               "date": "2024", "title": "x", "author": [{"reference": "Practitioner/d"}]})
    each_read, left = ResourceStore.each_read, [1]

    def beside(self, targets):
        if left:
            left.pop()
            changed = {"resourceType": "Practitioner", "id": "d", "name": [{"text": "After"}]}
            writer = Thread(target=fhir.put, args=("Practitioner/d", changed))
            writer.start()
            writer.join(20)
        return each_read(self, targets)

    monkeypatch.setattr(ResourceStore, "each_read", beside)
    assert [one["name"] for one in fhir.get(url).resources() if "name" in one] == [[{"text": "Before"}]]
    assert (left, fhir.get("Practitioner/d").json["name"]) == ([], [{"text": "After"}])
