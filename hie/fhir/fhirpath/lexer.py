"""FHIRPath text -> tokens: https://hl7.org/fhirpath/N1/#grammar"""

from __future__ import annotations

import re
from typing import NamedTuple

from .errors import FhirPathSyntaxError

MAX_LENGTH, MAX_NAME = 100_000, 256


class Token(NamedTuple):
    """One token; `text` is decoded: quotes gone, escapes replaced."""

    kind: str
    text: str
    position: int


_TOKEN = re.compile(
    r"""
      (?P<space>\s+|//[^\n]*|/\*.*?\*/)
    | (?P<datetime>@[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)?T(?:[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?
        (?:Z|[+-][0-9]{2}:[0-9]{2})?)?)
    | (?P<date>@[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)?)
    | (?P<time>@T[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?)
    | (?P<number>[0-9]+(?:\.[0-9]+)?)
    | (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<delimited>`(?:[^`\\]|\\.)*`)
    | (?P<constant>%(?:[A-Za-z_][A-Za-z0-9_-]*|`(?:[^`\\]|\\.)*`|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))
    | (?P<special>\$(?:this|index|total))
    | (?P<identifier>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<operator><=|>=|!=|!~|[-+*/&|=~<>.,()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "f": "\f"}


def tokenize(expression: str) -> list[Token]:
    """Cut an expression into tokens; the last one has the kind "end"."""
    if len(expression) > MAX_LENGTH:
        raise FhirPathSyntaxError(f"Expression longer than {MAX_LENGTH} characters", expression, 0)
    tokens = []
    position = 0
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None:
            raise FhirPathSyntaxError(f"Unexpected {expression[position]!r}", expression, position)
        kind = str(match.lastgroup)
        if kind in ("identifier", "delimited") and len(match.group()) > MAX_NAME:
            raise FhirPathSyntaxError(f"Name longer than {MAX_NAME} characters", expression, position)
        if kind != "space":
            tokens.append(Token(kind, _text(kind, match.group(), expression, position), position))
        position = match.end()
    tokens.append(Token("end", "", position))
    return tokens


def _text(kind: str, text: str, expression: str, position: int) -> str:
    try:
        return _decoded(kind, text)
    except UnicodeDecodeError:
        raise FhirPathSyntaxError("Half a surrogate pair, which is no character,", expression, position) from None


def _decoded(kind: str, text: str) -> str:
    if kind in ("string", "delimited"):
        return _unescaped(text[1:-1])
    if kind == "constant":
        return _unescaped(text[2:-1]) if text[1] in "`'\"" else text[1:]
    return text


def _unescaped(text: str) -> str:
    return joined(_ESCAPE.sub(_replaced, text)) if "\\" in text else text


def joined(text: str) -> str:
    """Make one character of each surrogate pair that two escapes wrote; UnicodeDecodeError where half is missing."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _replaced(match: re.Match[str]) -> str:
    sign = match.group(1)
    if len(sign) == 5:
        return chr(int(sign[1:], 16))
    # A backslash before any other sign stands for that sign, as R4's own expressions rely on.
    return _ESCAPES.get(sign, sign)
