"""JSON Patch: https://www.rfc-editor.org/rfc/rfc6902

A library would do, but for three things: here 1.00 stays 1.00 where a resource says so, true is not 1, and an error
says which operation met what.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hie.errors import Conflict, InvalidRequest
from hie.fhir.fhirpath import Allowance
from hie.fhir.patching import pointer
from hie.fhir.patching.pointer import NotThere, Pointer
from hie.fhir.patching.tree import Copier, is_equal, tidied

MOST_OPERATIONS = 10_000
_NEEDS_VALUE = frozenset({"add", "replace", "test"})
_NEEDS_FROM = frozenset({"move", "copy"})
_KNOWN = ("add", "remove", "replace", "move", "copy", "test")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; `source` is its "from"."""

    number: int
    op: str
    path: Pointer
    source: Pointer | None
    value: Any

    @property
    def told(self) -> str:
        """The operation as an error names it."""
        return f"Operation {self.number} ({self.op} {pointer.shown(self.path)[:200] or 'the whole resource'})"


@dataclass(frozen=True, slots=True)
class JsonPatch:
    """A patch that was read."""

    operations: tuple[Operation, ...]

    def applied(self, resource: dict[str, Any], allowance: Allowance | None = None) -> Any:
        """Return the resource after all operations; Conflict where one does not fit it."""
        holder, copier = {"": resource}, Copier()
        for one in self.operations:
            try:
                _DO[one.op](holder, one, copier)
            except NotThere as error:
                raise Conflict(f"{one.told} does not fit the resource: {error}. Nothing was changed.") from None
        return tidied(holder[""])


# ---- reading ---------------------------------------------------------------------------------------------------------


def parse(document: Any) -> JsonPatch:
    """Read the operations; InvalidRequest says what is wrong with one."""
    if not isinstance(document, list):
        raise InvalidRequest("A JSON Patch is an array of operations (RFC 6902).")
    if len(document) > MOST_OPERATIONS:
        raise InvalidRequest(f"The JSON Patch has {len(document)} operations; at most {MOST_OPERATIONS} are taken.")
    return JsonPatch(tuple(_operation(number, row) for number, row in enumerate(document)))


def _operation(number: int, row: Any) -> Operation:
    if not isinstance(row, dict):
        raise InvalidRequest(f"Operation {number} is no object.")
    op = row.get("op")
    if op not in _KNOWN:
        raise InvalidRequest(f"Operation {number} has op {str(op)[:40]!r}; known are {', '.join(_KNOWN)}.")
    if op in _NEEDS_VALUE and "value" not in row:
        raise InvalidRequest(f"Operation {number} ({op}) has no value.")
    path = _pointer(number, row, "path")
    source = _pointer(number, row, "from") if op in _NEEDS_FROM else None
    if op == "move" and source is not None and len(source) < len(path) and path[: len(source)] == source:
        raise InvalidRequest(f"Operation {number} moves {pointer.shown(source)} into itself.")
    return Operation(number, op, path, source, row.get("value"))


def _pointer(number: int, row: dict[str, Any], name: str) -> Pointer:
    if name not in row:
        raise InvalidRequest(f"Operation {number} ({row['op']}) has no {name}.")
    try:
        return pointer.parse(row[name])
    except pointer.PointerError as error:
        raise InvalidRequest(f"{name} of operation {number} {error}.") from None


# ---- doing. The resource stands in a holder, so that the empty pointer is a place like others. -----------------------


def _add(holder: dict[str, Any], one: Operation, copier: Copier) -> None:
    _put(holder, one.path, copier.copied(one.value, len(one.path)))


def _put(holder: dict[str, Any], path: Pointer, value: Any) -> None:
    parent, token = _parent(holder, path)
    if isinstance(parent, list):
        parent.insert(pointer.index(parent, token, path, extra=1), value)
    else:
        parent[token] = value


def _remove(holder: dict[str, Any], one: Operation, _copier: Copier) -> None:
    _take(holder, one.path)


def _take(holder: dict[str, Any], path: Pointer) -> Any:
    pointer.at(holder[""], path)
    if not path:
        raise NotThere("the whole resource cannot be taken away; DELETE deletes it")
    parent, token = _parent(holder, path)
    if isinstance(parent, list):
        return parent.pop(pointer.index(parent, token, path))
    return parent.pop(token)


def _replace(holder: dict[str, Any], one: Operation, copier: Copier) -> None:
    pointer.at(holder[""], one.path)
    parent, token = _parent(holder, one.path)
    value = copier.copied(one.value, len(one.path))
    if isinstance(parent, list):
        parent[pointer.index(parent, token, one.path)] = value
    else:
        parent[token] = value


def _move(holder: dict[str, Any], one: Operation, copier: Copier) -> None:
    value = _take(holder, one.source or ())
    _put(holder, one.path, copier.copied(value, len(one.path)))


def _copy(holder: dict[str, Any], one: Operation, copier: Copier) -> None:
    _put(holder, one.path, copier.copied(pointer.at(holder[""], one.source or ()), len(one.path)))


def _test(holder: dict[str, Any], one: Operation, _copier: Copier) -> None:
    if not is_equal(pointer.at(holder[""], one.path), one.value):
        raise NotThere("the value there is another")


def _parent(holder: dict[str, Any], path: Pointer) -> tuple[Any, str]:
    if not path:
        return holder, ""
    parent = pointer.at(holder[""], path[:-1])
    if not isinstance(parent, dict | list):
        raise NotThere(f"{pointer.shown(path[:-1])[:200] or 'the document'} is no object and no array")
    return parent, path[-1]


_DO: dict[str, Callable[[dict[str, Any], Operation, Copier], None]] = {
    "add": _add, "remove": _remove, "replace": _replace, "move": _move, "copy": _copy, "test": _test,
}  # fmt: skip
