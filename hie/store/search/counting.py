"""How many rows a criterion leads to, counted up to a bound: what decides where a statement begins.

Neither SQLite's planner nor PostgreSQL's knows how often a hash occurs, or what a join finds (ADR 10, ADR 12). So it is
counted, and remembered for a minute for each value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, exists, func, literal_column, or_, select
from sqlalchemy.types import BigInteger

from hie.store.models import token, token_past
from hie.store.prepared import Prepared
from hie.store.search import joins
from hie.store.search.clauses import Clause, Either, Shaped
from hie.store.search.page_statements import count_statement
from hie.store.search.range_clauses import Interval
from hie.store.search.sql import Sql
from hie.store.search.sqlite_sql import JsonList
from hie.store.search.statements import prepared, run, sql_for

if TYPE_CHECKING:
    from hie.store.database import Database
    from hie.store.resources import ResourceStore

#: Rows of the indexes of tokens and references tell no type: a hash is of one.
ANY_TYPE = ""
MICROSECONDS_A_MINUTE = 60_000_000


def counted(store: ResourceStore, clause: Clause, type_name: str, most: int) -> int:
    """Count the resources of a type that a clause leads to, up to `most`; a minute later it is asked again.

    Of a day those too are counted that begin on it and end on another, as no row is read for it.
    """
    clause = _by_index(clause)
    return _counted(store.database, store.tenant, clause, type_name, most, store.clock() // MICROSECONDS_A_MINUTE)


def _by_index(clause: Clause) -> Clause:
    """Return the clause as an index knows it: at least all that match."""
    if isinstance(clause, Either):
        return replace(clause, parts=tuple(map(_by_index, clause.parts)))
    return clause.starts if isinstance(clause, Interval) else clause


@lru_cache(maxsize=512)  # most are asked once; those of a minute that is over are of no use
def _counted(database: Database, tenant: int, clause: Clause, type_name: str, most: int, _minute: int) -> int:
    statement, names = _counting(database.dialect, Shaped(clause), type_name)
    bound: dict[str, Any] = dict(zip(names, clause.values(), strict=True))
    bound |= {"tenant": tenant, "type": type_name, "row_limit": most}
    return int(run(database.connection(), statement, bound, is_selective=True)[0][0])


def matching(store: ResourceStore, clause: Clause, type_name: str, most: int) -> int:
    """Count what matches a whole clause, up to `most`, as a page finds it; remembered for a minute as well."""
    minute = store.clock() // MICROSECONDS_A_MINUTE
    return _matching(store.database, store.tenant, clause, type_name, most, minute)


@lru_cache(maxsize=512)
def _matching(database: Database, tenant: int, clause: Clause, type_name: str, most: int, _minute: int) -> int:
    statement, names = count_statement(
        database.dialect, Shaped(clause), typed=True, is_limited=True, as_of=None, inside=False, is_selective=False,
        tells=False,
    )  # fmt: skip
    bound: dict[str, Any] = dict(zip(names, clause.values(), strict=True))
    bound |= {"tenant": tenant, "type": type_name, "row_limit": most}
    return int(run(database.connection(), statement, bound, is_selective=False)[0][0])


@lru_cache(maxsize=512)
def _counting(dialect: str, shaped: Shaped, type_name: str) -> tuple[Prepared, tuple[str, ...]]:
    sql = sql_for(dialect)
    found = _rows(sql, shaped.clause, type_name).limit(bindparam("row_limit", type_=BigInteger())).subquery()
    statement = select(func.count()).select_from(select(literal_column("1")).select_from(found).subquery())
    return prepared(statement), tuple(bind.key for bind in sql.binds)


def carried(store: ResourceStore, hashes: Sequence[int]) -> tuple[int, ...]:
    """Return those of many tokens that a resource carries, or did (SQLite): of all types a tag is a token of each."""
    return tuple(row.value for row in run(store.connection(), _carried(), {"hashes": [*hashes]}, is_selective=True))


@lru_cache(maxsize=1)
def _carried() -> Prepared:
    each = func.json_each(bindparam("hashes", type_=JsonList())).table_valued("value")
    known = (exists(select(literal_column("1")).where(table.c.hash == each.c.value)) for table in (token, token_past))
    return prepared(select(each.c.value).where(or_(*known)))


def _rows(sql: Sql, clause: Clause, type_name: str) -> Any:
    """Return a SELECT of what a clause leads to; hashes of side tables are of one type and of what is live."""
    keys = sql.keys(clause)
    return joins.matches(sql, type_name, clause) if keys is None else keys
