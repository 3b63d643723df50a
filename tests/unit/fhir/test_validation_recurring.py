"""A value that was found valid before is passed: only where it says the same in every resource."""

from __future__ import annotations

from typing import Any

import pytest

from hie.fhir.validation import recurring, validate

SYSTEM = "http://terminology.hl7.org/CodeSystem/"


def observation(code: Any, **elements: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": code, **elements}


def errors(resource: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(one.code, one.expression) for one in validate(resource) if one.severity in ("error", "fatal")]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ({"coding": [{"code": " a"}]}, [("value", "Observation.code.coding[0].code")]),
        ({"coding": [{"code": 1}]}, [("structure", "Observation.code.coding[0].code")]),
        ({"coding": []}, [("structure", "Observation.code.coding")]),
        ({"texts": "a"}, [("structure", "Observation.code.texts")]),
        ({}, [("invariant", "Observation.code")]),
        ([{"text": "a"}], [("structure", "Observation.code")]),
        ("a", [("structure", "Observation.code")]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_wrong_again(code: Any, found: list[tuple[str, str]]) -> None:
    assert errors(observation({"coding": [{"code": "a"}], "text": "a"})) == []
    assert [errors(observation(code)) for _ in range(3)] == [found] * 3


def test_an_extension_is_looked_at_in_each_resource() -> None:
    inside = {"text": "b", "extension": [{"url": "http://x", "valueReference": {"reference": "#p"}}]}
    person = {"resourceType": "Patient", "id": "p"}
    assert errors(observation(inside, contained=[person])) == []
    assert errors(observation(inside)) == [
        ("not-found", "Observation.code.extension[0].value.reference")]
    assert errors(observation(inside, contained=[person])) == []


def test_a_link_to_what_is_contained_counts_every_time() -> None:
    pointing = {"coding": [{"system": "#c", "code": "a"}]}
    contained = [{"resourceType": "CodeSystem", "id": "c", "status": "active", "content": "complete"}]
    for _ in range(3):
        assert errors(observation(pointing, contained=contained)) == []
    assert errors(observation({"text": "c"}, contained=contained)), "nothing points at it (dom-3)"


def test_the_value_set_of_the_place_is_asked_every_time() -> None:
    active = {"coding": [{"system": SYSTEM + "condition-clinical", "code": "recurrence"}]}
    subject = {"reference": "Patient/1"}
    condition = {"resourceType": "Condition", "subject": subject, "clinicalStatus": active}
    allergy = {"resourceType": "AllergyIntolerance", "patient": subject, "clinicalStatus": active}
    for _ in range(2):
        assert errors(condition) == []
        assert [code for code, _ in errors(allergy)] == ["code-invalid"]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(recurring, "_MOST", 3)
    check = recurring.remembering(lambda value, parent, scope: asked.append(value))
    scope: Any = type("Scope", (), {"invariants": True})
    for value in ["a", "a", "b", "a", "c", "a", "d", "a"]:
        check(value, None, scope)
    assert asked == ["a", "b", "c", "d", "a"]
    long = "x" * 1000
    asked.clear()
    check(long, None, scope)
    check(long, None, scope)
    assert asked == [long, long]
