"""Elements that systems must support, and that are absent: https://hl7.org/fhir/R4/profiling.html#mustsupport"""

from __future__ import annotations

from collections.abc import Iterator

from .library import Definition
from .place import Place
from .tree import Node


def absent(definition: Definition, place: Place) -> list[str]:
    """Name the must-support elements of a profile of which a resource has no value; below what is absent none."""
    return list(_absent(definition.root, [place], place.path))


def _absent(node: Node, places: list[Place], path: str) -> Iterator[str]:
    for child in node.children.values():
        below = [one for place in places for one in place.children(child.name)]
        if below:
            yield from _absent(child, below, f"{path}.{child.name}")
        elif child.definition.get("mustSupport") is True:
            yield f"{path}.{child.name}"
