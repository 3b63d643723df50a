"""Strings: https://hl7.org/fhirpath/N1/#string-manipulation"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from hie.fhir.regular_expressions import compiled

from ..arithmetic import MAX_TEXT
from ..compiler import Compiler
from ..errors import FhirPathError, FhirPathLimit, FhirPathUnsupported
from ..lexer import joined
from ..parts import EMPTY, Frame, Items, Part, boolean, singleton
from ..syntax import Expression, Literal
from ..values import Moment, to_system
from .function import Function, on_value

MAX_MATCHED = 100_000
MAX_DYNAMIC_PATTERN = 200
MAX_SECONDS = 0.5
"""How long one regular expression may search, where the evaluation is watched."""


def _text(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Moment):
        return value.text
    raise FhirPathError(f"{name}() takes a string.")


def _integer(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise FhirPathError(f"{name}() takes an integer.")
    return value


def _substring(value: Any, start: Any, length: Any = None) -> str | None:
    text, first = _text(value, "substring"), _integer(start, "substring")
    if not 0 <= first < len(text):
        return None
    return text[first:] if length is None else text[first : first + max(_integer(length, "substring"), 0)]


def _index_of(value: Any, part: Any) -> int:
    return _text(value, "indexOf").find(_text(part, "indexOf"))


def _replace(value: Any, pattern: Any, substitution: Any) -> str:
    text, old, new = _text(value, "replace"), _text(pattern, "replace"), _text(substitution, "replace")
    if len(text) + text.count(old) * len(new) > MAX_TEXT:
        raise FhirPathLimit(f"replace() would make a text of more than {MAX_TEXT} characters.")
    return text.replace(old, new)


# ---- regular expressions ---------------------------------------------------------------------------------------------

# A group that repeats without end, holding something that does so too: such patterns can take exponential time.
_NESTED_REPETITION = re.compile(r"\((?:[^()\\]|\\.)*[*+}](?:[^()\\]|\\.)*\)(?:[*+]|\{\d+,\})")

_NAMED_GROUP = re.compile(r"(?<!\\)\(\?<(?=[A-Za-z_])")
"""`(?<name>…)` of PCRE, as Python's re does not spell it."""


@lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(_NAMED_GROUP.sub("(?P<", text), re.DOTALL)
    except (re.error, RecursionError, OverflowError) as error:
        raise FhirPathError(f"{text!r:.80} is no regular expression: {error}.") from None


def _computed_pattern(text: str) -> re.Pattern[str]:
    """Take a pattern that comes from data only if it cannot run away."""
    if len(text) > MAX_DYNAMIC_PATTERN or _NESTED_REPETITION.search(text):
        raise FhirPathError(f"The regular expression {text!r:.80} is too costly to take from data.")
    return _pattern(text)


def _replacement(text: str) -> str:
    """Write a replacement as Python's re reads it: `$1` and `${name}` are groups."""
    escaped = text.replace("\\", r"\\")
    return re.sub(r"\$(?:\{(\w+)\}|(\d+))", lambda match: rf"\g<{match.group(1) or match.group(2)}>", escaped)


def _regular(name: str, apply: Any, arguments: int) -> Function:
    def compile_(compiler: Compiler, base: Part, expressions: tuple[Expression, ...]) -> Part:
        fixed = None
        match expressions[0]:
            case Literal(str(text), "String"):
                fixed = _checked(text)
        parts = [compiler.compile(expression) for expression in expressions]

        def run(frame: Frame, focus: Items) -> Items:
            value = singleton(base.run(frame, focus), base, f"{name}()")
            values = [singleton(part.run(frame, focus), part, f"{name}()") for part in parts]
            if value is None or any(one is None for one in values):
                return EMPTY
            subject = _text(value, name)
            if len(subject) > MAX_MATCHED:
                raise FhirPathLimit(f"{name}() takes at most {MAX_MATCHED} characters.")
            text = _text(values[0], name)
            try:
                if frame.watch is not None:
                    result = apply(_Timed(text, frame.watch.seconds_left()), subject, *values[1:])
                else:
                    result = apply(fixed or _computed_pattern(text), subject, *values[1:])
            except (re.error, IndexError) as error:
                raise FhirPathError(f"{name}() failed: {error}.") from None
            return boolean(result) if isinstance(result, bool) else [result]

        return Part(run, "System.Boolean" if name != "replaceMatches" else "System.String")

    return Function(name, (arguments, arguments), compile_)


class _Timed:
    """A pattern that somebody else chose: it is matched by an engine that stops when its time is over."""

    def __init__(self, text: str, seconds: float) -> None:
        try:
            self._pattern = compiled(text)
        except ValueError as error:
            raise FhirPathError(f"{text!r:.80} is no regular expression that can be used: {error}") from None
        self._seconds = min(seconds, MAX_SECONDS)

        self.pattern = text
        self.search = partial(self._run, self._pattern.search)
        self.fullmatch = partial(self._run, self._pattern.fullmatch)
        self.sub = partial(self._run, self._pattern.sub)

    def _run(self, method: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return method(*arguments, timeout=self._seconds)
        except TimeoutError:
            raise FhirPathLimit(f"A regular expression took longer than {self._seconds:g} s.") from None


def _checked(text: str) -> re.Pattern[str]:
    try:
        return _pattern(text)
    except FhirPathError as error:
        raise FhirPathUnsupported(str(error)) from None


def _replaced(pattern: Any, subject: str, substitution: Any) -> str:
    if not pattern.pattern:
        return subject  # nothing to look for, nothing to replace
    template, made = _replacement(_text(substitution, "replaceMatches")), 0

    def expanded(match: re.Match[str]) -> str:
        nonlocal made
        text = match.expand(template)
        made += len(text)
        if made > MAX_TEXT:
            raise FhirPathLimit(f"replaceMatches() would make a text of more than {MAX_TEXT} characters.")
        return text

    return str(pattern.sub(expanded, subject))


# ---- escaping, newer than FHIRPath 2.0.0: https://hl7.org/fhirpath/#additional-string-functions ----------------------

_JSON_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')


def _json_escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _json_unescaped(text: str) -> str:
    return joined(_JSON_ESCAPE.sub(_read_escape, text))


def _read_escape(match: re.Match[str]) -> str:
    return str(json.loads(f'"{match[0]}"'))


_ESCAPES: dict[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
    "html": (html.escape, html.unescape),
    "json": (_json_escaped, _json_unescaped),
}


def _escaped(name: str, which: int) -> Function:
    def apply(value: Any, kind: Any) -> str | None:
        escaping = _ESCAPES.get(kind)
        try:
            return escaping[which](_text(value, name)) if escaping else None
        except ValueError:
            return None

    return on_value(name, apply, "System.String", (1, 1))


# ---- joining and coding ----------------------------------------------------------------------------------------------


def _split(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
    separator = compiler.compile(arguments[0])

    def run(frame: Frame, focus: Items) -> Items:
        value = singleton(base.run(frame, focus), base, "split()")
        by = singleton(separator.run(frame, focus), separator, "split()")
        if value is None or by is None:
            return EMPTY
        text, sign = _text(value, "split"), _text(by, "split")
        return list(text.split(sign)) if sign else list(text)

    return Part(run, "System.String")


def _to_chars(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
    def run(frame: Frame, focus: Items) -> Items:
        value = singleton(base.run(frame, focus), base, "toChars()")
        return EMPTY if value is None else list(_text(value, "toChars"))

    return Part(run, "System.String")


def _join(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
    separator = compiler.compile(arguments[0]) if arguments else None

    def run(frame: Frame, focus: Items) -> Items:
        by = singleton(separator.run(frame, focus), separator, "join()") if separator else ""
        items = base.run(frame, focus)
        if not items:
            return EMPTY
        between = str(by or "")
        texts = [_text(to_system(item, base.type), "join") for item in items]
        if sum(map(len, texts)) + len(between) * len(texts) > MAX_TEXT:
            raise FhirPathLimit(f"join() would make a text of more than {MAX_TEXT} characters.")
        return [between.join(texts)]

    return Part(run, "System.String")


_CODINGS = {
    "hex": (lambda text: text.encode().hex(), lambda text: bytes.fromhex(text).decode()),
    "base64": (
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: base64.b64decode(text, validate=True).decode(),
    ),
    "urlbase64": (
        lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
        lambda text: base64.urlsafe_b64decode(text).decode(),
    ),
}


def _coded(name: str, which: int) -> Function:
    def apply(value: Any, kind: Any) -> str | None:
        coding = _CODINGS.get(kind)
        try:
            return coding[which](_text(value, name)) if coding else None
        except (ValueError, binascii.Error):
            return None

    return on_value(name, apply, "System.String", (1, 1))


FUNCTIONS = (
    on_value("indexOf", _index_of, "System.Integer", (1, 1)),
    on_value("substring", _substring, "System.String", (1, 2), may_be_empty=True),
    on_value(
        "startsWith", lambda v, p: _text(v, "startsWith").startswith(_text(p, "startsWith")), "System.Boolean", (1, 1)
    ),
    on_value("endsWith", lambda v, p: _text(v, "endsWith").endswith(_text(p, "endsWith")), "System.Boolean", (1, 1)),
    on_value("contains", lambda v, p: _text(p, "contains") in _text(v, "contains"), "System.Boolean", (1, 1)),
    on_value("upper", lambda value: _text(value, "upper").upper(), "System.String"),
    on_value("lower", lambda value: _text(value, "lower").lower(), "System.String"),
    on_value("trim", lambda value: _text(value, "trim").strip(), "System.String"),
    on_value("length", lambda value: len(_text(value, "length")), "System.Integer"),
    on_value("replace", _replace, "System.String", (2, 2)),
    Function("toChars", (0, 0), _to_chars),
    _regular("matches", lambda pattern, subject: pattern.search(subject) is not None, 1),
    _regular("matchesFull", lambda pattern, subject: pattern.fullmatch(subject) is not None, 1),
    _regular("replaceMatches", _replaced, 2),
    Function("split", (1, 1), _split),
    Function("join", (0, 1), _join),
    _escaped("escape", 0),
    _escaped("unescape", 1),
    _coded("encode", 0),
    _coded("decode", 1),
)
