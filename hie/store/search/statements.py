"""Clauses -> statements, for each dialect in its fastest form; a statement is built once for each shape of search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Subquery,
    select,
    union_all,
)

from hie.store.prepared import Prepared
from hie.store.search.postgres_sql import PostgresSql
from hie.store.search.sql import Sql
from hie.store.search.sqlite_sql import SqliteSql
from hie.store.search.tables import CURRENT, PAST, How, Tables, valid


def sql_for(dialect: str, **options: Any) -> Sql:
    """Return the SQL of a dialect."""
    return SqliteSql(**options) if dialect == "sqlite" else PostgresSql(**options)


def at_instant(
    how: How, arm: Callable[[Sql], Select[Any]], both: Sequence[Tables] = (CURRENT, PAST)
) -> tuple[Subquery, tuple[str, ...]]:
    """Return the rows of an arm over what is current and over what is past, those valid then (hie.store.search.tables).

    Both ask the same clauses, so the names of their bound values, which come second, are those of one.
    """
    asked = [sql_for(how.dialect, tables=tables, as_of=how) for tables in both]
    return together([(sql, arm(sql)) for sql in asked], how), tuple(bind.key for bind in asked[0].binds)


def together(arms: Sequence[tuple[Sql, Select[Any]]], how: How | None) -> Subquery:
    """Return the rows of several arms; as of an instant, those that were valid then."""
    each = (arm if how is None else arm.where(valid(sql.tables, how)) for sql, arm in arms)
    return union_all(*(select(one.subquery()) for one in each)).subquery()


def run(connection: Connection, statement: Prepared, values: dict[str, Any], *, is_selective: bool) -> list[Any]:
    """Execute a statement and return its rows.

    PostgreSQL plans a prepared statement once for all values after a while: well where few rows match whatever the
    value, badly (2 to 5 times slower at 20,000 resources, and growing) where one value has ten and another a million.
    """
    return statement.all(connection, values, prepare=None if is_selective else False)


def prepared(statement: Select[Any]) -> Prepared:
    """Return a statement that is compiled once; its rows are named by its columns."""
    names = [str(column.key) for column in statement.selected_columns]  # "None": a function without a name
    return Prepared(statement, [f"column{n}" if name == "None" else name for n, name in enumerate(names)])
