"""Read and write the JSON form of resources without losing anything: https://hl7.org/fhir/R4/json.html

The JSON a client sends is the JSON it gets back: numbers keep every digit, properties keep their order (only the
integer -0 becomes 0). What two readers could understand differently (a property given twice, NaN, half a character) is
refused at the door.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NoReturn

import orjson
from orjson import Fragment

__all__ = ["DEFAULT_MAX_DEPTH", "Fragment", "JsonDecimal", "JsonError", "dump", "parse"]

DEFAULT_MAX_DEPTH = 64
"""Twice what the deepest official R4 example needs; far below what a recursion of ours could not bear."""

MAX_NUMBER_LENGTH = 4300
"""Python's own bound for integers; no measurement has so many digits."""
KEPT_AS_WRITTEN = 32_768
"""Longer texts are answers on their way out: copying them would save nothing."""
MAX_EXPONENT = 999
"""1e999999999 is short to send and fills the memory of whoever makes an integer of it."""


class JsonError(ValueError):
    """Refusal of a text that is not strict JSON; says what was found, and where."""

    def __init__(self, message: str, line: int, column: int, expression: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
        self.expression = expression

    def __str__(self) -> str:
        where = f" ({self.expression})" if self.expression else ""
        return f"{self.message} Line {self.line}, column {self.column}{where}."


_new_decimal = Decimal.__new__


class JsonDecimal(Decimal):
    """A decimal that remembers how it was written: 1.00 is not 1.0, https://hl7.org/fhir/R4/datatypes.html#decimal"""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> JsonDecimal:
        self = _new_decimal(cls, text)
        self.text = text
        return self

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[type[JsonDecimal], tuple[str]]:
        return JsonDecimal, (self.text,)


class _Refused(Exception):
    """Raised inside the C scanner, which knows no place; `_refuse` then finds it."""


def parse(data: bytes, *, max_depth: int = DEFAULT_MAX_DEPTH) -> Any:
    """Read one JSON value from UTF-8 bytes; a JsonError for anything that is not strict, unambiguous JSON."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(data, error) from None
    if text.startswith("\ufeff"):
        text = text[1:]  # RFC 8259 section 8.1 allows a reader to ignore it
    if not is_strict(data, max_depth):
        _refuse(text, max_depth)
    try:
        start = _skip_space(text, 0)
        value, end = _scan(text, start)
        end = _skip_space(text, end)
        if end != len(text):
            raise json.JSONDecodeError("Extra data", text, end)
    except (_Refused, StopIteration, ValueError, RecursionError) as error:
        _refuse(text, max_depth, error)
    return value


def reread(data: bytes) -> Any:
    """Read what `dump` wrote, in half the time of `parse`: nothing in it is to be refused."""
    try:
        text = data.decode()
        value, end = _rescan(text, 0)
    except (_Refused, StopIteration, ValueError, RecursionError):
        return parse(data)
    return value if end == len(text) else parse(data)


def scan(text: str, start: int) -> tuple[Any, int] | None:
    """Read the value that begins at `start`, and tell where it ends; None where the text ends first, or is no JSON.

    What is read has still to be asked for `is_strict`.
    """
    try:
        value, end = _scan(text, start)
    except (_Refused, StopIteration, ValueError, RecursionError):
        return None
    return value, end


def is_strict(data: bytes, max_depth: int) -> bool:
    """Tell whether a value that could be read nests no deeper than allowed and holds no half characters."""
    may_be_deep = len(data) > _COUNTED or data.count(b"{") + data.count(b"[") > max_depth
    if may_be_deep and _is_deeper(data, max_depth):
        return False
    return _SURROGATE.search(data) is None or not _has_lone_surrogate(data.decode())


def dump(value: Any, *, pretty: bool = False) -> bytes:
    """Write JSON; decimals as they were read, properties in their order."""
    option = orjson.OPT_INDENT_2 if pretty else 0
    try:
        written = orjson.dumps(value, _write_other, option)
        # orjson's result keeps the room it was written in: 4 kB at least, up to twice its length
        return bytes(memoryview(written)) if len(written) < KEPT_AS_WRITTEN else written
    except orjson.JSONEncodeError as error:
        if "64-bit" not in str(error):
            raise
    return orjson.dumps(_with_long_integers(value), _write_other, option)


# ---- the fast way ----------------------------------------------------------------------------------------------------


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _Refused
    return result


def _decimal(text: str) -> JsonDecimal:
    if ("e" in text or "E" in text or len(text) > MAX_NUMBER_LENGTH) and _is_absurd(text):
        raise _Refused
    return JsonDecimal(text)


def _is_absurd(number: str) -> bool:
    """Tell whether a number is longer, or its exponent larger, than any use of it could need."""
    if len(number) > MAX_NUMBER_LENGTH:
        return True
    exponent = number.lower().partition("e")[2]
    return bool(exponent) and abs(int(exponent)) > MAX_EXPONENT


_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)


def number(text: str) -> int | JsonDecimal | None:
    """Read a number that stands outside of JSON as `parse` would read it; None where it is none of JSON."""
    match = _NUMBER.fullmatch(text)
    if match is None or _is_absurd(text):
        return None
    return int(text) if match[1] is None and match[2] is None else JsonDecimal(text)


def _constant(_: str) -> NoReturn:
    raise _Refused


_scan = json.JSONDecoder(object_pairs_hook=_object, parse_float=_decimal, parse_constant=_constant).scan_once  # type: ignore[attr-defined]
_rescan = json.JSONDecoder(parse_float=_decimal, parse_constant=_constant).scan_once  # type: ignore[attr-defined]
_space = re.compile(r"[ \t\n\r]*")


def _skip_space(text: str, start: int) -> int:
    match = _space.match(text, start)
    return match.end() if match else start


#: Longer texts have so many brackets that counting them first saves nothing.
_COUNTED = 65_536
_SURROGATE = re.compile(rb"\\u[dD]")
_NEITHER_BRACKET_NOR_QUOTE = bytes(code for code in range(256) if code not in b'{}[]"')
_ONE_KIND_OF_BRACKET = bytes.maketrans(b"[]", b"{}")
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')


def _is_deeper(data: bytes, limit: int) -> bool:
    """Tell whether brackets nest deeper than the limit, without recursion and without reading the values."""
    if b"\\" in data:
        data = _ESCAPE.sub(b"", data)
    # Taking out two neighbouring quotes moves no bracket into or out of a string, and leaves few strings to match.
    brackets = data.translate(_ONE_KIND_OF_BRACKET, _NEITHER_BRACKET_NOR_QUOTE).replace(b'""', b"")
    brackets = _STRING.sub(b"", brackets)
    for _ in range(limit):
        peeled = brackets.replace(b"{}", b"")  # takes out the innermost level
        if len(peeled) == len(brackets):
            break
        brackets = peeled
    return b"{}" in brackets or brackets.count(b"{") > limit


_HALF = "[0-9a-fA-F]{2}"
_UNICODE_ESCAPE = re.compile(rf"\\(?:u[dD][89abAB]{_HALF}\\u[dD][c-fC-F]{_HALF}|(u[dD][89a-fA-F])|.)", re.DOTALL)


def _has_lone_surrogate(text: str) -> bool:
    return any(match[1] for match in _UNICODE_ESCAPE.finditer(text))


# ---- finding the place of an error, once there is one ----------------------------------------------------------------

_TOKEN = re.compile(
    r'[ \t\n\r]*(?:(?P<mark>[{}\[\]:,])|(?P<string>"[^"\\]*(?:\\.[^"\\]*)*")'
    r"|(?P<number>-?[0-9][0-9.eE+-]*)|(?P<word>-?[A-Za-z]+))",
    re.DOTALL,
)
_RESOURCE_TYPE = re.compile(r'"resourceType"[ \t\n\r]*:[ \t\n\r]*"([A-Za-z]+)"')


class _Level:
    """One open object or array on the way to the place of an error."""

    __slots__ = ("index", "key", "keys")

    def __init__(self, is_object: bool) -> None:
        self.keys: set[str] | None = set() if is_object else None
        self.key: str | None = None
        self.index = 0


def _refuse(text: str, max_depth: int, error: BaseException | None = None) -> NoReturn:
    """Raise the JsonError for the first thing wrong in the text."""
    end = len(text)
    message = _NOT_UTF8 if "\0" in text[:4] else _NOT_JSON
    if message == _NOT_UTF8:
        end = 0
    elif isinstance(error, json.JSONDecodeError):
        end, message = error.pos, f"The text is not JSON: {error.msg[0].lower()}{error.msg[1:]}."
        if "trailing comma" in error.msg:  # Python 3.13 points at it, earlier ones at what is behind
            end = _skip_space(text, end + 1)
    elif isinstance(error, StopIteration):
        end, message = error.value, "The text is not JSON: a value is expected here."
    if _is_after_comma(text, end):
        message = "The text is not JSON: a comma stands before this end."
    levels: list[_Level] = []
    for start, found in _problems(text, end, max_depth, levels):
        if found is not None:
            end, message = start, found
        elif message == _NOT_JSON:
            end, message = start, _SOMEWHERE
        break
    raise _json_error(text, end, message, levels)


def _is_after_comma(text: str, end: int) -> bool:
    """Tell whether an object or array ends here, and a comma stands before."""
    return text[end : end + 1] in ("}", "]") and text[:end].rstrip(" \t\r\n").endswith(",")


#: So many values, names and marks are walked through to name the place of an error.
MOST_TOKENS = 2_000_000


def _problems(text: str, end: int, max_depth: int, levels: list[_Level]) -> Iterator[tuple[int, str | None]]:
    """Walk the tokens before `end`, keeping `levels` the path, and give what strict FHIR JSON forbids; None and no path
    where they are too many.
    """
    position, is_value, left = 0, False, MOST_TOKENS
    while position <= end and (token := _TOKEN.match(text, position)):
        left -= 1
        if left < 0:
            levels.clear()
            yield position, None
            return
        kind = token.lastgroup or ""
        start, position = token.span(kind)
        if start > end or (start == end and kind != "word"):
            return
        part = token[kind]
        level = levels[-1] if levels else None
        if kind == "string":
            if "\\" in part and _has_lone_surrogate(part):
                yield start, "Half of a surrogate pair is not a character."
            if level is not None and level.keys is not None and not is_value:
                key = _unescaped(part)
                level.key = key
                if key in level.keys:
                    yield start, f"Property {key!r} is given twice."
                level.keys.add(key)
        elif kind == "number" and _is_absurd_token(part):
            yield start, f"Number {part[:20]}… is too long or its exponent is beyond {MAX_EXPONENT}."
        elif kind == "word" and part not in ("true", "false", "null"):
            yield start, f"{part} is no JSON value."
        elif part in ("{", "["):
            if len(levels) >= max_depth:
                yield start, f"Objects and arrays are nested deeper than {max_depth} levels."
            levels.append(_Level(part == "{"))
        elif part in ("}", "]") and levels:
            levels.pop()
        elif part == "," and level is not None:
            level.index, level.key = level.index + 1, None
        is_value = part == ":"


def _is_absurd_token(number: str) -> bool:
    try:
        return _is_absurd(number)
    except ValueError:  # not a number at all, as in 1e; the scanner says so
        return False


def _unescaped(string: str) -> str:
    if "\\" not in string:
        return string[1:-1]
    try:
        return str(json.loads(string))
    except ValueError:
        return string[1:-1]


def _json_error(text: str, position: int, message: str, levels: list[_Level]) -> JsonError:
    root = _RESOURCE_TYPE.search(text)
    path = root[1] if root else ""
    for level in levels:
        if level.keys is None:
            path += f"[{level.index}]"
        elif level.key is not None:
            path += f".{level.key[:64]}" if path else level.key[:64]
    before = text[:position]
    return JsonError(message, before.count("\n") + 1, position - before.rfind("\n"), path or None)


_NOT_JSON = "The text is not JSON."
_SOMEWHERE = ("The text is not strict JSON: behind this place stands a property twice, a number beyond reason, NaN, "
              "half of a surrogate pair, or what is nested too deeply. It is too long to say where.")
_NOT_UTF8 = "The text is not UTF-8 but looks like UTF-16 or UTF-32; FHIR JSON is UTF-8."


def _not_utf8(data: bytes, error: UnicodeDecodeError) -> JsonError:
    before = data[: error.start]
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:4]:
        message = _NOT_UTF8
    else:
        message = f"The text is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}; FHIR JSON is UTF-8."
    return JsonError(message, before.count(b"\n") + 1, error.start - before.rfind(b"\n"))


# ---- writing what orjson does not know -------------------------------------------------------------------------------


def _write_other(value: Any) -> Any:
    if isinstance(value, JsonDecimal):
        return Fragment(value.text)
    if isinstance(value, Decimal) and value.is_finite():
        return Fragment(str(value))
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _with_long_integers(value: Any) -> Any:
    """Replace integers beyond 64 bits, which orjson refuses, by their digits."""
    if isinstance(value, dict):
        return {key: _with_long_integers(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_long_integers(one) for one in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return Fragment(str(value))
    return value
