"""The least and the greatest value that an element may have.

https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.minValue_x_
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from hie.fhir import fhirpath
from hie.fhir.fhirpath import model
from hie.fhir.primitives import shown

from .place import Place
from .tree import Node

if TYPE_CHECKING:
    from .checking import Check

Json = dict[str, Any]

_SIGNS = {"minValue": (">=", "-", "at least"), "maxValue": ("<=", "+", "at most")}
_MOMENTS = frozenset({"date", "dateTime", "instant"})
_NUMBERS = frozenset({"decimal", "integer", "positiveInt", "unsignedInt"})
_MOMENT = re.compile(r"[0-9T:.Z+-]+")
_UCUM = "http://unitsofmeasure.org"
#: Limits of dates may be relative: units of UCUM as FHIRPath's calendar has them.
_SPANS = {"a": "years", "mo": "months", "wk": "weeks", "d": "days", "h": "hours", "min": "minutes", "s": "seconds"}


class Limit(NamedTuple):
    """A limit for values of some types, as FHIRPath and in words."""

    types: frozenset[str]
    expression: str
    told: str


def check(check: Check, node: Node, place: Place) -> None:
    """Check a value against the limits of its element; what cannot be compared is not told."""
    if place.value is None:
        return
    limits: list[Limit] = node.kept("limits", lambda one: list(of(one.definition)))
    for limit in limits:
        if _is_of(place.type, limit.types) and _holds(limit, place) is False:
            check.tell("error", "value", f"{_shown(place.value)} is found; {limit.told} is allowed.", place.path)


def broken(element: Json, place: Place) -> Iterator[str]:
    """Give, in words, the limits of an ElementDefinition that a value is beyond; what cannot be read is none."""
    try:
        limits = list(of(element))
    except ValueError:
        return
    for limit in limits:
        if _is_of(place.type, limit.types) and _holds(limit, place) is False:
            yield limit.told


def of(element: Json) -> Iterator[Limit]:
    """Read the limits of an ElementDefinition; ValueError where one is none."""
    for name, value in element.items():
        for stem, (sign, direction, words) in _SIGNS.items():
            if name.startswith(stem):
                yield from _limit(name.removeprefix(stem), value, sign, direction, words)


def _limit(kind: str, value: Any, sign: str, direction: str, words: str) -> Iterator[Limit]:
    type_name = kind[:1].lower() + kind[1:]
    if type_name in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise ValueError(f"{shown(value)} is no number.")
        yield Limit(_NUMBERS, f"$this {sign} {value:f}", f"{words} {value:f}")
    elif type_name in _MOMENTS or type_name == "time":
        if not isinstance(value, str) or not _MOMENT.fullmatch(value):
            raise ValueError(f"{shown(value)} is no {type_name}.")
        types, literal = (_MOMENTS, f"@{value}") if type_name != "time" else (frozenset({"time"}), f"@T{value}")
        yield Limit(types, f"$this {sign} {literal}", f"{words} {value}")
    elif kind == "Quantity":
        yield from _of_quantity(value, sign, direction, words)
    else:
        raise ValueError(f"{shown(kind)} is no type that has an order.")


def _of_quantity(value: Any, sign: str, direction: str, words: str) -> Iterator[Limit]:
    number = value.get("value") if isinstance(value, dict) else None
    if isinstance(number, bool) or not isinstance(number, int | Decimal):
        raise ValueError("a Quantity without a value is no limit.")
    code = value.get("code")
    if value.get("system") != _UCUM or not isinstance(code, str):
        yield Limit(frozenset({"Quantity"}), f"value {sign} {number:f}", f"{words} {number:f}")
        return
    text = code.replace("\\", "\\\\").replace("'", "\\'")
    yield Limit(frozenset({"Quantity"}), f"$this {sign} {number:f} '{text}'", f"{words} {number:f} {code}")
    if code in _SPANS and number == int(number):
        span = f"{int(number)} {_SPANS[code]}"
        told = f"{words} {span} {'before' if direction == '-' else 'after'} now"
        yield Limit(frozenset({"date"}), f"$this {sign} today() {direction} {span}", told)
        yield Limit(frozenset({"dateTime", "instant"}), f"$this {sign} now() {direction} {span}", told)


def _is_of(type_name: str, types: frozenset[str]) -> bool:
    return type_name in types or ("Quantity" in types and model.is_a(type_name, "Quantity"))


def _holds(limit: Limit, place: Place) -> bool | None:
    if isinstance(place.value, dict) and "comparator" in place.value:
        return None  # <5 is not known to be less than 3
    try:
        focus = place.value if type(place.value) is dict else place.item
        return fhirpath.compile_once(limit.expression, place.type).holds(focus)
    except fhirpath.FhirPathError:
        return None


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value.get('value')} {value.get('code') or value.get('unit') or ''}".strip()[:100]
    return shown(value)
