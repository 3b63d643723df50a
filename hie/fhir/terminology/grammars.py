"""Code systems that are a grammar, not a list: https://hl7.org/fhir/R4/terminologies-systems.html

Languages, media types and URIs are judged by their syntax; nothing is looked up in a registry. UCUM is judged by the
server's own table of units (hie.fhir.ucum).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from hie.fhir import ucum

#: RFC 5646 §2.1, well-formed: language, script, region, variants, extensions, private use.
_LANGUAGE = re.compile(
    r"(?:[A-Za-z]{2,3}(?:-[A-Za-z]{3}){0,3}|[A-Za-z]{4,8})(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|[0-9]{3}))?"
    r"(?:-(?:[A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3})){0,8}(?:-[A-WY-Za-wy-z0-9](?:-[A-Za-z0-9]{2,8}){1,8}){0,8}"
    r"(?:-[xX](?:-[A-Za-z0-9]{1,8}){1,8})?|[xX](?:-[A-Za-z0-9]{1,8}){1,8}",
    re.ASCII,
)
#: RFC 6838 §4.2, with parameters as RFC 9110 §8.3.1 writes them.
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&\-^_.+]{0,126}"
_MEDIA_TYPE = re.compile(rf"{_NAME}/{_NAME}(?:\s?;\s?[A-Za-z0-9\-]+=(?:[A-Za-z0-9\-._+]+|\"[^\"]*\"))*", re.ASCII)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+", re.ASCII)
_MOST = 500

GRAMMARS: dict[str, Callable[[str], bool]] = {
    "urn:ietf:bcp:47": lambda code: _fits(_LANGUAGE, code),
    "urn:ietf:bcp:13": lambda code: _fits(_MEDIA_TYPE, code),
    "urn:ietf:rfc:3986": lambda code: _fits(_URI, code),
    ucum.SYSTEM: ucum.is_unit,
}


def judged(url: str, filters: Sequence[dict[str, Any]], code: str) -> bool | None:
    """Tell whether a grammar takes a code, and all filters do; None where that cannot be told."""
    if url not in GRAMMARS:
        return None
    if not GRAMMARS[url](code):
        return False
    if url != ucum.SYSTEM or any((one.get("property"), one.get("op")) != ("canonical", "=") for one in filters):
        return None if filters else True
    answers = [_is_of_kind(code, str(one.get("value", ""))) for one in filters]
    return None if None in answers else all(answers)


def _is_of_kind(code: str, wanted: str) -> bool | None:
    """Tell whether two units measure the same: http://hl7.org/fhir/R4/ucum.html, property canonical."""
    one, other = ucum.unit(code), ucum.unit(wanted)
    return None if other is None else one is not None and one.canonical == other.canonical


def _fits(pattern: re.Pattern[str], code: str) -> bool:
    return len(code) <= _MOST and pattern.fullmatch(code) is not None
