"""What is said of a concept by extension that who shows an expansion has to know.

https://hl7.org/fhir/R4/valueset-profiles.html, https://hl7.org/fhir/R4/codesystem-profiles.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

_BASE = "http://hl7.org/fhir/StructureDefinition/"
#: Those that R4 has in an expansion as well.
_OF_VALUE_SETS = {_BASE + name: _BASE + name for name in (
    "valueset-label", "valueset-conceptOrder", "valueset-concept-definition")}
#: Of which code systems say some by another name.
_OF_CODE_SYSTEMS = {_BASE + f"codesystem-{name}": _BASE + f"valueset-{name}" for name in ("label", "conceptOrder")}


def of_value_set(row: Json) -> tuple[Json, ...]:
    """Return what is carried of a concept that a value set lists, or an expansion contains."""
    return _carried(row, _OF_VALUE_SETS)


def of_code_system(row: Json) -> tuple[Json, ...]:
    """Return what is carried of a concept as its code system has it."""
    return _carried(row, _OF_CODE_SYSTEMS)


def is_deprecated(row: Json) -> bool:
    """Tell whether a value set marks a code that it lists as not to be used any more, whatever its code system says."""
    return any(one.get("url") == f"{_BASE}valueset-deprecated" and one.get("valueBoolean") is True
               for one in row.get("extension", ()))


def joined(first: Iterable[Json], then: Iterable[Json]) -> tuple[Json, ...]:
    """Return extensions of which each is said once: by those who come first, if they say it."""
    found: dict[str, Json] = {}
    for one in (*first, *then):
        found.setdefault(one["url"], one)
    return tuple(found.values())


def _carried(row: Json, names: dict[str, str]) -> tuple[Json, ...]:
    if "extension" not in row:
        return ()
    return tuple(one | {"url": names[one["url"]]} for one in row["extension"] if one.get("url") in names)
