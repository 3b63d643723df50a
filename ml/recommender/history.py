"""What a recommender reads of one patient and what it answers: plain records, free of any exchange format."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from ml.recommender.errors import RecommenderError

KINDS = ("condition", "immunization", "medication", "procedure")
SEXES = ("female", "male", "other")

_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")

Key = tuple[str, str, str]
"""Kind, system and code: what makes two items the same."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing a patient has or had; `date` is the first known one (YYYY, YYYY-MM or YYYY-MM-DD), None if unknown.

    `sources` are the records it was read from, oldest first.
    """

    kind: str
    system: str
    code: str
    display: str | None = None
    date: str | None = None
    sources: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """Kind, system and code."""
        return (self.kind, self.system, self.code)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A record that stands in the source and did not become an item, and why."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class History:
    """One patient's items; `sex` and `birth_date` are None when unknown. Each key occurs once among the items."""

    patient: str
    sex: str | None = None
    birth_date: str | None = None
    items: tuple[Item, ...] = ()
    deceased: bool = False
    left_out: tuple[LeftOut, ...] = ()

    @property
    def last_date(self) -> str | None:
        """The day of the newest dated item, None if no item is dated."""
        return max((item.date for item in self.items if item.date), default=None)

    def age(self, on: str | date | None) -> int | None:
        """Whole years lived on a day; None when the birth date or the day is unknown, or the day lies before birth."""
        if self.birth_date is None or on is None:
            return None
        born, day = parse_date(self.birth_date), on if isinstance(on, date) else parse_date(on)
        years = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
        return years if years >= 0 else None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One item proposed, and exactly why: `score` is the sum of all weights in `contributions` and `content`.

    `basis` is "history", "content" (only sex and age were known) or "popularity" (nothing was). The score orders
    the items of one answer; it is no probability. `contributions` are items of the patient's own history, the
    strongest first; `content` are sex, age band, group or popularity by name. Weights of 0 are not listed.
    """

    kind: str
    system: str
    code: str
    display: str | None
    score: float
    rank: int
    basis: str
    contributions: tuple[tuple[Item, float], ...]
    content: tuple[tuple[str, float], ...]


def parse_date(text: str) -> date:
    """The first day of a date that may lack day or month."""
    if not _DATE.fullmatch(text):
        raise RecommenderError(f"A date is written YYYY, YYYY-MM or YYYY-MM-DD; this has {len(text)} other characters.")
    try:
        return date.fromisoformat((text + "-01-01")[:10])
    except ValueError:
        raise RecommenderError("A date names a day that is not in the calendar.") from None


def united(items: Iterable[Item]) -> tuple[Item, ...]:
    """Items with one entry per key: its first date, its sources oldest first, the first display; ordered by key."""
    by_key: dict[Key, list[Item]] = {}
    for item in items:
        by_key.setdefault(item.key, []).append(item)
    return tuple(_one(by_key[key]) for key in sorted(by_key))


def _one(same: list[Item]) -> Item:
    # Undated ones come last among the sources; "2011" sorts before "2011-05", which is all that can be known.
    same = sorted(same, key=lambda item: (item.date or "9", item.sources, item.display or ""))
    sources = dict.fromkeys(source for item in same for source in item.sources)
    display = next((item.display for item in same if item.display), None)
    return replace(same[0], display=display, sources=tuple(sources))


def joined(parts: Iterable[History]) -> History:
    """Several histories of one patient as one; the first known sex and birth date hold."""
    several = list(parts)
    return History(
        patient=several[0].patient,
        sex=next((part.sex for part in several if part.sex), None),
        birth_date=next((part.birth_date for part in several if part.birth_date), None),
        items=united(item for part in several for item in part.items),
        deceased=any(part.deceased for part in several),
        left_out=tuple(entry for part in several for entry in part.left_out),
    )
