"""Tags and security labels that an update does not have: https://hl7.org/fhir/R4/resource.html#tag-updates"""

from dataclasses import replace
from typing import Any

import pytest

from tests.builders import SYSTEM, bundle, patient, put

R = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
N = {**R, "code": "N"}
MINE = {"system": "urn:tags", "code": "mine"}
SITE = {"system": "urn:tags", "code": "site-a"}


def labels(fhir: Any, place: str = "Patient/a") -> tuple[list[str], list[str]]:
    meta = fhir.get(place).json["meta"]
    return [one["code"] for one in meta.get("security", [])], [one["code"] for one in meta.get("tag", [])]


def test_they_stay_behind_those_of_the_update(fhir):
    fhir.put("Patient/a", patient("One", id="a", meta={"security": [R], "tag": [MINE], "profile": ["urn:one"]}))
    answer = fhir.put("Patient/a", patient("Two", id="a"))
    assert [one["code"] for one in answer.json["meta"]["security"]] == ["R"]
    assert labels(fhir) == (["R"], ["mine"])
    assert "profile" not in fhir.get("Patient/a").json["meta"]
    again = {**R, "display": "restricted", "version": "3"}
    fhir.put("Patient/a", patient("Three", id="a", meta={"security": [N, again], "tag": [SITE]}))
    assert labels(fhir) == (["N", "R"], ["site-a", "mine"])
    assert fhir.get("Patient/a").json["meta"]["security"][1] == again
    assert fhir.total(f"Patient?_security={R['system']}|R") == 1


def test_one_that_lacks_nothing_but_them_makes_no_version(fhir):
    fhir.put("Patient/a", patient("One", id="a", meta={"security": [R]}))
    assert fhir.put("Patient/a", patient("One", id="a")).json["meta"]["versionId"] == "1"


def test_patches_and_meta_delete_take_them_away(fhir):
    fhir.put("Patient/a", patient("One", id="a", meta={"security": [R], "tag": [MINE, SITE]}))
    fhir("PATCH", "Patient/a", [{"op": "remove", "path": "/meta/tag/0"}],
         Content_Type="application/json-patch+json")
    assert labels(fhir) == (["R"], ["site-a"])
    fhir.post("Patient/a/$meta-delete", {"resourceType": "Parameters", "parameter": [
        {"name": "meta", "valueMeta": {"security": [R]}}]})
    fhir.put("Patient/a", patient("Two", id="a"))
    assert labels(fhir) == ([], ["site-a"])


def test_in_transactions_and_by_criteria_too(fhir):
    fhir.put("Patient/a", patient("One", id="a", identifier="1", meta={"security": [R]}))
    assert fhir.post("", bundle(put(patient("Two", id="a", identifier="1")))).status == 200
    assert labels(fhir) == (["R"], [])
    assert fhir.put(f"Patient?identifier={SYSTEM}|1", patient("Three", identifier="1")).status == 200
    assert labels(fhir) == (["R"], [])
    assert fhir.get("Patient/a").json["meta"]["versionId"] == "3"


def test_what_was_deleted_begins_anew(fhir):
    fhir.put("Patient/a", patient(id="a", meta={"security": [R]}))
    fhir.delete("Patient/a")
    fhir.put("Patient/a", patient(id="a"))
    assert labels(fhir) == ([], [])


def test_who_may_not_see_what_is_restricted_does_not_by_anothers_update(fhir, client):
    reader = client(f"system/Patient.rs?_security:not={R['system']}|R")
    fhir.put("Patient/a", patient("One", id="a", meta={"security": [R]}))
    fhir.put("Patient/a", patient("Two", id="a"))
    assert reader.get("Patient/a").status == 404
    assert reader.total("Patient") == 0


def test_a_binary_in_its_own_format_keeps_them(fhir):
    fhir.put("Binary/b", {"resourceType": "Binary", "id": "b", "contentType": "text/plain", "data": "eA==",
                          "meta": {"security": [R]}})
    assert fhir.put("Binary/b", b"other", Content_Type="text/plain").status == 200
    assert fhir.get("Binary/b", Accept="application/fhir+json").json["meta"]["security"] == [R]


def test_the_tag_of_a_part_can_be_taken_away(fhir):
    part = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
    id_ = fhir.create(patient(meta={"tag": [part, MINE]}))["id"]
    fhir.put(f"Patient/{id_}", patient(id=id_))
    assert labels(fhir, f"Patient/{id_}") == ([], ["mine"])


def test_a_history_that_is_followed_is_stored_as_it_is(fhir):
    def version(number: str, **meta: Any) -> Any:
        return {"fullUrl": "http://there.example/fhir/Patient/a", "request": {"method": "PUT", "url": "Patient/a"},
                "resource": patient("A", id="a", meta={"versionId": number, **meta}), "response": {"status": "200"}}

    sent = bundle(version("2"), version("1", tag=[MINE]), type_="history")
    for _ in range(2):
        assert fhir.post("", sent).status == 200
        assert labels(fhir) == ([], [])
    assert len(fhir.get("Patient/a/_history").entries()) == 2


@pytest.mark.parametrize("scopes", [["system/Patient.u"], ["system/Patient.u", "system/Patient.r?_tag=other"]],
                         ids=["no scope to read", "a condition"])  # fmt: skip
def test_who_may_not_read_a_resource_is_told_no_labels_of_it(client, fhir, scopes):
    fhir.put("Patient/a", patient("One", id="a", meta={"security": [R], "tag": [MINE]}))
    feed = client(*scopes)
    for _ in range(2):  # the second changes nothing
        answer = feed.put("Patient/a", patient("Two", id="a", meta={"tag": [SITE]}))
        assert (answer.status, answer.vid, answer.json["name"][0]["family"]) == (200, "2", "Two")
        assert answer.json["meta"] == {"versionId": "2", "lastUpdated": answer.json["meta"]["lastUpdated"],
                                       "tag": [SITE]}  # fmt: skip
    assert labels(fhir) == (["R"], ["site-a", "mine"])


def test_who_may_not_read_a_binary_is_not_told_whom_it_is_about(client, fhir):
    fhir.put("Patient/a", patient(id="a"))
    fhir.put("Binary/b", {"resourceType": "Binary", "id": "b", "contentType": "text/plain", "data": "YQ==",
                          "securityContext": {"reference": "Patient/a"}})  # fmt: skip
    answer = client("system/*.u").put("Binary/b", b"b", Content_Type="text/plain", Accept="application/fhir+json")
    assert (answer.status, answer.json["data"], "securityContext" in answer.json) == (200, "Yg==", False)
    assert fhir.get("Binary/b", Accept="application/fhir+json").json["securityContext"]["reference"] == "Patient/a"


class TestReplacing:
    """Of an operator whose clients take labels away by updates."""

    @pytest.fixture
    def settings(self, settings):
        return replace(settings, labels_on_update="replace")

    def test_they_go(self, fhir):
        fhir.put("Patient/a", patient("One", id="a", meta={"security": [R], "tag": [MINE]}))
        fhir.put("Patient/a", patient("Two", id="a", meta={"tag": [SITE]}))
        assert labels(fhir) == ([], ["site-a"])
