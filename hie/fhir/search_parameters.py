"""R4's search parameters, and the values a resource is found by: https://hl7.org/fhir/R4/searchparameter-registry.html

`for_type` says what can be searched, `extract` what to index. A parameter that only repeats others (`combo-code` is
`code` or `component-code`; `patient` is `subject` where it is a Patient) is not indexed: it says by `union_of` or
`restricts` which parameters the search engine asks instead.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

from hie.fhir import facts, peers
from hie.fhir.fhirpath import compile as compile_expression
from hie.fhir.fhirpath import model, syntax
from hie.fhir.fhirpath.paths import Route, routes
from hie.fhir.search_definitions import Component, SearchParameter, defined, own_row
from hie.fhir.search_extraction import definition_of, walk_of, walk_of_one
from hie.fhir.search_values import IndexValues, emitter, only_system
from hie.fhir.search_walk import Walk

__all__ = [
    "Component", "CustomParameters", "IndexValues", "SearchParameter", "answering", "define", "extract", "for_type",
    "install", "installed", "is_comparable", "meant", "moving", "nearest", "only_systems", "own_row", "same",
]  # fmt: skip

#: What a search may say beside its criteria, and is misspelled as often.
_BESIDE = frozenset({
    "_contained", "_containedType", "_count", "_elements", "_format", "_has", "_include", "_list", "_not-referenced",
    "_offset", "_pretty", "_revinclude", "_sort", "_summary", "_total",
})  # fmt: skip
#: What the type behind the name of a choice is searched by: https://hl7.org/fhir/R4/formats.html#choice
_KINDS = {
    "DateTime": "date", "Date": "date", "Period": "date", "Instant": "date", "Quantity": "quantity", "Age": "quantity",
    "CodeableConcept": "token", "Coding": "token", "Boolean": "token", "Reference": "reference", "String": "string",
}  # fmt: skip
_LONGEST_ELEMENT = 40
_walks: dict[str, Walk] = {}
_compiling = threading.Lock()


def for_type(type_name: str) -> Mapping[str, SearchParameter]:
    """Give the parameters of a resource type by code, those of every resource included.

    "Resource" gives those alone: the ones a search over all types can use. KeyError for an unknown type.
    """
    return _for_type(type_name, _installed.of(type_name))


@lru_cache(maxsize=512)
def _for_type(type_name: str, custom: _Customs) -> Mapping[str, SearchParameter]:
    if type_name != "Resource" and type_name not in facts.RESOURCE_TYPES:
        raise KeyError(type_name)
    own = {one.parameter.code: one.parameter for one in defined(type_name).values()}
    return MappingProxyType(own | {one.code: one for one in custom.indexed})


def answering(parameters: Mapping[str, SearchParameter], code: str) -> Iterator[str]:
    """Yield the indexed parameters whose values answer a parameter."""
    parameter = parameters.get(code)
    if parameter is None:
        return
    if parameter.restricts:
        yield from answering(parameters, parameter.restricts[0])
    elif parameter.union_of:
        for part in parameter.union_of:
            yield from answering(parameters, part)
    else:
        yield code


def meant(type_name: str, wrong_name: str) -> str:
    """Say what somebody who wrote `wrong_name` may have meant, to end a sentence; "." if nothing is near."""
    here = peers.parameter(wrong_name)
    if here is not None:
        return f"; {here}."
    near = nearest(type_name, wrong_name)
    return f"; did you mean {near}?" if near else "."


def nearest(type_name: str, wrong_name: str) -> str | None:
    """Give the parameter that somebody who wrote `wrong_name` may have meant; None if nothing is near."""
    known = for_type(type_name)
    names = {*known, *_BESIDE} - {"_query"}  # which R4 has, and nobody defines here
    by_lower = {name.lower(): name for name in sorted(names)}
    found = by_lower.get(wrong_name.lower().replace("_", "-")) or by_lower.get("_" + wrong_name.lower())
    found = found or by_lower.get(re.sub(r"(?<=[a-z])(?=[A-Z])", "-", wrong_name).lower())
    found = found or _of_element(type_name, wrong_name)
    if found:
        return found
    close = get_close_matches(wrong_name.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def _of_element(type_name: str, name: str) -> str | None:
    """Give the parameter that asks an element of this name; of a choice with its type or without: effectiveDateTime."""
    if len(name) > _LONGEST_ELEMENT:
        return None
    ends = [index for index in range(2, len(name) + 1) if index == len(name) or name[index].isupper()]
    for end in reversed(ends):
        asks = re.compile(rf"\b{type_name}\.{re.escape(name[:end])}\b(?!\.[a-z]+\b(?!\())")
        found = [one for one in for_type(type_name).values()
                 if one.type != "composite" and one.expression and asks.search(one.expression)]
        kind = _KINDS.get(name[end:])
        same_kind = [one.code for one in found if kind in (None, one.type)]
        if same_kind:
            return min(same_kind, key=len)
    return None


@cache
def only_systems(type_name: str) -> Mapping[str, str]:
    """Give R4's token parameters all of whose values have one system, and that system ("": they have none).

    Of those the code alone says which value it is: statuses and other codes with a required value set of one system,
    booleans, telephone numbers asked for as `phone`.
    """
    found = {}
    for code, one in defined(type_name).items():
        if one.parameter.type == "token" and one.parameter.is_indexed:
            systems = {""} if one.routes is None else {_system_of(route) for route in one.routes}
            system = systems.pop() if len(systems) == 1 else None
            if system is not None:
                found[code] = system
    return MappingProxyType(found)


def _system_of(route: Route) -> str | None:
    """Give the system of every token on a route, that of contact points that `where(system='phone')` chooses too."""
    match route.hops[-1].criteria if route.hops and route.type == "ContactPoint" else None:
        case syntax.Operation("=", syntax.Member(None, "system"), syntax.Literal(str(system))):
            return system
    return only_system(route.type, route.value_set)


def extract(resource: dict[str, Any]) -> IndexValues:
    """Give every value the resource is found by, typed, grouped by kind, not hashed; nothing for an unknown type."""
    values = IndexValues(resource)
    type_name = resource.get("resourceType")
    if isinstance(type_name, str):
        walk = _walks.get(type_name)
        if walk is None:
            if type_name not in facts.RESOURCE_TYPES:
                return values
            walk = _compiled(type_name)
        walk(resource, values)
    return values


def defined_here(resource: dict[str, Any]) -> IndexValues | None:
    """Give the values by custom parameters, in whatever state; None where there are none of them for the type."""
    custom = _installed.of(str(resource.get("resourceType")))
    return _values_of(resource, [*custom.indexed, *custom.removing])


def moving(resource: dict[str, Any]) -> IndexValues | None:
    """Give the values by custom parameters that are not indexed everywhere yet, or are not removed everywhere yet.

    None where there are none of them for the type.
    """
    custom = _installed.of(str(resource.get("resourceType")))
    return _values_of(resource, [one for one in custom.indexed if one.state == "indexing"] + list(custom.removing))


def _compiled(type_name: str) -> Walk:
    with _compiling:  # two first resources of a type at once compile it once
        if type_name not in _walks:
            _walks[type_name] = _walk(type_name)
        return _walks[type_name]


def _walk(type_name: str) -> Walk:
    own = (one for one in defined(type_name).values() if one.parameter.is_indexed)
    return walk_of([
        *(one for one in own if one.parameter.code != "_id"),  # a search asks the id of the row
        *map(definition_of, _installed.of(type_name).indexed),
    ])  # fmt: skip


def _values_of(resource: dict[str, Any], parameters: Sequence[SearchParameter]) -> IndexValues | None:
    if not parameters:
        return None
    values = IndexValues(resource)
    for parameter in parameters:
        walk_of_one(parameter)(resource, values)
    return values


# ---- parameters that are defined here: docs/adr/ ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class _Customs:
    """The custom parameters of one type; equal to itself alone, so that caches tell one state from the next."""

    indexed: tuple[SearchParameter, ...] = ()
    removing: tuple[SearchParameter, ...] = ()


_NO_CUSTOMS = _Customs()


@dataclass(frozen=True, eq=False, slots=True)
class CustomParameters:
    """The custom parameters of a store as it is now; equal to itself alone."""

    by_type: Mapping[str, _Customs] = field(default_factory=dict)

    @classmethod
    def of_all(cls, parameters: Iterable[SearchParameter]) -> CustomParameters:
        """Sort parameters by their type and state."""
        sorted_: dict[str, list[SearchParameter]] = {}
        for one in parameters:
            sorted_.setdefault(one.base_type, []).append(one)
        return cls({
            name: _Customs(
                tuple(one for one in ones if one.state != "removing"),
                tuple(one for one in ones if one.state == "removing"),
            )
            for name, ones in sorted_.items()
        })  # fmt: skip

    def of(self, type_name: str) -> _Customs:
        """Return those of one type."""
        return self.by_type.get(type_name, _NO_CUSTOMS)


_installed = CustomParameters()


def installed() -> CustomParameters:
    """Return the custom parameters that this process works with."""
    return _installed


def has_custom() -> bool:
    """Tell whether any parameter is defined here, in whatever state."""
    return bool(_installed.by_type)


def install(custom: CustomParameters) -> None:
    """Let this process work with other custom parameters from now on; a type that has the same keeps its walk."""
    global _installed
    with _compiling:
        before, _installed = _installed, custom
        for name in [one for one in _walks if custom.of(one) is not before.of(one)]:
            del _walks[name]


@lru_cache(maxsize=4_096)  # of which one that every resource has takes 146
def define(
    type_name: str, code: str, kind: str, expression: str, targets: frozenset[str], url: str, state: str,
    components: tuple[Component, ...] = (),
) -> SearchParameter:
    """Make a custom parameter of a type; ValueError says why it could find nothing, FhirPathError what is wrong."""
    found = routes(expression, type_name)
    if found == ():
        raise ValueError(f"the expression leads to no element of {type_name}")
    parameter = SearchParameter(
        code, kind, type_name, expression, targets, components, url,
        frozenset({_computed_type(expression, type_name)} if found is None else {route.type for route in found}),
        is_special=False, state=state,
    )  # fmt: skip
    if not components:  # those of a composite lie in the extension itself
        parameter = replace(parameter, element_types=_with_values(kind, parameter.element_types))
    if not components and not any(is_comparable(kind, one) for one in parameter.element_types):
        types = ", ".join(sorted(parameter.element_types))
        raise ValueError(f"the expression leads to {types} of {type_name}, which no {kind} search compares")
    walk_of_one(parameter)  # what cannot be compiled says so now
    return parameter


def _computed_type(expression: str, type_name: str) -> str:
    """Name the element type of what an expression computes."""
    name = compile_expression(expression, type_name).type or "values of several types"
    return {"System.String": "string", "System.Integer": "integer", "System.Decimal": "decimal"}.get(name, name)


def _with_values(kind: str, element_types: frozenset[str]) -> frozenset[str]:
    """Return for Extension the types of its values that are compared: of an extension its value is meant."""
    if "Extension" not in element_types:
        return element_types
    return element_types - {"Extension"} | (_values_of_extensions(kind) or {"Extension"})


def _values_of_extensions(kind: str) -> frozenset[str]:
    forms = model.children("Extension")["value"].forms
    return frozenset(one for _, one in forms if emitter(kind, one, "") is not None)


def is_comparable(kind: str, element_type: str) -> bool:
    """Tell whether a search parameter of a type compares elements of a type."""
    if element_type == "Extension":
        return bool(_values_of_extensions(kind))
    return emitter(kind, element_type, "") is not None or (element_type == "Resource" and kind == "reference")


def same(one: SearchParameter, other: SearchParameter) -> bool:
    """Tell whether two parameters of a type find the same, as a profile's copy of one of R4's own does."""
    if one.type != other.type:
        return False
    found, others = (routes(each.expression or "", one.base_type) for each in (one, other))
    if found is None or others is None:
        return one.expression == other.expression
    if {(route.hops, route.type) for route in found} != {(route.hops, route.type) for route in others}:
        return False
    return _parts_compared(one, found) == _parts_compared(other, found)


def _parts_compared(parameter: SearchParameter, elements: Iterable[Route]) -> list[Any]:
    """Give for each component of a composite its type and what it leads to in the elements."""
    return [
        (component.type, [set(routes(component.expression, element.type) or ()) for element in elements])
        for component in parameter.components
    ]
