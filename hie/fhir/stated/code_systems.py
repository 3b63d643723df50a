"""What a CodeSystem says of itself: https://hl7.org/fhir/R4/codesystem.html#supplements"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hie.fhir.primitives import shown
from hie.fhir.validation.issue import Problem

Json = dict[str, Any]


def of(system: Json) -> Iterator[Problem]:
    """Give where it contradicts itself."""
    if system.get("content") == "supplement":
        if "supplements" not in system and "_supplements" not in system:
            yield ".supplements", "error", "required", "A supplement names the code system that it adds to."
        return
    declared = {one.get("code") for one in system.get("property", ())}
    number, waiting = 0, _inside(system, "")
    while waiting:
        concept, path = waiting.pop()
        number += 1
        for index, one in enumerate(concept.get("property", ())):
            if one.get("code") not in declared and "code" in one:
                text = f"{shown(one['code'])} is no property that CodeSystem.property declares."
                yield f"{path}.property[{index}].code", "warning", "not-found", text
        waiting += _inside(concept, path)
    count = system.get("count")
    if type(count) is int and number > count:
        yield ".count", "error", "value", f"{count} is found; there are {number} concepts here."


def _inside(holder: Json, path: str) -> list[tuple[Json, str]]:
    rows = holder.get("concept", ())
    return [(one, f"{path}.concept[{index}]") for index, one in enumerate(rows)][::-1]
