"""Mutations of $graphql: https://hl7.org/fhir/R4/graphql.html"""

import json
from urllib.parse import quote

import pytest

from hie.interactions import dispatch
from hie.operations.graphql import budget
from hie.store import audit
from tests.builders import bundle, entry, observation, patient, practitioner
from tests.one_database import ONE_DATABASE

CREATE = ("mutation ($p: PatientInput) { PatientCreate(resource: $p) { location resource { id meta { versionId } "
          "gender } information { issue { severity } } } }")  # fmt: skip


def ask(client, query, **more):
    """Send a mutation with its variables and return data and errors."""
    answer = client.post("$graphql", {"query": query, "variables": more}, Content_Type="application/json")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json"), answer.content
    return answer.json


def data(client, query, **more):
    found = ask(client, query, **more)
    assert "errors" not in found, found["errors"]
    return found["data"]


def failed(client, query, **more):
    """Return the status, code and message of the errors by the names of their mutations; their data are null."""
    found = ask(client, query, **more)
    for row in found["errors"]:
        assert found["data"][row["path"][0]] is None
        assert row["extensions"]["resource"]["resourceType"] == "OperationOutcome"
    return {row["path"][0]: (row["extensions"]["status"], row["extensions"]["code"], row["message"])
            for row in found["errors"]}


@pytest.mark.proves("operation:base/$graphql")
def test_a_resource_is_made_changed_and_deleted(fhir):
    made = data(fhir, CREATE, p=patient("Made"))["PatientCreate"]
    id_ = made["resource"]["id"]
    assert made == {"location": f"http://localhost/fhir/Patient/{id_}/_history/1", "information": {
        "issue": [{"severity": "warning"}]}, "resource": {"id": id_, "meta": {"versionId": "1"}, "gender": "female"}}
    assert fhir.get(f"Patient/{id_}").json["name"] == [{"family": "Made", "given": ["Anna"]}]
    changed = data(fhir, f'mutation ($p: PatientInput) {{ PatientUpdate(id: "{id_}", res: $p) {{ resource '
                         "{ gender } } }", p=patient("Made", gender="male"))
    assert changed == {"PatientUpdate": {"resource": {"gender": "male"}}}
    assert (fhir.get(f"Patient/{id_}").vid, fhir.total("Patient?gender=male&name=made")) == ("2", 1)
    gone = data(fhir, f'mutation {{ PatientDelete(id: "{id_}") {{ information {{ issue {{ diagnostics }} }} }} }}')
    assert f"Patient/{id_} was deleted" in gone["PatientDelete"]["information"]["issue"][0]["diagnostics"]
    fhir.get(f"Patient/{id_}").refused(410, "deleted")
    methods = [row["request"]["method"] for row in fhir.get(f"Patient/{id_}/_history").entries()]
    assert methods == ["DELETE", "PUT", "POST"]


@ONE_DATABASE
def test_what_stands_in_the_query_is_what_json_would_say(fhir):
    """A value for a list of one, names for codes, digits as they are written, null for what is left out."""
    query = """mutation ($value: Int = 7, $nothing: String) {
        a: ObservationCreate(res: {status: final, code: {text: "c", coding: {code: "x", display: $nothing}}, note: null,
            valueQuantity: {value: 1.50}, component: [{code: {text: "d"}, valueInteger: $value}],
            _effectiveDateTime: {extension: {url: "urn:e", valueBoolean: true}},
            contained: {resourceType: Practitioner, id: "p", name: {given: "A"}}, performer: {reference: "#p"}})
        { ...Made }
    } fragment Made on ObservationCreation { resource { ... on Observation { id performer { resource {
        ... on Practitioner { name { given } } } } } } }"""
    made = data(fhir, query)["a"]["resource"]
    assert made["performer"] == [{"resource": {"name": [{"given": ["A"]}]}}]
    stored = fhir.get(f"Observation/{made['id']}")
    assert b'"value":1.50' in stored.content
    assert {name: value for name, value in stored.json.items() if name not in ("id", "meta")} == {
        "resourceType": "Observation", "status": "final", "code": {"text": "c", "coding": [{"code": "x"}]},
        "valueQuantity": {"value": 1.5}, "component": [{"code": {"text": "d"}, "valueInteger": 7}],
        "_effectiveDateTime": {"extension": [{"url": "urn:e", "valueBoolean": True}]},
        "contained": [{"resourceType": "Practitioner", "id": "p", "name": [{"given": ["A"]}]}],
        "performer": [{"reference": "#p"}]}  # fmt: skip


def test_several_are_done_in_order_each_by_itself(fhir):
    """What a later one refers to is there; one that fails takes none of the others with it."""
    doctor = practitioner()
    query = """mutation ($p: PatientInput, $bad: PatientInput) {
        one: PractitionerUpdate(id: "d", resource: {name: {family: "Doc"}}) { resource { id } }
        two: PatientUpdate(id: "p", resource: {generalPractitioner: {reference: "Practitioner/d"}})
            { resource { generalPractitioner { resource { ... on Practitioner { name { family } } } } } }
        bad: PatientCreate(resource: {gender: "x"}) { resource { id } }
        lost: PatientCreate(resource: {managingOrganization: {reference: "Organization/none"}}) { resource { id } }
        three: PractitionerUpdate(id: "d", resource: {name: {family: "New"}}) { resource { name { family } } }
        held: PractitionerDelete(id: "d") { information { issue { code } } }
        four: PatientUpdate(id: "p", resource: {active: true, generalPractitioner: {reference: "Practitioner/d"}})
            { resource { generalPractitioner { resource { ... on Practitioner { name { family } } } } } }
    }"""
    found = ask(fhir, query, p=patient(), bad=doctor)
    assert found["data"]["two"]["resource"]["generalPractitioner"][0]["resource"]["name"] == [{"family": "Doc"}]
    assert found["data"]["four"]["resource"]["generalPractitioner"][0]["resource"]["name"] == [{"family": "New"}]
    assert {row["path"][0]: row["extensions"]["status"] for row in found["errors"]} == {
        "bad": 400, "lost": 400, "held": 409}
    by = {row["path"][0]: row["extensions"]["resource"]["issue"][0] for row in found["errors"]}
    assert (by["bad"]["code"], by["bad"]["expression"]) == ("code-invalid", ["Patient.gender"])
    assert by["lost"]["expression"] == ["Patient.managingOrganization.reference"]
    assert (fhir.get("Practitioner/d").vid, fhir.get("Patient/p").vid, fhir.total("Patient")) == ("2", "2", 1)


def test_a_version_guards_an_update_and_a_deletion(fhir):
    fhir.put("Patient/a", patient(id="a"))
    update = 'mutation { u: PatientUpdate(id: "a", ifMatch: %s, resource: {active: true}) { resource { id } } }'
    delete = 'mutation { d: PatientDelete(id: "a", ifMatch: %s) { information { issue { code } } } }'
    for wrong in ("7", '"W/\\"7\\""', '"7"'):
        for query in (update, delete):
            assert [row[:2] for row in failed(fhir, query % wrong).values()] == [(412, "conflict")]
    (row,) = ask(fhir, update % "7")["errors"]
    assert row["extensions"]["resource"]["issue"][0]["expression"] == ["ifMatch"]
    assert data(fhir, update % '"W/\\"1\\""')["u"]
    assert fhir.get("Patient/a").vid == "2"
    assert data(fhir, delete % 2)["d"]
    assert failed(fhir, update % '"x"')["u"][0] == 400


REFUSED = [
    ("mutation { PatientCreate(resource: {}) { id } }", 400, "invalid", "PatientCreation has no field id; it has"),
    ("mutation { PatientCreate(resource: {}) { resource { nothing } } }", 400, "invalid", "no element nothing"),
    ("mutation { PatientCreate(resource: {}) { resource } }", 400, "invalid", "must be selected"),
    ("mutation { PatientCreate(resource: {}) { location { x } } }", 400, "invalid", "plain value"),
    ("mutation { PatientCreate(resource: {}) }", 400, "invalid", "must be selected"),
    ("mutation { PatientCreate { location } }", 400, "invalid", "one of the arguments"),
    ("mutation { PatientCreate(resource: {}, res: {}) { location } }", 400, "invalid", "one of the arguments"),
    ("mutation { PatientCreate(resource: {}, id: 1) { location } }", 400, "invalid", "takes resource and res alone"),
    ("mutation { PatientCreate(resource: [{}]) { location } }", 400, "invalid", "is no object"),
    ('mutation { PatientCreate(resource: "{}") { location } }', 400, "invalid", "is no object"),
    ("mutation { PatientCreate(resource: {a: 1, a: 2}) { location } }", 400, "invalid", "twice"),
    ("mutation { PatientCreate(resource: {multipleBirthInteger: 1e999999999999}) { location } }", 400, "invalid",
     "The number"),
    ("mutation { PatientCreate(resource: {}) { location @first } }", 400, "invalid", "@first"),
    ("mutation { PatientCreate(resource: {}) @flatten { location } }", 400, "invalid", "@flatten"),
    ("mutation { PatientCreate(resource: $x) { location } }", 400, "invalid", "not defined"),
    ("mutation { PatientUpdate(resource: {}) { resource { id } } }", 400, "invalid", "needs the argument id"),
    ('mutation { PatientUpdate(id: "a/b", resource: {}) { resource { id } } }', 400, "invalid", "Resource id"),
    ("mutation { PatientDelete(id: true) { information { id } } }", 400, "invalid", "needs the argument id"),
    ("mutation { PatientDelete(id: 1, resource: {}) { information { id } } }", 400, "invalid", "id and ifMatch"),
    ("mutation { PatientDelete(id: 1) { resource { id } } }", 400, "invalid", "PatientDelete has no field resource"),
    ("mutation { PatientDelete(id: 1, ifMatch: true) { information { id } } }", 400, "invalid", "ifMatch"),
    ("mutation { PersonnageCreate(resource: {}) { location } }", 400, "invalid", "There is no mutation"),
    ("mutation { Patient(id: 1) { id } }", 400, "invalid", "There is no mutation"),
    ("mutation { __schema { types { name } } }", 400, "invalid", "There is no mutation"),
    ("mutation { a: PatientDelete(id: 1) { information { id } } a: PatientDelete(id: 2) { information { id } } }", 400,
     "invalid", "asked for twice"),
    ("mutation @first { PatientDelete(id: 1) { information { id } } }", 400, "invalid", "a mutation"),
    ("subscription { Patient }", 400, "not-supported", "subscription"),
    ("mutation { PatientCreate(resource: " + "{contact: " * 70 + "{}" + "}" * 70 + ") { location } }", 422,
     "too-costly", "nested deeper"),
    ("mutation { " + " ".join(f"a{n}: PatientDelete(id: {n}) {{ information {{ id }} }}" for n in range(101)) + " }",
     422, "too-costly", "at most 100"),
]  # fmt: skip


@ONE_DATABASE
def test_what_means_nothing_is_refused_before_anything_is_done(fhir):
    good = 'good: PatientUpdate(id: "good", resource: {}) { resource { id } }'
    for query, status, code, text in REFUSED:
        told = fhir.post("$graphql", query.replace("mutation { ", f"mutation {{ {good} ").encode(),
                         Content_Type="application/graphql")
        told.refused(status, code, text=text)
    fhir.get("Patient/good").refused(404, "not-found")


@ONE_DATABASE
def test_mutations_are_posted_to_the_system_by_themselves(fhir):
    query = 'mutation { PatientUpdate(id: "a", resource: {}) { resource { id } } }'
    told = fhir.get(f"$graphql?query={quote(query)}")
    told.refused(405, "not-supported", "http.method")
    assert told.headers["Allow"] == "OPTIONS, POST"
    body = {"resourceType": "Parameters", "parameter": [{"name": "query", "valueString": query}]}
    inside = [entry("GET", f"$graphql?query={quote(query)}"), entry("POST", "$graphql", body)]
    fhir.post("", bundle(inside[1])).refused(
        400, "not-supported", "Bundle.entry[0].resource", "inside of a transaction")
    fhir.put("Patient/b", patient(id="b"))
    fhir.post("Patient/b/$graphql", {"query": query}).refused(400, "invalid", "query", "asked of the system")
    for header in ("If_Match", "If_None_Match", "If_None_Exist", "If_Unmodified_Since"):
        fhir.post("$graphql", {"query": query}, Content_Type="application/json", **{header: 'W/"1"'}).refused(
            400, "invalid", "http.If-Match", "its argument ifMatch")
    fhir.get("Patient/a").refused(404, "not-found")
    done = fhir.post("", bundle(*inside, type_="batch"))
    assert [row["response"]["status"][:3] for row in done.entries()] == ["405", "200"]
    assert fhir.get("Patient/a").vid == "1"


#: scopes -> what may be done with Patient a (female), b (male, hidden where the scope asks for female), a new male one
GRANTS = {
    "system/Patient.rs": {"make": 403, "change": 403, "hide": 403, "meet": 403, "delete": 403},
    "system/Observation.cruds": {"make": 403, "change": 403, "hide": 403, "meet": 403, "delete": 403},
    "system/Patient.c": {"make": 0, "change": 403, "hide": 403, "meet": 403, "delete": 403},
    "system/Patient.u": {"make": 403, "change": 0, "hide": 0, "meet": 0, "delete": 403},
    "system/Patient.cruds?gender=female": {"make": 403, "change": 0, "hide": 403, "meet": 403, "delete": 0},
}
DOORS = {
    "make": ("POST", "Patient", {"gender": "male"}),
    "change": ("PUT", "Patient/a", {"gender": "female", "active": True}),
    "hide": ("PUT", "Patient/a", {"gender": "male"}), "meet": ("PUT", "Patient/b", {"gender": "female"}),
    "delete": ("DELETE", "Patient/b", None),
}  # fmt: skip


@pytest.mark.parametrize("scopes", GRANTS, ids=str)
def test_the_grant_holds_as_it_does_for_requests_of_their_own(client, fhir, scopes):
    """Each mutation is told what the interaction by itself is told, word by word."""
    mine = client(scopes, "system/Practitioner.rs?active=true")
    for name, (method, url, resource) in DOORS.items():
        fhir.put("Patient/a", patient(id="a"))
        fhir.put("Patient/b", patient(id="b", gender="male"))
        type_name, _, id_ = url.partition("/")
        arguments = ", ".join([f'id: "{id_}"'] * bool(id_) + ["resource: $r"] * (resource is not None))
        action, give = {"POST": ("Create", "resource { gender }"), "PUT": ("Update", "resource { gender }"),
                        "DELETE": ("Delete", "information { issue { diagnostics } }")}[method]
        query = f"mutation ($r: PatientInput) {{ x: {type_name}{action}({arguments}) {{ {give} }} }}"
        found = ask(mine, query, r=resource)
        for here in ("Patient/a", "Patient/b"):
            fhir.put(here, patient(id=here[-1], gender="female" if here == "Patient/a" else "male"))
        body = None if resource is None else {"resourceType": type_name} | ({"id": id_} if id_ else {}) | resource
        alone = mine(method, url, body)
        if "errors" not in found:
            assert (GRANTS[scopes][name] == 0 or alone.status == 200), (name, found)
            assert alone.status in (200, 201)
            continue
        (row,) = found["errors"]
        assert (row["extensions"]["status"], row["message"]) == (alone.status, alone.json["issue"][0]["diagnostics"])
        assert found["data"] == {"x": None}
        assert row["extensions"]["status"] == GRANTS[scopes][name], (name, row)


def test_what_is_selected_shows_no_more_than_the_grant(client, fhir):
    """What was written comes back; what it refers to, what refers to it, and whom the token may not read, do not."""
    fhir.put("Practitioner/seen", {**practitioner(), "id": "seen", "active": True})
    fhir.put("Practitioner/hidden", {**practitioner(), "id": "hidden", "active": False})
    fhir.put("Patient/p", patient(id="p"))
    fhir.create(observation("Patient/p"))
    mine = client("system/Patient.cud", "system/Practitioner.rs?active=true")
    query = """mutation ($r: PatientInput) { PatientUpdate(id: "p", resource: $r) { resource {
        gender generalPractitioner { reference resource { ... on Practitioner { active } } }
        ObservationList(_reference: subject) { id } } } }"""
    found = ask(mine, query, r=patient(generalPractitioner=[{"reference": "Practitioner/seen"}]))
    shown = found["data"]["PatientUpdate"]["resource"]
    assert shown["generalPractitioner"] == [{"reference": "Practitioner/seen", "resource": {"active": True}}]
    assert (shown["gender"], shown["ObservationList"]) == ("female", None)
    assert [row["path"] for row in found["errors"]] == [["PatientUpdate", "resource", "ObservationList"]]
    # a reference to what the token may not meet is refused as one to nothing
    told = [failed(mine, query, r=patient(generalPractitioner=[{"reference": f"Practitioner/{one}"}]))["PatientUpdate"]
            for one in ("hidden", "nobody")]
    assert [(status, message.replace("hidden", "nobody")) for status, _, message in told] == [
        (told[1][0], told[1][2])] * 2
    assert fhir.get("Patient/p").vid == "2"


def test_a_token_for_one_patients_record_writes_that_alone(client, fhir):
    """By a mutation or by an XML Patch, whose conditions tell nothing of what the token may not see."""
    for id_ in ("a", "b"):
        fhir.put(f"Patient/{id_}", patient(id=id_))
        fhir.put(f"Observation/of-{id_}", observation(f"Patient/{id_}", id=f"of-{id_}"))
    mine = client("system/Observation.cruds?patient=Patient/a", "system/Patient.rs?_id=a")
    make = "mutation ($r: ObservationInput) { x: ObservationCreate(resource: $r) { location } }"
    change = 'mutation ($r: ObservationInput) { x: ObservationUpdate(id: "of-%s", resource: $r) { resource { id } } }'
    drop = 'mutation { x: ObservationDelete(id: "of-%s") { information { issue { diagnostics } } } }'
    to_a, to_b = observation("Patient/a", 7), observation("Patient/b", 7)
    assert data(mine, make, r=to_a)["x"]["location"]
    assert data(mine, change % "a", r=to_a)
    for query, resource in ((make, to_b), (change % "a", to_b), (change % "b", to_a), (change % "b", to_b)):
        assert failed(mine, query, r=resource)["x"][0] in (400, 403), query  # as a reference to nothing, or forbidden
    told = [data(mine, drop % id_)["x"]["information"]["issue"][0]["diagnostics"] for id_ in ("b", "nobody")]
    assert told[0].replace("of-b", "of-nobody") == told[1]
    diff = "<diff xmlns='http://hl7.org/fhir'><replace sel='Observation%s/subject/reference/@value'>%s</replace></diff>"
    kind = {"Content_Type": "application/xml-patch+xml"}
    assert mine("PATCH", "Observation/of-a", diff % ("", "Patient/b"), **kind).status in (400, 403)
    for guess in ("[valueQuantity/value/@value=80]", "[valueQuantity/value/@value=7]", "[nothing]"):
        for url in ("Observation/of-b", "Observation?subject=Patient/b"):
            mine("PATCH", url, diff % (guess, "Patient/a"), **kind).refused(404, "not-found")
    assert [fhir.get(f"Observation/of-{id_}").vid for id_ in ("a", "b")] == ["2", "1"]


@ONE_DATABASE
def test_what_has_no_provenance_that_may_be_stored_is_not_stored(client, fhir):
    about = json.dumps({"resourceType": "Provenance", "recorded": "2024-01-01T00:00:00Z",
                        "agent": [{"who": {"display": "Doc"}}]})
    body = {"query": 'mutation { a: PatientUpdate(id: "a", resource: {}) { resource { id } } }'}
    answer = client("system/Patient.cruds").post("$graphql", body, Content_Type="application/json", X_Provenance=about)
    assert (answer.status, answer.json["errors"][0]["extensions"]["status"]) == (200, 403)
    fhir.get("Patient/a").refused(404, "not-found")


@ONE_DATABASE
def test_each_has_an_audit_record_and_a_provenance_of_its_own(app, fhir):
    sent = {"query": 'mutation { a: PatientUpdate(id: "a", resource: {}) { resource { id } } '
                     'bad: PatientCreate(resource: {gender: "secret"}) { location } '
                     'o: ObservationDelete(id: "o") { information { issue { code } } } }'}
    fhir.post("$graphql", sent, Content_Type="application/json")
    about = json.dumps({"resourceType": "Provenance", "recorded": "2024-01-01T00:00:00Z",
                        "agent": [{"who": {"display": "Doc"}}]})
    again = {"query": 'mutation { a: PatientUpdate(id: "a", resource: {active: true}) { resource { id } } }'}
    assert fhir.post("$graphql", again, Content_Type="application/json", X_Provenance=about).status == 200
    (kept,) = fhir.get("Provenance?target=Patient/a").resources()
    assert kept["target"] == [{"reference": "Patient/a/_history/2"}]
    fhir.post("$graphql", sent, Content_Type="application/json", X_Provenance=about).refused(
        400, "not-supported", "http.X-Provenance")
    fhir.post("$graphql", {"query": '{ Patient(id: "a") { id } }'}, Content_Type="application/json",
              X_Provenance=about).refused(400, "not-supported", "http.X-Provenance")
    store = app.extensions["hie"].store
    store.database.settle_records()
    rows = audit.find(store.database.connection(), store.tenants[1].audit_keys, 1)
    found = [(row["interaction"], row["type"], row["id"], row.get("patient"), row["status"]) for row in rows]
    assert ("update", "Patient", "a", "a", 201) in found
    assert ("create", "Patient", None, None, 400) in found
    assert ("delete", "Observation", "o", None, 200) in found
    assert ("$graphql", None, None, None, 200) in found
    assert not any("secret" in json.dumps(row, default=str) for row in rows if row["status"] == 200)


def test_mutations_are_done_once_where_they_are_answered_later(fhir, work):
    query = 'mutation { PatientUpdate(id: "a", resource: {}) { resource { id } } }'
    asked = fhir.post("$graphql", {"query": query}, Content_Type="application/json", Prefer="respond-async")
    assert asked.status == 202
    work()
    row = fhir.get(asked.headers["Content-Location"]).entries()[0]
    assert (row["response"]["status"][:3], row["resource"]["contentType"]) == ("200", "application/json")
    assert fhir.get("Patient/a").vid == "1"


@ONE_DATABASE
@pytest.mark.parametrize(
    "arguments", ["_reference: code", "_reference: nothing", '_reference: patient, _cursor: "x"', ""])
def test_what_cannot_refer_to_what_is_made_is_refused_before_it_is_made(fhir, arguments):
    asked = f"ObservationList({arguments})" if arguments else "ObservationList"
    query = f'mutation {{ PatientUpdate(id: "a", resource: {{}}) {{ resource {{ {asked} {{ id }} }} }} }}'
    fhir.post("$graphql", {"query": query}, Content_Type="application/json").refused(400, "invalid")
    fhir.get("Patient/a").refused(404, "not-found")


@ONE_DATABASE
def test_what_fails_after_it_was_done_is_said_so(fhir, monkeypatch):
    """Nothing that was stored is told as refused, whatever comes after it; what is beyond the bounds is not begun."""
    twice = ('mutation { a: PatientUpdate(id: "a", resource: {name: [{family: "x"}, {family: "y"}]}) '
             "{ resource { name @singleton { family } } } "
             'b: PatientUpdate(id: "b", resource: {}) { resource { id } } }')
    found = ask(fhir, twice)
    assert (found["data"], len(found["errors"])) == ({"a": None, "b": {"resource": {"id": "b"}}}, 1)
    assert found["errors"][0]["message"].startswith("It was done, but")
    assert fhir.get("Patient/a").vid == "1"
    monkeypatch.setattr(budget, "MOST_FETCHES", 1)
    both = ('mutation { c: PatientUpdate(id: "c", resource: {}) { resource { id } } '
            'd: PatientUpdate(id: "d", resource: {}) { resource { id } } }')
    assert {key: row[:2] for key, row in failed(fhir, both).items()} == {"d": (422, "too-costly")}
    assert (fhir.get("Patient/c").status, fhir.get("Patient/d").status) == (200, 404)
    monkeypatch.undo()
    monkeypatch.setitem(dispatch.INTERACTIONS, "delete", lambda *_: 1 / 0)
    broken = failed(fhir, 'mutation { x: PatientDelete(id: "c") { information { id } } '
                          'y: PatientUpdate(id: "y", resource: {}) { resource { id } } }')
    assert (list(broken), broken["x"][:2]) == (["x"], (500, "exception"))
    assert fhir.get("Patient/y").status == 200


@ONE_DATABASE
def test_what_is_given_is_bounded(fhir, app, monkeypatch):
    """A variable may be named again and again: what it becomes is counted before anything is stored."""
    given = {"family": "x" * 100_000}
    names = "null" + ", $n" * 900
    query = f"mutation ($n: HumanNameInput) {{ PatientCreate(resource: {{name: [{names}]}}) {{ location }} }}"
    fhir.post("$graphql", {"query": query, "variables": {"n": given}}, Content_Type="application/json").refused(
        413, "too-long", "query")
    query = "mutation ($c: [PatientContactInput]) { " + " ".join(
        f"a{n}: PatientCreate(resource: {{contact: $c}}) {{ location }}" for n in range(90)) + " }"
    for empty in ({}, []):  # of which each takes memory, too
        body = {"query": query, "variables": {"c": [empty] * 100_000}}
        fhir.post("$graphql", body, Content_Type="application/json").refused(413, "too-long", "query")
    deep = {"extension": []}
    for _ in range(25):
        deep = {"url": "urn:x", "extension": [deep]}
    body = {"query": "mutation ($d: ExtensionInput) { PatientCreate(resource: {contact: {name: {extension: {extension: "
                     "{extension: {extension: {extension: {extension: $d}}}}}}}}) { location } }",
            "variables": {"d": deep}}  # fmt: skip
    fhir.post("$graphql", body, Content_Type="application/json").refused(400, "invalid", "query", "deeper than 64")
    assert fhir.total("Patient") == 0
