"""The definitions of R4's search parameters: https://hl7.org/fhir/R4/searchparameter-registry.html

A parameter that only repeats others (`combo-code` is `code` or `component-code`; `patient` is `subject` where it is a
Patient) says by `union_of` or `restricts` which parameters are asked instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from hie.fhir import facts
from hie.fhir.fhirpath import model, syntax
from hie.fhir.fhirpath.paths import Hop, Route, routes

# Parameters of the specification's examples for SearchParameter itself, not of the registry: they name codes of others.
_EXAMPLE_URLS = frozenset({"http://hl7.org/fhir/SearchParameter/example",
                           "http://hl7.org/fhir/SearchParameter/example-reference"})
#: Their components have each other's paths in the registry: DocumentReference.relatesTo.code is no reference.
_CROSSED = frozenset({"http://hl7.org/fhir/SearchParameter/DocumentReference-relationship"})
_SPECIAL = frozenset({"_text", "_content", "_query", "_filter"})


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a composite parameter: the parameter that defines it, its type, and where it lies in the element."""

    code: str
    type: str
    expression: str
    targets: frozenset[str] = frozenset()
    """Types that a reference may point at, where somebody's own composite says it; empty: what `code` has."""


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One search parameter as it applies to one resource type."""

    code: str
    type: str
    """number, date, string, token, reference, composite, quantity, uri or special."""
    base_type: str
    """The resource type searched; for parameters of every type that type too."""
    expression: str | None
    targets: frozenset[str]
    """Types a reference parameter may point at; empty for other parameters."""
    components: tuple[Component, ...]
    url: str
    element_types: frozenset[str]
    """Types of the elements the expression reaches in this resource type."""
    is_special: bool
    """Has no values of its own to compare: `_text`, `_content`, `_query`, `_filter`, `near`."""
    union_of: tuple[str, ...] = ()
    """Parameters whose values together are exactly this one's; then this one is not indexed."""
    restricts: tuple[str, str] | None = None
    """Parameter and target type whose references are exactly this one's; then this one is not indexed."""
    state: str = ""
    """Of a parameter that somebody defined here: indexing, ready or removing; of R4's own ones empty."""

    @property
    def is_indexed(self) -> bool:
        """Tell whether extract() gives values for this parameter."""
        return not (self.is_special or self.union_of or self.restricts)

    @property
    def is_searchable(self) -> bool:
        """Tell whether every resource is found by it: of one that is still being indexed some would be missing."""
        return self.state in ("", "ready")


@dataclass(frozen=True, slots=True)
class Definition:
    """A parameter with the routes to its elements; None where its expression is no union of paths."""

    parameter: SearchParameter
    routes: tuple[Route, ...] | None


@cache
def defined(type_name: str) -> dict[str, Definition]:
    """Give the definitions of one type, repetitions of others found."""
    plain = {row["code"]: _definition(row, type_name) for row in _rows(type_name)}
    restricted = {code for code, one in plain.items() if _restricted(one, plain)}
    unions = _unions({code: one for code, one in plain.items() if code not in restricted})
    result = {}
    for code, one in plain.items():
        base = _restricted(one, plain) if code in restricted else None
        parameter = replace(one.parameter, union_of=unions.get(code, ()))
        if base is not None:
            whole = unions.get(base[0], (base[0],))
            # Where the base is itself asked as several others, the restricted one is indexed on its own.
            parameter = replace(parameter, restricts=(whole[0], base[1]) if len(whole) == 1 else None)
        result[code] = Definition(parameter, one.routes)
    return result


def _rows(type_name: str) -> Iterable[dict[str, Any]]:
    bases = set(model.ancestors(type_name))
    if type_name == "Resource":
        bases.add("DomainResource")  # a search over all types has _text too: https://hl7.org/fhir/R4/search.html#text
    for row in facts.SEARCH_PARAMETERS:
        if bases.intersection(row.get("base", ())) and row["url"] not in _EXAMPLE_URLS:
            expression = row.get("expression")
            # Without an expression there are drafts, and parameters that answer otherwise. One parameter of Patient
            # (part-agree) has an expression for another type only, so it can never find a Patient.
            if row["code"] in _SPECIAL or (expression and routes(expression, type_name) != ()):
                yield row


def _definition(row: dict[str, Any], type_name: str) -> Definition:
    expression = row.get("expression")
    found = routes(expression, type_name) if expression else ()
    types = {"System.Boolean"} if found is None else {route.type for route in found}
    is_special = row["code"] in _SPECIAL or row["type"] == "special"
    parameter = SearchParameter(
        code=row["code"],
        type=row["type"],
        base_type=type_name,
        expression=expression,
        # A few name no types, as RequestGroup-instantiates-canonical: they may refer to any.
        targets=frozenset(row.get("target", ())) or facts.RESOURCE_TYPES if row["type"] == "reference" else frozenset(),
        components=_components(row),
        url=row["url"],
        element_types=frozenset(types),
        is_special=is_special,
    )
    return Definition(parameter, found)


def _components(row: dict[str, Any]) -> tuple[Component, ...]:
    urls, paths = zip(*row.get("component", ()), strict=True) if row.get("component") else ((), ())
    if row["url"] in _CROSSED:
        paths = paths[::-1]
    defined = (_by_url()[url] for url in urls)
    return tuple(Component(one["code"], one["type"], path) for one, path in zip(defined, paths, strict=True))


@cache
def _by_url() -> dict[str, dict[str, Any]]:
    return {row["url"]: row for row in facts.SEARCH_PARAMETERS}


def own_row(url: str) -> dict[str, Any] | None:
    """Give R4's own definition of a canonical URL; None where it has none."""
    return None if url in _EXAMPLE_URLS else _by_url().get(url)


# ---- parameters that repeat others -----------------------------------------------------------------------------------


def _restricted(one: Definition, others: Mapping[str, Definition]) -> tuple[str, str] | None:
    """Give the parameter without the filter `where(resolve() is Type)`, and the type."""
    if one.parameter.type != "reference" or not one.routes or len(one.routes) != 1:
        return None
    *before, last = one.routes[0].hops
    match last.criteria:
        case syntax.TypeTest("is", syntax.Call(None, "resolve", ()), wanted):
            whole = (*before, Hop(last.property))
            for code, other in others.items():
                if other.parameter.type == "reference" and [route.hops for route in other.routes or ()] == [whole]:
                    return code, wanted
    return None


def _unions(plain: Mapping[str, Definition]) -> dict[str, tuple[str, ...]]:
    """Find the parameters that are exactly others together, and name for each those others."""
    parts = {code: _parts(one) for code, one in plain.items() if one.routes and not one.parameter.is_special}
    found: dict[str, tuple[str, ...]] = {}
    # Small ones first, and of equals the longest name, so that the plain name stays: `name`, not `phonetic`.
    for code in sorted(parts, key=lambda code: (len(parts[code]), -len(code), code)):
        rivals = {
            other: part
            for other, part in parts.items()
            if other != code and other not in found and plain[other].parameter.type == plain[code].parameter.type
        }
        union = _cover(parts[code], rivals)
        if union:
            found[code] = union
    return {code: tuple(_resolved(union, found)) for code, union in found.items()}


def _cover(wanted: frozenset[Any], rivals: Mapping[str, frozenset[Any]]) -> tuple[str, ...]:
    """Give few parameters whose parts are exactly the wanted ones, the largest first; nothing if there are none."""
    usable = {code: part for code, part in rivals.items() if part <= wanted}
    chosen: list[str] = []
    missing = set(wanted)
    while missing:
        best = max(usable, key=lambda code: (len(usable[code] & missing), -len(code)), default=None)
        if best is None or not usable[best] & missing:
            return ()
        chosen.append(best)
        missing -= usable.pop(best)
    return tuple(chosen)


def _resolved(union: tuple[str, ...], found: Mapping[str, tuple[str, ...]]) -> Iterable[str]:
    """Replace members that turned out to be unions themselves."""
    for code in union:
        if code in found:
            yield from _resolved(found[code], found)
        else:
            yield code


def _parts(one: Definition) -> frozenset[tuple[Any, ...]]:
    """Give what a parameter compares: its routes, and for a composite what it compares there."""
    components = tuple((part.type, part.expression) for part in one.parameter.components)
    # Targets of a Bundle's first entry are decided by the parameter, not by its route.
    targets = one.parameter.targets if "Resource" in one.parameter.element_types else None
    return frozenset((route.hops, route.type, components, targets) for route in one.routes or ())
