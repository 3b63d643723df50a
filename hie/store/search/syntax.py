r"""How search values are written: `,` between alternatives, `$` and `|` inside one, each escaped by a backslash.

https://hl7.org/fhir/R4/search.html#escaping
"""

from __future__ import annotations

import re

from hie.errors import InvalidSearch
from hie.store.search.intervals import PREFIXES

_SPECIAL = "\\,$|"
_PREFIX = re.compile(r"([a-z]{2})(?=[0-9+\-.])")
_LETTERS = re.compile(r"[A-Za-z]+")


def split(text: str, separator: str) -> list[str]:
    """Split at the separator where it is not escaped; escapes stay for the next split."""
    if "\\" not in text:
        return text.split(separator)
    parts, start, position = [], 0, 0
    while position < len(text):
        if text[position] == "\\":
            position += 1
        elif text[position] == separator:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    return [*parts, text[start:]]


def unescape(text: str) -> str:
    """Take the escapes away; a backslash before any other sign stands for itself."""
    if "\\" not in text:
        return text
    return re.sub(r"\\([\\,$|])", r"\1", text)


def prefixed(text: str, name: str) -> tuple[str, str]:
    """Separate a value's comparison prefix from the rest; eq where there is none: search.html#prefix"""
    match = _PREFIX.match(text)
    if match and match[1] in PREFIXES:
        return match[1], text[2:]
    letters = _LETTERS.match(text)
    if letters:
        raise InvalidSearch(
            f"{name}={text[:80]}: {letters[0]!r:.20} is no prefix with a value; prefixes are {', '.join(PREFIXES)}."
        )
    return "eq", text
