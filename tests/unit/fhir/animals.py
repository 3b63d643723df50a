"""A code system whose concepts may have several parents, and which of them a value set lists."""

from __future__ import annotations

from typing import Any

from hie.fhir.terminology import Terminology
from tests.terminologies import code_system

SYSTEM = "http://example.org/CodeSystem/animals"


def concept(code: str, *below: Any, **more: Any) -> dict[str, Any]:
    row = {"code": code, "display": code.capitalize(), **more}
    return row | {"concept": list(below)} if below else row


def legs(number: int) -> dict[str, Any]:
    return {"code": "legs", "valueInteger": number}


ANIMALS = code_system(
    SYSTEM,
    concept("animal",
        concept("mammal", concept("dog", property=[legs(4)]), concept("cat", property=[legs(4)]),
                concept("whale", property=[legs(0)])),
        concept("pet", property=[{"code": "child", "valueCode": "dog"}, {"code": "child", "valueCode": "cat"}]),
        concept("dodo", property=[legs(2), {"code": "status", "valueCode": "retired"}]),
        property=[{"code": "notSelectable", "valueBoolean": True}]),
    concept("robot", designation=[{"language": "de", "value": "Roboter"}]),
    version="2", hierarchyMeaning="is-a", property=[{"code": "legs", "type": "integer"}],
)  # fmt: skip


def codes(definition: dict[str, Any], *others: dict[str, Any]) -> list[str]:
    terminology = Terminology(given=[ANIMALS, definition, *others])
    members = [code for _, code in terminology.value_set(definition["url"]).members()]
    for code in ("animal", "mammal", "dog", "cat", "whale", "pet", "dodo", "robot", "unicorn"):
        assert terminology.in_value_set(definition["url"], SYSTEM, code) is (code in members), "two ways, one answer"
    return members
