"""The statements of a page and of a count, built once for each shape of search."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import Select, bindparam, func, literal_column, select
from sqlalchemy.types import BigInteger

from hie.store.prepared import Prepared
from hie.store.search import ordering
from hie.store.search.clauses import WIDE, AllTokens, AnyToken, Both, Clause, Either, Shaped, Token
from hie.store.search.ordering import Key, Way
from hie.store.search.seen import TOLD
from hie.store.search.sql import AccessPath, Sql
from hie.store.search.sqlite_sql import SqliteSql
from hie.store.search.statements import at_instant, prepared, sql_for
from hie.store.search.tables import CONTAINED, CONTAINED_PAST, CURRENT, PAST, How, Tables, place

Statement = tuple[Prepared, tuple[str, ...]]


class Keys:
    """Sort keys that count as equal: their shape stands beside them in the statement's key."""

    __slots__ = ("keys",)

    def __init__(self, keys: tuple[Key, ...]) -> None:
        self.keys = keys

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keys)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=1024)
def page_statement(
    dialect: str,
    shaped: Shaped,
    typed: bool,
    _order: tuple[Any, ...],
    first_is_null: bool | None,
    nulls: tuple[bool, ...] | None,
    way: Way,
    keys: Keys,
    in_order: bool,
    is_selective: bool,
    as_of: How | None,
    inside: bool,
    tells: bool,
) -> Statement:
    """Return the statement of a page, and the names of what its clause binds in order."""
    is_far, backward = ordering.is_far(shaped.clause), way != "after"
    most = bindparam("row_limit", type_=BigInteger())
    told = [TOLD] if tells else []

    def arm(sql: Sql) -> Select[Any]:
        if nulls is not None and not is_far:
            sql.read_from = ordering.read_from(keys.keys, first_is_null, backward=backward)
        is_led = first_is_null is False and not sql.tables.is_past and not inside and _is_in_side_table(keys, shaped)
        values = [ordering.expression(key, number, sql, is_far=is_far) for number, key in enumerate(keys.keys)]
        if is_led:
            table, values[0], its = ordering.in_side_table(keys.keys[0], sql)
        columns = [*sql.tables.columns, *(value.label(f"sort{number}") for number, value in enumerate(values))]
        if as_of is None:
            columns += told
        at = place(sql.tables.row, typed)
        if as_of is not None and as_of.is_recent and sql.tables.is_past:
            statement = sql.recent(columns, shaped.clause, at)
        elif is_led:
            statement = sql.in_order_of(table, columns, shaped.clause, at).where(its)
        else:
            path = AccessPath(in_order, is_selective, is_by_key=not keys.keys, in_key_order=not keys.keys)
            statement = sql.page(columns, shaped.clause, at, path)
        if first_is_null is not None:
            statement = statement.where(values[0].is_(None) if first_is_null else values[0].is_not(None))
        if nulls is not None:
            statement = statement.where(ordering.beyond(keys.keys, values, first_is_null, sql.key, nulls, way))
        order = ordering.order_by(keys.keys, values, first_is_null, sql.key, backward=backward)
        return statement.order_by(*order).limit(most)

    if as_of is None:
        sql = sql_for(dialect, tables=CONTAINED if inside else CURRENT)
        return prepared(arm(sql)), tuple(bind.key for bind in sql.binds)
    found, names = at_instant(as_of, arm, _then(inside))
    sorted_by = [found.c[f"sort{number}"] for number in range(len(keys.keys))]
    order = ordering.order_by(keys.keys, sorted_by, first_is_null, found.c.key, backward=backward)
    return prepared(select(found, *told).order_by(*order).limit(most)), names


def _is_in_side_table(keys: Keys, shaped: Shaped) -> bool:
    """Tell whether an index of a side table has the order that is asked for, and nothing leads to few of the type."""
    one, *others = keys.keys or (Key(""),)
    return one.place == "dates" and one.is_single and not others and shaped.clause.rank == WIDE


@lru_cache(maxsize=512)
def count_statement(
    dialect: str, shaped: Shaped, typed: bool, is_limited: bool, as_of: How | None, inside: bool, is_selective: bool,
    tells: bool,
) -> Statement:
    """Return the statement that counts, and the names of what its clause binds in order."""
    one: list[Any] = [literal_column("1").label("one")]
    told: list[Any] = [TOLD] if tells else []
    most = bindparam("row_limit", type_=BigInteger())
    if as_of is not None:
        found, names = at_instant(
            as_of, lambda sql: sql.page(one, shaped.clause, place(sql.tables.row, typed)), _then(inside))
        limited = select(found).limit(most) if is_limited else select(found)
        counted: Select[Any] = select(func.count(), *told).select_from(limited.subquery())
        return prepared(counted), names
    sql = sql_for(dialect, tables=CONTAINED if inside else CURRENT)
    if isinstance(sql, SqliteSql) and typed and not inside and is_of_tokens(shaped.clause):
        # Tokens belong to one tenant and type, and to live resources only: their table alone can count.
        rows = sql.token_rows(shaped.clause)
    else:
        at = place(sql.tables.row, typed)
        rows = sql.page(one, shaped.clause, at, AccessPath(is_selective=is_selective, is_by_key=True))
    if is_limited:
        if dialect == "postgresql" and is_selective:
            # Sorted, all matches are found by their index. Else the planner, which cannot see the limit either, may
            # hope to meet enough of them soon among all rows.
            rows = rows.order_by(sql.key)
        rows = rows.limit(most)
    counted = select(func.count(), *told).select_from(rows.subquery())
    return prepared(counted), tuple(bind.key for bind in sql.binds)


def _then(inside: bool) -> tuple[Tables, Tables]:
    return (CONTAINED, CONTAINED_PAST) if inside else (CURRENT, PAST)


def is_of_tokens(clause: Clause) -> bool:
    """Tell whether a clause asks of tokens alone, one of which must be there."""
    parts = clause.parts if isinstance(clause, Both) else (clause,)
    return isinstance(parts[0], Token | AllTokens) and all(
        isinstance(part, Token | AllTokens | AnyToken)
        or (isinstance(part, Either) and all(isinstance(one, Token | AllTokens | AnyToken) for one in part.parts))
        for part in parts
    )
