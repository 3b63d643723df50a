"""The primitive types: their regular expressions, ranges and the calendar: https://hl7.org/fhir/R4/datatypes.html

Each type has two sides. `problem` is the rule: it says what is wrong with a value, or None. `test` is a shortcut made
of a C function alone: where it answers yes the value is right, otherwise `problem` decides.
"""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from hie.fhir import facts
from hie.fhir.json_format import JsonDecimal

MAX_STRING = 1024 * 1024
"""Characters in a string: https://hl7.org/fhir/R4/datatypes.html#string"""
MAX_INTEGER = 2**31 - 1


class Primitive(NamedTuple):
    """One primitive type."""

    name: str
    test: Callable[[Any], Any]
    """Truthy only for a valid value; may raise TypeError for a value of another JSON type."""
    problem: Callable[[Any], tuple[str, str] | None]
    """The issue code and text of what is wrong with a value, or None."""


@cache
def primitive(name: str) -> Primitive:
    """Look up a primitive type by its FHIR name; KeyError for any other name."""
    if name == "boolean":
        return Primitive(name, bool.__instancecheck__, _boolean)
    if name in _INTEGER_MINIMUM:
        return Primitive(name, _never, _integer(name, _INTEGER_MINIMUM[name]))
    if name == "decimal":
        return Primitive(name, JsonDecimal.__instancecheck__, _decimal)
    return Primitive(name, _tests()[name], _text(name, _TEXT_RULES.get(name, _no_rule)))


def shown(value: Any) -> str:
    """Write a value for a message: short, and without half characters."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def json_kind(value: Any) -> str:
    """Name what a JSON value is, for a message."""
    if value is None:
        return "null"
    for kind, name in ((bool, "a boolean"), (str, "a string"), (dict, "an object"), (list, "an array")):
        if isinstance(value, kind):
            return name
    return "a number"


# ---- numbers and booleans --------------------------------------------------------------------------------------------

_INTEGER_MINIMUM = {"integer": -MAX_INTEGER - 1, "unsignedInt": 0, "positiveInt": 1}


def _never(_: Any) -> bool:
    """No C function tells an integer from a boolean."""
    return False


def _boolean(value: Any) -> tuple[str, str] | None:
    return None if isinstance(value, bool) else _wrong_kind("boolean", "true or false", value)


def _integer(name: str, minimum: int) -> Callable[[Any], tuple[str, str] | None]:
    def problem(value: Any) -> tuple[str, str] | None:
        if type(value) is not int:
            return _wrong_kind(name, "a whole JSON number", value)
        if minimum <= value <= MAX_INTEGER:
            return None
        return "value", f"{shown_number(value)} is no {name}: the range is {minimum} to {MAX_INTEGER}."

    return problem


def shown_number(value: int) -> str:
    """Write an integer for a message; a very long one only by its size."""
    return str(value) if abs(value) < 10**40 else "A number of more than 40 digits"


def _decimal(value: Any) -> tuple[str, str] | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return _wrong_kind("decimal", "a JSON number", value)
    finite = value.is_finite() if isinstance(value, Decimal) else isinstance(value, int) or math.isfinite(value)
    return None if finite else ("value", f"{value} is no decimal.")


def _wrong_kind(name: str, wanted: str, value: Any) -> tuple[str, str]:
    found = json_kind(value)
    return "structure", f"{_article(name)} {name} is {wanted}; found {found}{_also(value)}."


def _article(name: str) -> str:
    return "An" if name.startswith(("i", "o")) else "A"


def _also(value: Any) -> str:
    return f", {shown(value)}" if isinstance(value, str | bool) else ""


# ---- everything written as a JSON string -----------------------------------------------------------------------------

# The specification's expressions know only ASCII white space: a no-break space may stand in a string.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NOT_SPACE = re.compile(r"[^ \t\r\n]")

_MONTH_DAY = (
    "(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_YEAR = "(?!0000)[0-9]{4}"

_QUICK = {
    # Only days that exist in every year; 29 February is left to the calendar.
    "date": f"{_YEAR}(?:-{_MONTH_DAY}|-(?:0[1-9]|1[0-2]))?",
    "dateTime": f"{_YEAR}(?:-{_MONTH_DAY}(?:T{_TIME}{_ZONE})?|-(?:0[1-9]|1[0-2]))?",
    "instant": f"{_YEAR}-{_MONTH_DAY}T{_TIME}{_ZONE}",
    "time": _TIME,
    # Every ASCII white space is at most U+0020: one range is quicker to match than \s.
    "string": rf"[^\x00-\x20][^\x00-\x08\x0b\x0c\x0e-\x1f]{{0,{MAX_STRING - 1}}}",
    # A local reference such as #a is remembered by the caller, so it must not pass here.
    "uri": r"[^\x00-\x20#][^\x00-\x20]*",
    "code": r"[^\x00-\x20]+(?: [^\x00-\x20]+)*",
    "id": r"[A-Za-z0-9\-.]{1,64}",
    "oid": r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+",
    "uuid": r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
}
_QUICK |= {"markdown": _QUICK["string"], "url": _QUICK["uri"], "canonical": _QUICK["uri"]}


@cache
def _tests() -> dict[str, Callable[[Any], Any]]:
    tests: dict[str, Callable[[Any], Any]] = {
        name: re.compile(pattern, re.ASCII).fullmatch for name, pattern in _QUICK.items()
    }
    return tests | {"base64Binary": _never, "xhtml": _never}


_EXAMPLES = {
    "date": "YYYY, YYYY-MM or YYYY-MM-DD",
    "dateTime": "YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a time zone such as Z or +02:00",
    "instant": "YYYY-MM-DDThh:mm:ss.sss with a time zone such as Z or +02:00",
    "time": "hh:mm:ss, without a time zone",
    "id": "1 to 64 of the characters A-Z a-z 0-9 - .",
    "oid": "urn:oid: and numbers with dots between them",
    "uuid": "urn:uuid: and a UUID in lower case",
    "code": "text without leading, trailing or double white space",
    "uri": "text without white space",
    "url": "text without white space",
    "canonical": "text without white space",
    "base64Binary": "base64 in groups of four characters",
}


def _text(name: str, rule: Callable[[str], str | None]) -> Callable[[Any], tuple[str, str] | None]:
    def problem(value: Any) -> tuple[str, str] | None:
        if not isinstance(value, str):
            return _wrong_kind(name, "a JSON string", value)
        if not _NOT_SPACE.search(value):
            return "value", f"{_article(name)} {name} is never empty and never only white space."
        if control := _CONTROL.search(value):
            return "value", f"The character U+{ord(control[0]):04X} must not stand in a {name}."
        pattern = _pattern(name)
        # A base64Binary can be 30 MB long: its rule checks it without the regular expression's stack.
        if name != "base64Binary" and pattern is not None and not pattern.fullmatch(value):
            return "value", f"{shown(value)} is no {name}: {_EXAMPLES.get(name, 'text')} is expected."
        found = rule(value)
        return None if found is None else ("value", found)

    return problem


@cache
def _pattern(name: str) -> re.Pattern[str] | None:
    """Give the specification's own regular expression; xhtml alone has none."""
    expression = facts.load()["types"][name].get("regex")
    return None if expression is None else re.compile(expression, re.ASCII)


def _no_rule(_: str) -> None:
    return None


def _not_too_long(value: str) -> str | None:
    return None if len(value) <= MAX_STRING else f"A string has at most {MAX_STRING} characters; found {len(value)}."


def _single_spaces(value: str) -> str | None:
    # The regular expression lets a tab or a line break pass, the definition does not.
    return f"{shown(value)} is no code: {_EXAMPLES['code']} is expected." if re.search(r"[\t\r\n]", value) else None


def _on_the_calendar(value: str) -> str | None:
    if len(value) < len("YYYY-MM-DD"):
        return None
    try:
        date.fromisoformat(value[:10])
    except ValueError:
        return f"{value[:10]} is not a day of the calendar."
    return None


def _decodable(value: str) -> str | None:
    groups = value.split()
    if any(len(group) % 4 for group in groups):
        return "base64 comes in groups of four characters; white space may only stand between groups."
    try:
        binascii.a2b_base64("".join(groups), strict_mode=True)
    except ValueError as error:
        return f"The text is not base64: {str(error)[0].lower()}{str(error)[1:]}."
    return None


_TEXT_RULES: dict[str, Callable[[str], str | None]] = {
    "string": _not_too_long,
    "markdown": _not_too_long,
    "code": _single_spaces,
    "date": _on_the_calendar,
    "dateTime": _on_the_calendar,
    "instant": _on_the_calendar,
    "base64Binary": _decodable,
}
