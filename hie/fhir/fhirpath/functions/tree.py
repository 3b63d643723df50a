"""The elements below: https://hl7.org/fhirpath/N1/#tree-navigation"""

from __future__ import annotations

from ..compiler import Items, child_items
from ..errors import FhirPathError
from ..model import children as children_of
from ..values import Element, type_of
from .function import on_items

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


def descendants(items: Items, own: str | None) -> Items:
    """Give the elements at any depth below each item, with their types."""
    found: Items = []
    waiting = children(items, own)
    while waiting:
        found.extend(waiting)
        if len(found) > MAX_DESCENDANTS:
            raise FhirPathError(f"descendants() found more than {MAX_DESCENDANTS} items.")
        waiting = children(waiting, None)
    return found


def _holder(item: object) -> object:
    """Give the JSON object an item's children lie in; nothing for a plain value, most items by far."""
    if type(item) is Element:
        return item.value if type(item.value) is dict else item.extra
    return item if type(item) is dict else None


FUNCTIONS = (on_items("children", children, None), on_items("descendants", descendants, None))
