"""FHIRPath text -> syntax tree: https://hl7.org/fhirpath/N1/#operator-precedence"""

from __future__ import annotations

from decimal import Decimal

from hie.fhir.short_texts import remembered_if_short

from . import syntax
from .errors import FhirPathSyntaxError
from .lexer import Token, tokenize
from .syntax import Expression

_PRECEDENCE = {
    "implies": 1,
    "or": 2,
    "xor": 2,
    "and": 3,
    "in": 4,
    "contains": 4,
    "=": 5,
    "!=": 5,
    "~": 5,
    "!~": 5,
    "<": 6,
    ">": 6,
    "<=": 6,
    ">=": 6,
    "|": 7,
    "is": 8,
    "as": 8,
    "+": 9,
    "-": 9,
    "&": 9,
    "*": 10,
    "/": 10,
    "div": 10,
    "mod": 10,
}
_CALENDAR_UNITS = frozenset(
    name + plural
    for name in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for plural in ("", "s")
)
_KEYWORDS = frozenset({"and", "or", "xor", "implies", "div", "mod", "true", "false"})
_SPECIAL: dict[str, Expression] = {"$this": syntax.This(), "$index": syntax.Index(), "$total": syntax.Total()}
MAX_DEPTH = 100
MAX_CHAIN = 250
"""How many steps or operators may follow each other: the compiler walks the tree by recursion."""
LONGEST_KEPT = 4_000
"""Longer expressions, which R4 has none of, are read each time."""
MAX_DIGITS = 38
"""How long a whole number may be written; none of more bits is computed with (hie.fhir.fhirpath.operators)."""


@remembered_if_short(4096, LONGEST_KEPT)
def parse(expression: str) -> Expression:
    """Parse an expression, and remember it; FhirPathSyntaxError names the place of what cannot be read."""
    return read(expression)


def read(expression: str) -> Expression:
    """Parse an expression that a client made up: it displaces none that is needed again."""
    return _Parser(expression).whole()


class _Parser:
    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.tokens = tokenize(expression)
        self.at = 0
        self.depth = 0

    def whole(self) -> Expression:
        tree = self.operation(0)
        if self.next.kind != "end":
            raise self.error(f"Unexpected {self.next.text!r}")
        return tree

    # ---- tokens

    @property
    def next(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def is_operator(self, *signs: str) -> bool:
        return self.next.kind == "operator" and self.next.text in signs

    def accept(self, sign: str) -> bool:
        if self.is_operator(sign):
            self.at += 1
            return True
        return False

    def expect(self, sign: str) -> None:
        if not self.accept(sign):
            found = repr(self.next.text) if self.next.kind != "end" else "the end"
            raise self.error(f"Expected {sign!r}, found {found}")

    def error(self, message: str) -> FhirPathSyntaxError:
        return FhirPathSyntaxError(message, self.expression, self.next.position)

    # ---- operators

    def operation(self, above: int) -> Expression:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"Nested deeper than {MAX_DEPTH} levels")
        left = self.signed()
        for _ in range(MAX_CHAIN):
            operator = self.next.text if self.next.kind in ("operator", "identifier") else ""
            precedence = _PRECEDENCE.get(operator, 0)
            if precedence <= above:
                self.depth -= 1
                return left
            self.take()
            if operator in ("is", "as"):
                left = syntax.TypeTest(operator, left, self.type_name())
            else:
                left = syntax.Operation(operator, left, self.operation(precedence))
        raise self.error(f"More than {MAX_CHAIN} operators in a row")

    def signed(self) -> Expression:
        if not self.is_operator("+", "-"):
            return self.invocations()
        operator = self.take().text
        if self.is_operator("+", "-"):
            raise self.error("Expected one sign at most")
        return syntax.Sign(operator, self.invocations())

    def type_name(self) -> str:
        parenthesised = self.accept("(")
        parts = [self.name()]
        while self.accept("."):
            parts.append(self.name())
        if parenthesised:
            self.expect(")")
        return ".".join(parts)

    # ---- paths

    def invocations(self) -> Expression:
        left = self.term()
        for _ in range(MAX_CHAIN):
            if self.accept("."):
                left = self.invocation(left)
            elif self.accept("["):
                left = syntax.Indexer(left, self.operation(0))
                self.expect("]")
            else:
                return left
        raise self.error(f"More than {MAX_CHAIN} steps in a path")

    def invocation(self, base: Expression | None) -> Expression:
        if self.next.kind == "special":
            return self.special()
        position = self.next.position
        name = self.name()
        if self.accept("("):
            return syntax.Call(base, name, self.arguments(), position)
        return syntax.Member(base, name)

    def arguments(self) -> tuple[Expression, ...]:
        found: list[Expression] = []
        if self.accept(")"):
            return ()
        while True:
            found.append(self.operation(0))
            if self.accept(")"):
                return tuple(found)
            self.expect(",")

    def name(self) -> str:
        if self.next.kind not in ("identifier", "delimited"):
            found = repr(self.next.text) if self.next.kind != "end" else "the end"
            raise self.error(f"Expected a name, found {found}")
        return self.take().text

    # ---- terms

    def term(self) -> Expression:
        kind, text = self.next.kind, self.next.text
        if self.accept("("):
            inner = self.operation(0)
            self.expect(")")
            return inner
        if self.accept("{"):
            self.expect("}")
            return syntax.Empty()
        if kind == "identifier" and text in _KEYWORDS:
            return self.boolean()
        if kind in ("identifier", "delimited", "special"):
            return self.invocation(None)
        if kind == "constant":
            return syntax.Constant(self.take().text)
        if kind == "number":
            return self.number()
        if kind == "string":
            return syntax.Literal(self.take().text, "String")
        if kind in ("date", "datetime", "time"):
            return self.moment()
        raise self.error(f"Unexpected {text!r}" if text else "Unexpected end")

    def boolean(self) -> Expression:
        if self.next.text not in ("true", "false"):
            raise self.error(f"Unexpected {self.next.text!r}")
        return syntax.Literal(self.take().text == "true", "Boolean")

    def special(self) -> Expression:
        return _SPECIAL[self.take().text]

    def number(self) -> Expression:
        token = self.take()
        text = token.text
        if self.next.kind == "string":
            return syntax.QuantityLiteral(text, self.take().text)
        if self.next.kind == "identifier" and self.next.text in _CALENDAR_UNITS:
            return syntax.QuantityLiteral(text, self.take().text)
        if "." in text:
            return syntax.Literal(Decimal(text), "Decimal")
        if len(text) > MAX_DIGITS:
            raise FhirPathSyntaxError(f"A number of more than {MAX_DIGITS} digits", self.expression, token.position)
        return syntax.Literal(int(text), "Integer")

    def moment(self) -> Expression:
        kinds = {"date": "Date", "datetime": "DateTime", "time": "Time"}
        token = self.take()
        return syntax.Literal(token.text.lstrip("@").removeprefix("T"), kinds[token.kind])
