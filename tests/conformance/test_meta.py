"""$meta, $meta-add, $meta-delete: https://hl7.org/fhir/R4/resource-operations.html"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hie.fhir.meta import added, without
from hie.fhir.validation import validate
from hie.operations import meta as operation
from tests.builders import bundle, entry, patient
from tests.conformance.conftest import Answer, Fhir

VIP = {"system": "http://example.org/tags", "code": "vip"}
OLD = {"system": "http://example.org/tags", "code": "old"}
SECRET = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
PROFILE, OTHER = "http://example.org/profile", "http://example.org/other"
sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])


def sent(**meta: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}


def returned(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.content
    assert [one for one in validate(answer.json, "Parameters") if one.severity != "warning"] == []
    rows = answer.json.get("parameter", [])
    return dict(rows[0]["valueMeta"]) if rows else {}


@pytest.mark.proves("operation:any/$meta-add", "operation:any/$meta-delete", "operation:any/$meta")
def test_meta_is_added_and_taken_away_as_sets(fhir: Fhir) -> None:
    id_ = fhir.create(patient(meta={"tag": [VIP], "profile": [PROFILE]}))["id"]
    before = returned(fhir.get(f"Patient/{id_}/$meta"))
    assert before["versionId"] == "1"
    more = sent(tag=[OLD, VIP | {"display": "the same"}, OLD], security=[SECRET], profile=[PROFILE, OTHER])
    answer = fhir.post(f"Patient/{id_}/$meta-add", more)
    assert answer.vid == "2"
    expected = {"tag": [VIP, OLD], "security": [SECRET], "profile": [PROFILE, OTHER]}
    assert expected.items() <= returned(answer).items()
    assert expected.items() <= fhir.get(f"Patient/{id_}").json["meta"].items()
    assert fhir.total(f"Patient?_tag={OLD['system']}%7Cold&_security=R&_profile={OTHER}") == 1
    assert returned(fhir.post(f"Patient/{id_}/$meta-add", more))["versionId"] == "2", "nothing new, no new version"
    less = sent(tag=[VIP, {"system": "urn:x", "code": "never"}], security=[SECRET], profile=[PROFILE, OTHER])
    after = returned(fhir.post(f"Patient/{id_}/$meta-delete", less, If_Match='W/"2"'))
    assert set(after) == {"versionId", "lastUpdated", "tag"}
    assert (after["versionId"], after["tag"]) == ("3", [OLD])
    assert fhir.total("Patient?_security=R") == 0
    old = fhir.get(f"Patient/{id_}/_history/1").json["meta"]
    assert "tag" in old
    assert returned(fhir.get(f"Patient/{id_}/_history/1/$meta")) == old, "also of a version of the past"
    assert returned(fhir.post(f"Patient/{id_}/_history/2/$meta"))["versionId"] == "2"
    both = bundle(entry("POST", f"Patient/{id_}/$meta-add", sent(tag=[VIP])), type_="batch")
    assert fhir.post("", both).entries()[0]["response"]["status"].startswith("200")
    assert returned(fhir.get(f"Patient/{id_}/$meta"))["tag"] == [OLD, VIP]
    one = bundle(entry("POST", f"Patient/{id_}/$meta-add", sent(tag=[SECRET])))
    assert fhir.post("", one).status == 200
    assert returned(fhir.get(f"Patient/{id_}/$meta"))["tag"] == [OLD, VIP, SECRET]


@pytest.mark.proves("operation:*/$meta")
def test_a_type_and_the_system_tell_what_they_use(fhir: Fhir, client: Callable[..., Fhir]) -> None:
    assert returned(fhir.get("$meta")) == {}
    fhir.create(patient(meta={"tag": [VIP], "profile": [PROFILE]}))
    fhir.create(patient(meta={"tag": [VIP, OLD]}))
    fhir.create({"resourceType": "Basic", "code": {"text": "x"}, "meta": {"security": [SECRET], "profile": [PROFILE]}})
    assert returned(fhir.get("Patient/$meta")) == {"profile": [PROFILE], "tag": [VIP, OLD]}
    assert returned(fhir.post("$meta")) == {"profile": [PROFILE], "security": [SECRET], "tag": [VIP, OLD]}
    assert returned(fhir.get("Observation/$meta")) == {}
    narrow = client("system/Patient.rs?_profile=" + PROFILE)
    seen = {"profile": [PROFILE], "tag": [VIP]}
    assert returned(narrow.get("Patient/$meta")) == returned(narrow.get("$meta")) == seen
    narrow.get("Basic/$meta").refused(403, "forbidden")


@sqlite
def test_a_type_that_would_take_too_long_is_refused(fhir: Fhir, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        fhir.create(patient(meta={"tag": [VIP]}))
    monkeypatch.setattr(operation, "MOST_OPENED", 1)
    fhir.get("Patient/$meta").refused(422, "too-costly", "http.url")


@sqlite
def test_refusals(fhir: Fhir, client: Callable[..., Fhir]) -> None:
    id_ = fhir.create(patient(meta={"tag": [VIP]}))["id"]
    add = f"Patient/{id_}/$meta-add"
    fhir.get(add).refused(405, "not-supported", "http.method")
    fhir.post(add).refused(400, "invalid", "meta")
    fhir.post(add, {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueString": "x"}]}).refused(
        400, "invalid", "Parameters.parameter[0].valueMeta")
    fhir.post(add, sent(tag="vip")).refused(400, "structure")
    fhir.post(add, sent(tag=[OLD]), If_Match='W/"7"').refused(412, "conflict")
    fhir.post("Patient/none/$meta-add", sent(tag=[OLD])).refused(404, "not-found")
    fhir.post("Patient/$meta-add", sent(tag=[OLD])).refused(404, "not-found")
    client("system/Patient.rs").post(add, sent(tag=[OLD])).refused(403, "forbidden")
    client("system/Patient.u").post(add, sent(tag=[OLD])).refused(403, "forbidden")
    client("system/Patient.cruds?_tag=old").post(add, sent(tag=[OLD])).refused(404, "not-found")
    own = client("system/Patient.cruds?_tag=vip")
    own.post(f"Patient/{id_}/$meta-delete", sent(tag=[VIP])).refused(403, "forbidden")
    fhir.post(f"Patient/{id_}/_history/1/$meta-add", sent(tag=[OLD])).refused(404, "not-found", "http.url", "_history")
    fhir.get(f"Patient/{id_}/_history/7/$meta").refused(404, "not-found")
    client("system/Patient.rs?_tag=old").get(f"Patient/{id_}/_history/1/$meta").refused(404, "not-found")
    client("system/Observation.rs").get(f"Patient/{id_}/_history/1/$meta").refused(403, "forbidden")
    assert returned(fhir.get(f"Patient/{id_}/$meta"))["tag"] == [VIP], "no label goes that would take it from the grant"


def test_an_extension_of_a_profile_goes_with_it() -> None:
    meta = {"profile": [PROFILE, None, OTHER], "_profile": [None, {"id": "a"}, {"id": "b"}]}
    assert without(meta, {"profile": [PROFILE]}) == {"profile": [None, OTHER], "_profile": [{"id": "a"}, {"id": "b"}]}
    assert without(meta, {"profile": [OTHER]}) == {"profile": [PROFILE, None], "_profile": [None, {"id": "a"}]}
    assert added(meta, {"profile": ["urn:x"]})["_profile"] == [None, {"id": "a"}, {"id": "b"}, None]
