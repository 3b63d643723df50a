"""R4's search parameters, and the values a resource is found by: https://hl7.org/fhir/R4/searchparameter-registry.html

`for_type` says what can be searched, `extract` what to index. A parameter that only repeats others (`combo-code` is
`code` or `component-code`; `patient` is `subject` where it is a Patient) is not indexed: it says by `union_of` or
`restricts` which parameters the search engine asks instead.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

from hie.fhir import facts
from hie.fhir.fhirpath import FhirPathError, model, syntax
from hie.fhir.fhirpath import compile as compile_expression
from hie.fhir.fhirpath.paths import Hop, Route, routes
from hie.fhir.search_values import Emit, IndexValues, emitter, entry_emitter, only_system
from hie.fhir.search_walk import Node, Walk

__all__ = [
    "Component", "CustomParameters", "IndexValues", "SearchParameter", "answering", "define", "extract", "for_type",
    "install", "installed", "is_comparable", "moving", "nearest", "only_systems", "own_row", "same",
]  # fmt: skip

# Parameters of the specification's examples for SearchParameter itself, not of the registry: they name codes of others.
_EXAMPLE_URLS = frozenset({"http://hl7.org/fhir/SearchParameter/example",
                           "http://hl7.org/fhir/SearchParameter/example-reference"})
#: Their components have each other's paths in the registry: DocumentReference.relatesTo.code is no reference.
_CROSSED = frozenset({"http://hl7.org/fhir/SearchParameter/DocumentReference-relationship"})
_SPECIAL = frozenset({"_text", "_content", "_query", "_filter"})
_KINDS = {
    "token": "tokens",
    "reference": "references",
    "string": "strings",
    "date": "dates",
    "number": "numbers",
    "quantity": "quantities",
    "uri": "uris",
}


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


def for_type(type_name: str) -> Mapping[str, SearchParameter]:
    """Give the parameters of a resource type by code, those of every resource included.

    "Resource" gives those alone: the ones a search over all types can use. KeyError for an unknown type.
    """
    return _for_type(type_name, _installed.of(type_name))


@lru_cache(maxsize=512)
def _for_type(type_name: str, custom: _Customs) -> Mapping[str, SearchParameter]:
    if type_name != "Resource" and type_name not in facts.RESOURCE_TYPES:
        raise KeyError(type_name)
    own = {one.parameter.code: one.parameter for one in _defined(type_name).values()}
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


def nearest(type_name: str, wrong_name: str) -> str | None:
    """Give the parameter that somebody who wrote `wrong_name` may have meant; None if nothing is near."""
    names = list(for_type(type_name))
    by_lower = {name.lower(): name for name in names}
    found = by_lower.get(wrong_name.lower().replace("_", "-")) or by_lower.get("_" + wrong_name.lower())
    if found:
        return found
    close = get_close_matches(wrong_name.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


@cache
def only_systems(type_name: str) -> Mapping[str, str]:
    """Give R4's token parameters all of whose values have one system, and that system ("": they have none).

    Of those the code alone says which value it is: statuses and other codes with a required value set of one system,
    booleans, telephone numbers.
    """
    found = {}
    for code, one in _defined(type_name).items():
        if one.parameter.type == "token" and one.parameter.is_indexed:
            systems = {""} if one.routes is None else {only_system(route.type, route.value_set) for route in one.routes}
            system = systems.pop() if len(systems) == 1 else None
            if system is not None:
                found[code] = system
    return MappingProxyType(found)


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


def _values_of(resource: dict[str, Any], parameters: Sequence[SearchParameter]) -> IndexValues | None:
    if not parameters:
        return None
    values = IndexValues(resource)
    for parameter in parameters:
        _walk_of_one(parameter)(resource, values)
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
    """Let this process work with other custom parameters from now on."""
    global _installed
    with _compiling:
        _installed = custom
        _walks.clear()


@lru_cache(maxsize=1024)
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
    if not components and not any(is_comparable(kind, one) for one in parameter.element_types):
        types = ", ".join(sorted(parameter.element_types))
        raise ValueError(f"the expression leads to {types} of {type_name}, which no {kind} search compares")
    _walk_of_one(parameter)  # what cannot be compiled says so now
    return parameter


def is_comparable(kind: str, element_type: str) -> bool:
    """Tell whether a search parameter of a type compares elements of a type."""
    if element_type == "Extension":
        return any(emitter(kind, one, "") is not None for _, one in model.children("Extension")["value"].forms)
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


def own_row(url: str) -> dict[str, Any] | None:
    """Give R4's own definition of a canonical URL; None where it has none."""
    return None if url in _EXAMPLE_URLS else _by_url().get(url)


def _computed_type(expression: str, type_name: str) -> str:
    """Name the element type of what an expression computes."""
    name = compile_expression(expression, type_name).type or "values of several types"
    return {"System.String": "string", "System.Integer": "integer", "System.Decimal": "decimal"}.get(name, name)


@lru_cache(maxsize=256)
def _walk_of_one(parameter: SearchParameter) -> Walk:
    root = Node()
    _add(root, _Definition(parameter, routes(parameter.expression or "", parameter.base_type)))
    return root.compiled()


# ---- definitions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Definition:
    """A parameter with the routes to its elements; None where its expression is no union of paths."""

    parameter: SearchParameter
    routes: tuple[Route, ...] | None


@cache
def _defined(type_name: str) -> dict[str, _Definition]:
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
        result[code] = _Definition(parameter, one.routes)
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


def _definition(row: dict[str, Any], type_name: str) -> _Definition:
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
    return _Definition(parameter, found)


def _components(row: dict[str, Any]) -> tuple[Component, ...]:
    urls, paths = zip(*row.get("component", ()), strict=True) if row.get("component") else ((), ())
    if row["url"] in _CROSSED:
        paths = paths[::-1]
    defined = (_by_url()[url] for url in urls)
    return tuple(Component(one["code"], one["type"], path) for one, path in zip(defined, paths, strict=True))


@cache
def _by_url() -> dict[str, dict[str, Any]]:
    return {row["url"]: row for row in facts.SEARCH_PARAMETERS}


# ---- parameters that repeat others -----------------------------------------------------------------------------------


def _restricted(one: _Definition, others: Mapping[str, _Definition]) -> tuple[str, str] | None:
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


def _unions(plain: Mapping[str, _Definition]) -> dict[str, tuple[str, ...]]:
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


def _parts(one: _Definition) -> frozenset[tuple[Any, ...]]:
    """Give what a parameter compares: its routes, and for a composite what it compares there."""
    components = tuple((part.type, part.expression) for part in one.parameter.components)
    # Targets of a Bundle's first entry are decided by the parameter, not by its route.
    targets = one.parameter.targets if "Resource" in one.parameter.element_types else None
    return frozenset((route.hops, route.type, components, targets) for route in one.routes or ())


# ---- extraction ------------------------------------------------------------------------------------------------------

_walks: dict[str, Walk] = {}
_compiling = threading.Lock()


def _compiled(type_name: str) -> Walk:
    with _compiling:  # two first resources of a type at once compile it once
        if type_name not in _walks:
            _walks[type_name] = _walk(type_name)
        return _walks[type_name]


def _walk(type_name: str) -> Walk:
    root = Node()
    for one in _defined(type_name).values():
        if one.parameter.is_indexed and one.parameter.code != "_id":  # a search asks the id of the row
            _add(root, one)
    for parameter in _installed.of(type_name).indexed:
        _add(root, _Definition(parameter, routes(parameter.expression or "", type_name)))
    return root.compiled()


def _add(root: Node, one: _Definition) -> None:
    parameter = one.parameter
    if one.routes is None:
        root.add((), _computed_custom(parameter) if parameter.state else _computed(parameter))
        return
    for route in one.routes:
        if parameter.type == "composite":
            root.add(route.hops, _composite(parameter, route.type))
        else:
            _add_route(root, parameter, parameter.code, route)


def _add_route(root: Node, parameter: SearchParameter | Component, name: str, route: Route) -> None:
    if route.type == "Extension":
        for property_, type_name in model.children("Extension")["value"].forms:
            emit = emitter(parameter.type, type_name, name)
            if emit is not None:
                root.add((*route.hops, Hop(property_)), emit)
        return
    emit = emitter(parameter.type, route.type, name, route.value_set)
    if emit is None and route.type == "Resource" and isinstance(parameter, SearchParameter):
        emit = entry_emitter(name, parameter.targets)
    if emit is None:
        emit = _present(name)  # such as a performed string, which no date search can compare
    root.add(route.hops, emit)


def _present(name: str) -> Emit:
    def emit(_: Any, out: IndexValues) -> None:
        out.present.append(name)

    return emit


def _computed(parameter: SearchParameter) -> Emit:
    """Index what an expression computes rather than finds: Patient.deceased."""
    compiled = compile_expression(parameter.expression or "", parameter.base_type)
    emit_value = emitter(parameter.type, "System.Boolean", parameter.code)
    if emit_value is None:
        raise ValueError(f"{parameter.base_type}.{parameter.code}: {parameter.expression} gives no comparable value.")

    def emit(resource: Any, out: IndexValues) -> None:
        for value in compiled.evaluate(resource):
            emit_value(value, out)

    return emit


def _computed_custom(parameter: SearchParameter) -> Emit:
    """Index what somebody's expression computes; where it has no result on a resource, it finds it by nothing."""
    compiled = compile_expression(parameter.expression or "", parameter.base_type)
    emit_value = emitter(parameter.type, next(iter(parameter.element_types)), parameter.code)

    def emit(resource: Any, out: IndexValues) -> None:
        try:
            values = compiled.evaluate(resource)
        except FhirPathError:
            return
        for value in values:
            if emit_value is not None:
                emit_value(value, out)

    return emit


def _composite(parameter: SearchParameter, element_type: str) -> Emit:
    parts = tuple(_part(component, element_type) for component in parameter.components)
    # The last component is the value, which most elements lack in the type asked for: looked for first.
    needed = tuple(properties for properties, _, _ in reversed(parts) if properties)
    walks = tuple((walk, kind) for _, walk, kind in parts)
    code = parameter.code
    # An old definition that is being removed and the new one may have one code, and not the same components.
    custom = (parameter,) if parameter.state else ()

    def emit(element: Any, out: IndexValues) -> None:
        if type(element) is not dict:
            return
        for properties in needed:
            for name in properties:
                if name in element:
                    break
            else:
                return
        values = []
        for walk, kind in walks:
            found = IndexValues.of_kind(kind, out.root)
            walk(element, found)
            items = getattr(found, kind)
            if not items:
                return
            values.append([item[1:] for item in items])
        out.composites.append((code, tuple(values), *custom))

    return emit


def _part(component: Component, element_type: str) -> tuple[tuple[str, ...], Walk, str]:
    """Give the properties one of which a component needs, the walk to its values, and their kind."""
    found = routes(component.expression, element_type)
    if not found:
        raise ValueError(f"{component.expression!r} of {component.code} is no path of {element_type}.")
    node = Node()
    for route in found:
        _add_route(node, component, component.code, route)
    walk, kind = node.compiled(), _KINDS[component.type]
    if found[0].from_resource:  # lies outside the element: nothing to look for there
        return (), lambda _, out: walk(out.root, out), kind
    if not all(route.hops for route in found):  # the element itself is the value
        return (), walk, kind
    return tuple(dict.fromkeys(route.hops[0].property for route in found)), walk, kind
