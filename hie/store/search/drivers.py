"""Which criterion leads a statement on SQLite, where the fixed order of their kinds would begin at very many rows.

The order of kinds (hie.store.search.clauses) puts a code before a date or a number. Of a frequent code and one day, the
day is the better beginning: so both are counted, up to a bound, once a minute for each value (ADR 10).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, literal_column, select
from sqlalchemy.types import BigInteger

from hie.store.models import token
from hie.store.prepared import Prepared
from hie.store.search.clauses import (
    CODE,
    RANGE,
    REFERENCE,
    Both,
    Clause,
    Either,
    Interval,
    Number,
    Shaped,
    Token,
    both,
)
from hie.store.search.ordering import OPEN_ENDED
from hie.store.search.statements import prepared, sql_for

if TYPE_CHECKING:
    from hie.store.database import Database
    from hie.store.resources import ResourceStore

#: From so many resources on, a token is frequent: other ways to its matches are worth a look.
FREQUENT = 10_000


def settled(store: ResourceStore, clause: Clause, type_name: str) -> Clause:
    """Return the clause so that a range of fewer resources goes before a frequent code."""
    if store.database.dialect != "sqlite" or not isinstance(clause, Both):
        return clause
    first = clause.parts[0]
    if not isinstance(first, Token) or not CODE <= first.rank < RANGE or not is_frequent(store, first):
        return clause
    return both([_settled(store, part, type_name) for part in clause.parts])


def _settled(store: ResourceStore, part: Clause, type_name: str) -> Clause:
    """Return a range of few so that it goes before a code; the order of the matches does not change by it."""
    if not isinstance(part, Interval | Number) or part.rank != RANGE or part.prefix == "ne":
        return part
    way = _way(part)
    found = _counted(store.database, store.tenant, way, FREQUENT, _minute(store), type_name)
    return way if found < FREQUENT else part


def _way(part: Interval | Number) -> Clause:
    """Return the range as what an index leads to."""
    if isinstance(part, Number) or part.where == "index":
        return replace(part, rank=REFERENCE)
    if part.where == "date" and part.prefix in OPEN_ENDED:
        ends = (replace(part, part=end, drives=True, rank=REFERENCE) for end in ("near", "far"))
        return Either(tuple(ends), REFERENCE)
    return replace(part, drives=True, rank=REFERENCE)


def is_frequent(store: ResourceStore, asked: Token) -> bool:
    """Tell whether a token is that of very many resources."""
    return _is_frequent(store.database, asked.hash, _minute(store))


def _minute(store: ResourceStore) -> int:
    return store.clock() // 60_000_000


@lru_cache(maxsize=4096)
def _is_frequent(database: Database, hash_: int, _minute: int) -> bool:
    """Asked again each minute."""
    found = database.connection().execute(_FREQUENCY, {"hash": hash_, "row_limit": FREQUENT}).scalar_one()
    return bool(found >= FREQUENT)


_FREQUENCY = select(func.count()).select_from(
    select(literal_column("1"))
    .where(token.c.hash == bindparam("hash", type_=BigInteger()))
    .limit(bindparam("row_limit", type_=BigInteger()))
    .subquery()
)


@lru_cache(maxsize=4096)
def _counted(database: Database, tenant: int, way: Clause, most: int, _minute: int, type_name: str) -> int:
    """Count the rows that a range leads to, up to `most`; asked again each minute."""
    statement, names = _counting(Shaped(way))
    bound: dict[str, Any] = dict(zip(names, way.values(), strict=True))
    bound |= {"tenant": tenant, "type": type_name, "row_limit": most}
    return int(statement.all(database.connection(), bound)[0][0])


@lru_cache(maxsize=64)
def _counting(shaped: Shaped) -> tuple[Prepared, tuple[str, ...]]:
    sql = sql_for("sqlite")
    found = sql.keys(shaped.clause).limit(bindparam("row_limit", type_=BigInteger())).subquery()
    return prepared(select(func.count()).select_from(found)), tuple(bind.key for bind in sql.binds)
