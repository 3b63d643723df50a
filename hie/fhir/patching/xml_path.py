"""The paths of an XML Patch, a small part of XPath: https://www.rfc-editor.org/rfc/rfc5261#section-4.1

Steps from parent to child, an attribute, text(), comment(), processing-instruction() or namespace::prefix at the end,
and conditions in [ ]. Nothing is called that could reach beyond the document, no step looks at a whole document, and
what is looked at is counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from hie.fhir.fhirpath import Watch
from hie.fhir.patching.xml_nodes import (
    XML,
    Attribute,
    Comment,
    Element,
    Instruction,
    Namespace,
    Node,
    Place,
    Text,
    size_of,
    text_of,
)

#: Characters of a path.
LONGEST = 2_000
#: Conditions inside of conditions, and parentheses.
DEEPEST = 10
ELEMENT, ATTRIBUTE, TEXT, COMMENT = "element", "attribute", "text", "comment"
INSTRUCTION, NAMESPACE = "processing-instruction", "namespace"

_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:(?P<literal>"[^"]*"|'[^']*')|(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<name>[^\W\d][\w.\-]*)"""
    r"""|(?P<mark>//|\.\.|::|!=|[^\s\w]))"""
)
#: What XPath takes for a number: https://www.w3.org/TR/1999/REC-xpath-19991116/#function-number
_NUMBER = re.compile(r"[ \t\r\n]*-?(?:[0-9]{1,300}(?:\.[0-9]{0,300})?|\.[0-9]{1,300})[ \t\r\n]*")
_NODES = {"text": TEXT, "comment": COMMENT, "processing-instruction": INSTRUCTION}
_CLASSES: dict[str, type] = {TEXT: Text, COMMENT: Comment, INSTRUCTION: Instruction, ELEMENT: Element}


class PathError(ValueError):
    """A text that is no path, or none that is taken."""


@dataclass(frozen=True, slots=True)
class Focus:
    """What a condition is asked of: a node, its position among those that are asked, and how many these are."""

    node: Node
    position: int
    size: int
    watch: Watch


Value = bool | float | str | list[str]
"""A list is the string values of nodes."""
Test = Callable[[Focus], Value]


@dataclass(frozen=True, slots=True)
class Step:
    """One step; `name` is a name with its namespace, "*" for any, "uri *" for any of a namespace."""

    kind: str
    name: str
    conditions: tuple[Test, ...] = ()


#: The last step of a path to the value of a primitive element.
VALUE = Step(ATTRIBUTE, "value")


@dataclass(frozen=True, slots=True)
class Path:
    """A path that was read."""

    steps: tuple[Step, ...]

    @property
    def kind(self) -> str:
        """What kind of thing it leads to."""
        return self.steps[-1].kind

    def places(self, root: Element, watch: Watch) -> list[Place]:
        """Return what it leads to from the document whose root element is given."""
        document = Element("", {}, None, [root])
        return _walked(self.steps, document, watch)


def parsed(text: str, namespaces: Mapping[str, str]) -> Path:
    """Read a path; `namespaces` gives what prefixes mean, "" the namespace of names without one."""
    reader = _Reader(text, namespaces)
    if reader.peek() == "/":
        reader.next()
    steps = reader.steps()
    if reader.peek() != "":
        reader.unexpected()
    return Path(steps)


# ---- walking ---------------------------------------------------------------------------------------------------------


def _walked(steps: tuple[Step, ...], start: Node, watch: Watch) -> list[Place]:
    found: list[Place] = [start]
    for step in steps:
        below: list[Place] = []
        for one in found:
            if isinstance(one, Element):
                below += _stepped(step, one, watch)
        found = below
    return found


def _stepped(step: Step, owner: Element, watch: Watch) -> list[Place]:
    if step.kind == ATTRIBUTE:
        watch.spend(len(owner.attributes))
        return [Attribute(owner, name) for name in owner.attributes if _is_named(name, step.name)]
    if step.kind == NAMESPACE:
        watch.spend(1)
        return [Namespace(owner, step.name)] if step.name in owner.namespaces else []
    watch.spend(len(owner.children))
    kind = _CLASSES[step.kind]
    found: list[Node] = [one for one in owner.children if isinstance(one, kind) and _is_meant(one, step.name)]
    for condition in step.conditions:
        size = len(found)
        found = [one for at, one in enumerate(found, 1) if _holds(condition, Focus(one, at, size, watch))]
    return list(found)


def _is_meant(node: Node, name: str) -> bool:
    if isinstance(node, Element):
        return _is_named(node.name, name)
    return not isinstance(node, Instruction) or name in ("*", node.target)


def _is_named(name: str, wanted: str) -> bool:
    return wanted in (name, "*") or (wanted.endswith(" *") and name.rpartition(" ")[0] == wanted[:-2])


def _holds(condition: Test, focus: Focus) -> bool:
    focus.watch.spend(1)
    value = condition(focus)
    return value == focus.position if isinstance(value, float) else _truth(value)


def _truth(value: Value) -> bool:
    return bool(value)


def _is_equal(one: Value, other: Value) -> bool:
    """Compare as XPath does: of nodes it is enough that one of them is equal."""
    if isinstance(one, bool) or isinstance(other, bool):
        return _truth(one) == _truth(other)
    return any(_are_equal(left, right) for left in _each(one) for right in _each(other))


def _is_unequal(one: Value, other: Value) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return _truth(one) != _truth(other)
    return any(not _are_equal(left, right) for left in _each(one) for right in _each(other))


def _each(value: Value) -> list[float] | list[str]:
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, str) else [float(value)]


def _are_equal(one: float | str, other: float | str) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    return _number(one) == _number(other)


def _number(value: float | str) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value) is None:
        return float("nan")
    return float(value)


def _texts(path: tuple[Step, ...], focus: Focus) -> list[str]:
    """Return the string values of what a path inside a condition leads to."""
    found = []
    for one in _walked(path, focus.node, focus.watch):
        if isinstance(one, Attribute):
            found.append(one.owner.attributes[one.name])
        elif isinstance(one, Namespace):
            found.append(one.owner.namespaces[one.prefix])
        else:
            focus.watch.spend(size_of(one))
            found.append(text_of(one))
    return found


# ---- reading ---------------------------------------------------------------------------------------------------------


class _Token(NamedTuple):
    text: str
    kind: str
    at: int


class _Reader:
    """Reads a path from left to right."""

    def __init__(self, text: str, namespaces: Mapping[str, str]) -> None:
        self._text, self._namespaces = text, namespaces
        self._tokens: list[_Token] = []
        self._at, self._depth = 0, 0
        at, end = 0, len(text.rstrip(" \t\r\n"))
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None:
                raise PathError(f"has {text[at]!r} at character {at + 1}, which no path has there")
            kind = str(match.lastgroup)
            self._tokens.append(_Token(match[kind], kind, match.start(kind)))
            at = match.end()

    def peek(self, ahead: int = 0) -> str:
        """Return the text of a token without taking it; "" at the end, and for literals."""
        at = self._at + ahead
        return self._tokens[at].text if at < len(self._tokens) and self._tokens[at].kind != "literal" else ""

    def next(self) -> _Token:
        """Take a token."""
        if self._at >= len(self._tokens):
            raise PathError("ends where a step or a value is expected")
        self._at += 1
        return self._tokens[self._at - 1]

    def unexpected(self) -> NoReturn:
        """Refuse the token that would be next."""
        token = self.next()
        told = {"//": "; a path here goes step by step", "..": "; a path here does not go back to the parent",
                "|": "; a path here leads to one place"}.get(token.text, "")
        raise PathError(f"has {token.text[:40]!r} at character {token.at + 1}, which cannot stand there{told}")

    def _expect(self, text: str) -> None:
        if self.peek() != text:
            if self._at >= len(self._tokens):
                raise PathError(f"ends where {text!r} is expected")
            self.unexpected()
        self.next()

    def steps(self) -> tuple[Step, ...]:
        """Read steps with / between them; nothing is below what is no element."""
        found = [self._step()]
        while self.peek() == "/":
            if found[-1].kind != ELEMENT:
                raise PathError(f"goes on after {found[-1].kind}; below that there is nothing")
            self.next()
            found.append(self._step())
        return tuple(found)

    def _step(self) -> Step:
        if self.peek() == "@":
            self.next()
            return Step(ATTRIBUTE, self._name(is_element=False))
        name = self.peek()
        if self.peek(1) == "(" and self._tokens[self._at].kind == "name":
            return self._node_test(name)
        if self.peek(1) == "::":
            if name != "namespace":
                raise PathError(f"has the axis {name[:40]}::, which is not taken; a child needs none, an attribute @")
            self.next()
            self.next()
            token = self.next()
            if token.kind != "name":
                raise PathError("has namespace:: without a prefix")
            return Step(NAMESPACE, token.text)
        return Step(ELEMENT, self._name(is_element=True), self._conditions())

    def _node_test(self, name: str) -> Step:
        if name not in _NODES:
            more = "; FHIR's XML has no attributes of the type ID, [@id='…'] finds an element" if name == "id" else ""
            raise PathError(f"calls {name[:40]}(), which is not taken{more}")
        self.next()
        self.next()
        target = "*"
        if name == INSTRUCTION and self.peek() != ")":
            token = self.next()
            if token.kind != "literal":
                raise PathError("has processing-instruction() of something that is no text in quotes")
            target = token.text[1:-1]
        self._expect(")")
        return Step(_NODES[name], target, self._conditions())

    def _name(self, *, is_element: bool) -> str:
        """Read a name; without a prefix it is in the default namespace, of attributes in none: RFC 5261 section 4"""
        name = self._named()
        if self.peek() != ":":
            if name == "*":
                return "*"
            space = self._namespaces.get("", "") if is_element else ""
            return f"{space} {name}" if space else name
        self.next()
        if name == "xml":
            space = XML
        elif name not in self._namespaces or name == "*":
            raise PathError(f"has the prefix {name[:40]}, for which no namespace is declared here")
        else:
            space = self._namespaces[name]
        return f"{space} {self._named()}"

    def _named(self) -> str:
        if self._at < len(self._tokens) and self._tokens[self._at].kind != "name" and self.peek() != "*":
            self.unexpected()
        return self.next().text

    def _conditions(self) -> tuple[Test, ...]:
        found = []
        while self.peek() == "[":
            self.next()
            found.append(self._nested(self._either))
            self._expect("]")
        return tuple(found)

    def _nested(self, read: Callable[[], Test]) -> Test:
        self._depth += 1
        if self._depth > DEEPEST:
            raise PathError(f"has conditions nested deeper than {DEEPEST}")
        test = read()
        self._depth -= 1
        return test

    def _either(self) -> Test:
        tests = [self._all()]
        while self.peek() == "or":
            self.next()
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda focus: any(_truth(one(focus)) for one in tests)

    def _all(self) -> Test:
        tests = [self._comparison()]
        while self.peek() == "and":
            self.next()
            tests.append(self._comparison())
        return tests[0] if len(tests) == 1 else lambda focus: all(_truth(one(focus)) for one in tests)

    def _comparison(self) -> Test:
        left = self._value()
        compare = {"=": _is_equal, "!=": _is_unequal}.get(self.peek())
        if compare is None:
            return left
        self.next()
        right = self._value()

        def compared(focus: Focus) -> Value:
            one, other = left(focus), right(focus)
            if isinstance(one, list) and isinstance(other, list):
                focus.watch.spend(len(one) * len(other))
            return compare(one, other)

        return compared

    def _value(self) -> Test:
        if self._at < len(self._tokens) and self._tokens[self._at].kind in ("literal", "number"):
            token = self.next()
            known: Value = token.text[1:-1] if token.kind == "literal" else float(token.text)
            return lambda _: known
        if self.peek() == "(":
            self.next()
            inside = self._nested(self._either)
            self._expect(")")
            return inside
        if self.peek() == ".":
            self.next()
            return lambda focus: _texts((), focus)
        if self.peek(1) == "(" and self.peek() in ("position", "last", "not"):
            return self._function(self.next().text)
        steps = self.steps()
        return lambda focus: _texts(steps, focus)

    def _function(self, name: str) -> Test:
        self._expect("(")
        if name == "not":
            inside = self._nested(self._either)
            self._expect(")")
            return lambda focus: not _truth(inside(focus))
        self._expect(")")
        return (lambda focus: float(focus.position)) if name == "position" else (lambda focus: float(focus.size))
