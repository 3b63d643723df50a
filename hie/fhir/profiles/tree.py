"""A snapshot's flat list of elements as a tree: https://hl7.org/fhir/R4/elementdefinition.html#id

`Observation.component:systolic.code` is the child `code` of the slice `systolic` of `component`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from hie.fhir.fhirpath import Compiled, FhirPathError, compile_once

Json = dict[str, Any]


class Node:
    """One ElementDefinition of a snapshot, with its children and slices."""

    __slots__ = ("_prepared", "children", "definition", "id", "name", "parent", "slice_name", "slices")

    def __init__(self, definition: Json, name: str, slice_name: str | None, parent: Node | None) -> None:
        self.definition = definition
        self.id: str = definition.get("id", "")
        self.name = name
        """Of the element: a choice stands without [x]."""
        self.slice_name = slice_name
        self.parent = parent
        self.children: dict[str, Node] = {}
        self.slices: dict[str, Node] = {}
        self._prepared: dict[Hashable, Any] = {}

    @property
    def min(self) -> int:
        """The least number of values."""
        found = self.definition.get("min", 0)
        return found if isinstance(found, int) else 0

    @property
    def max(self) -> int | None:
        """The greatest number of values; None: any."""
        found = str(self.definition.get("max", "*"))
        return int(found) if found.isascii() and found.isdecimal() and len(found) < 10 else None

    @property
    def types(self) -> list[Json]:
        """The types a value may have, with their profiles."""
        return list(self.definition.get("type", ()))

    def kept(self, name: str, make: Any) -> Any:
        """Give what is derived from the definition, made at its first use."""
        if name not in self._prepared:
            self._prepared[name] = make(self)
        return self._prepared[name]

    def compiled(self, expression: str, type_name: str) -> Compiled:
        """Give an expression of the definition for values of a type, compiled once; FhirPathError.

        It is kept as long as the definition is, of which a client may store many with long expressions.
        """
        key = (expression, type_name)
        found = self._prepared.get(key)
        if found is None:
            try:
                found = compile_once(expression, type_name, profiles=True)
            except FhirPathError as error:
                found = error
            self._prepared[key] = found
        if isinstance(found, FhirPathError):
            raise found
        return found

    def value_of(self, stem: str) -> Any:
        """Give `fixed[x]` or `pattern[x]`; None where there is none."""
        return next((value for key, value in self.definition.items() if key.startswith(stem)), None)

    def walk(self) -> Iterator[Node]:
        """Give this node and all below it."""
        yield self
        for one in (*self.children.values(), *self.slices.values()):
            yield from one.walk()


def build(elements: list[Json]) -> tuple[Node, dict[str, Node]]:
    """Make the tree of a snapshot: its root, and every node by id. Elements whose parent is not there are left out."""
    root = Node(elements[0], elements[0]["id"], None, None)
    by_id = {root.id: root}
    for definition in elements[1:]:
        identifier = definition["id"]
        above, _, last = identifier.rpartition(".")
        parent = by_id.get(above)
        if parent is None:
            continue
        element, _, slice_name = last.partition(":")
        name = element.removesuffix("[x]")
        if not slice_name:
            node = Node(definition, name, None, parent)
            parent.children[name] = node
        else:
            node = _slice(definition, name, slice_name, parent)
        by_id[identifier] = node
    return root, by_id


def _slice(definition: Json, name: str, slice_name: str, parent: Node) -> Node:
    """Add a slice to the element it slices; `a/b` slices the slice `a` again."""
    base = parent.children.get(name)
    if base is None:  # a choice that a snapshot slices without naming it first
        base = parent.children[name] = Node({"id": definition["id"].partition(":")[0]}, name, None, parent)
    *outer, last = slice_name.split("/")
    holder = base
    for one in outer:
        if one not in holder.slices:
            holder, last = base, slice_name
            break
        holder = holder.slices[one]
    node = Node(definition, name, slice_name, parent)
    holder.slices[last] = node
    return node
