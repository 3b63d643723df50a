"""FHIRPath Patch: a Parameters resource with one `operation` for each change: https://hl7.org/fhir/R4/fhirpatch.html"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hie.errors import Conflict, FhirError, InvalidRequest, Unprocessable
from hie.fhir import modifiers
from hie.fhir.fhirpath import Allowance, model, syntax
from hie.fhir.fhirpath.errors import FhirPathLimit
from hie.fhir.fhirpath.model import Child
from hie.fhir.patching import bounds, places
from hie.fhir.patching.places import Collection, Place
from hie.fhir.patching.tree import Copier, tidied
from hie.fhir.patching.values import Given, given, refuse_other_form
from hie.fhir.resource import validated

#: operation -> the parts it needs beside type and path
_PARTS: dict[str, frozenset[str]] = {
    "add": frozenset({"name", "value"}),
    "insert": frozenset({"value", "index"}),
    "delete": frozenset(),
    "replace": frozenset({"value"}),
    "move": frozenset({"source", "destination"}),
}
_PLAIN = {"type": "valueCode", "path": "valueString", "name": "valueString", "index": "valueInteger",
          "source": "valueInteger", "destination": "valueInteger"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; what its type has no use for is absent from `parts`."""

    expression: str
    type: str
    path: str
    tree: syntax.Expression
    parts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FhirPathPatch:
    """A patch that was read."""

    operations: tuple[Operation, ...]

    def applied(self, resource: dict[str, Any], allowance: Allowance | None = None) -> Any:
        """Return the resource after all operations, each of which sees what those before it did."""
        root = Place(None, "", "", None, None, resource["resourceType"], resource, bounds.watched(allowance))
        copier = Copier()
        for one in self.operations:
            try:
                _DO[one.type](one, root, copier)
            except FhirPathLimit:
                raise bounds.too_costly(f"{one.type} {one.path[:200]}", allowance, one.expression) from None
            except FhirError as error:
                if error.issues[0].expression is not None:
                    raise
                raise type(error)(f"{one.type} {one.path[:200]}: {error.diagnostics} Nothing was changed.",
                                  expression=one.expression) from None
        return tidied(resource)


# ---- reading ---------------------------------------------------------------------------------------------------------


def parse(document: Any) -> FhirPathPatch:
    """Read the operations; InvalidRequest says what is wrong with one."""
    if not isinstance(document, dict) or document.get("resourceType") != "Parameters":
        raise InvalidRequest("A FHIRPath Patch is a Parameters resource with a parameter `operation` for each change; "
                             "a resource to be merged is sent as application/merge-patch+json.",
                             expression="resourceType")
    rows = document.get("parameter", [])
    if isinstance(rows, list) and len(rows) > bounds.MOST_OPERATIONS:
        raise InvalidRequest(f"The patch has {len(rows)} operations; at most {bounds.MOST_OPERATIONS} are taken.",
                             expression="Parameters.parameter")
    validated(document, "Parameters", is_whole=False)
    modifiers.refuse(document)
    return FhirPathPatch(tuple(_operation(f"Parameters.parameter[{index}]", row) for index, row in enumerate(rows)))


def _operation(expression: str, row: dict[str, Any]) -> Operation:
    if row["name"] != "operation":
        raise InvalidRequest(f"The parameter is named {row['name'][:80]!r}; in a patch each is an `operation`.",
                             expression=f"{expression}.name")
    parts = _parts(expression, row)
    for name in ("type", "path"):
        if name not in parts:
            raise InvalidRequest(f"The operation has no {name}.", expression=expression)
    type_, path = parts.pop("type"), parts.pop("path")
    wanted = _PARTS.get(type_)
    if wanted is None:
        raise InvalidRequest(f"The operation's type is {type_[:40]!r}; known are {', '.join(_PARTS)}.",
                             expression=expression)
    if parts.keys() != wanted:
        missing, more = sorted(wanted - parts.keys()), sorted(parts.keys() - wanted)
        told = f"has no {', '.join(missing)}" if missing else f"has {', '.join(more)}, which {type_} does not take"
        raise InvalidRequest(f"The operation {type_} {told}.", expression=expression)
    return Operation(expression, type_, path, places.parsed(path, expression), parts)


def _parts(expression: str, row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for index, part in enumerate(row.get("part", [])):
        name, where = part["name"], f"{expression}.part[{index}]"
        if name in found:
            raise InvalidRequest(f"The operation has {name[:80]} twice.", expression=where)
        if name == "value":
            found[name] = part
        elif name not in _PLAIN:
            raise InvalidRequest(f"An operation has no part {name[:80]!r}.", expression=where)
        else:
            found[name] = _plain(part, _PLAIN[name], where)
    return found


def _plain(part: dict[str, Any], wanted: str, where: str) -> Any:
    kind = {"valueCode": "valueString", "valueString": "valueCode"}.get(wanted, wanted)  # many write either
    value = part.get(wanted, part.get(kind))
    if value is None:
        raise InvalidRequest(f"Part {part['name']} needs a {wanted}.", expression=where)
    return value


# ---- doing -----------------------------------------------------------------------------------------------------------


def _one(one: Operation, root: Place) -> Place:
    found = places.places(one.tree, root)
    if len(found) != 1:
        raise Conflict(f"The path leads to {len(found)} elements; it must lead to exactly one.")
    return found[0]


def _changeable(one: Operation, place: Place) -> tuple[dict[str, Any], Child]:
    if place.owner is None or place.child is None:
        raise Unprocessable(f"The resource itself cannot be the target of {one.type}; name an element of it.")
    return place.owner, place.child


def _add(one: Operation, root: Place, copier: Copier) -> None:
    place = _one(one, root)
    child = places.named(place.type, one.parts["name"])
    value = given(one.parts["value"], child, one.expression)
    refuse_other_form(one.parts["name"], child, value)
    existing = places.elements(place, child)
    if existing and not child.is_list:
        raise Conflict(f"{child.name} is already there and does not repeat; replace replaces it.")
    holder = place.children_of(make=True)
    if holder is None:
        raise Conflict("The path leads to no element that could take it.")
    if child.is_list:
        _insert_at(holder, value, len(existing), len(existing), copier)
    else:
        _set(holder, value, copier)


def _insert(one: Operation, root: Place, copier: Copier) -> None:
    found = _collection(one, root)
    length, index = len(places.elements(found.owner, found.child)), one.parts["index"]
    if not 0 <= index <= length:
        raise Conflict(f"index is {index}; the list has {length} elements, so it must lie between 0 and {length}.")
    value = given(one.parts["value"], found.child, one.expression)
    holder = found.owner.children_of(make=True)
    if holder is None:
        raise Conflict("The path leads to no element that could take it.")
    _insert_at(holder, value, index, length, copier)


def _delete(one: Operation, root: Place, _copier: Copier) -> None:
    found = places.places(one.tree, root)
    if not found:
        return  # "if found": fhirpatch.html
    if len(found) > 1:
        raise Conflict(f"The path leads to {len(found)} elements; only a single one can be deleted.")
    owner, _ = _changeable(one, found[0])
    place = found[0]
    for name in (place.name, "_" + place.name):
        if place.index is None:
            owner.pop(name, None)
        elif isinstance(owner.get(name), list) and place.index < len(owner[name]):
            owner[name].pop(place.index)


def _replace(one: Operation, root: Place, copier: Copier) -> None:
    place = _one(one, root)
    owner, child = _changeable(one, place)
    value = given(one.parts["value"], child, one.expression)
    if place.index is None:
        for name, _ in child.forms:
            if name != value.name:  # a choice may change its type
                owner.pop(name, None)
            owner.pop("_" + name, None)
        _set(owner, value, copier)
        return
    for name, new in ((value.name, value.value), ("_" + value.name, value.extra)):
        _set_item(owner, name, place.index, copier.copied(new))


def _move(one: Operation, root: Place, _copier: Copier) -> None:
    found = _collection(one, root)
    existing = places.elements(found.owner, found.child)
    source, destination = one.parts["source"], one.parts["destination"]
    for name, number in (("source", source), ("destination", destination)):
        if not 0 <= number < len(existing):
            raise Conflict(f"{name} is {number}; the list has {len(existing)} elements.")
    owner, base = existing[source].owner or {}, existing[source].name
    for name in (base, "_" + base):
        items = owner.get(name)
        if isinstance(items, list):
            items.extend([None] * (len(existing) - len(items)))
            items.insert(destination, items.pop(source))


def _collection(one: Operation, root: Place) -> Collection:
    found, count = places.collection(one.tree, root)
    if found is None:
        raise Conflict(f"The list is under {count} elements; it must be under exactly one.")
    if not found.child.is_list:
        raise Unprocessable(f"{found.child.name} of {found.owner.type} is no list.")
    return found


def _set(holder: dict[str, Any], value: Given, copier: Copier) -> None:
    if value.value is not None:
        holder[value.name] = copier.copied(value.value)
    else:
        holder.pop(value.name, None)
    if value.extra is not None:
        holder["_" + value.name] = copier.copied(value.extra)


def _insert_at(holder: dict[str, Any], value: Given, index: int, length: int, copier: Copier) -> None:
    """Insert into an array, and into its counterpart where there is one or must be one."""
    is_primitive = model.is_primitive(value.type)
    for name, new in ((value.name, value.value), ("_" + value.name, value.extra)):
        if name not in holder and new is None:
            continue
        if name.startswith("_") and not is_primitive:
            continue
        items = holder.setdefault(name, [])
        items.extend([None] * (length - len(items)))
        items.insert(index, copier.copied(new))


def _set_item(owner: dict[str, Any], name: str, index: int, value: Any) -> None:
    if name not in owner and value is None:
        return
    items = owner.setdefault(name, [])
    items.extend([None] * (index + 1 - len(items)))
    items[index] = value


_DO: dict[str, Callable[[Operation, Place, Copier], None]] = {
    "add": _add, "insert": _insert, "delete": _delete, "replace": _replace, "move": _move,
}  # fmt: skip
