"""The languages that displays are wanted in: RFC 9110 §12.5.4, RFC 4647 §3.4.

https://hl7.org/fhir/R4/valueset-operation-expand.html, displayLanguage: a language, or several in the order in which
they are wanted, as the header Accept-Language has them.
"""

from __future__ import annotations

import re
from typing import Any

from hie.fhir.terminology.grammars import GRAMMARS
from hie.fhir.terminology.member import Member

Json = dict[str, Any]

#: Languages of one question, and parts of one language.
MOST_LANGUAGES, MOST_PARTS = 10, 8
_LONGEST = 1_000
_WEIGHTED = re.compile(r"\s*([A-Za-z0-9*-]{1,100})\s*(?:;\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?", re.ASCII)
_ANY = "*"


class Languages:
    """What languages are wanted, the most wanted first; `is_only`: a code that has none of them is shown without any.

    ValueError says what is wrong with the text.
    """

    def __init__(self, text: str) -> None:
        weights = _weights(text)
        self.is_only = weights.get(_ANY) == 0
        wanted = sorted((one for one, weight in weights.items() if weight and one != _ANY),
                        key=lambda one: -weights[one])
        if len(weights) > MOST_LANGUAGES:
            raise ValueError(f"names {len(weights)} languages; at most {MOST_LANGUAGES} are looked for")
        self._wanted = list(dict.fromkeys(part for one in wanted for part in _less_and_less(one.lower())))
        self._ranks: dict[str, int | None] = {}

    def rank(self, language: str) -> int | None:
        """Return how many ways of speaking are wanted more than a language; None where it is not wanted."""
        if language not in self._ranks:
            spoken = f"{language.lower()}-"
            self._ranks[language] = next((at for at, one in enumerate(self._wanted) if spoken.startswith(f"{one}-")),
                                         None)
        return self._ranks[language]


def display_in(languages: Languages | None, member: Member) -> str | None:
    """Return a code's display in a language that is wanted, or else as its code system has it."""
    if languages is None:
        return member.display
    best = languages.rank(member.language) if member.language is not None and member.display is not None else None
    shown = member.display if best is not None or not languages.is_only else None
    for one in member.designations:
        rank = languages.rank(one["language"]) if "language" in one else None
        if rank is not None and (best is None or rank < best):
            best, shown = rank, str(one["value"])
    return shown


def names_beside(shown: str | None, member: Member) -> tuple[Json, ...]:
    """Return the designations of a code that is shown so; where that is one of them, its own display is one too."""
    if member.display is None or shown == member.display:
        return member.designations
    own = {} if member.language is None else {"language": member.language}
    return own | {"value": member.display}, *member.designations


def _weights(text: str) -> dict[str, float]:
    """Read languages and how much each is wanted; of one that is named twice the first counts."""
    found: dict[str, float] = {}
    if len(text) > _LONGEST:
        raise ValueError(f"has {len(text)} characters; at most {_LONGEST} are read")
    for part in filter(str.strip, text.split(",")):
        if part.count("-") >= MOST_PARTS:  # each is left out where the whole is not found
            raise ValueError(f"has {part.count('-') + 1} parts; a language such as de-CH has at most {MOST_PARTS}")
        matched = _WEIGHTED.fullmatch(part)
        if matched is None or (matched[1] != _ANY and not GRAMMARS["urn:ietf:bcp:47"](matched[1])):
            raise ValueError(f"is {part.strip()[:80]!r}; a language is written as de or de-CH")
        found.setdefault(matched[1], 1.0 if matched[2] is None else float(matched[2]))
    if not found:
        raise ValueError("names no language")
    return found


def _less_and_less(tag: str) -> list[str]:
    """Return a language, and what it is a form of: de-CH, then de (RFC 4647 §3.4)."""
    parts = tag.split("-")
    return ["-".join(parts[:length]) for length in range(len(parts), 0, -1)]
