"""Which of two versions is the later one, where nobody says how they are made: https://hl7.org/fhir/R4/resource.html#versions"""

from __future__ import annotations

import re

#: A version is compared part by part: a word (1.0-ballot) comes before the end, a number (1.0.1) after it.
_WORD, _END, _NUMBER = range(3)
_PARTS = re.compile(r"([0-9]+)|([^0-9.\-_+\s]+)")


def version_order(version: str) -> list[tuple[int, int, str]]:
    """Order versions by their numbers, of whatever length; one of no name is before all."""
    if not version:
        return []
    parts = [_number(found[1]) if found[1] else (_WORD, 0, found[2]) for found in _PARTS.finditer(version)]
    return [*parts, (_END, 0, "")]


def _number(digits: str) -> tuple[int, int, str]:
    """Compare as a number does, without making one: of digits there may be thousands."""
    bare = digits.lstrip("0")
    return _NUMBER, len(bare), bare
