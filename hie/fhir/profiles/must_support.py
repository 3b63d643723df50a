"""Elements that systems must support, and that are absent: https://hl7.org/fhir/R4/profiling.html#mustsupport"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import slicing
from .library import Definition
from .place import Place
from .tree import Node

if TYPE_CHECKING:
    from .checking import Check


#: Values of an element, times its slices: beyond, what is absent of slices is not told.
MOST_COMPARED = 2_000


def absent(check: Check, definition: Definition, place: Place) -> list[str]:
    """Name the must-support elements and slices of a profile of which a resource has no value; below what is absent
    none.
    """
    return list(dict.fromkeys(_absent(check, definition, definition.root, [place], place.path)))


def _absent(check: Check, owner: Definition, node: Node, places: list[Place], path: str) -> Iterator[str]:
    for child in node.children.values():
        below = [one for place in places for one in place.children(child.name)]
        if child.definition.get("mustSupport") is True and not below:
            yield f"{path}.{child.name}"
            continue
        if below:
            yield from _absent(check, owner, child, below, f"{path}.{child.name}")
        left = below
        for slice_ in child.slices.values() if len(below) * len(child.slices) <= MOST_COMPARED else ():
            answers = [slicing.belongs(check, child, slice_, one, owner) for one in left]
            its = [one for one, answer in zip(left, answers, strict=True) if answer]
            if its:
                left = [one for one in left if not any(one is other for other in its)]
                yield from _absent(check, owner, slice_, its, f"{path}.{child.name}")
            elif None not in answers and slice_.definition.get("mustSupport") is True:
                yield f"{path}.{child.name}:{slice_.slice_name}"
