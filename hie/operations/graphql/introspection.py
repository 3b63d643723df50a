"""Answers questions about a schema: https://spec.graphql.org/October2021/#sec-Schema-Introspection

What the whole schema says is 15 MB; graphql-core takes 10 seconds for it. Here a part that is met again under the same
selections, as the type of a field is, is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graphql import (
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
)

from hie.errors import TooCostly
from hie.operations.graphql.checking import check_plain, invalid, merged
from hie.operations.graphql.document import Field, Selection

#: Values of one answer, those of all its aliases; the whole schema has some 600,000.
MOST_VALUES = 2_000_000
#: Characters; each such part of a long name for a field counts as one more value.
KEY_LENGTH = 20
#: So many parts are written for one answer, 10 µs each; what tools ask of the whole schema has 140,000.
MOST_WRITTEN = 300_000


class _Named(NamedTuple):
    """A field or an argument, which does not know its name itself."""

    name: str
    value: Any


def _fields_of(one: Any) -> list[_Named] | None:
    return _named(one.fields) if isinstance(one, GraphQLObjectType | GraphQLInterfaceType) else None


def _named(found: Mapping[str, Any]) -> list[_Named]:
    return [_Named(name, value) for name, value in found.items()]


def _nothing(_: Any) -> None:
    return None


_KINDS = {GraphQLObjectType: "OBJECT", GraphQLInterfaceType: "INTERFACE", GraphQLScalarType: "SCALAR",
          GraphQLInputObjectType: "INPUT_OBJECT", GraphQLList: "LIST", GraphQLNonNull: "NON_NULL"}  # fmt: skip
#: What each kind of thing is asked: how the answer is found, and what kind of thing it is ("": a plain value).
_ASKED: dict[str, dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "__Schema": {
        "description": ("", _nothing),
        "types": ("__Type", lambda one: list(one.schema.type_map.values())),
        "queryType": ("__Type", lambda one: one.schema.query_type),
        "mutationType": ("__Type", lambda one: one.schema.mutation_type), "subscriptionType": ("__Type", _nothing),
        "directives": ("__Directive", lambda one: list(one.schema.directives)),
    },
    "__Type": {
        "kind": ("", lambda one: _KINDS.get(type(one), "ENUM")),
        "name": ("", lambda one: getattr(one, "name", None)),
        "description": ("", lambda one: getattr(one, "description", None)),
        "specifiedByURL": ("", _nothing),
        "fields": ("__Field", _fields_of),
        "interfaces": ("__Type", lambda one: list(one.interfaces)
                       if isinstance(one, GraphQLObjectType | GraphQLInterfaceType) else None),
        "possibleTypes": ("__Type", _nothing),  # the answer's walk knows the schema that tells them
        "enumValues": ("__EnumValue", lambda one: _named(one.values) if hasattr(one, "values") else None),
        "inputFields": ("__InputValue", lambda one: _named(one.fields) if isinstance(one, GraphQLInputObjectType)
                        else None),
        "ofType": ("__Type", lambda one: getattr(one, "of_type", None)),
    },
    "__Field": {
        "name": ("", lambda one: one.name), "description": ("", _nothing), "isDeprecated": ("", lambda _: False),
        "deprecationReason": ("", _nothing),
        "args": ("__InputValue", lambda one: _named(one.value.args)),
        "type": ("__Type", lambda one: one.value.type),
    },
    "__InputValue": {
        "name": ("", lambda one: one.name), "description": ("", _nothing), "isDeprecated": ("", lambda _: False),
        "deprecationReason": ("", _nothing), "defaultValue": ("", _nothing),
        "type": ("__Type", lambda one: one.value.type),
    },
    "__EnumValue": {
        "name": ("", lambda one: one.name), "description": ("", _nothing), "isDeprecated": ("", lambda _: False),
        "deprecationReason": ("", _nothing),
    },
    "__Directive": {
        "name": ("", lambda one: one.name), "description": ("", lambda one: one.description),
        "isRepeatable": ("", lambda one: one.is_repeatable),
        "locations": ("", lambda one: [place.name for place in one.locations]),
        "args": ("__InputValue", lambda one: _named(one.args)),
    },
}  # fmt: skip


_WITH_OLD = ("includeDeprecated",)
#: What the lists take of which something may be deprecated; here nothing is.
_ARGUMENTS = dict.fromkeys(("fields", "enumValues", "inputFields", "args"), _WITH_OLD)


@dataclass(frozen=True, slots=True)
class _Written:
    """A part of the answer, and how many values it has."""

    value: Any
    size: int


@dataclass(slots=True)
class Introspection:
    """One question; `_known` are parts that were written, by the thing and what was asked of it."""

    schema: GraphQLSchema
    _known: dict[tuple[str, int, int], _Written] = field(default_factory=dict)
    _meant: dict[tuple[str, int], list[Field]] = field(default_factory=dict)
    _count: int = 0  # parts that were written

    def answer(self, root: str, selections: Sequence[Selection]) -> dict[str, Any]:
        """Return what the fields __schema and __type of a query say."""
        found: dict[str, Any] = {}
        size = 0
        for one in merged(root, selections):
            part = self._asked(root, one)
            found[one.key] = part.value
            size += part.size
            _check_size(size)
        return found

    def _asked(self, root: str, one: Field) -> _Written:
        check_plain(one, *(("name",) if one.name == "__type" else ()))
        if one.name == "__typename":
            return _Written(root, 1)
        if one.name == "__schema":
            return self._written("__Schema", self, one.selections)
        name = one.arguments.get("name")
        if not isinstance(name, str):
            raise invalid('__type needs the name of a type, as in __type(name: "Patient").')
        type_ = self.schema.type_map.get(name)
        return _Written(None, 1) if type_ is None else self._written("__Type", type_, one.selections)

    def _written(self, kind: str, thing: Any, selections: tuple[Selection, ...]) -> _Written:
        key = (kind, id(thing), id(selections))
        if isinstance(thing, _Named):  # made for this answer: another one may stand at the same place later
            return self._made(kind, thing, selections)
        if key not in self._known:
            self._known[key] = self._made(kind, thing, selections)
        return self._known[key]

    def _made(self, kind: str, thing: Any, selections: tuple[Selection, ...]) -> _Written:
        if not selections:
            raise invalid(f"What is a {kind} has fields, some of which must be selected.")
        self._count += 1
        if self._count > MOST_WRITTEN:
            raise _too_much(f"is made of more than {MOST_WRITTEN} parts")
        value: dict[str, Any] = {}
        size = 1
        for one in self._fields(kind, selections):
            if one.name == "__typename":
                value[one.key] = kind
                continue
            part = self._part(kind, thing, one)
            value[one.key] = part.value
            size += part.size + len(one.key) // KEY_LENGTH
        _check_size(size)
        return _Written(value, size)

    def _fields(self, kind: str, selections: tuple[Selection, ...]) -> list[Field]:
        key = (kind, id(selections))
        if key not in self._meant:
            self._meant[key] = fields = merged(kind, selections)
            for one in fields:
                check_plain(one, *_ARGUMENTS.get(one.name, ()))
        return self._meant[key]

    def _part(self, kind: str, thing: Any, one: Field) -> _Written:
        if one.name not in _ASKED[kind]:
            raise invalid(f"{kind} has no field {one.name[:80]}; it has {', '.join(_ASKED[kind])}.")
        below, read = _ASKED[kind][one.name]
        found = read(thing)
        if one.name == "possibleTypes" and isinstance(thing, GraphQLInterfaceType):
            found = list(self.schema.get_possible_types(thing))
        if not below or found is None:
            return _Written(found, 1)
        if not isinstance(found, list):
            return self._written(below, found, one.selections)
        parts = [self._written(below, each, one.selections) for each in found]
        return _Written([part.value for part in parts], sum(part.size for part in parts))


def _check_size(size: int) -> None:
    if size > MOST_VALUES:
        raise _too_much(f"would have more than {MOST_VALUES} values")


def _too_much(told: str) -> TooCostly:
    return TooCostly(f"The answer {told}; ask for less.", expression="query")
