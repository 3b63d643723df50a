"""Which elements of a type an expression can lead to: the routes that search extraction walks.

Nearly all of R4's search expressions are unions of paths. A path is taken apart here, for one resource type, into
routes through JSON properties: choices written out, branches of other types left out, filters kept as syntax.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from . import model, syntax
from .parser import parse
from .syntax import Expression


@dataclass(frozen=True, slots=True)
class Hop:
    """One JSON property on the way, and which of its items go on."""

    property: str
    criteria: Expression | None = None
    owner: str = ""
    """The type in whose terms `criteria` speaks."""
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """The way from a resource (or an element) to one kind of element."""

    hops: tuple[Hop, ...]
    type: str
    value_set: str | None = None
    from_resource: bool = False
    """The route starts at %resource rather than at the element."""


def routes(expression: str, type_name: str) -> tuple[Route, ...] | None:
    """Give the routes an expression takes through a type; None if it is no union of paths."""
    return _routes(parse(expression), type_name)


def _routes(tree: Expression, start: str) -> tuple[Route, ...] | None:
    match tree:
        case syntax.Operation("|", left, right):
            first, second = _routes(left, start), _routes(right, start)
            return None if first is None or second is None else tuple(dict.fromkeys(first + second))
        case syntax.This():
            return (Route((), start),)
        case syntax.Constant("resource"):
            return (Route((), start.partition(".")[0], from_resource=True),)
        case syntax.Member(None, name):
            return _from_start(start, name)
        case syntax.Member(base, name) if base is not None:
            return _each(base, start, lambda route: _step(route, name))
        case syntax.TypeTest("as", operand, wanted):
            return _each(operand, start, lambda route: _of_type(route, wanted))
        case syntax.Indexer(base, syntax.Literal(int(index), "Integer")):
            return _each(base, start, lambda route: _at(route, index))
        case syntax.Call(base, name, arguments):
            return _called(base, name, arguments, start)
    return None


def _called(
    base: Expression | None, name: str, arguments: tuple[Expression, ...], start: str
) -> tuple[Route, ...] | None:
    tree = base or syntax.This()
    match name, arguments:
        case ("as" | "ofType", (syntax.Member(None, wanted),)):
            return _each(tree, start, lambda route: _of_type(route, wanted))
        case ("where", (criteria,)):
            return _each(tree, start, lambda route: _filtered(route, criteria))
        case ("extension", (syntax.Literal(str(), "String") as url,)):
            wanted_url = syntax.Operation("=", syntax.Member(None, "url"), url)
            return _each(tree, start, lambda route: _filtered_all(_step(route, "extension"), wanted_url))
    return None


Follow = Callable[[Route], tuple[Route, ...] | None]


def _each(base: Expression, start: str, follow: Follow) -> tuple[Route, ...] | None:
    found = _routes(base, start)
    if found is None:
        return None
    result: list[Route] = []
    for route in found:
        further = follow(route)
        if further is None:
            return None
        result.extend(further)
    return tuple(result)


def _from_start(start: str, name: str) -> tuple[Route, ...]:
    # An element comes first: `code` and `id` are names of types as well.
    if name not in model.children(start) and model.is_type(name):
        return (Route((), start),) if model.is_a(start, name) else ()
    return _step(Route((), start), name)


def _step(route: Route, name: str) -> tuple[Route, ...]:
    child = model.children(route.type).get(name)
    if child is None:
        chosen = model.choice_with_type(route.type, name)  # US Core 6.1.0 writes `.valueDateTime` in its definitions
        return () if chosen is None else _of_type_all(_step(route, chosen[0]), chosen[1])
    return tuple(
        Route((*route.hops, Hop(property_)), type_name, child.value_set, route.from_resource)
        for property_, type_name in child.forms
    )


def _of_type_all(found: tuple[Route, ...], wanted: str) -> tuple[Route, ...]:
    return tuple(one for one in found if one.type == wanted)


def _of_type(route: Route, wanted: str) -> tuple[Route, ...]:
    # `as uri` must let a canonical through (ConceptMap.source), and DateTime is how one expression spells dateTime.
    name = wanted.removeprefix("FHIR.")
    name = name if model.is_type(name) else name[0].lower() + name[1:]
    return (route,) if model.is_a(route.type, name) else ()


def _filtered(route: Route, criteria: Expression) -> tuple[Route, ...] | None:
    if not route.hops or route.hops[-1].criteria is not None or route.hops[-1].index is not None:
        return None
    last = replace(route.hops[-1], criteria=criteria, owner=route.type)
    return (replace(route, hops=(*route.hops[:-1], last)),)


def _filtered_all(found: tuple[Route, ...], criteria: Expression) -> tuple[Route, ...] | None:
    result: list[Route] = []
    for route in found:
        further = _filtered(route, criteria)
        if further is None:
            return None
        result.extend(further)
    return tuple(result)


def _at(route: Route, index: int) -> tuple[Route, ...] | None:
    # The n-th of a list below another list is not the n-th of the whole collection. R4 only asks for Bundle.entry[0].
    if len(route.hops) != 1 or route.hops[-1].criteria is not None or route.hops[-1].index is not None:
        return None
    return (replace(route, hops=(replace(route.hops[0], index=index),)),)
