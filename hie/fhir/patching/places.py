"""Where a FHIRPath leads inside a resource's JSON: the places that a patch changes, not only the values there.

https://hl7.org/fhir/R4/fhirpatch.html. A path walks by element names, indexes and functions that choose among what is
there; conditions inside `where()` may be any FHIRPath.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hie.errors import InvalidRequest, Unprocessable
from hie.fhir import fhirpath
from hie.fhir.fhirpath import FhirPathError, FhirPathSyntaxError, Watch, model, syntax
from hie.fhir.fhirpath.errors import FhirPathLimit
from hie.fhir.fhirpath.model import Child
from hie.fhir.fhirpath.parser import parse as parse_path

USABLE = "where, first, last, tail, skip, take, single, ofType, as and extension"


@dataclass(frozen=True, slots=True)
class Place:
    """One element: `owner[name]`, or `owner[name][index]` of an array; the resource itself has no owner.

    A primitive has its id and extensions beside it, in the property of the same name with an underscore. `watch` ends
    a patch whose paths look at too much: it runs while nobody else may write.
    """

    owner: dict[str, Any] | None
    owner_type: str
    name: str
    index: int | None
    child: Child | None
    type: str
    value: Any
    watch: Watch

    def children_of(self, *, make: bool = False) -> dict[str, Any] | None:
        """Return the object that holds the element's own elements; None where a primitive has none and none is made."""
        if not model.is_primitive(self.type):
            return self.value if isinstance(self.value, dict) else None
        if self.owner is None:
            return None
        beside = "_" + self.name
        if self.index is None:
            extra = self.owner.setdefault(beside, {}) if make else self.owner.get(beside)
            return extra if isinstance(extra, dict) else None
        return _of_list(self.owner, beside, self.index, make=make)


def _of_list(owner: dict[str, Any], beside: str, index: int, *, make: bool) -> dict[str, Any] | None:
    extras = owner.setdefault(beside, []) if make else owner.get(beside)
    if not isinstance(extras, list):
        return None
    if make:
        extras.extend([None] * (index + 1 - len(extras)))
        if extras[index] is None:
            extras[index] = {}
    found = extras[index] if index < len(extras) else None
    return found if isinstance(found, dict) else None


@dataclass(frozen=True, slots=True)
class Collection:
    """All that stands under one name of an element, where an insert or move works."""

    owner: Place
    child: Child


def parsed(text: str, expression: str) -> syntax.Expression:
    """Parse a path; InvalidRequest says where it is no FHIRPath."""
    try:
        return parse_path(text)
    except FhirPathSyntaxError as error:
        raise InvalidRequest(f"The path is no FHIRPath: {error}", expression=expression) from None


def places(tree: syntax.Expression, root: Place) -> list[Place]:
    """Return the places a path leads to."""
    if isinstance(tree, syntax.This):
        return [root]
    if isinstance(tree, syntax.Member):
        return _members(tree, root)
    if isinstance(tree, syntax.Indexer):
        return _slice(places(tree.base, root), _number(tree.index), 1)
    if isinstance(tree, syntax.Call):
        return _called(tree, root)
    if isinstance(tree, syntax.TypeTest) and tree.operator == "as":
        return _of_type(places(tree.operand, root), tree.type)
    raise Unprocessable(f"A patch's path walks by names, indexes and the functions {USABLE}; this one does not.")


def collection(tree: syntax.Expression, root: Place) -> tuple[Collection | None, int]:
    """Return the collection that a path names, and how many elements it is under; only one is right."""
    if not isinstance(tree, syntax.Member) or (tree.base is None and tree.name == root.type):
        raise Unprocessable("insert and move need the path of a list, as in Patient.identifier.")
    owners = [root] if tree.base is None else places(tree.base, root)
    if len(owners) != 1:
        return None, len(owners)
    return Collection(owners[0], child_of(owners[0].type, tree.name)), 1


def child_of(type_name: str, name: str) -> Child:
    """Return the element of a type; Unprocessable where it has none of this name."""
    child = model.children(type_name).get(name)
    if child is None or child.name == "resourceType":
        raise Unprocessable(f"{type_name} has no element {name[:80]!r}.")
    return child


def named(type_name: str, name: str) -> Child:
    """Return the element that a part names: `value`, `value[x]` or, as JSON has it, `valueString`."""
    known = model.children(type_name)
    if name not in known:
        plain = name.removesuffix("[x]")
        name = next((one.name for one in known.values()
                     if len(one.forms) > 1 and any(form == name for form, _ in one.forms)), plain)
    return child_of(type_name, name)


def elements(owner: Place, child: Child) -> list[Place]:
    """Return what stands under a name, in its order."""
    holder = owner.children_of()
    if holder is None:
        return []
    found: list[Place] = []
    watch = owner.watch
    for name, type_name in child.forms:
        value, beside = holder.get(name), holder.get("_" + name)
        if child.is_list:
            values = value if isinstance(value, list) else []
            extras = beside if isinstance(beside, list) else []
            for index in range(max(len(values), len(extras))):
                item = values[index] if index < len(values) else None
                found.append(Place(holder, owner.type, name, index, child, _actual(type_name, item), item, watch))
        elif value is not None or beside is not None:
            found.append(Place(holder, owner.type, name, None, child, _actual(type_name, value), value, watch))
    watch.spend(len(found))
    return found


def _actual(type_name: str, value: Any) -> str:
    if type_name == "Resource" and isinstance(value, dict):
        return str(value.get("resourceType", type_name))
    return type_name


def _members(tree: syntax.Member, root: Place) -> list[Place]:
    if tree.base is None:
        if tree.name in (root.type, "Resource", "DomainResource"):
            return [root]
        return elements(root, child_of(root.type, tree.name))
    return [one for owner in places(tree.base, root) for one in elements(owner, child_of(owner.type, tree.name))]


def _number(tree: syntax.Expression) -> int:
    if isinstance(tree, syntax.Literal) and tree.type == "Integer" and isinstance(tree.value, int):
        return tree.value
    raise Unprocessable("An index in a patch's path is a whole number, as in Patient.name[0].")


def _slice(found: list[Place], start: int, count: int | None) -> list[Place]:
    start = max(start, 0)
    return found[start:] if count is None else found[start : start + max(count, 0)]


def _called(tree: syntax.Call, root: Place) -> list[Place]:
    function = _FUNCTIONS.get(tree.name)
    if function is None or tree.base is None:
        raise Unprocessable(f"{tree.name}() cannot be used in a patch's path; {USABLE} can.")
    arity, choose = function
    if len(tree.arguments) != arity:
        raise Unprocessable(f"{tree.name}() takes {arity} argument{'s' if arity != 1 else ''}.")
    return choose(places(tree.base, root), tree, root)


_Choose = Callable[[list[Place], syntax.Call, Place], list[Place]]


def _where(found: list[Place], tree: syntax.Call, root: Place) -> list[Place]:
    return [one for one in found if _holds(tree.arguments[0], one, root)]


def _holds(condition: syntax.Expression, one: Place, root: Place) -> bool:
    if one.value is None:
        return False
    try:
        compiled = fhirpath.compile_tree(condition, one.type)
        one.watch.spend(1)
        return compiled.holds(one.value, resource=root.value, watch=one.watch) is True
    except FhirPathLimit:
        raise
    except FhirPathError as error:
        raise Unprocessable(f"The condition of where() cannot be evaluated: {error}") from None


def _single(found: list[Place], tree: syntax.Call, _root: Place) -> list[Place]:
    if len(found) > 1:
        raise Unprocessable(f"single() meets {len(found)} elements.")
    return found


def _typed(found: list[Place], tree: syntax.Call, _root: Place) -> list[Place]:
    wanted = tree.arguments[0]
    if isinstance(wanted, syntax.Member) and (wanted.base is None or wanted.base == syntax.Member(None, "FHIR")):
        return _of_type(found, wanted.name)
    raise Unprocessable(f"{tree.name}() takes the name of a type.")


def _of_type(found: list[Place], type_name: str) -> list[Place]:
    name = type_name.removeprefix("FHIR.")
    if not model.is_type(name):
        raise Unprocessable(f"R4 has no type {name[:80]!r}.")
    return [one for one in found if model.is_a(one.type, name)]


def _extension(found: list[Place], tree: syntax.Call, _root: Place) -> list[Place]:
    url = tree.arguments[0]
    if not isinstance(url, syntax.Literal):
        raise Unprocessable("extension() takes the extension's url as a string.")
    every = [one for owner in found for one in elements(owner, child_of(owner.type, "extension"))]
    return [one for one in every if isinstance(one.value, dict) and one.value.get("url") == url.value]


_FUNCTIONS: dict[str, tuple[int, _Choose]] = {
    "where": (1, _where),
    "first": (0, lambda found, _tree, _root: found[:1]),
    "last": (0, lambda found, _tree, _root: found[-1:]),
    "tail": (0, lambda found, _tree, _root: found[1:]),
    "skip": (1, lambda found, tree, _root: _slice(found, _number(tree.arguments[0]), None)),
    "take": (1, lambda found, tree, _root: _slice(found, 0, _number(tree.arguments[0]))),
    "single": (0, _single),
    "ofType": (1, _typed),
    "as": (1, _typed),
    "extension": (1, _extension),
}
