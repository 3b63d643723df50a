"""vread: https://hl7.org/fhir/R4/http.html#vread"""

import pytest

from tests.builders import patient


@pytest.mark.proves("interaction:vread", "resource:readHistory=true")
def test_each_version_stays_readable(fhir):
    first = fhir.create(patient("Smith"))
    id_ = first["id"]
    fhir.put(f"Patient/{id_}", patient("Jones", id=id_))
    old, new = fhir.get(f"Patient/{id_}/_history/1"), fhir.get(f"Patient/{id_}/_history/2")
    assert old.json == first
    assert old.headers["ETag"] == 'W/"1"'
    assert new.json["name"][0]["family"] == "Jones"
    assert new.json["meta"]["versionId"] == "2"


@pytest.mark.proves("interaction:vread", "resource:readHistory=true")
def test_the_version_of_a_deletion_is_gone_and_the_one_before_is_not(fhir):
    id_ = fhir.create(patient())["id"]
    fhir.delete(f"Patient/{id_}")
    assert fhir.get(f"Patient/{id_}/_history/1").status == 200
    fhir.get(f"Patient/{id_}/_history/2").refused(410, "deleted", "Patient")


def test_a_version_that_never_was_is_not_found(fhir):
    id_ = fhir.create(patient())["id"]
    for vid in ("2", "0", "01", "abc", "99999999999"):
        fhir.get(f"Patient/{id_}/_history/{vid}").refused(404, "not-found")
    fhir.get(f"Patient/{id_}/_history/a_b").refused(400, "invalid")
    fhir.get("Patient/nobody/_history/1").refused(404, "not-found")


def test_a_version_may_be_read_conditionally(fhir):
    id_ = fhir.create(patient())["id"]
    assert fhir.get(f"Patient/{id_}/_history/1", If_None_Match='W/"1"').status == 304
