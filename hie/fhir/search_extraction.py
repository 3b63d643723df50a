"""Search parameter -> the walk that finds its values in a resource: https://hl7.org/fhir/R4/search.html

Parameters of one type share their walk, so that each element is looked at once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from hie.fhir.fhirpath import FhirPathError, model
from hie.fhir.fhirpath import compile as compile_expression
from hie.fhir.fhirpath.paths import Hop, Route, routes
from hie.fhir.search_definitions import Component, Definition, SearchParameter
from hie.fhir.search_values import Emit, IndexValues, emitter, entry_emitter
from hie.fhir.search_walk import Node, Walk

_KINDS = {
    "token": "tokens",
    "reference": "references",
    "string": "strings",
    "date": "dates",
    "number": "numbers",
    "quantity": "quantities",
    "uri": "uris",
}


def walk_of(definitions: Iterable[Definition]) -> Walk:
    """Compile the walk that finds the values of all these parameters."""
    root = Node()
    for one in definitions:
        _add(root, one)
    return root.compiled()


@lru_cache(maxsize=256)
def walk_of_one(parameter: SearchParameter) -> Walk:
    """Compile the walk that finds the values of one parameter; what cannot be compiled says so."""
    return walk_of((definition_of(parameter),))


def definition_of(parameter: SearchParameter) -> Definition:
    """Return a parameter with the routes to its elements; what R4's own repeat of others is not looked for."""
    return Definition(parameter, routes(parameter.expression or "", parameter.base_type))


def _add(root: Node, one: Definition) -> None:
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
        _add_values(root, route.hops, parameter.type, name)
        return
    emit = emitter(parameter.type, route.type, name, route.value_set)
    if emit is None and route.type == "Resource" and isinstance(parameter, SearchParameter):
        emit = entry_emitter(name, parameter.targets)
    if emit is None:
        emit = _present(name)  # such as a performed string, which no date search can compare
    root.add(route.hops, emit)


def _add_values(root: Node, hops: tuple[Hop, ...], kind: str, name: str) -> None:
    """Add the ways to whatever value an extension may have that a search of this type compares."""
    for property_, type_name in model.children("Extension")["value"].forms:
        emit = emitter(kind, type_name, name)
        if emit is not None:
            root.add((*hops, Hop(property_)), emit)


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
    emit_value: Emit | Walk | None
    if compiled.type == "Extension":
        root = Node()
        _add_values(root, (), parameter.type, parameter.code)
        emit_value = root.compiled()
    else:
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
            items = [item[1:] for item in getattr(found, kind)]
            if found.systems:
                items += [(system, None) for _, system in found.systems]
            if not items:
                return
            values.append(items)
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
