"""What $graphql offers, as a GraphQL schema that clients ask for: https://hl7.org/fhir/R4/graphql.html#conformance

Made once it is asked for; queries are not executed by it, as an answer is fetched level by level (execution).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import Any

from graphql import (
    DirectiveLocation,
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLDirective,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    specified_directives,
)

from hie.errors import InvalidRequest
from hie.fhir import search_parameters
from hie.fhir.facts import PRIMITIVE_TYPES, RESOURCE_TYPES
from hie.operations.graphql.checking import choosing, merged, name_of, properties
from hie.operations.graphql.document import DIRECTIVES, Selection
from hie.operations.graphql.inputs import input_name
from hie.operations.graphql.introspection import Introspection
from hie.operations.graphql.mutations import ACTIONS
from hie.store.search import chain, near

_INTROSPECTION = frozenset({"__schema", "__type"})
_SCALARS = {"boolean": GraphQLBoolean, "integer": GraphQLInt, "positiveInt": GraphQLInt, "unsignedInt": GraphQLInt,
            "decimal": GraphQLFloat, "string": GraphQLString, "xhtml": GraphQLString}  # fmt: skip
_ANY_RESOURCE = GraphQLScalarType("ResourceInput", description="A resource of any type, with its resourceType.")
_VALUE = GraphQLScalarType("Value", description="A text, a name as it stands, a number or a boolean.")
#: So many schemas are kept, each by its root; what they are made of is one.
_KEPT = 4
_making = threading.Lock()

def asks_for_schema(type_name: str, selections: Sequence[Selection]) -> bool:
    """Tell whether a query is one of introspection; refuse what asks for records beside it."""
    names = {one.name for one in merged(type_name, selections)}
    if not names & _INTROSPECTION:
        return False
    if names - _INTROSPECTION - {"__typename"}:
        raise InvalidRequest("__schema and __type are asked for by themselves, without records beside them.",
                             expression="query")
    return True


def answered(root: str | None, selections: Sequence[Selection]) -> dict[str, Any]:
    """Answer a query of introspection, on the system (None) or on a resource of a type."""
    with _making:
        schema = _schema(root)
    return Introspection(schema).answer(root or "Query", selections)


@lru_cache(maxsize=_KEPT)
def _schema(root: str | None) -> GraphQLSchema:
    directives = [*specified_directives, *map(_directive, sorted(DIRECTIVES.keys() - {"skip", "include"}))]
    types = [_type(one) for one in sorted(RESOURCE_TYPES)]
    query, mutation = (_query(), _mutation()) if root is None else (_object(root), None)
    return GraphQLSchema(query, mutation, types=types, directives=directives)


def _directive(name: str) -> GraphQLDirective:
    arguments = {one: GraphQLArgument(GraphQLNonNull(GraphQLString)) for one in DIRECTIVES[name]}
    return GraphQLDirective(name, [DirectiveLocation.FIELD], arguments)


@cache
def _query() -> GraphQLObjectType:
    return GraphQLObjectType("Query", lambda: dict(_of_system()))


def _of_system() -> Iterator[tuple[str, GraphQLField]]:
    for name in sorted(RESOURCE_TYPES):
        yield name, GraphQLField(_type(name), {"id": GraphQLArgument(GraphQLNonNull(GraphQLID))})
        yield f"{name}List", GraphQLField(GraphQLList(_type(name)), _search(name) | {
            "_offset": GraphQLArgument(GraphQLInt)})
        yield f"{name}Connection", GraphQLField(_connection(name), _search(name) | {
            "_cursor": GraphQLArgument(GraphQLString)})


@cache
def _search(name: str) -> dict[str, GraphQLArgument]:
    """Return the arguments of a search: its parameters with _ for -, several values being OR.

    Those that a tenant defines are not told: the schema is everybody's.
    """
    known = [code for code, one in search_parameters.for_type(name).items()
             if not one.state and (not one.is_special or code == near.PARAMETER)]
    any_of, one = GraphQLArgument(GraphQLList(_VALUE)), GraphQLArgument(_VALUE)
    found = {code.replace("-", "_"): any_of for code in sorted(known)}
    return found | dict.fromkeys(("_filter", "_text", "_count", "_sort", "fhirpath"), one)


@cache
def _connection(name: str) -> GraphQLObjectType:
    plain = {"count": GraphQLInt, "offset": GraphQLInt, "pagesize": GraphQLInt, "first": GraphQLString,
             "previous": GraphQLString, "next": GraphQLString, "last": GraphQLString}  # fmt: skip
    edge = GraphQLObjectType(f"{name}Edge", lambda: {
        "mode": GraphQLField(GraphQLString), "score": GraphQLField(GraphQLFloat),
        "resource": GraphQLField(_type(name))})  # fmt: skip
    return GraphQLObjectType(f"{name}Connection", lambda: {
        **{one: GraphQLField(scalar) for one, scalar in plain.items()}, "edges": GraphQLField(GraphQLList(edge))})


@cache
def _mutation() -> GraphQLObjectType:
    return GraphQLObjectType("Mutation", lambda: dict(_mutations()))


def _mutations() -> Iterator[tuple[str, GraphQLField]]:
    id_, version = GraphQLArgument(GraphQLNonNull(GraphQLID)), GraphQLArgument(GraphQLID)
    for name in sorted(RESOURCE_TYPES):
        resource = GraphQLArgument(_input(name))
        arguments = {"id": id_, "resource": resource, "res": resource, "ifMatch": version}
        fields = {"location": GraphQLField(GraphQLString), "resource": GraphQLField(_type(name)),
                  "information": GraphQLField(_type("OperationOutcome"))}  # fmt: skip
        for suffix, action in ACTIONS.items():
            payload = GraphQLObjectType(f"{name}{action.payload}", {one: fields[one] for one in action.fields})
            yield f"{name}{suffix}", GraphQLField(payload, {one: arguments[one] for one in action.arguments})


@cache
def _input(name: str) -> GraphQLInputObjectType:
    """Return the type by which a resource, a data type or an element with elements of its own is given."""
    return GraphQLInputObjectType(input_name(name), lambda: {
        key: GraphQLInputField(GraphQLList(kind) if is_list else kind)
        for key, (form, is_list) in properties(name).items() for kind in [_input_kind(form)]})  # fmt: skip


def _input_kind(form: str) -> GraphQLScalarType | GraphQLInputObjectType:
    if form == "Resource":
        return _ANY_RESOURCE
    kind = _kind(form)
    return kind if isinstance(kind, GraphQLScalarType) else _input(form)


def _type(name: str) -> GraphQLObjectType | GraphQLInterfaceType:
    return _resource() if name == "Resource" else _object(name)


@cache
def _resource() -> GraphQLInterfaceType:
    return GraphQLInterfaceType("Resource", lambda: dict(_elements("Resource")))


@cache
def _object(name: str) -> GraphQLObjectType:
    """Return the type of a resource, a data type or an element with elements of its own."""
    interfaces = [_resource()] if name in RESOURCE_TYPES else None
    return GraphQLObjectType(name_of(name), lambda: dict(_fields(name)), interfaces=interfaces)


def _fields(name: str) -> Iterator[tuple[str, GraphQLField]]:
    yield from _elements(name)
    if name == "Reference":
        yield "resource", GraphQLField(_type("Resource"), {
            "optional": GraphQLArgument(GraphQLBoolean), "type": GraphQLArgument(_VALUE)})
    if name in RESOURCE_TYPES:
        for other in _referring(name):
            arguments = {"_reference": GraphQLArgument(GraphQLNonNull(_VALUE)),
                         **{one: GraphQLArgument(_VALUE) for one in ("_filter", "_count", "_sort")}}
            yield f"{other}List", GraphQLField(GraphQLList(_type(other)), arguments)
            yield f"{other}Connection", GraphQLField(_connection(other), arguments)


def _elements(name: str) -> Iterator[tuple[str, GraphQLField]]:
    for key, (form, is_list) in properties(name).items():
        kind: Any = _kind(form)
        is_plain = isinstance(kind, GraphQLScalarType)
        if is_list:
            yield key, GraphQLField(GraphQLList(kind), _chosen("" if is_plain else form))
        else:
            yield key, GraphQLField(kind)


@cache
def _chosen(form: str) -> dict[str, GraphQLArgument]:
    """Return what chooses among the items of a list: an element of theirs, a FHIRPath, or where they stand."""
    found = {one: GraphQLArgument(GraphQLInt) for one in ("_offset", "_count")}
    found["fhirpath"] = GraphQLArgument(GraphQLString)
    return found | dict.fromkeys(choosing(form) if form else (), GraphQLArgument(_VALUE))


def _kind(form: str) -> GraphQLScalarType | GraphQLObjectType | GraphQLInterfaceType:
    if form in _SCALARS or form.startswith("System."):
        return _SCALARS.get(form, GraphQLString)
    return _scalar(form) if form in PRIMITIVE_TYPES else _type(form)


@cache
def _scalar(name: str) -> GraphQLScalarType:
    return GraphQLScalarType(name, description="As in JSON, a string.")


@cache
def _referring(name: str) -> tuple[str, ...]:
    """Name the types that have a search parameter for references to a type."""
    return tuple(other for other in sorted(RESOURCE_TYPES) if any(
        chain.is_chained(one) and name in chain.targets(one) for one in search_parameters.for_type(other).values()))
