"""Functional lists, by `_list=$current-…` and List/$find: https://hl7.org/fhir/R4/lifecycle.html#current"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event

from tests.builders import patient
from tests.conformance.conftest import Answer, Fhir

ALLERGIES = "$" + "current-allergies"  # no operation, which a text that begins so would be
USES = "http://terminology.hl7.org/CodeSystem/list-example-use-codes"


def allergy(owner: str, id_: str) -> dict[str, Any]:
    return {"resourceType": "AllergyIntolerance", "id": id_, "patient": {"reference": f"Patient/{owner}"},
            "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
                                                     , "code": "active"}]}}


def kept(owner: str, id_: str, *items: str, code: str = "allergies", system: str = USES, **more: str) -> dict[str, Any]:
    return {"resourceType": "List", "id": id_, "status": "current", "mode": "working",
            "code": {"coding": [{"system": system, "code": code}]}, "subject": {"reference": f"Patient/{owner}"},
            "entry": [{"item": {"reference": f"AllergyIntolerance/{one}"}} for one in items]} | more


@pytest.fixture
def lists(fhir: Fhir) -> Fhir:
    """Two patients: a has three allergies, two of them current; b has one on a list of its own, one on none."""
    stored = [patient("A", id="a"), patient("B", id="b"), *(allergy("a", one) for one in ("a1", "a2", "a3")),
              *(allergy("b", one) for one in ("b1", "b2")), kept("a", "la", "a1", "a2"),
              kept("a", "old", "a3", status="retired"), kept("a", "then", "a3", mode="snapshot"),
              kept("a", "pl", "a1", code="11450-4", system="http://loinc.org"),
              kept("b", "lb", "b1", code="48765-2", system="http://loinc.org")]
    for one in stored:
        assert fhir.put(f"{one['resourceType']}/{one['id']}", one).status == 201
    return fhir


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.content
    return sorted(row["resource"]["id"] for row in answer.entries() if row["search"]["mode"] == "match")


@pytest.mark.proves("operation:List/$find")
def test_the_list_of_a_patient_is_found_by_its_function(lists: Fhir, client: Callable[..., Fhir]) -> None:
    for name in (ALLERGIES, ALLERGIES[1:]):
        found = lists.get(f"List/$find?patient=a&name={name}")
        assert (found.id, found.headers["ETag"]) == ("la", 'W/"1"')
    body = {"resourceType": "Parameters", "parameter": [{"name": "patient", "valueId": "b"},
                                                        {"name": "name", "valueCode": ALLERGIES}]}
    assert lists.post("List/$find", body, Accept="application/fhir+xml").id == "lb"
    assert lists.get("List/$find?patient=a&name=$current-problems").id == "pl"
    for asked, status, code, expression in (
        ("patient=a&name=$current-medications", 404, "not-found", "name"),
        ("patient=zz&name=$current-allergies", 404, "not-found", "name"),
        ("patient=a&name=$current-drug-allergies", 400, "not-supported", "name"),
        ("patient=Patient/a&name=$current-allergies", 400, "invalid", "patient"),
        ("name=$current-allergies", 400, "invalid", "patient"),
    ):
        lists.get(f"List/$find?{asked}").refused(status, code, expression)
    asked = "List/$find?patient=b&name=$current-allergies&"
    mandatory = {"resourceType", "id", "meta", "status", "mode"}
    assert set(lists.get(f"{asked}_elements=subject").json) == mandatory | {"subject"}
    assert "entry" not in lists.get(f"{asked}_summary=true").json
    lists.get(f"{asked}_elements=colour").refused(400, "invalid", "_elements")
    lists.get(f"{asked}_summary=count").refused(400, "invalid", "_summary")
    narrow = client("system/List.rs?_id=lb")
    narrow.get("List/$find?patient=a&name=$current-allergies").refused(404, "not-found", "name")
    assert narrow.get("List/$find?patient=b&name=$current-allergies").id == "lb"
    client("system/Patient.rs").get("List/$find?patient=a&name=$current-allergies").refused(403, "forbidden")
    lists.put("List/two", kept("a", "two", "a3"))
    lists.get("List/$find?patient=a&name=$current-allergies").refused(422, "multiple-matches", "name", "List/la, List/")


def test_a_search_by_function_finds_what_is_on_the_list(lists: Fhir) -> None:
    here = "AllergyIntolerance?_list=$current-allergies"
    assert ids(lists.get(f"{here}&patient=a")) == ["a1", "a2"]
    assert ids(lists.get(f"{here}&patient=Patient/b")) == ["b1"]
    assert ids(lists.get(f"{here}&patient=a,b")) == ["a1", "a2", "b1"]
    assert ids(lists.get(f"{here}&patient.family=A&clinical-status=active")) == ["a1", "a2"]
    assert ids(lists.get("Patient/a/AllergyIntolerance?_list=$current-allergies")) == ["a1", "a2"]
    form = lists.post("AllergyIntolerance/_search", "patient=a&_list=%24current-allergies",
                      Content_Type="application/x-www-form-urlencoded")
    assert ids(form) == ["a1", "a2"]
    batch = lists.post("", {"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": f"{here}&patient=a"}}]})
    assert batch.resources()[0]["total"] == 2
    first = lists.get(f"{here}&patient=a&_count=1")
    assert "_list=la" in str(first.link("self"))
    lists.put("List/la", kept("a", "la", "a3"))
    assert ids(first) + ids(lists.get(str(first.link("next")))) == ["a1", "a2"]  # as the first page saw the list
    assert ids(lists.get(f"{here}&patient=a")) == ["a3"]
    then = lists.get("List/pl").json["meta"]["lastUpdated"]
    assert ids(lists.get(f"{here}&patient=a&_asOf={then}")) == ["a1", "a2"]
    made = lists.get("AllergyIntolerance/a1").json["meta"]["lastUpdated"]
    lists.get(f"{here}&patient=a&_asOf={made}").refused(400, "not-found", "_list")


def test_a_function_is_looked_up_once_however_often_it_is_named(lists: Fhir) -> None:
    engine, seen = lists.app.extensions["hie"].store.database.engine, 0

    def heard(*_: Any) -> None:
        nonlocal seen
        seen += 1

    event.listen(engine, "before_cursor_execute", heard)
    counts = []
    for often in (1, 1, 50):
        seen = 0
        assert ids(lists.get("AllergyIntolerance?patient=a" + "&_list=$current-allergies" * often)) == ["a1", "a2"]
        counts.append(seen)
    event.remove(engine, "before_cursor_execute", heard)
    assert counts[2] == counts[1], counts


def test_no_list_is_made_up_and_none_is_told_that_the_token_may_not_see(
    lists: Fhir, client: Callable[..., Fhir]
) -> None:
    for asked, code, text in (
        ("_list=$current-allergies", "invalid", "ask for patient"),
        ("_list=$current-allergies&patient=zz", "not-found", "cannot be told"),
        ("_list=$current-medications&patient=a", "not-found", "cannot be told"),
        ("_list=$current-drug-allergies&patient=a", "not-supported", "there are $current-problems"),
        ("_list=$current-drug-allergies", "not-supported", "there are $current-problems"),
        ("_list=$current-allergies,la&patient=a", "not-supported", "is no functional list"),
    ):
        lists.get(f"AllergyIntolerance?{asked}").refused(400, code, "_list", text)
    lists.get("AllergyIntolerance/$explain?_list=$current-allergies&patient=a").refused(400, "not-supported")
    here = "AllergyIntolerance?_list=$current-allergies&patient="
    blind = client("system/AllergyIntolerance.rs")
    blind.get(f"{here}a").refused(403, "forbidden")
    some = client("system/AllergyIntolerance.rs system/List.rs?_id=lb")
    some.get(f"{here}a").refused(400, "not-found", "_list")
    assert ids(some.get(f"{here}b")) == ["b1"]
    assert ids(client("system/AllergyIntolerance.rs?_id=a2", "system/List.rs").get(f"{here}a")) == ["a2"]
