"""Routes of many search parameters -> one walk over a resource.

The routes of a type form a tree that shares their beginnings. Walking looks at the properties a resource has, not at
the hundred it could have, so an Observation costs a dozen dictionary look-ups and the conversion of what is found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hie.fhir import references
from hie.fhir.fhirpath import FhirPathError, compile_tree, syntax
from hie.fhir.fhirpath.paths import Hop
from hie.fhir.search_values import Emit, IndexValues

Walk = Callable[[Any, IndexValues], None]
Predicate = Callable[[Any], bool]


@dataclass(slots=True)
class Node:
    """A place in the tree: what to do with an element there, and where its properties lead."""

    emits: list[Emit] = field(default_factory=list)
    below: dict[Hop, Node] = field(default_factory=dict)

    def add(self, hops: tuple[Hop, ...], emit: Emit) -> None:
        """Let `emit` see every element that these hops reach."""
        node = self
        for hop in hops:
            node = node.below.setdefault(hop, Node())
        node.emits.append(emit)

    def compiled(self) -> Walk:
        """Give the function that visits one element and everything of interest below it."""
        return _visitor(self)


def _visitor(node: Node) -> Walk:
    emits = tuple(node.emits)
    table = _table(node)
    if not table:
        return emits[0] if len(emits) == 1 else _all(emits)

    def visit(element: Any, out: IndexValues) -> None:
        for emit in emits:
            emit(element, out)
        if type(element) is dict:
            for name, value in element.items():
                walk = find(name)
                if walk is not None:
                    walk(value, out)

    find = table.get
    return visit


def _all(emits: tuple[Emit, ...]) -> Walk:
    def visit(element: Any, out: IndexValues) -> None:
        for emit in emits:
            emit(element, out)

    return visit


def _table(node: Node) -> dict[str, Walk]:
    by_property: dict[str, list[tuple[Hop, Walk]]] = {}
    for hop, below in node.below.items():
        by_property.setdefault(hop.property, []).append((hop, _visitor(below)))
    return {name: _property(walks) for name, walks in by_property.items()}


def _property(walks: list[tuple[Hop, Walk]]) -> Walk:
    """Give the function that takes a property's value, one element or a list, through every hop of that name."""
    items = tuple(_guarded(hop, walk) for hop, walk in walks if hop.index is None)
    firsts = tuple((hop.index, walk) for hop, walk in walks if hop.index is not None)
    if len(items) == 1 and not firsts:
        return _each(items[0])

    def several(value: Any, out: IndexValues) -> None:
        elements = value if type(value) is list else [value]
        for element in elements:
            for walk in items:
                walk(element, out)
        for index, walk in firsts:
            if index < len(elements):
                walk(elements[index], out)

    return several


def _each(walk: Walk) -> Walk:
    def each(value: Any, out: IndexValues) -> None:
        if type(value) is list:
            for element in value:
                walk(element, out)
        else:
            walk(value, out)

    return each


def _guarded(hop: Hop, walk: Walk) -> Walk:
    if hop.criteria is None:
        return walk
    holds = predicate(hop.criteria, hop.owner)

    def guarded(element: Any, out: IndexValues) -> None:
        if type(element) is dict and holds(element):
            walk(element, out)

    return guarded


# ---- filters ---------------------------------------------------------------------------------------------------------


def predicate(criteria: syntax.Expression, owner: str) -> Predicate:
    """Give the test a where() asks for; the two shapes that 119 of R4's 123 filters have need no evaluator."""
    match criteria:
        case syntax.Operation("=", syntax.Member(None, name), syntax.Literal(str(value), "String")):
            return lambda element: element.get(name) == value
        case syntax.TypeTest("is", syntax.Call(None, "resolve", ()), wanted):
            return lambda reference: references.target_type(reference) == wanted
    compiled = compile_tree(criteria, owner)

    def holds(element: Any) -> bool:
        try:
            return compiled.evaluate(element) == [True]
        except FhirPathError:  # a criterion of somebody's own parameter that this element cannot answer
            return False

    return holds
