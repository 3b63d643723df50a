"""Which criterion leads a statement, where the fixed order of their kinds would begin at very many rows.

The order of kinds (hie.store.search.clauses) puts a code before a date or a number. On SQLite, of a code that many
resources carry and one day, the day is the better beginning. On both databases a range of numbers that very many match
is none: all of them would be sorted for one page. Of several ranges the one of the fewest is the beginning, and an OR
of ranges is one if each of them has an index. So they are counted, up to a bound (hie.store.search.counting).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeGuard

from hie.store.search.clauses import (
    CODE,
    EVERYTHING,
    RANGE,
    REFERENCE,
    WIDE,
    AnyToken,
    Both,
    Clause,
    Either,
    Led,
    Token,
    both,
)
from hie.store.search.counting import ANY_TYPE, counted
from hie.store.search.range_clauses import OPEN_ENDED, Interval, Number

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: From so many resources on, a token or range is frequent: other ways to its matches are worth a look.
FREQUENT = 10_000
#: A range goes before a code that so many times as many resources carry, if it leads to fewer than FEW itself: all of
#: its matches are found and sorted, where a code's are met in order until the page is full.
AHEAD = 4
FEW = 2_000
#: A range that at least every so many-th resource of the type matches leads nothing: a page is full sooner than all of
#: its matches are found, unless these are less than a HANDFUL.
SHARE = 8
HANDFUL = 500


def settled(store: ResourceStore, clause: Clause, type_name: str, pair: Clause | None = None) -> Clause:
    """Return the clause so that a range of few goes before a frequent code, and one of very many leads nothing.

    `pair`: ranges among which all matches are, where a code and a value are asked together (hie.store.search.pairs).
    """
    parts = clause.parts if isinstance(clause, Both) else (clause,)
    first = parts[0]
    if pair is not None and first.rank > REFERENCE and _is_range(pair):
        led = _led_by_pair(store, pair, parts, type_name)
        if led is not None:
            return led
    if _is_range(first) and (not _has_order(first) or any(map(_is_range, parts[1:]))):
        return _by_fewest(store, parts, type_name, FREQUENT, behind_code=False)
    if isinstance(first, Either) and any(_is_range(part) for part in first.parts):
        return both([_mixed(store, first, type_name), *parts[1:]])
    if not isinstance(first, Token | AnyToken):
        return clause
    if store.database.dialect != "sqlite":
        return _behind_token(store, first, parts, type_name)
    if not CODE <= first.rank < RANGE or not any(_is_range(part) for part in parts):
        return clause
    most = min(counted(store, first, ANY_TYPE, FREQUENT) // AHEAD, FEW)
    return _by_fewest(store, parts, type_name, most, behind_code=True) if most else clause


def _behind_token(store: ResourceStore, first: Token | AnyToken, parts: Sequence[Clause], type_name: str) -> Clause:
    """Return ranges of numbers and further dates so that PostgreSQL does not find all that match, for a patient even.

    A code is not counted, as it would find all of it for that. One of the row's own dates is left to its statistics,
    but since a day, which two indexes answer: of few these lead, as else all of a code is read.
    """
    if first.rank < CODE:
        return both([first, *map(_asked_of_each, parts[1:])])
    since = next((part for part in parts if _is_since(part)), None)
    if since is not None and first.rank < RANGE and counted(store, _way(since), type_name, FEW) < FEW:
        return both([Led(_way(since)), *(_unled(part) for part in parts if part is not since)])
    ranges = [part for part in parts if _is_range(part) and not _has_order(part)]
    if ranges and first.rank < RANGE:
        return _by_fewest(store, parts, type_name, FEW, behind_code=True)
    return both([_unled(part) if part in ranges else part for part in parts])


def _is_range(part: Clause) -> TypeGuard[Interval | Number | Either]:
    """Tell whether an index has what is asked for beside each other, or of each alternative."""
    if isinstance(part, Either):
        return all(_is_range(one) for one in part.parts)
    return isinstance(part, Interval | Number) and part.rank == RANGE and part.prefix != "ne"


def _has_order(part: Clause) -> bool:
    """Tell whether rows are met in the order of the range itself, so that a page costs the same however many match."""
    return isinstance(part, Interval) and part.where != "index"


def _is_since(part: Clause) -> TypeGuard[Interval]:
    """Tell whether a date of the row is asked for with an open end: two indexes lead to it, of which rows tell none."""
    return _is_range(part) and isinstance(part, Interval) and part.where == "date" and part.prefix in OPEN_ENDED


def _mixed(store: ResourceStore, asked: Either, type_name: str) -> Clause:
    """Return an OR of ranges and of others so that each range of few has its matches found first, and none of many."""
    found: list[Clause] = []
    for part in asked.parts:
        way = _way(part) if _is_range(part) else None
        few = way is not None and counted(store, way, type_name, FREQUENT) < FREQUENT
        found.append(part if way is None else Led(way) if few else _unled(part))
    return replace(asked, parts=tuple(found), rank=max(one.rank for one in (asked, *found)))


def _by_fewest(
    store: ResourceStore, parts: Sequence[Clause], type_name: str, most: int, *, behind_code: bool
) -> Clause:
    """Return the parts so that the range of the fewest goes first, if these are fewer than `most`.

    Behind a code, a range of more stays as it is: resources of the code are met in their order and asked.
    The order of the matches does not change by it.
    """
    ways = {part: _way(part) for part in parts if _is_range(part)}
    found = {part: counted(store, way, type_name, most) for part, way in ways.items()}
    fewest = min(found, key=lambda part: found[part])
    if found[fewest] >= most or (not behind_code and is_dense(store, found[fewest], type_name)):
        unled = ways if not behind_code or store.database.dialect != "sqlite" else {}
        return both([_unled(part) if part in unled else part for part in parts])
    if _has_order(fewest) and parts[0] is fewest:
        return both(parts)
    rest = [_unled(part) if part in ways else part for part in parts if part is not fewest]
    return both([Led(ways[fewest]), *rest])


def _led_by_pair(
    store: ResourceStore, pair: Clause, parts: Sequence[Clause], type_name: str
) -> Clause | None:
    """Return the parts behind what the pair finds, unless that is much, or a range of the parts finds less.

    Most of a code are met in their order as soon as they are found; on PostgreSQL a code is not counted.
    """
    way = _way(pair)
    number = counted(store, way, type_name, FEW)
    ranges = [part for part in parts if _is_range(part)]
    if number >= HANDFUL and store.database.dialect == "sqlite" and isinstance(parts[0], Token):
        number = FEW if counted(store, parts[0], ANY_TYPE, FREQUENT) < AHEAD * number else number
    if number >= FEW or any(counted(store, _way(part), type_name, FREQUENT) < number for part in ranges):
        return None
    return both([Led(way), *(_unled(part) if part in ranges else part for part in parts)])


def is_dense(store: ResourceStore, found: int, type_name: str) -> bool:
    """Tell whether so many are a large share of a type."""
    return found >= HANDFUL and counted(store, EVERYTHING, type_name, SHARE * found) < SHARE * found


def _unled(part: Clause) -> Clause:
    """Return a range that does not lead; one of the row's own columns is asked of rows as it is."""
    if isinstance(part, Interval | Number) and not _has_order(part):
        return replace(part, rank=WIDE)
    if isinstance(part, Either):
        return replace(part, parts=tuple(_unled(one) for one in part.parts), rank=WIDE)
    return part


def _asked_of_each(part: Clause) -> Clause:
    """Return the same without any range that leads, of several composites too: a value beside each code."""
    if isinstance(part, Both | Either):
        return replace(part, parts=tuple(map(_asked_of_each, part.parts)))
    return _unled(part) if _is_range(part) else part


def _way(part: Clause) -> Clause:
    """Return the range as what an index leads to."""
    if isinstance(part, Either):
        return Either(tuple(_way(one) for one in part.parts), REFERENCE)
    assert isinstance(part, Interval | Number)  # noqa: S101 - _is_range said so
    if isinstance(part, Number) or part.where == "index":
        return replace(part, rank=REFERENCE)
    if part.where == "date" and part.prefix in OPEN_ENDED:
        ends = (replace(part, part=end, drives=True, rank=REFERENCE) for end in ("near", "far"))
        return Either(tuple(ends), REFERENCE)
    return replace(part, drives=True, rank=REFERENCE)


def sorted_otherwise(store: ResourceStore, clause: Clause, place: str, type_name: str) -> Clause:
    """Return the clause so that a date of the row leads of which few match, where something else gives the order.

    `place`: that of the first sort key. PostgreSQL sees by itself how many match, but for "since" (`_is_since`), and
    where the order is that of another table.
    """
    first, *rest = clause.parts if isinstance(clause, Both) else (clause,)
    if not is_date_beside(first, place):
        return clause
    if store.database.dialect != "sqlite" and not _is_since(first) and place not in ("dates", "numbers"):
        return clause
    if counted(store, _way(first), type_name, FREQUENT) >= FREQUENT:
        return clause
    return both([Led(_way(first)), *rest])


def ends(clause: Clause) -> list[Clause]:
    """Return what a clause of "since" asks of either index that leads to it, or the clause alone."""
    parts = clause.parts if isinstance(clause, Both) else (clause,)
    if not any(map(_is_since, parts)):
        return [clause]
    return [both([replace(part, part=end) if _is_since(part) else part for part in parts]) for end in ("near", "far")]


def is_date_beside(part: Clause, place: str) -> bool:
    """Tell whether a part asks of one of the row's dates, by which the rows are not sorted."""
    return _is_range(part) and isinstance(part, Interval) and _has_order(part) and not part.part and part.where != place


def is_frequent(store: ResourceStore, asked: Token | AnyToken) -> bool:
    """Tell whether very many resources carry a token, or one of several.

    On PostgreSQL, where statistics tell it, fewer are many: each match costs three times as much to be sorted.
    """
    if store.database.dialect != "sqlite":
        common = store.database.common_tokens() or {}
        hashes = (asked.hash,) if isinstance(asked, Token) else asked.hashes
        return sum(common.get(one, 0) for one in hashes) >= FEW
    return counted(store, asked, ANY_TYPE, FREQUENT) >= FREQUENT
