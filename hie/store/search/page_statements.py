"""The statements of a page and of a count, built once for each shape of search."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

from sqlalchemy import CompoundSelect, Select, bindparam, func, literal_column, select
from sqlalchemy.types import BigInteger

from hie.store.prepared import Prepared
from hie.store.search import ordering, side_order
from hie.store.search.clauses import AllTokens, AnyToken, Both, Clause, Either, Shaped, Token
from hie.store.search.ordering import Key, Way
from hie.store.search.seen import TOLD
from hie.store.search.sql import AccessPath, Sql
from hie.store.search.sqlite_sql import SqliteSql
from hie.store.search.statements import at_instant, prepared, sql_for, together
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
    bounding: int | None,
) -> Statement:
    """Return the statement of a page, and the names of what its clause binds in order.

    `bounding`: the part of the clause that asks of what is sorted by (hie.store.search.side_order).
    """
    is_far, backward = ordering.is_far(shaped.clause), way != "after"
    most = bindparam("row_limit", type_=BigInteger())
    told = [TOLD] if tells else []
    by_side = side_order.has_order(keys.keys)

    def arm(sql: Sql, side: int | None) -> Select[Any]:
        if keys.keys and typed and dialect == "sqlite" and not sql.tables.is_past and not inside:
            sql.ordered_by = keys.keys[0].place if side is None else ""
        if nulls is not None and not is_far:
            sql.read_from = ordering.read_from(keys.keys, first_is_null, backward=backward)
        values = [ordering.expression(key, number, sql, is_far=is_far) for number, key in enumerate(keys.keys)]
        if side is not None:
            table, values[0], its = side_order.table(keys.keys[0], side, sql)
        columns = [*sql.tables.columns, *(value.label(f"sort{number}") for number, value in enumerate(values))]
        if as_of is None:
            columns += told
        at = place(sql.tables.row, typed)
        if as_of is not None and as_of.is_recent and sql.tables.is_past:
            statement = sql.recent(columns, shaped.clause, at)
        elif side is not None:
            statement = sql.in_order_of(table, columns, shaped.clause, at).where(its)
            if bounding is not None:
                statement = statement.where(*side_order.bounds(table, side, shaped.clause, bounding, sql.prefix))
        else:
            path = AccessPath(
                in_order and not by_side, is_selective, is_by_key=not keys.keys, in_key_order=not keys.keys)
            statement = sql.page(columns, shaped.clause, at, path)
        if first_is_null is not None:
            statement = statement.where(values[0].is_(None) if first_is_null else values[0].is_not(None))
        if nulls is not None:
            statement = statement.where(ordering.beyond(
                keys.keys, values, first_is_null, sql.key, nulls, way, in_side_table=side is not None))
        order = ordering.order_by(keys.keys, values, first_is_null, sql.key, backward=backward)
        return statement.order_by(*order).limit(most)

    def arms(tables: Tables) -> list[tuple[Sql, Select[Any]]]:
        sides: tuple[int, ...] = ()
        if first_is_null is False and not tables.is_past and not inside:
            sides = side_order.parts_of(keys.keys, shaped.clause, in_order=in_order)
        asked = [(sql_for(dialect, tables=tables, as_of=as_of), side) for side in sides or (None,)]
        return [(sql, arm(sql, side)) for sql, side in asked]

    current, past = _then(inside)
    found = [*arms(current), *(arms(past) if as_of is not None else ())]
    names = tuple(bind.key for bind in found[0][0].binds)
    if len(found) == 1:
        return prepared(found[0][1]), names
    merged = together(found, as_of)
    sorted_by = [merged.c[f"sort{number}"] for number in range(len(keys.keys))]
    order = ordering.order_by(keys.keys, sorted_by, first_is_null, merged.c.key, backward=backward)
    return prepared(select(merged, *(told if as_of is not None else [])).order_by(*order).limit(most)), names


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
        # Not a level more than it takes: SQLite's parser refuses what nests too deep ("parser stack overflow").
        of = cast("CompoundSelect[Any]", found.element).limit(most).subquery() if is_limited else found
        counted: Select[Any] = select(func.count(), *told).select_from(of)
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
