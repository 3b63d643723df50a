"""Lists of elements as trees, and trees as lists: https://hl7.org/fhir/R4/elementdefinition.html#id"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

#: Trees are walked by functions that call themselves.
MOST_PARTS = 40


@dataclass(slots=True)
class Node:
    """One element below its parent: its name, the slice that it is (None: the element itself), what it says.

    `element` None: a differential says nothing of it, but of what is below. `at` is its place in the differential, or
    that of the first below it.
    """

    name: str
    slice: str | None = None
    element: Json | None = None
    children: list[Node] = field(default_factory=list)
    at: int | None = None
    is_short: bool = False
    """A differential wrote it by the name of one type, as valueQuantity."""
    _labels: dict[str, Node] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its part of an element's id."""
        return self.name if self.slice is None else f"{self.name}:{self.slice}"

    def unsliced(self) -> Node:
        """Return the same said of the element itself."""
        return Node(self.name, None, self.element, self.children, self.at)

    def below(self, label: str, at: int) -> Node:
        """Return the child of this label, making one that says nothing where there is none: element `at` implies it."""
        found = self._labels.get(label)
        if found is None:
            name, _, slice_ = label.partition(":")
            if slice_.count("/") >= MOST_PARTS:
                raise Misplaced(f"A slice of a slice has at most {MOST_PARTS} parts; found {slice_!r:.200}.", at)
            found = self._labels[label] = Node(name, slice_ or None, at=at)
            self.children.append(found)
        return found


class Misplaced(ValueError):
    """An element of a list that has no place in a tree; `at` is its number."""

    def __init__(self, told: str, at: int) -> None:
        super().__init__(told)
        self.at = at


def read(elements: Sequence[Json]) -> Node:
    """Read a snapshot or differential; the root is of the first path's first part."""
    if not elements:
        return Node("")
    root = Node(str(elements[0].get("path", "")).partition(".")[0])
    trail: list[Node] = [root]
    for at, element in enumerate(elements):
        parts = str(element.get("path", "")).split(".", MOST_PARTS)
        if len(parts) > MOST_PARTS:
            raise Misplaced(f"A path has at most {MOST_PARTS} parts; found {element.get('path')!r:.200}.", at)
        if parts[0] != root.name or not all(parts):
            raise Misplaced(f"The path {element.get('path')!r:.200} does not begin with {root.name}.", at)
        if len(parts) == 1:
            if root.element is not None:
                raise Misplaced(f"{root.name} is there twice.", at)
            root.element, root.at = element, at
            continue
        labels = _labels(element, parts)
        parent = root
        for depth, part in enumerate(parts[1:-1], start=1):
            if labels is not None:
                parent = parent.below(labels[depth], at)
            elif depth < len(trail) and trail[depth].name == part and parent is trail[depth - 1]:
                parent = trail[depth]
            else:
                parent = parent.below(part, at)
            if depth >= len(trail) or trail[depth] is not parent:
                trail[depth:] = [parent]
        slice_ = element.get("sliceName")
        node = parent.below(parts[-1] if slice_ is None else f"{parts[-1]}:{slice_}", at)
        if node.element is not None:
            raise Misplaced(f"{_told(element)} is there twice.", at)
        node.element, node.at = element, at
        trail[len(parts) - 1:] = [node]
    return root


def _labels(element: Json, parts: list[str]) -> list[str] | None:
    """Return the parts of an element's id where they are those of its path, with slices."""
    labels = str(element.get("id", "")).split(".")
    same = len(labels) == len(parts) and all(
        label.partition(":")[0] == part for label, part in zip(labels, parts, strict=True))
    return labels if same else None


def _told(element: Json) -> str:
    return str(element.get("id") or element.get("path"))[:200]


def written(root: Node) -> Iterator[Json]:
    """Write a tree as the elements of a snapshot, with id and path."""
    yield from _written(root, root.name, root.name)


def _written(node: Node, identifier: str, path: str) -> Iterator[Json]:
    element = {name: value for name, value in (node.element or {}).items() if name not in ("id", "path", "sliceName")}
    named = {} if node.slice is None else {"sliceName": node.slice}
    first = {name: element.pop(name) for name in ("extension", "modifierExtension") if name in element}
    yield {"id": identifier} | first | {"path": path} | named | element
    for child in node.children:
        yield from _written(child, f"{identifier}.{child.label}", f"{path}.{child.name}")
