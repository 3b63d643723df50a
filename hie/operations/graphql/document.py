"""The text of a query -> its selections, variables and fragments put in; pure. https://spec.graphql.org/October2021/"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLError, parse, print_ast
from graphql.language import ast

from hie.errors import InvalidRequest, NotSupported, TooCostly
from hie.fhir import json_format
from hie.fhir.json_format import DEFAULT_MAX_DEPTH

MOST_TOKENS = 10_000
MOST_FIELDS = 2_000
DEEPEST = 20
#: Characters of the name that an answer has for a field, in each row again.
LONGEST_KEY = 200
#: Values in a list that a variable gives; a search takes fewer.
LONGEST_LIST = 1_000
#: https://spec.graphql.org/October2021/#sec-Type-System.Directives.Built-in-Directives; FHIR's own stand at fields.
BUILT_IN = frozenset({"skip", "include"})
DIRECTIVES = {"flatten": (), "first": (), "singleton": (), "slice": ("path",), "skip": ("if",), "include": ("if",)}


@dataclass(slots=True, eq=False)
class Written:
    """Arguments as they are written, not what their variables are: https://spec.graphql.org/October2021/#sec-Field-Selection-Merging"""

    nodes: tuple[ast.ArgumentNode, ...]
    _texts: frozenset[str] | None = None

    def is_like(self, other: Written) -> bool:
        """Tell whether others say the same, in whichever order."""
        return self is other or self.texts() == other.texts()

    def texts(self) -> frozenset[str]:
        """Write each argument in the one way that GraphQL's printer has."""
        if self._texts is None:
            self._texts = frozenset(map(print_ast, self.nodes))
        return self._texts


@dataclass(frozen=True, slots=True)
class Field:
    """One field; `key` is its name in the answer."""

    name: str
    key: str
    arguments: Mapping[str, Any]
    directives: Mapping[str, Mapping[str, Any]]
    selections: tuple[Selection, ...]
    written: Written = field(default=Written(()), compare=False)


@dataclass(frozen=True, slots=True)
class On:
    """What is selected of one type only; `type` None: of every type."""

    type: str | None
    selections: tuple[Selection, ...]


Selection = Field | On


@dataclass(frozen=True, slots=True)
class Document:
    """The operation that is meant."""

    is_mutation: bool
    selections: tuple[Selection, ...]


def read(text: str, variables: Mapping[str, Any], name: str | None) -> Document:
    """Return the operation of that name, or the only one."""
    try:
        document = parse(text, no_location=True, max_tokens=MOST_TOKENS)
    except GraphQLError as error:
        raise InvalidRequest(f"The query is no GraphQL: {error.message[:500]}", expression="query") from None
    except RecursionError:
        raise TooCostly(f"The query is nested more than {DEEPEST} deep.", expression="query") from None
    operations = [one for one in document.definitions if isinstance(one, ast.OperationDefinitionNode)]
    fragments = [one for one in document.definitions if isinstance(one, ast.FragmentDefinitionNode)]
    if len(operations) + len(fragments) != len(document.definitions):
        raise InvalidRequest("The query defines types; it may have operations and fragments.", expression="query")
    _refuse_twice(f"The fragment {one.name.value[:80]} is defined" for one in fragments)
    _refuse_twice(f"The operation {one.name.value[:80]} is defined" for one in operations if one.name is not None)
    chosen = _chosen(operations, name)
    if chosen.operation is ast.OperationType.SUBSCRIPTION:
        raise NotSupported("A subscription is not supported; a query and a mutation are.", expression="query")
    is_mutation = chosen.operation is ast.OperationType.MUTATION
    if chosen.directives:
        raise _misplaced(chosen.directives[0].name.value, f"a {chosen.operation.value}")
    reader = _Reader(_values(chosen, variables), {one.name.value: one for one in fragments}, is_mutation)
    return Document(is_mutation, reader.selections(chosen.selection_set, 1, ()))


def _refuse_twice(told: Iterable[str]) -> None:
    """Refuse what says the same thing again, as one of the two would be passed over."""
    met: set[str] = set()
    for one in told:
        if one in met:
            raise InvalidRequest(f"{one} twice.", expression="query")
        met.add(one)


def _misplaced(name: str, at: str) -> InvalidRequest:
    return InvalidRequest(f"@{name[:80]} stands at {at}, where it would mean nothing; it belongs to a field.",
                          expression="query")


def _chosen(operations: list[ast.OperationDefinitionNode], name: str | None) -> ast.OperationDefinitionNode:
    named = [one for one in operations if name is None or (one.name is not None and one.name.value == name)]
    if len(named) != 1:
        told = "operationName names none of them" if name else "operationName must say which is meant"
        raise InvalidRequest(f"The query has {len(operations)} operations; {told}.", expression="operationName")
    return named[0]


def _values(operation: ast.OperationDefinitionNode, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of every variable."""
    values: dict[str, Any] = {}
    defined = operation.variable_definitions or ()
    _refuse_twice(f"The variable ${one.variable.name.value[:80]} is defined" for one in defined)
    for one in defined:
        name = one.variable.name.value
        if name in given:
            values[name] = given[name]
        elif one.default_value is not None:
            is_mutation = operation.operation is ast.OperationType.MUTATION
            values[name] = (_given if is_mutation else _value)(one.default_value, {})
        else:
            values[name] = None
        if values[name] is None and isinstance(one.type, ast.NonNullTypeNode):
            raise InvalidRequest(f"The variable ${name[:80]} needs a value.", expression="variables")
    return values


def _value(node: ast.ValueNode, variables: Mapping[str, Any]) -> Any:
    match node:
        case ast.VariableNode():
            return _checked(node.name.value, _variable(node, variables))
        case ast.IntValueNode() | ast.FloatValueNode() | ast.StringValueNode() | ast.EnumValueNode():
            return node.value  # search values and codes are texts, numbers too
        case ast.BooleanValueNode():
            return node.value
        case ast.NullValueNode():
            return None
        case ast.ListValueNode():
            values = [_value(one, variables) for one in node.values]
            if any(isinstance(one, list) for one in values):
                raise InvalidRequest("An argument is a list in a list; a list here has plain values.",
                                     expression="query")
            return values
    raise InvalidRequest("An argument is an object; arguments here are plain values, or lists of them.",
                         expression="query")


def _variable(node: ast.VariableNode, variables: Mapping[str, Any]) -> Any:
    if node.name.value not in variables:
        raise InvalidRequest(f"The variable ${node.name.value[:80]} is not defined.", expression="query")
    return variables[node.name.value]


def _checked(name: str, value: Any) -> Any:
    """Return the value of a variable that is a plain one, or a list of them; it may be written as a text often."""
    values = value if isinstance(value, list) else [value]
    if len(values) > LONGEST_LIST or any(isinstance(one, dict | list) for one in values):
        raise InvalidRequest(f"The variable ${name[:80]} is no plain value, and no list of {LONGEST_LIST} of them at "
                             "most; objects are for mutations.", expression="query")
    return value


def _given(node: ast.ValueNode, variables: Mapping[str, Any], depth: int = 1) -> Any:
    """Return an argument of a mutation, as JSON would have it: numbers with their digits, objects, names as texts."""
    if depth > DEFAULT_MAX_DEPTH:
        raise TooCostly(f"An argument is nested deeper than {DEFAULT_MAX_DEPTH} levels.", expression="query")
    match node:
        case ast.VariableNode():
            return _variable(node, variables)
        case ast.ObjectValueNode():
            found = {one.name.value: _given(one.value, variables, depth + 1) for one in node.fields}
            if len(found) < len(node.fields):
                raise InvalidRequest("An object has a field twice.", expression="query")
            return found
        case ast.ListValueNode():
            return [_given(one, variables, depth + 1) for one in node.values]
        case ast.IntValueNode() | ast.FloatValueNode():
            number = json_format.number(node.value)
            if number is None:
                raise InvalidRequest(f"The number {node.value[:40]} is too long, or too large.", expression="query")
            return number
    return _value(node, variables)


class _Reader:
    """Reads selections with their fragments in place, within bounds."""

    def __init__(
        self, variables: Mapping[str, Any], fragments: Mapping[str, ast.FragmentDefinitionNode], is_mutation: bool
    ) -> None:
        self._variables, self._fragments, self._read = variables, fragments, 0
        self._is_mutation = is_mutation
        self._arguments: dict[tuple[int, bool], tuple[dict[str, Any], Written]] = {}

    def selections(
        self, node: ast.SelectionSetNode | None, depth: int, inside: tuple[str, ...]
    ) -> tuple[Selection, ...]:
        """Return the selections of a set, those of fragments in their place; `inside` names fragments around it."""
        if node is None:
            return ()
        if depth > DEEPEST:
            raise TooCostly(f"The query is nested more than {DEEPEST} deep.", expression="query")
        found = []
        for one in node.selections:
            self._read += 1
            if self._read > MOST_FIELDS:
                raise TooCostly(f"The query has more than {MOST_FIELDS} fields.", expression="query")
            directives = self._directives(one.directives)
            if not isinstance(one, ast.FieldNode) and (wrong := next((d for d in directives if d not in BUILT_IN), "")):
                raise _misplaced(wrong, "a fragment")
            if not self._is_skipped(directives):
                found.append(self._selection(one, directives, depth, inside))
        return tuple(found)

    def _selection(
        self, one: ast.SelectionNode, directives: dict[str, dict[str, Any]], depth: int, inside: tuple[str, ...]
    ) -> Selection:
        if isinstance(one, ast.FieldNode):
            name = one.name.value
            key = one.alias.value if one.alias is not None else name
            if len(key) > LONGEST_KEY:
                raise TooCostly(f"The name {key[:40]}… is longer than {LONGEST_KEY} characters; each row of the answer "
                                "has it.", expression="query")
            given, written = self._given(one, is_mutation=self._is_mutation and depth == 1)
            return Field(name, key, given, directives, self.selections(one.selection_set, depth + 1, inside), written)
        if isinstance(one, ast.InlineFragmentNode):
            type_name = one.type_condition.name.value if one.type_condition is not None else None
            return On(type_name, self.selections(one.selection_set, depth, inside))
        assert isinstance(one, ast.FragmentSpreadNode)  # noqa: S101 - GraphQL has no fourth kind
        name = one.name.value
        fragment = self._fragments.get(name)
        if fragment is None or name in inside:
            why = "is not defined" if fragment is None else "contains itself"
            raise InvalidRequest(f"The fragment {name[:80]} {why}.", expression="query")
        selections = self.selections(fragment.selection_set, depth, (*inside, name))
        return On(fragment.type_condition.name.value, selections)

    def _given(self, one: ast.FieldNode, *, is_mutation: bool) -> tuple[dict[str, Any], Written]:
        """Return the arguments of a field, read once however often the fragment that it is in is named."""
        key = (id(one), is_mutation)
        if key not in self._arguments:
            _refuse_twice(f"{one.name.value[:80]} has the argument {a.name.value[:80]}" for a in one.arguments)
            value_of = _given if is_mutation else _value
            arguments = {a.name.value: value_of(a.value, self._variables) for a in one.arguments}
            given = {name: value for name, value in arguments.items() if value is not None}
            self._arguments[key] = given, Written(one.arguments)
        return self._arguments[key]

    def _directives(self, nodes: tuple[ast.DirectiveNode, ...]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        _refuse_twice(f"@{one.name.value[:80]} stands there" for one in nodes)
        for one in nodes:
            _refuse_twice(f"@{one.name.value[:80]} has the argument {a.name.value[:80]}" for a in one.arguments)
            name, arguments = one.name.value, {a.name.value: _value(a.value, self._variables) for a in one.arguments}
            if name not in DIRECTIVES:
                raise InvalidRequest(f"There is no directive @{name[:80]}; there are @{', @'.join(DIRECTIVES)}.",
                                     expression="query")
            if set(arguments) != set(DIRECTIVES[name]):
                needs = f"needs {DIRECTIVES[name][0]}" if DIRECTIVES[name] else "takes no argument"
                raise InvalidRequest(f"The directive @{name} {needs}.", expression="query")
            if not isinstance(arguments.get("path", ""), str):
                raise InvalidRequest(f"The argument path of @{name} is a text.", expression="query")
            found[name] = arguments
        return found

    @staticmethod
    def _is_skipped(directives: Mapping[str, Mapping[str, Any]]) -> bool:
        skip, include = directives.get("skip"), directives.get("include")
        for one in (skip, include):
            if one is not None and not isinstance(one["if"], bool):
                raise InvalidRequest("The argument if of @skip and @include is true or false.", expression="query")
        return (skip is not None and skip["if"]) or (include is not None and not include["if"])
