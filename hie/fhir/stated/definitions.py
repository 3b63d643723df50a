"""What an element of a profile must not say: https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.meaningWhenMissing"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hie.fhir.validation.issue import Problem

Json = dict[str, Any]


def of(definition: Json) -> Iterator[Problem]:
    """Give what only types may say of their elements; a snapshot repeats it, so the differential is looked at."""
    if definition.get("derivation") != "constraint" or definition.get("type") == "Extension":
        return
    for index, element in enumerate(definition.get("differential", {}).get("element", ())):
        if "meaningWhenMissing" in element:
            text = "What it means that an element is missing, the definition of a type says, and never a profile of it."
            yield f".differential.element[{index}].meaningWhenMissing", "error", "business-rule", text
