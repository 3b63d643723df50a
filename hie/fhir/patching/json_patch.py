"""JSON Patch: https://www.rfc-editor.org/rfc/rfc6902

A library would do, but for three things: here 1.00 stays 1.00 where a resource says so, true is not 1, and an error
says which operation met what.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hie.errors import Conflict, InvalidRequest
from hie.fhir.fhirpath import Allowance, Watch
from hie.fhir.fhirpath.errors import FhirPathLimit
from hie.fhir.patching import bounds, pointer
from hie.fhir.patching.pointer import NotThere, Pointer
from hie.fhir.patching.tree import Copier, is_equal, tidied

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
        document = _Document(resource, bounds.watched(allowance))
        for one in self.operations:
            try:
                document.watch.spend(0)
                _DO[one.op](document, one)
            except NotThere as error:
                raise Conflict(f"{one.told} does not fit the resource: {error}. Nothing was changed.") from None
            except FhirPathLimit:
                raise bounds.too_costly(one.told, allowance) from None
        return tidied(document.resource)


# ---- reading ---------------------------------------------------------------------------------------------------------


def parse(document: Any) -> JsonPatch:
    """Read the operations; InvalidRequest says what is wrong with one."""
    if not isinstance(document, list):
        raise InvalidRequest("A JSON Patch is an array of operations (RFC 6902).")
    if len(document) > bounds.MOST_OPERATIONS:
        raise InvalidRequest(f"The JSON Patch has {len(document)} operations; at most {bounds.MOST_OPERATIONS} are "
                             "taken.")
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


# ---- doing -----------------------------------------------------------------------------------------------------------


class _Document:
    """The resource while it is changed; it stands in a holder, so that the empty pointer is a place like others."""

    def __init__(self, resource: dict[str, Any], watch: Watch) -> None:
        self._holder, self._copier, self.watch = {"": resource}, Copier(), watch

    @property
    def resource(self) -> Any:
        """What the resource is now."""
        return self._holder[""]

    def at(self, path: Pointer) -> Any:
        """Return what stands at a place."""
        return pointer.at(self.resource, path)

    def given(self, value: Any, path: Pointer) -> Any:
        """Return a copy of a value of the patch, which will stand at a place."""
        return self._copier.copied(value, len(path))

    def copied(self, value: Any, path: Pointer) -> Any:
        """Return a copy of a value of the resource, which will stand at a place."""
        before = self._copier.done
        copy = self._copier.copied(value, len(path))
        self.watch.spend(self._copier.done - before)
        return copy

    def put(self, path: Pointer, value: Any) -> None:
        """Put a value into a place, of an array before what stands there."""
        parent, token = self._parent(path)
        if isinstance(parent, list):
            at = pointer.index(parent, token, path, extra=1)
            self._shift(parent, at)
            parent.insert(at, value)
        else:
            parent[token] = value

    def take(self, path: Pointer) -> Any:
        """Take a value away from a place."""
        self.at(path)
        if not path:
            raise NotThere("the whole resource cannot be taken away; DELETE deletes it")
        parent, token = self._parent(path)
        if isinstance(parent, list):
            at = pointer.index(parent, token, path)
            self._shift(parent, at)
            return parent.pop(at)
        return parent.pop(token)

    def replace(self, path: Pointer, value: Any) -> None:
        """Put a value into the place of another."""
        self.at(path)
        parent, token = self._parent(path)
        if isinstance(parent, list):
            parent[pointer.index(parent, token, path)] = value
        else:
            parent[token] = value

    def _shift(self, array: list[Any], at: int) -> None:
        self.watch.spend((len(array) - at) // bounds.AT_ONCE)

    def _parent(self, path: Pointer) -> tuple[Any, str]:
        if not path:
            return self._holder, ""
        parent = self.at(path[:-1])
        if not isinstance(parent, dict | list):
            raise NotThere(f"{pointer.shown(path[:-1])[:200] or 'the document'} is no object and no array")
        return parent, path[-1]


def _add(document: _Document, one: Operation) -> None:
    document.put(one.path, document.given(one.value, one.path))


def _remove(document: _Document, one: Operation) -> None:
    document.take(one.path)


def _replace(document: _Document, one: Operation) -> None:
    document.replace(one.path, document.given(one.value, one.path))


def _move(document: _Document, one: Operation) -> None:
    value = document.take(one.source or ())
    document.put(one.path, document.copied(value, one.path))


def _copy(document: _Document, one: Operation) -> None:
    document.put(one.path, document.copied(document.at(one.source or ()), one.path))


def _test(document: _Document, one: Operation) -> None:
    if not is_equal(document.at(one.path), one.value):
        raise NotThere("the value there is another")


_DO: dict[str, Callable[[_Document, Operation], None]] = {
    "add": _add, "remove": _remove, "replace": _replace, "move": _move, "copy": _copy, "test": _test,
}  # fmt: skip
