"""Rows met in the order of a side table: sorted by a further date, or a number, of which a resource has one at most.

Numbers stand under two parameters, those with one end and those with two (hie.store.search.number): each is read in its
order, and the two are merged. What a search asks of the same value says where in the index to begin or to end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import BigInteger, BindParameter, ColumnElement, Double, FromClause, bindparam

from hie.store.search.clauses import WIDE, Both, Clause
from hie.store.search.ordering import Key
from hie.store.search.range_clauses import OPEN_ENDED, TWO_ENDED, Interval, Number
from hie.store.search.range_sql import compared, starting
from hie.store.search.sql import Sql

Condition = ColumnElement[bool]


def has_order(keys: tuple[Key, ...]) -> bool:
    """Tell whether an index of a side table has the order that is asked for, or of its first key."""
    return bool(keys) and keys[0].place in ("dates", "numbers") and keys[0].is_single


def parts_of(keys: tuple[Key, ...], clause: Clause, *, in_order: bool) -> tuple[int, ...]:
    """Return which of the key's parameters are read in their order; none where something leads to few."""
    return tuple(range(len(keys[0].hashes))) if has_order(keys) and (in_order or clause.rank == WIDE) else ()


def table(key: Key, part: int, sql: Sql) -> tuple[FromClause, ColumnElement[Any], Condition]:
    """Return the table of a key, its value there, and the condition that it is of one of the key's parameters."""
    found = (sql.tables.dates if key.place == "dates" else sql.tables.numbers).alias()
    return found, found.c.low, found.c.parameter == bindparam(f"o0_{part}", type_=BigInteger())


def bounding(keys: tuple[Key, ...], clause: Clause) -> int | None:
    """Return which part of a clause asks of the value that is sorted by; None: none does."""
    if not has_order(keys):
        return None
    parts = clause.parts if isinstance(clause, Both) else (clause,)
    asked = (number for number, part in enumerate(parts)
             if (isinstance(part, Number) or (isinstance(part, Interval) and part.where == "index"))
             and part.parameter == keys[0].hashes[0] and part.prefix != "ne")  # fmt: skip
    return next(asked, None)


def bounds(found: FromClause, part: int, clause: Clause, number: int, prefix: str) -> Iterator[Condition]:
    """Yield what the `number`-th part of a clause asks, said of the index's own row; `prefix`: of bound names."""
    parts = clause.parts if isinstance(clause, Both) else (clause,)
    asked = parts[number]
    names = iter(range(sum(len([*one.values()]) for one in parts[:number]), 1 << 30))

    def bound(type_: Any) -> BindParameter[Any]:
        return bindparam(f"{prefix}{next(names)}", type_=type_)

    bound(BigInteger())
    if isinstance(asked, Interval):
        for one in (asked, *asked.also):
            low, high = bound(BigInteger()), bound(BigInteger())
            if one.prefix not in OPEN_ENDED:
                yield starting(one.prefix, found.c.low, found.c.low, low, high)
    elif isinstance(asked, Number):
        bound(BigInteger())
        for one_ in (asked, *asked.also):
            low = bound(Double())
            high = bound(Double()) if one_.prefix in TWO_ENDED else low
            yield compared(one_.prefix, found.c.low, found.c.high, low, high)[part]
