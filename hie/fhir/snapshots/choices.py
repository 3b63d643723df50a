"""Choices of types, of which a differential may name one by itself: valueQuantity is a slice of value[x].

https://hl7.org/fhir/R4/profiling.html#slicing
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hie.fhir import facts
from hie.fhir.snapshots.tree import Node

Json = dict[str, Any]

_CHOICE = "[x]"
#: No name of R4 is longer.
_LONGEST_STEM = 64


def stems(names: Iterable[str]) -> dict[str, str]:
    """Return the choices among some names, by what stands before the type."""
    return {name.removesuffix(_CHOICE): name for name in names if name.endswith(_CHOICE)}


def as_slice(change: Node, choices: Mapping[str, str]) -> Node:
    """Return what a differential says of valueQuantity as the slice of value[x] that it is; all else as it is."""
    for at in range(1, min(len(change.name), _LONGEST_STEM)):
        name = choices.get(change.name[:at]) if change.name[at].isupper() else None
        if name is not None:
            type_name = change.name[at:]
            primitive = type_name[:1].lower() + type_name[1:]
            code = primitive if facts.type_kind(primitive) == "primitive-type" else type_name
            said = {"type": [{"code": code}]} | (change.element or {})
            return Node(name, change.name, said, change.children, change.at, is_short=True)
    return change


def by_type(node: Node) -> Json | None:
    """Return how slices of a choice are told apart; None where it is none."""
    if not node.name.endswith(_CHOICE):
        return None
    return {"discriminator": [{"type": "type", "path": "$this"}], "ordered": False, "rules": "open"}


def is_whole(whole: Node, only: Node, within: bool) -> bool:
    """Tell whether the one slice of an element that nobody slices is the whole of it.

    So is a type named by itself within a slice, and the slice of an element of which there is one at most.
    """
    if only.is_short:
        return within
    return not whole.name.endswith(_CHOICE) and (whole.element or {}).get("max") == "1"


def narrowed(whole: Node, only: Node, *, is_extension: bool) -> Node | None:
    """Return what the one type that is named says of the choice: where there has to be a value, it is of that type.

    The value of an extension is of the type that its definition names in any case. None: it says nothing of it.
    """
    said, before = only.element or {}, whole.element or {}
    if not only.is_short or not (is_extension or said.get("min", 0) > 0):
        return None
    wanted = {one.get("code") for one in said.get("type", [])}
    kept = [one for one in before.get("type", []) if one.get("code") in wanted]
    slicing = (by_type(whole) or {}) | {"rules": "closed"}
    least = {"min": said["min"]} if said.get("min", 0) > before.get("min", 0) else {}
    return Node(whole.name, None, {"slicing": slicing, "type": kept or said.get("type", [])} | least, [], only.at)


def decided(whole: Json, rows: Iterable[Node]) -> Json:
    """Return a sliced element: a choice of one value is of the type of the slice that has to be there, or of the one
    type that is left, and closed to others. `rows`: the element and its slices.
    """
    if not str(whole.get("path")).endswith(_CHOICE) or whole.get("max") != "1":
        return whole
    types, closed = whole.get("type", []), whole["slicing"] | {"rules": "closed"}
    for one in rows:
        said = one.element or {}
        codes = {row.get("code") for row in said.get("type", [])}
        if one.slice is not None and said.get("min", 0) > 0 and len(codes) == 1:
            kept = [row for row in types if row.get("code") in codes]
            return whole | {"min": 1, "type": kept or said["type"], "slicing": closed}
    return whole | {"slicing": closed} if len(types) == 1 and _is_by_type(closed) else whole


def _is_by_type(slicing: Json) -> bool:
    return [(one.get("type"), one.get("path")) for one in slicing.get("discriminator", [])] == [("type", "$this")]
