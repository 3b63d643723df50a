"""Which criterion leads a statement, where the fixed order of their kinds would begin at very many rows.

The order of kinds (hie.store.search.clauses) puts a code before a date or a number. On SQLite, of a frequent code and
one day, the day is the better beginning. On both databases a range of numbers that very many match is none: all of them
would be sorted for one page. So they are counted, up to a bound, once a minute for each value (ADR 10).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeGuard

from sqlalchemy import bindparam, func, literal_column, select
from sqlalchemy.types import BigInteger

from hie.store.models import token
from hie.store.prepared import Prepared
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
    Shaped,
    Token,
    both,
)
from hie.store.search.ordering import OPEN_ENDED
from hie.store.search.statements import Sql, prepared, sql_for

if TYPE_CHECKING:
    from hie.store.database import Database
    from hie.store.resources import ResourceStore

#: From so many resources on, a token or range is frequent: other ways to its matches are worth a look.
FREQUENT = 10_000


def settled(store: ResourceStore, clause: Clause, type_name: str) -> Clause:
    """Return the clause so that a range of few goes before a frequent code, and one of very many leads nothing."""
    parts = clause.parts if isinstance(clause, Both) else (clause,)
    first = parts[0]
    if _is_range(first) and (isinstance(first, Number) or first.where == "index"):
        return both([_unled(store, part, type_name) for part in parts])
    if store.database.dialect != "sqlite" or not isinstance(first, Token) or len(parts) == 1:
        return clause
    if not CODE <= first.rank < RANGE or not is_frequent(store, first):
        return clause
    return both([_led(store, part, type_name) for part in parts])


def _is_range(part: Clause) -> TypeGuard[Interval | Number]:
    return isinstance(part, Interval | Number) and part.rank == RANGE and part.prefix != "ne"


def _led(store: ResourceStore, part: Clause, type_name: str) -> Clause:
    """Return a range of few so that it goes before a code; the order of the matches does not change by it."""
    if not _is_range(part):
        return part
    way = _way(part)
    return way if _is_rare(store, way, type_name) else part


def _unled(store: ResourceStore, part: Clause, type_name: str) -> Clause:
    """Return a range of very many so that resources are met in their order, and asked, until the page is full."""
    if not _is_range(part) or not (isinstance(part, Number) or part.where == "index"):
        return part
    return part if _is_rare(store, _way(part), type_name) else replace(part, rank=WIDE)


def _is_rare(store: ResourceStore, way: Clause, type_name: str) -> bool:
    return _counted(store.database, store.tenant, way, FREQUENT, _minute(store), type_name) < FREQUENT


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
    statement, names = _counting(database.dialect, Shaped(way))
    bound: dict[str, Any] = dict(zip(names, way.values(), strict=True))
    bound |= {"tenant": tenant, "type": type_name, "row_limit": most}
    return int(statement.all(database.connection(), bound)[0][0])


@lru_cache(maxsize=64)
def _counting(dialect: str, shaped: Shaped) -> tuple[Prepared, tuple[str, ...]]:
    sql = sql_for(dialect)
    found = _rows(sql, shaped.clause).limit(bindparam("row_limit", type_=BigInteger())).subquery()
    return prepared(select(func.count()).select_from(found)), tuple(bind.key for bind in sql.binds)


def _rows(sql: Sql, way: Clause) -> Any:
    """Return a SELECT of the rows that a range leads to."""
    if isinstance(way, Number):
        return select(sql.tables.numbers.c.key).where(sql.number_condition(way.prefix, way.unit))
    if isinstance(way, Interval) and way.where == "index":
        return select(sql.tables.dates.c.key).where(sql.date_condition(way.prefix))
    return sql.keys(way)
