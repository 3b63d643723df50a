"""Expressions that lead to a date of birth or death: such dates are indexed as keyed hashes only (docs/adr/0006)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass

from hie.fhir.fhirpath import syntax
from hie.fhir.fhirpath.parser import parse
from hie.fhir.fhirpath.paths import Route

#: The types of parameters whose values stand in clear, for their order.
IN_CLEAR = frozenset({"date", "number", "quantity"})
_PROPERTIES = frozenset({"birthDate", "deceasedDateTime", "deceasedDate", "bornDate", "bornPeriod"})
#: As expressions name them.
_NAMES = _PROPERTIES | {"deceased", "born"}
#: What leads to every element without naming any.
_ANY = frozenset({"children", "descendants"})


def passed(ways: Iterable[Route]) -> bool:
    """Tell whether routes lead to such a date, or to what hangs on it, as its extensions do."""
    return any(hop.property in _PROPERTIES for way in ways for hop in way.hops)


def named(expression: str) -> bool:
    """Tell whether an expression that is no path may lead to such a date: by its name, or without any."""
    return any(
        (isinstance(part, syntax.Member) and part.name in _NAMES)
        or (isinstance(part, syntax.Call) and part.name in _ANY)
        for part in _parts(parse(expression))
    )


def _parts(tree: object) -> Iterator[object]:
    if isinstance(tree, tuple):
        for one in tree:
            yield from _parts(one)
    elif is_dataclass(tree):
        yield tree
        for field in fields(tree):
            yield from _parts(getattr(tree, field.name))
