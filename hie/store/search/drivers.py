"""Which criterion leads a statement, where the fixed order of their kinds would begin at very many rows.

The order of kinds (hie.store.search.clauses) puts a code before a date or a number. On SQLite, of a code that many
resources carry and one day, the day is the better beginning. On both databases a range of numbers that very many match
is none: all of them would be sorted for one page. So they are counted, up to a bound (hie.store.search.counting).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeGuard

from hie.store.search.clauses import (
    CODE,
    RANGE,
    REFERENCE,
    WIDE,
    Both,
    Clause,
    Either,
    Interval,
    Number,
    Token,
    both,
)
from hie.store.search.counting import ANY_TYPE, counted
from hie.store.search.ordering import OPEN_ENDED

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: From so many resources on, a token or range is frequent: other ways to its matches are worth a look.
FREQUENT = 10_000
#: A range goes before a code that so many times as many resources carry, if it leads to fewer than FEW itself: all of
#: its matches are found and sorted, where a code's are met in order until the page is full.
AHEAD = 4
FEW = 2_000


def settled(store: ResourceStore, clause: Clause, type_name: str) -> Clause:
    """Return the clause so that a range of few goes before a frequent code, and one of very many leads nothing."""
    parts = clause.parts if isinstance(clause, Both) else (clause,)
    first = parts[0]
    if _is_range(first) and (isinstance(first, Number) or first.where == "index"):
        return both([_unled(store, part, type_name) for part in parts])
    if store.database.dialect != "sqlite" or not isinstance(first, Token) or len(parts) == 1:
        return clause
    if not CODE <= first.rank < RANGE or not any(_is_range(part) for part in parts):
        return clause
    most = min(counted(store, first, ANY_TYPE, FREQUENT) // AHEAD, FEW)
    return both([_led(store, part, type_name, most) for part in parts]) if most else clause


def _is_range(part: Clause) -> TypeGuard[Interval | Number]:
    return isinstance(part, Interval | Number) and part.rank == RANGE and part.prefix != "ne"


def _led(store: ResourceStore, part: Clause, type_name: str, most: int) -> Clause:
    """Return a range of few so that it goes before a code; the order of the matches does not change by it."""
    if not _is_range(part):
        return part
    way = _way(part)
    return way if counted(store, way, type_name, most) < most else part


def _unled(store: ResourceStore, part: Clause, type_name: str) -> Clause:
    """Return a range of very many so that resources are met in their order, and asked, until the page is full."""
    if not _is_range(part) or not (isinstance(part, Number) or part.where == "index"):
        return part
    return part if counted(store, _way(part), type_name, FREQUENT) < FREQUENT else replace(part, rank=WIDE)


def _way(part: Interval | Number) -> Clause:
    """Return the range as what an index leads to."""
    if isinstance(part, Number) or part.where == "index":
        return replace(part, rank=REFERENCE)
    if part.where == "date" and part.prefix in OPEN_ENDED:
        ends = (replace(part, part=end, drives=True, rank=REFERENCE) for end in ("near", "far"))
        return Either(tuple(ends), REFERENCE)
    return replace(part, drives=True, rank=REFERENCE)


def is_frequent(store: ResourceStore, asked: Token) -> bool:
    """Tell whether a token is that of very many resources (SQLite)."""
    return counted(store, asked, ANY_TYPE, FREQUENT) >= FREQUENT
