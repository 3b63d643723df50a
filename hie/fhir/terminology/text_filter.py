"""Codes that a text is about, as somebody types it: https://hl7.org/fhir/R4/valueset-operation-expand.html, filter"""

from __future__ import annotations

from collections.abc import Iterable

from hie.errors import InvalidRequest
from hie.fhir.terminology.languages import Languages, display_in
from hie.fhir.terminology.member import Member

_MOST_WORDS = 20


def having(members: Iterable[Member], text: str, languages: Languages | None) -> list[Member]:
    """Keep the codes of which code, display and designations hold every word of the text; the likeliest come first.

    Who looks at the first page sees there what is called so, wherever it stands among thousands.
    """
    words = text.lower().split()
    if len(words) > _MOST_WORDS:
        raise InvalidRequest(f"filter has {len(words)} words; at most {_MOST_WORDS} are looked for.",
                             expression="filter")
    if not words:  # nothing is typed yet
        return list(members)
    found = [one for one in members if _holds(one, words)]
    return sorted(found, key=lambda one: _distance(one.code, display_in(languages, one) or "", words))


def _holds(member: Member, words: list[str]) -> bool:
    told = [member.code, member.display or "", *(str(one.get("value", "")) for one in member.designations)]
    whole = "\n".join(told).lower()
    return all(word in whole for word in words)


def _distance(code: str, display: str, words: list[str]) -> int:
    """Tell how far a code and its display are from a text: it is one of them, begins one, or its words begin words."""
    text, shown = " ".join(words), " ".join(display.lower().split())
    names = (code.lower(), shown)
    if text in names:
        return 0
    if any(one.startswith(text) for one in names):
        return 1
    return 2 if all(f" {word}" in f" {shown}" for word in words) else 3
