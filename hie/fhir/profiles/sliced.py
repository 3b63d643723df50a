"""The values of one slice, along a path from the resource: https://hl7.org/fhir/R4/profiling.html#slicing"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hie.fhir.fhirpath import Element

from . import slicing
from .library import Definition
from .place import of_resource

if TYPE_CHECKING:
    from .checking import Check


@dataclass(frozen=True, slots=True)
class Sliced:
    """What a path leads to by way of a slice; `undecided`: of some values on the way it cannot be told."""

    values: list[Element]
    undecided: bool


def along(
    check: Check, resource: dict[str, Any], steps: Sequence[str], name: str, definition: Definition
) -> Sliced | None:
    """Go along a path by those values alone that are in the slice; None where no element on it has such a slice."""
    node, places, is_found, undecided = definition.root, [of_resource(resource)], False, False
    for step in steps:
        places = [below for place in places for below in place.children(step)]
        if is_found:
            continue
        child = node.children.get(step)
        if child is None:
            return None
        slice_ = child.slices.get(name)
        if slice_ is not None:
            answers = [slicing.belongs(check, child, slice_, place, definition) for place in places]
            undecided, is_found = None in answers, True
            places = [place for place, is_in in zip(places, answers, strict=True) if is_in]
        node = child
    return Sliced([place.item for place in places], undecided) if is_found else None
