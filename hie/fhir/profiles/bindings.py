"""Whether a value has a code of the value set it is bound to: https://hl7.org/fhir/R4/terminologies.html#strength

Required: an error. Extensible: a warning, for another code may be right. What cannot be told, because a value set or
the content of a code system is not here, is information. Preferred and example bindings are advice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hie.fhir import facts
from hie.fhir.primitives import shown
from hie.fhir.validation.issue import Severity

from .library import Definition
from .place import Place
from .tree import Node

if TYPE_CHECKING:
    from .checking import Check

_MAXIMAL = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"
_TOLD: dict[str, Severity] = {"required": "error", "extensible": "warning", "preferred": "information"}

_CODED = frozenset({"CodeableConcept", "Coding"})
_EXTENDED = frozenset({"id", "extension"})
_NO_SYSTEM = ""

Codes = list[tuple[str | None, str]]


def check(check: Check, node: Node, place: Place, owner: Definition) -> None:
    """Check a value against the binding of its element."""
    binding = node.definition.get("binding")
    if not binding or place.value is None:
        return
    strength, url = str(binding.get("strength")), binding.get("valueSet")
    if isinstance(url, str) and strength in _TOLD and not (strength == "required" and _is_done(url)):
        _bound(check, url, strength, place, owner)
    for row in binding.get("extension", ()):
        if row.get("url") == _MAXIMAL and isinstance(row.get("valueCanonical"), str):
            _bound(check, row["valueCanonical"], "required", place, owner)


def is_bound(check: Check, node: Node, place: Place, owner: Definition) -> bool | None:
    """Tell whether a value has a code of its element's value set; None where that cannot be told."""
    url = node.definition.get("binding", {}).get("valueSet")
    codes = _codes(place)
    return _answer(check, url, codes, owner) if isinstance(url, str) and codes is not None else None


def _is_done(url: str) -> bool:
    """Tell whether the base rules have checked a required binding already."""
    return facts.required_codes(url) is not None


def _bound(check: Check, url: str, strength: str, place: Place, owner: Definition) -> None:
    codes = _codes(place)
    if codes is None:
        return
    if not codes:
        # An extension may stand for a value, with the reason why there is none.
        if strength == "required" and place.type in _CODED and not place.value.keys() <= _EXTENDED:
            found = "Only text" if "text" in place.value else "No code"
            check.tell("error", "code-invalid", f"{found} is found; a code of {url} is required.", place.path)
        return
    answer = _answer(check, url, codes, owner)
    found = ", ".join(code if system is None else f"{system}|{code}" for system, code in codes)[:300]
    if answer is None and strength != "preferred":
        check.tell("information", "informational",
                   f"Whether {found} is in {url} cannot be told: the value set, or the content of its code system, is "
                   "not here.", place.path)  # fmt: skip
    elif answer is False:
        wanted = "is required" if strength == "required" else "should be used where one fits"
        text = f"{shown(found)} is not in {url}; a code of it {wanted}."
        check.tell(_TOLD[strength], "code-invalid", text, place.path)


def _answer(check: Check, url: str, codes: Codes, owner: Definition) -> bool | None:
    answer: bool | None = False
    for system, code in codes:
        found = check.in_value_set(url, system or None, code, owner)
        if system == _NO_SYSTEM and found:
            found = False
        if found:
            return True
        answer = None if found is None else answer
    return answer


def _codes(place: Place) -> Codes | None:
    """Give the codes of a value; None for a type that has none."""
    value: Any = place.value
    if isinstance(value, str):
        return [(None, value)]
    if not isinstance(value, dict):
        return None
    if place.type == "CodeableConcept":
        rows = value.get("coding", ())
        return [code for one in rows if (code := _code(one)) is not None] if isinstance(rows, list | tuple) else []
    if place.type in ("Coding", "Quantity"):
        code = _code(value)
        return [] if code is None else [code]
    return None


def _code(row: Any) -> tuple[str | None, str] | None:
    """Read a Coding; None where it has no code, or something else stands there.

    Without a system it is a code of nothing, unlike an element of type code: datatypes.html#Coding
    """
    if not isinstance(row, dict) or not isinstance(row.get("code"), str):
        return None
    system = row.get("system")
    return system if isinstance(system, str) else _NO_SYSTEM, row["code"]
