"""The elements below: https://hl7.org/fhirpath/N1/#tree-navigation"""

from __future__ import annotations

from ..compiler import Compiler, resource_items
from ..errors import FhirPathLimit
from ..model import children as children_of
from ..parts import Frame, Items, Part
from ..steps import child_items
from ..syntax import Expression
from ..values import Element, type_of
from ..watch import Watch
from .function import Function, on_items

MAX_DESCENDANTS = 1_000_000


def children(items: Items, own: str | None) -> Items:
    """Give the elements directly below each item, with their types."""
    found: Items = []
    for item in items:
        holder = _holder(item)
        if holder:
            for name in children_of(type_of(item, own)):
                found.extend(child_items(item, own, name))
    return found


def descendants(items: Items, own: str | None, watch: Watch | None = None) -> Items:
    """Give the elements at any depth below each item, with their types."""
    found: Items = []
    waiting = children(items, own)
    while waiting:
        found.extend(waiting)
        if watch is not None:
            watch.spend(len(waiting))
        if len(found) > MAX_DESCENDANTS:
            raise FhirPathLimit(f"descendants() found more than {MAX_DESCENDANTS} items.")
        waiting = children(waiting, None)
    return found


def _holder(item: object) -> object:
    """Give the JSON object an item's children lie in; nothing for a plain value, most items by far."""
    if type(item) is Element:
        return item.value if type(item.value) is dict else item.extra
    return item if type(item) is dict else None


def _descendants(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
    run, own = base.run, base.type
    if run is not resource_items:
        return Part(lambda frame, focus: descendants(run(frame, focus), own, frame.watch), None)

    def of_resource(frame: Frame, focus: Items) -> Items:
        # dom-3 asks for these four times for every contained resource.
        if frame.descendants is None:
            frame.descendants = descendants(run(frame, focus), own, frame.watch)
        return frame.descendants

    return Part(of_resource, None)


FUNCTIONS = (on_items("children", children, None), Function("descendants", (0, 0), _descendants))
