"""update, conditional too: https://hl7.org/fhir/R4/http.html#update"""

import pytest

from tests.builders import SYSTEM, bundle, patient, put


@pytest.mark.proves("interaction:update", "resource:versioning=versioned")
def test_update_makes_the_next_version(fhir):
    id_ = fhir.create(patient("Smith"))["id"]
    answer = fhir.put(f"Patient/{id_}", patient("Jones", id=id_))
    assert answer.status == 200
    assert answer.headers["ETag"] == 'W/"2"'
    assert answer.headers["Location"] == f"http://localhost/fhir/Patient/{id_}/_history/2"
    assert answer.json["name"][0]["family"] == "Jones"
    assert fhir.get(f"Patient/{id_}").json == answer.json


@pytest.mark.proves("resource:updateCreate=true")
def test_update_creates_under_an_id_that_the_client_chose(fhir):
    answer = fhir.put("Patient/my-id.1", patient(id="my-id.1"))
    assert answer.status == 201
    assert answer.headers["ETag"] == 'W/"1"'
    assert fhir.get("Patient/my-id.1").status == 200


def test_update_brings_a_deleted_resource_back(fhir):
    id_ = fhir.create(patient())["id"]
    fhir.delete(f"Patient/{id_}")
    answer = fhir.put(f"Patient/{id_}", patient("Back", id=id_))
    assert (answer.status, answer.vid) == (201, "3")
    assert fhir.get(f"Patient/{id_}").json["name"][0]["family"] == "Back"


def test_if_match_of_the_deletion_brings_back_what_nobody_brought_back_before(fhir, client):
    """https://hl7.org/fhir/R4/http.html#delete: its ETag is for when the resource is brought back to life"""
    fhir.put("Patient/1", patient(id="1", gender="male"))
    deleted, gone = fhir.delete("Patient/1"), fhir.get("Patient/1")
    assert (gone.status, gone.headers["ETag"], deleted.vid) == (410, 'W/"2"', "2")
    narrow, back = client("system/Patient.cruds?gender=male"), patient("Back", id="1", gender="male")
    for one, value in ((fhir, 'W/"1"'), (fhir, "*"), (narrow, 'W/"2"')):  # conditions cover no deletion
        one.put("Patient/1", back, If_Match=value).refused(412, "conflict", "http.If-Match", "does not exist")
    assert "ETag" not in narrow.get("Patient/1").headers
    answer = fhir.put("Patient/1", back, If_Match='W/"1", W/"2"')
    assert (answer.status, answer.vid) == (201, "3")
    fhir.put("Patient/1", back, If_Match='W/"2"').refused(412, "conflict", "http.If-Match", "is at version 3")
    fhir.delete("Patient/1")
    inside = fhir.post("", bundle(put(back, ifMatch='W/"4"')))
    assert inside.entries()[0]["response"]["etag"] == 'W/"5"'


def test_an_update_that_changes_nothing_makes_no_version(fhir):
    created = fhir.create(patient())
    answer = fhir.put(f"Patient/{created['id']}", created)
    assert (answer.status, answer.vid) == (200, "1")


def test_an_update_needs_the_id_of_its_url(fhir):
    fhir.put("Patient/1", patient()).refused(400, "invalid", "Patient.id")
    fhir.put("Patient/1", patient(id="2")).refused(400, "invalid", "Patient.id")
    assert fhir.total("Patient") == 0


@pytest.mark.proves("interaction:update", "resource:versioning=versioned")
def test_if_match_lets_only_the_version_it_names_be_changed(fhir):
    id_ = fhir.create(patient("One"))["id"]
    assert fhir.put(f"Patient/{id_}", patient("Two", id=id_), If_Match='W/"1"').status == 200
    fhir.put(f"Patient/{id_}", patient("Three", id=id_), If_Match='W/"1"').refused(412, "conflict")
    assert fhir.get(f"Patient/{id_}").json["name"][0]["family"] == "Two"


def test_if_match_on_what_is_not_there_is_refused(fhir):
    fhir.put("Patient/new", patient(id="new"), If_Match='W/"1"').refused(412, "conflict")
    assert fhir.total("Patient") == 0


@pytest.mark.parametrize("value", ["1", "* ,*", "W/1", 'W/"1" W/"2"', 'W/"1",', '*, W/"1"'])
def test_a_malformed_if_match_is_refused(fhir, value):
    id_ = fhir.create(patient())["id"]
    fhir.put(f"Patient/{id_}", patient(id=id_), If_Match=value).refused(400, "invalid", "http.If-Match")


def test_if_none_match_of_everything_makes_only_what_is_not_there(fhir, client):
    """RFC 9110 section 13.1.2"""
    one = patient(id="1", identifier="1")
    assert fhir.put("Patient/1", one, If_None_Match="*").status == 201
    for changed in (one, one | {"active": True}):
        fhir.put("Patient/1", changed, If_None_Match="*").refused(412, "conflict", "http.If-None-Match")
    fhir.put(f"Patient?identifier={SYSTEM}|1", one | {"active": True}, If_None_Match="*").refused(412, "conflict")
    entries = [put(one | {"active": True}, ifNoneMatch="*"), put(patient(id="2"), ifNoneMatch="*")]
    first, second = fhir.post("", bundle(*entries, type_="batch")).entries()
    assert (first["response"]["status"][:3], second["response"]["status"][:3]) == ("412", "201")
    fhir.post("", bundle(*entries)).refused(412, "conflict", "Bundle.entry[0].request.ifNoneMatch")
    client("system/Patient.u?active=true").put("Patient/1", one, If_None_Match="*").refused(403, "forbidden")
    assert fhir.get("Patient/1").vid == "1"
    fhir.delete("Patient/1")
    assert fhir.put("Patient/1", one, If_None_Match="*").vid == "3"
    assert fhir.put(f"Patient?identifier={SYSTEM}|9", patient(), If_None_Match="*").status == 201


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_condition_that_a_change_cannot_have_is_refused_not_ignored(fhir, method):
    fhir.put("Patient/1", patient(id="1"))
    body = {"PUT": patient("Other", id="1"), "PATCH": {"active": True}, "DELETE": None}[method]
    sent = {"Content_Type": "application/merge-patch+json"} if method == "PATCH" else {}
    for url in ("Patient/1", "Patient?_id=1"):
        fhir(method, url, body, If_None_Match='W/"7"', **sent).refused(400, "not-supported", "http.If-None-Match")
        answer = fhir(method, url, body, If_Unmodified_Since="Sun, 06 Nov 1994 08:49:37 GMT", **sent)
        answer.refused(400, "not-supported", "http.If-Unmodified-Since", "If-Match")
    assert fhir.get("Patient/1").vid == "1"
    beside = fhir(method, "Patient/1", body, If_Match='W/"1"', If_Unmodified_Since="yesterday", **sent)
    assert (beside.status, beside.vid) == (200, "2")


@pytest.mark.parametrize("asked", ["_summary=true", "_elements=name", "_summary=text"])
def test_a_part_of_a_resource_does_not_take_the_place_of_the_whole(fhir, asked):
    """search.html#summary: the tag is there so that it is not overwritten by accident."""
    fhir.put("Patient/1", patient(id="1", maritalStatus={"text": "Married"}))
    part = fhir.get(f"Patient/1?{asked}").json
    fhir.put("Patient/1", part).refused(422, "processing", "Patient.meta.tag", "SUBSETTED")
    fhir.put("Patient?_id=1", part).refused(422, "processing", "Patient.meta.tag")
    fhir.post("", bundle(put(part))).refused(422, "processing", "Bundle.entry[0].resource.meta.tag")
    assert fhir.get("Patient/1").vid == "1"
    part["meta"]["tag"][0]["system"] = "http://example.org/mine"
    assert fhir.put("Patient/1", part).vid == "2"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_token_that_reads_everything_changes_what_its_conditions_say(fhir, client, method):
    """What stands there decides, not only what is sent."""
    man, woman = (fhir.create(patient(gender=gender))["id"] for gender in ("male", "female"))
    some = client("system/*.rs", "system/Patient.ud?gender=male")

    def asked(resource):
        place = f"Patient/{resource['id']}"
        return some.put(place, resource) if method == "PUT" else some.delete(place)

    asked(patient(id=woman, gender="male")).refused(403, "forbidden")
    assert fhir.get(f"Patient/{woman}").vid == "1"
    assert asked(patient(id=man, gender="male", active=True)).status == 200


@pytest.mark.proves("resource:conditionalUpdate=true")
def test_a_conditional_update_changes_the_one_that_matches(fhir):
    id_ = fhir.create(patient("Smith", identifier="1"))["id"]
    answer = fhir.put(f"Patient?identifier={SYSTEM}|1", patient("Jones", identifier="1"))
    assert (answer.status, answer.id, answer.vid) == (200, id_, "2")


@pytest.mark.proves("resource:conditionalUpdate=true")
def test_a_conditional_update_creates_where_none_matches(fhir):
    answer = fhir.put(f"Patient?identifier={SYSTEM}|1", patient(identifier="1"))
    assert answer.status == 201
    assert fhir.total("Patient") == 1
    chosen = fhir.put(f"Patient?identifier={SYSTEM}|2", patient(identifier="2", id="mine"))
    assert (chosen.status, chosen.id) == (201, "mine")


def test_a_conditional_update_never_overwrites_another_resource(fhir):
    fhir.put("Patient/mine", patient("Mine", id="mine"))
    fhir.put(f"Patient?identifier={SYSTEM}|7", patient("Other", identifier="7", id="mine")).refused(
        409, "conflict", "Patient.id")
    assert fhir.get("Patient/mine").json["name"][0]["family"] == "Mine"


def test_a_conditional_update_that_matches_several_or_another_id_is_refused(fhir):
    first = fhir.create(patient("Twin", identifier="1"))
    fhir.create(patient("Twin"))
    fhir.put("Patient?family=Twin", patient()).refused(412, "multiple-matches", "http.url")
    fhir.put(f"Patient?identifier={SYSTEM}|1", patient(id="other")).refused(400, "invalid", "Patient.id")
    assert fhir.get(f"Patient/{first['id']}").vid == "1"


def test_a_conditional_update_with_if_match_needs_a_match(fhir):
    fhir.put(f"Patient?identifier={SYSTEM}|1", patient(), If_Match='W/"1"').refused(412, "conflict")
    assert fhir.total("Patient") == 0


def test_a_token_that_may_create_but_not_update_changes_nothing(client, fhir):
    id_ = fhir.create(patient())["id"]
    creator = client("system/Patient.crs")
    creator.put(f"Patient/{id_}", patient("New", id=id_)).refused(403, "forbidden")
    assert fhir.get(f"Patient/{id_}").vid == "1"
