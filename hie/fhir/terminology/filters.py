"""Filters of a value set's include: https://hl7.org/fhir/R4/valueset-filter-operator.html"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from hie.errors import NotSupported
from hie.fhir.terminology.code_system import CodeSystem, Concept, told
from hie.fhir.terminology.patterns import pattern

Json = dict[str, Any]
Test = Callable[[Concept], bool]

_WHERE = "ValueSet.compose.include.filter"
#: So many properties of a concept are looked at for what looking at a concept costs.
_PROPERTIES_OF_STEP = 10
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_HIERARCHY = ("is-a", "descendent-of", "is-not-a", "generalizes")


def compiled(filter_: Json, system: CodeSystem, spend: Callable[[int], None]) -> Test:
    """Return the test of one filter; NotSupported where the code system has no such property or the operator none.

    The test counts by `spend` what it costs beyond looking at the concept, whoever asks it.
    """
    if not told([filter_], "property", "op", "value"):
        raise NotSupported("A filter without property, op or value cannot be followed.", expression=_WHERE)
    name, op, value = filter_["property"], filter_["op"], filter_["value"]
    if op in _HIERARCHY:
        return _by_hierarchy(name, op, value, system)
    if not system.knows_property(name):
        if system.has_filter(name):
            raise NotSupported(f"{name[:80]!r} is a filter of {system.url} itself; what it does is not known here.",
                               expression=f"{_WHERE}.property")
        raise NotSupported(f"{system.url} has no property {name[:80]!r} to filter by.", expression=f"{_WHERE}.property")
    return _by_values(name, op, value, system, spend)


def _by_values(name: str, op: str, value: str, system: CodeSystem, spend: Callable[[int], None]) -> Test:
    def values(one: Concept) -> list[Any]:
        spend(len(one.properties) // _PROPERTIES_OF_STEP)
        return system.values(one, name)

    def texts(one: Concept) -> list[str]:
        return [_text(found) for found in values(one)]

    match op:
        case "=":
            meant = _meant([value])
            return lambda one: not meant.isdisjoint(map(_comparable, values(one)))
        case "regex":
            asked = pattern(value)

            def fits(text: str) -> bool:
                spend(asked.cost)
                return asked.fits(text)

            return lambda one: any(map(fits, texts(one)))
        case "in" | "not-in":
            wanted = _meant(part.strip() for part in value.split(","))
            return lambda one: wanted.isdisjoint(map(_comparable, values(one))) is (op == "not-in")
        case "exists":
            if value not in ("true", "false"):
                raise NotSupported(f"exists has the value true or false, not {value[:80]!r}.",
                                   expression=f"{_WHERE}.value")
            return lambda one: bool(texts(one)) is (value == "true")
    raise NotSupported(f"{op[:80]!r} is no filter operator of R4.", expression=f"{_WHERE}.op")


def _by_hierarchy(name: str, op: str, value: str, system: CodeSystem) -> Test:
    if name not in ("concept", "code"):
        raise NotSupported(f"{op} is asked of the property concept, not of {name[:80]!r}.",
                           expression=f"{_WHERE}.property")
    if not system.is_subsuming:
        raise NotSupported(f"The hierarchy of {system.url} means {system.hierarchy_meaning}: no code of it is another.",
                           expression=f"{_WHERE}.op")
    found = system.get(value)
    code = value if found is None else found.code
    below = {*system.descendants(code), code} if found is not None else set()
    match op:
        case "is-a":
            return lambda one: one.code in below
        case "descendent-of":
            return lambda one: one.code in below and one.code != code
        case "is-not-a":
            return lambda one: one.code not in below
    above = {*system.ancestors(code), code} if found is not None else set()
    return lambda one: one.code in above


def _meant(texts: Iterable[str]) -> set[str | Decimal]:
    """Return what values may be that are written so: the text, and the number that it says."""
    meant: set[str | Decimal] = set()
    for text in texts:
        meant.add(text)
        if _NUMBER.fullmatch(text):
            meant.add(Decimal(text))
    return meant


def _comparable(value: Any) -> str | Decimal:
    """Return a property's value as it is compared: numbers as numbers, whatever digits they are written with."""
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return Decimal(value) if is_number else _text(value)


def _text(value: Any) -> str:
    """Write a property's value as filters do: a Coding by its code."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value.get("code", "")) if isinstance(value, dict) else str(value)
