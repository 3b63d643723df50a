"""patch: https://hl7.org/fhir/R4/http.html#patch"""

import base64
import json

import pytest

from hie.fhir.patching import bounds
from hie.interactions import transaction
from tests.builders import SYSTEM, bundle, entry, observation, patient, post, practitioner
from tests.one_database import ONE_DATABASE

JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
XML_PATCH = "application/xml-patch+xml"
NOTHING = {"resourceType": "Parameters"}
P = "urn:uuid:11111111-1111-1111-1111-111111111111"
C = "urn:uuid:cccccccc-1111-1111-1111-111111111111"


@pytest.fixture
def send(fhir):
    """Send a patch in the format that its document shows, by this or another client."""

    def sent(url, document, by=None, **headers):
        if isinstance(document, str):
            return (by or fhir)("PATCH", url, document, Content_Type=XML_PATCH, **headers)
        if isinstance(document, dict) and document.get("resourceType") == "Parameters":
            kind = "application/fhir+json"
        else:
            kind = JSON_PATCH if isinstance(document, list) else MERGE_PATCH
        return (by or fhir)("PATCH", url, json.dumps(document), Content_Type=kind, **headers)

    return sent


def fhirpath(type_, path, *parts):
    rows = [{"name": "type", "valueCode": type_}, {"name": "path", "valueString": path}, *parts]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": rows}]}


def xml(*operations):
    return f'<diff xmlns:f="http://hl7.org/fhir">{"".join(operations)}</diff>'


def replaced(sel, content):
    return f'<replace sel="{sel}">{content}</replace>'


def added(sel, content, more=""):
    return f'<add sel="{sel}" {more}>{content}</add>'


def binary(document, kind=JSON_PATCH):
    kind, text = (XML_PATCH, document) if isinstance(document, str) else (kind, json.dumps(document))
    return {"resourceType": "Binary", "contentType": kind, "data": base64.b64encode(text.encode()).decode()}


FORMATS = {
    "json": [{"op": "replace", "path": "/name/0/family", "value": "New"}],
    "merge": {"name": [{"family": "New", "given": ["Anna"]}]},
    "fhirpath": fhirpath("replace", "Patient.name[0].family", {"name": "value", "valueString": "New"}),
    "xml": xml(replaced("f:Patient/f:name[1]/f:family/@value", "New")),
}


@pytest.mark.proves("interaction:patch", "patchFormat:*")
@pytest.mark.parametrize("document", FORMATS.values(), ids=FORMATS.keys())
def test_each_format_makes_the_next_version(fhir, send, document):
    before = fhir.create(patient("Old", identifier="1"))
    answer = send(f"Patient/{before['id']}", document)
    assert (answer.status, answer.vid) == (200, "2")
    assert answer.headers["Location"].endswith(f"Patient/{before['id']}/_history/2")
    after = fhir.get(f"Patient/{before['id']}").json
    assert answer.json == after
    assert after["name"] == [{"family": "New", "given": ["Anna"]}]
    assert {**after, "name": 0, "meta": 0} == {**before, "name": 0, "meta": 0}
    assert fhir.total("Patient?family=New") == 1
    assert fhir.total("Patient?family=Old") == 0
    assert fhir.get(f"Patient/{before['id']}/_history/1").json == before


@ONE_DATABASE
def test_prefer_decides_what_comes_back(fhir, send):
    id_ = fhir.create(patient())["id"]
    told = send(f"Patient/{id_}", {"active": True}, Prefer="return=minimal")
    assert (told.status, told.content, told.vid) == (200, b"", "2")
    assert send(f"Patient/{id_}", {"active": False}, Prefer="return=OperationOutcome").json["issue"]


@ONE_DATABASE
@pytest.mark.parametrize("document", [
    [], {}, {"resourceType": "Parameters"}, {"gender": "female"}, {"meta": {"versionId": "77"}},
    [{"op": "test", "path": "/gender", "value": "female"}], [{"op": "replace", "path": "/gender", "value": "female"}],
    xml(), xml(replaced("f:Patient/f:gender/@value", "female"), replaced("f:Patient/f:meta/f:versionId/@value", "77")),
])  # fmt: skip
def test_a_patch_that_changes_nothing_makes_no_version(fhir, send, document):
    before = fhir.create(patient())
    answer = send(f"Patient/{before['id']}", document)
    assert (answer.status, answer.vid, answer.json) == (200, "1", before)
    assert fhir.get(f"Patient/{before['id']}/_history").json["total"] == 1


@ONE_DATABASE
@pytest.mark.parametrize("document", [
    {"name": [None]}, [{"op": "replace", "path": "/name", "value": [None]}],
    [{"op": "replace", "path": "/name/0", "value": None}], {"name": [{"given": [None]}]},
])  # fmt: skip
def test_nulls_in_the_place_of_values_take_nothing_away(fhir, send, document):
    before = fhir.create(patient())
    send(f"Patient/{before['id']}", document).refused(422, "structure")
    assert fhir.get(f"Patient/{before['id']}").json == before


@ONE_DATABASE
def test_tags_are_patched_and_the_servers_own_meta_is_kept(fhir, send):
    id_ = fhir.create(patient())["id"]
    tag = [{"system": "urn:x", "code": "a"}]
    answer = send(f"Patient/{id_}", [{"op": "add", "path": "/meta/tag", "value": tag},
                                     {"op": "replace", "path": "/meta/versionId", "value": "9"}])
    assert (answer.json["meta"]["versionId"], answer.json["meta"]["tag"]) == ("2", tag)
    assert fhir.total("Patient?_tag=a") == 1


@ONE_DATABASE
def test_decimals_keep_their_digits(fhir, send):
    body = json.dumps(observation()).replace("80", "80.00")
    id_ = fhir.post("Observation", body).id
    send(f"Observation/{id_}", [{"op": "replace", "path": "/status", "value": "amended"}])
    sent = '[{"op":"test","path":"/valueQuantity/value","value":80},{"op":"add","path":"/component","value":[{"code":' \
           '{"text":"c"},"valueQuantity":{"value":1.50}}]}]'
    answer = fhir("PATCH", f"Observation/{id_}", sent, Content_Type=JSON_PATCH)
    assert b'"value":80.00' in answer.content
    assert b'"value":1.50' in answer.content


def test_if_match_guards_the_version(fhir, send):
    id_ = fhir.create(patient())["id"]
    assert send(f"Patient/{id_}", {"active": True}, If_Match='W/"1"').vid == "2"
    # the version is judged before the patch: this one would not even apply
    send(f"Patient/{id_}", [{"op": "remove", "path": "/photo"}], If_Match='W/"1"').refused(
        412, "conflict", "http.If-Match")
    send(f"Patient/{id_}", {"active": False}, If_None_Match="*").refused(400, "not-supported", "http.If-None-Match")
    assert fhir.get(f"Patient/{id_}").vid == "2"


@pytest.mark.proves("interaction:patch")
def test_a_conditional_patch_patches_the_one_match(fhir, send):
    id_ = fhir.create(patient(identifier="1"))["id"]
    url = f"Patient?identifier={SYSTEM}|"
    assert send(url + "1", {"active": True}).headers["Location"].endswith(f"Patient/{id_}/_history/2")
    assert send(url + "1", {"active": False}, If_Match='W/"2"').vid == "3"
    send(url + "1", {"active": True}, If_Match='W/"2"').refused(412, "conflict")
    send(url + "9", {"active": True}).refused(404, "not-found", "http.url")
    fhir.create(patient(identifier="1"))
    send(url + "1", {"active": True}).refused(412, "multiple-matches", "http.url")
    send("Patient", {"active": True}).refused(400, "invalid", "http.url")
    send("Patient?identifier=", {"active": True}).refused(400, "invalid", "http.url")


REFUSED = {
    "a test that fails": ([{"op": "test", "path": "/gender", "value": "male"}], 409, "conflict", None),
    "a path to nothing": ([{"op": "remove", "path": "/photo"}], 409, "conflict", None),
    "an operation that is none": ([{"op": "spam", "path": "/photo"}], 400, "invalid", None),
    "a fhirpath to nothing": (fhirpath("replace", "Patient.photo[0].title", {"name": "value", "valueString": "x"}),
                              409, "conflict", "Parameters.parameter[0]"),
    "a fhirpath without a value": (fhirpath("replace", "Patient.gender"), 400, "invalid", "Parameters.parameter[0]"),
    "parameters that are invalid": ({"resourceType": "Parameters", "parameter": [{"valueString": "x"}]}, 400, None,
                                    "Parameters.parameter[0].name"),
    "an invalid result": ({"gender": "x"}, 422, "code-invalid", "Patient.gender"),
    "an unknown element": ({"colour": "x"}, 422, None, "Patient.colour"),
    "another id": ({"id": "other"}, 422, "invalid", "Patient.id"),
    "no id": ([{"op": "remove", "path": "/id"}], 422, "invalid", "Patient.id"),
    "another type": ({"resourceType": "Person"}, 422, "invalid", "resourceType"),
    "an xml path to nothing": (xml("<remove sel='f:Patient/f:photo'/>"), 409, "conflict", None),
    "an xml path that is none": (xml("<remove sel='//f:photo'/>"), 400, "invalid", None),
    "no xml patch": (xml("<test sel='f:Patient/f:gender'/>"), 400, "structure", None),
    "an entity": ('<!DOCTYPE diff [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + xml(added("f:Patient", "&e;")), 400,
                  "structure", None),
    "an unknown element in xml": (xml(added("f:Patient", "<f:colour value='x'/>")), 422, "processing", "Patient"),
    "an invalid result of xml": (xml(replaced("f:Patient/f:gender/@value", "x")), 422, "code-invalid",
                                 "Patient.gender"),
    "another id in xml": (xml(replaced("f:Patient/f:id/@value", "other")), 422, "invalid", "Patient.id"),
    "another type in xml": (xml(replaced("f:Patient", "<f:Person/>")), 422, "invalid", "resourceType"),
    "a reference to nothing in xml": (
        xml(added("f:Patient", "<f:generalPractitioner><f:reference value='Practitioner/x'/></f:generalPractitioner>")),
        400, "not-found", "Patient.generalPractitioner[0].reference"),
    "no resource": ([{"op": "replace", "path": "", "value": 1}], 422, None, None),
    "a reference to nothing": ({"generalPractitioner": [{"reference": "Practitioner/nobody"}]}, 400, "not-found",
                               "Patient.generalPractitioner[0].reference"),
}  # fmt: skip


@ONE_DATABASE
@pytest.mark.parametrize(("document", "status", "code", "expression"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_changes_nothing(fhir, send, document, status, code, expression):
    id_ = fhir.create(patient())["id"]
    answer = send(f"Patient/{id_}", document)
    assert answer.status == status, answer.content
    if code is not None:
        answer.refused(status, code, expression)
    assert fhir.get(f"Patient/{id_}").vid == "1"


@ONE_DATABASE
def test_what_is_not_there_is_not_patched(fhir, send):
    send("Patient/nobody", {"active": True}).refused(404, "not-found")
    fhir.put("Patient/gone", patient(id="gone"))
    fhir.delete("Patient/gone")
    send("Patient/gone", {"active": True}).refused(410, "deleted")


@ONE_DATABASE
def test_other_formats_are_refused_with_those_that_are_taken(fhir):
    id_ = fhir.create(patient())["id"]
    for kind in ("text/plain", "application/xml-patch", None):
        answer = fhir("PATCH", f"Patient/{id_}", "x", Content_Type=kind)
        answer.refused(415, "not-supported", "http.Content-Type")
        assert {JSON_PATCH, XML_PATCH} <= set(answer.headers["Accept-Patch"].split(", "))
    for kind in (JSON_PATCH, MERGE_PATCH, XML_PATCH):
        told = fhir("PATCH", f"Patient/{id_}", xml(), Content_Type=f"{kind}; charset=ISO-8859-1")
        told.refused(415, "not-supported", "http.Content-Type", "a patch is UTF-8")
    assert fhir("PATCH", f"Patient/{id_}", xml(), Content_Type=f'{XML_PATCH}; charset="UTF-8"').vid == "1"
    for body in ('[{"op":"remove","op":"test","path":"/x"}]', "[", "", '{"a":1,"a":2}'):
        kind = JSON_PATCH if body[:1] != "{" else MERGE_PATCH
        assert fhir("PATCH", f"Patient/{id_}", body, Content_Type=kind).status == 400, body
    fhir("PATCH", f"Patient/{id_}", patient()).refused(400, "invalid", "resourceType")


@ONE_DATABASE
def test_a_fhirpath_patch_refers_to_what_the_resource_contains(fhir, send):
    """`#x` leads to what is contained in the resource, before or after the patch, not in the Parameters."""
    doctor, group = {**practitioner(), "id": "d"}, {"resourceType": "Organization", "id": "o", "name": "Group"}
    made = fhir.create(patient(contained=[doctor], generalPractitioner=[{"reference": "#d"}]))
    role = {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": "#d"},
            "organization": {"reference": "#o"}}  # fmt: skip
    changes = [("add", "contained", {"resource": group}), ("add", "contained", {"resource": role}),
               ("add", "generalPractitioner", {"valueReference": {"reference": "#r"}})]  # fmt: skip
    rows = [fhirpath(type_, "Patient", {"name": "name", "valueString": name}, {"name": "value"} | value)["parameter"]
            for type_, name, value in changes]  # fmt: skip
    here = f"Patient/{made['id']}"
    patched = send(here, NOTHING | {"parameter": [one for row in rows for one in row]})
    assert (patched.status, patched.json["contained"]) == (200, [doctor, group, role])
    assert patched.json["generalPractitioner"] == [{"reference": "#d"}, {"reference": "#r"}]
    backwards = fhir.get(f"{here}/$diff?fromVersion=2&toVersion=1").json
    assert {**send(here, backwards).json, "meta": 0} == {**made, "meta": 0}
    wrong = fhirpath("add", "Patient", {"name": "name", "valueString": "managingOrganization"},
                     {"name": "value", "valueReference": {"reference": "#x"}})  # fmt: skip
    send(here, wrong).refused(422, "not-found", "Patient.managingOrganization.reference", "'#x' names no contained")


@ONE_DATABASE
def test_a_narrative_of_other_data_does_not_stay(fhir, send):
    def text(status):
        return {"status": status, "div": '<div xmlns="http://www.w3.org/1999/xhtml">female</div>'}

    made = fhir.create(patient(text=text("generated")))["id"]
    assert "text" in send(f"Patient/{made}", {"meta": {"tag": [{"code": "x"}]}}).json
    assert send(f"Patient/{made}", {"gender": "male", "text": text("extensions")}).json["text"] == text("extensions")
    assert "text" not in send(f"Patient/{made}", {"gender": "other"}).json
    written = fhir.create(patient(text=text("additional")))["id"]
    send(f"Patient/{written}", {"gender": "male"}).refused(422, "processing", "Patient.text")
    assert send(f"Patient/{written}", {"gender": "male", "text": None}).status == 200


def test_a_patch_needs_to_read_and_to_update(client, fhir, send):
    id_ = fhir.create(patient())["id"]
    for scopes in (["system/Patient.rs"], ["system/Patient.cud"], ["system/Observation.cruds"]):
        for url in (f"Patient/{id_}", "Patient?family=Smith"):
            mine = client(*scopes, name=f"{scopes}{url}")
            for document in (
                [{"op": "test", "path": "/gender", "value": "female"}, {"op": "add", "path": "/active", "value": True}],
                xml(replaced("f:Patient[f:gender/@value='female']/f:gender/@value", "male")),
            ):
                send(url, document, by=mine).refused(403, "forbidden")
    assert fhir.get(f"Patient/{id_}").vid == "1"


def test_a_granular_scope_holds_before_and_after(client, fhir, send):
    mine = client("system/Patient.rus?gender=female")
    seen = fhir.create(patient(identifier="1"))["id"]
    hidden = fhir.create(patient(identifier="2", gender="male"))["id"]
    assert send(f"Patient/{seen}", {"active": True}, by=mine).status == 200
    send(f"Patient/{seen}", {"gender": "male"}, by=mine).refused(403, "forbidden")
    guess = "<remove sel=\"f:Patient[f:gender/@value='{}']/f:gender\"/>"
    send(f"Patient/{seen}", xml(replaced("f:Patient/f:gender/@value", "male")), by=mine).refused(403, "forbidden")
    for document in ({"gender": "female"}, [{"op": "test", "path": "/gender", "value": "x"}],
                     xml(guess.format("male")), xml(guess.format("female"))):
        send(f"Patient/{hidden}", document, by=mine).refused(404, "not-found")
        send(f"Patient?identifier={SYSTEM}|2", document, by=mine).refused(404, "not-found")
    reader = client("system/Patient.r", "system/Patient.u?gender=female")
    send(f"Patient/{hidden}", {"gender": "female"}, by=reader).refused(403, "forbidden")
    send(f"Patient/{hidden}", FORMATS["xml"], by=reader).refused(403, "forbidden")
    assert fhir.get(f"Patient/{hidden}").vid == "1"


def test_patches_work_inside_a_transaction(fhir):
    fhir.put("Patient/a", patient("Old", id="a", identifier="1"))
    fhir.put("Patient/b", patient("Old", id="b", identifier="2"))
    fhir.put("Patient/c", patient("Old", id="c"))
    family = {"name": "value", "valueString": "New"}
    doctor = {"name": "value", "valueReference": {"reference": P}}
    named = {"name": "name", "valueString": "generalPractitioner"}
    answer = fhir.post("", bundle(
        entry("PATCH", "Patient/a", binary([
            {"op": "add", "path": "/generalPractitioner", "value": [{"reference": P}]}])),
        entry("PATCH", f"Patient?identifier={SYSTEM}|2", fhirpath("replace", "Patient.name.family", family)),
        entry("PATCH", "Patient/c", binary({"active": True}, MERGE_PATCH), C, ifMatch='W/"1"'),
        post(practitioner(), P), post(observation(C))), Prefer="return=representation")
    assert answer.status == 200, answer.content
    first, second, third, made, seen = answer.resources()
    assert first["generalPractitioner"][0]["reference"] == f"Practitioner/{made['id']}"
    assert second["name"][0]["family"] == "New"
    assert (third["active"], seen["subject"]["reference"]) == (True, "Patient/c")
    assert [row["response"]["etag"] for row in answer.entries()] == ['W/"2"', 'W/"2"', 'W/"2"', 'W/"1"', 'W/"1"']
    again = fhir.post("", bundle(entry("PATCH", "Patient/a", fhirpath("add", "Patient", named, doctor)),
                                 post(practitioner(), P)))
    assert again.status == 200, again.content


@pytest.mark.proves("patchFormat:application/xml-patch+xml")
def test_what_an_xml_patch_refers_to_is_resolved_in_a_transaction(fhir):
    """Where a reference is given by itself, in an element, by criteria, or as an address in a narrative."""
    fhir.put("Patient/a", patient(id="a", generalPractitioner=[{"reference": "Practitioner/x"}, {"display": "y"}])
             | {"generalPractitioner": [{"display": "x"}, {"reference": "#c"}],
                "contained": [{"resourceType": "Practitioner", "id": "c"}]})
    fhir.put("Practitioner/known", {**practitioner(), "id": "known", "identifier": [{"system": SYSTEM, "value": "7"}]})
    doctor, by = "f:Patient/f:generalPractitioner", f"Practitioner?identifier={SYSTEM}|7"
    narrative = f"<div xmlns='http://www.w3.org/1999/xhtml'><a href='{P}'>x</a></div>"
    document = xml(
        added(f"{doctor}[1]", "<f:reference/>"), added(f"{doctor}[1]/f:reference", P, 'type="@value"'),
        replaced(f"{doctor}[f:reference/@value='#c']/f:reference/@value", P), "<remove sel='f:Patient/f:contained'/>",
        added("f:Patient", f"<f:generalPractitioner><f:reference value='{by}'/></f:generalPractitioner>"),
        added("f:Patient", f"<f:text><f:status value='additional'/>{narrative}</f:text>"),
        added("f:Patient", f"<f:extension url='urn:e'><f:valueUri value='{P}'/></f:extension>"))
    answer = fhir.post("", bundle(entry("PATCH", "Patient/a", binary(document)), post(practitioner(), P)),
                       Prefer="return=representation")
    assert answer.status == 200, answer.content
    patched, made = answer.resources()
    to = f"Practitioner/{made['id']}"
    assert [one["reference"] for one in patched["generalPractitioner"]] == [to, to, "Practitioner/known"]
    assert f'href="{to}"' in patched["text"]["div"]
    assert patched["extension"][0]["valueUri"] == to
    assert fhir.total(f"Patient?general-practitioner={to}") == 1


def test_an_xml_patch_may_be_answered_later(fhir, work):
    id_ = fhir.create(patient("Old"))["id"]
    asked = fhir("PATCH", f"Patient/{id_}", FORMATS["xml"], Content_Type=XML_PATCH, Prefer="respond-async")
    assert asked.status == 202
    work()
    answer = fhir.get(asked.headers["Content-Location"]).entries()[0]
    assert (answer["response"]["status"][:3], answer["resource"]["name"][0]["family"]) == ("200", "New")


BROKEN = {
    "a test": ("PATCH", "Patient/a", binary([{"op": "test", "path": "/gender", "value": "x"}]), 409,
               "Bundle.entry[1]"),
    "an invalid result": ("PATCH", "Patient/a", binary({"gender": "x"}, MERGE_PATCH), 422, "Bundle.entry[1]"),
    "a fhirpath": ("PATCH", "Patient/a", fhirpath("delete", "Patient.colour"), 422,
                   "Bundle.entry[1].resource.parameter[0]"),
    "an xml path": ("PATCH", "Patient/a", binary(xml("<remove sel='f:Patient/f:photo'/>")), 409, "Bundle.entry[1]"),
    "no xml": ("PATCH", "Patient/a", {**binary("x"), "data": "eA=="}, 400, "Bundle.entry[1].resource.data"),
    "a urn of nobody in xml": ("PATCH", "Patient/a", binary(xml(added(
        "f:Patient", f"<f:generalPractitioner><f:reference value='{P}'/></f:generalPractitioner>"))), 400,
        "Bundle.entry[1].resource"),
    "no json": ("PATCH", "Patient/a", {**binary([]), "data": "eA=="}, 400, "Bundle.entry[1].resource.data"),
    "no patch": ("PATCH", "Patient/a", binary([], "text/plain"), 400, "Bundle.entry[1].resource.contentType"),
    "another resource": ("PATCH", "Patient/a", patient(id="a"), 400, "Bundle.entry[1]"),
    "no match": ("PATCH", "Patient?identifier=urn:x|9", NOTHING, 404, "Bundle.entry[1].request.url"),
    "a patch beside a delete": ("DELETE", "Patient/b", None, 400, "Bundle.entry[1].request.url"),
    "a urn of nobody": ("PATCH", "Patient/a", binary({"generalPractitioner": [{"reference": P}]}, MERGE_PATCH), 400,
                        "Bundle.entry[1].resource.generalPractitioner[0].reference"),
    "a reference to nothing": ("PATCH", "Patient/a", binary([
        {"op": "add", "path": "/generalPractitioner", "value": [{"reference": "Practitioner/nobody"}]}]), 400,
        "Bundle.entry[1]"),
}  # fmt: skip


@ONE_DATABASE
@pytest.mark.parametrize(("method", "url", "document", "status", "place"), BROKEN.values(), ids=BROKEN.keys())
def test_a_patch_that_fails_refuses_the_whole_transaction(fhir, method, url, document, status, place):
    fhir.put("Patient/a", patient(id="a"))
    fhir.put("Patient/b", patient(id="b"))
    other = entry("PATCH", "Patient/b", binary([{"op": "add", "path": "/active", "value": True}]))
    answer = fhir.post("", bundle(other, entry(method, url, document)))
    assert answer.status == status, answer.content
    assert answer.json["issue"][0]["expression"] == [place]
    assert (fhir.get("Patient/a").vid, fhir.get("Patient/b").vid) == ("1", "1")


def test_patches_work_inside_a_batch(fhir):
    fhir.put("Patient/a", patient(id="a"))
    answer = fhir.post("", bundle(entry("PATCH", "Patient/a", binary({"active": True}, MERGE_PATCH)),
                                  entry("PATCH", "Patient/a", binary({"gender": "x"}, MERGE_PATCH)),
                                  entry("PATCH", "Patient/nobody", NOTHING), type_="batch"))
    assert [row["response"]["status"][:3] for row in answer.entries()] == ["200", "422", "404"]
    assert answer.entries()[1]["response"]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[1]"]


def test_of_many_patches_at_once_none_is_lost(fhir, send):
    from concurrent.futures import ThreadPoolExecutor

    id_ = fhir.create(patient())["id"]
    documents = [[{"op": "add", "path": "/name/-", "value": {"family": f"Name{number}"}}] for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda document: send(f"Patient/{id_}", document), documents))
    assert sorted(answer.vid for answer in answers) == [str(number) for number in range(2, 10)]
    assert len(fhir.get(f"Patient/{id_}").json["name"]) == 9


def test_a_patch_is_audited_under_its_own_name(app, fhir, send):
    from hie.store import audit

    id_ = fhir.create(patient())["id"]
    send(f"Patient/{id_}", {"active": True})
    send(f"Patient/{id_}", {"gender": "x"})
    store = app.extensions["hie"].store
    store.database.settle_records()
    found = audit.find(store.database.connection(), store.tenants[1].audit_keys, 1, interaction="patch")
    assert [(row["status"], row["id"], row["patient"]) for row in found] == [(422, id_, id_), (200, id_, id_)]


def test_paths_that_look_at_too_much_end_the_patch(fhir, send, monkeypatch):
    monkeypatch.setattr(bounds, "MOST_LOOKED_AT", 2_000)
    id_ = fhir.create(patient("Many", name=[{"family": f"n{number}"} for number in range(100)]))["id"]
    row = fhirpath("delete", "Patient.name.where(family = 'none')")["parameter"][0]
    answer = send(f"Patient/{id_}", {"resourceType": "Parameters", "parameter": [row] * 50})
    answer.refused(422, "too-costly", "Parameters.parameter[6]", "2000 elements")
    assert send(f"Patient/{id_}", {"resourceType": "Parameters", "parameter": [row] * 3}).vid == "1"


def test_the_expressions_of_a_transaction_share_what_they_may_look_at(fhir, monkeypatch):
    many = [patient("Many", id=f"m{at}", name=[{"family": f"n{number}"} for number in range(100)]) for at in range(4)]
    for one in many:
        fhir.put(f"Patient/{one['id']}", one)
    rows = [fhirpath("delete", "Patient.name.where(family = 'none')")["parameter"][0]] * 3
    patches = [entry("PATCH", f"Patient/m{at}", {"resourceType": "Parameters", "parameter": rows}) for at in range(4)]
    path = "Patient/m0/$fhirpath?expression=" + "name.where(family = 'none')".replace(" ", "%20")
    whole = bundle(*patches, entry("GET", path), post(patient("New")))
    assert fhir.post("", whole).status == 200
    monkeypatch.setattr(transaction, "MOST_LOOKED_AT", 2_500)
    refused = fhir.post("", whole)
    refused.refused(422, "too-costly", "Bundle.entry[2].resource.parameter[2]", "in the transaction")
    assert fhir.post("", {**whole, "type": "batch"}).json["entry"][3]["response"]["status"].startswith("200")
    monkeypatch.setattr(transaction, "MOST_LOOKED_AT", 3_700)
    fhir.post("", whole).refused(422, "too-costly", "Bundle.entry[4].request.url", "items")
    monkeypatch.setattr(transaction, "MOST_SECONDS", 0.0)
    fhir.post("", whole).refused(422, "too-costly", "Bundle.entry[0].resource.parameter[0]")
    assert fhir.total("Patient?name=New") == 2  # of the first transaction and the batch


@ONE_DATABASE
@pytest.mark.parametrize("format_", ["application/json", "application/fhir+json"])
@pytest.mark.parametrize(("body", "meant"), [
    ([{"op": "add", "path": "/active", "value": True}], JSON_PATCH), ([], JSON_PATCH),
    ({"active": True}, MERGE_PATCH), ({}, MERGE_PATCH), ({"resourceType": "Patient", "active": True}, MERGE_PATCH),
], ids=["operations", "none", "part", "empty", "resource"])  # fmt: skip
def test_a_patch_that_is_sent_as_plain_json_is_told_its_media_type(fhir, body, meant, format_):
    id_ = fhir.create(patient())["id"]
    answer = fhir("PATCH", f"Patient/{id_}", json.dumps(body), Content_Type=format_)
    assert answer.status == 400
    assert meant in answer.json["issue"][0]["diagnostics"]
    assert answer.json["issue"][0]["expression"]
