"""Core statements of hot paths: compiled once for each dialect, run on the driver's own cursor (D7a).

SQLAlchemy's execution costs three times what SQLite needs to answer. What is left out is result metadata and type
conversion, so only statements whose values need none (text, numbers, bytes) may be prepared.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Insert, Table, insert
from sqlalchemy.sql.expression import Executable


def driver_of(connection: Connection) -> Any:
    """Return the sqlite3 or psycopg connection below."""
    return connection.connection.driver_connection


def insert_or_ignore(connection: Connection, table: Table) -> Insert:
    """Return an INSERT that leaves rows alone which are there already."""
    if connection.dialect.name == "sqlite":
        return insert(table).prefix_with("OR IGNORE")
    from sqlalchemy.dialects.postgresql import insert as postgres_insert

    return postgres_insert(table).on_conflict_do_nothing()


class Prepared:
    """A SELECT (or a statement with RETURNING) whose rows are named tuples of its columns."""

    def __init__(self, statement: Executable, names: Iterable[str]) -> None:
        self._statement = statement
        self._row: Any = namedtuple("Row", tuple(names))  # type: ignore[misc]
        self._compiled: dict[str, tuple[str, tuple[str, ...] | None]] = {}

    def all(self, connection: Connection, parameters: dict[str, Any]) -> list[Any]:
        """Execute and return every row."""
        return [self._row._make(row) for row in self._cursor(connection, parameters).fetchall()]

    def first(self, connection: Connection, parameters: dict[str, Any]) -> Any | None:
        """Execute and return the first row; None where there is none."""
        cursor = self._cursor(connection, parameters)
        row = cursor.fetchone()
        cursor.close()
        return None if row is None else self._row._make(row)

    def _cursor(self, connection: Connection, parameters: dict[str, Any]) -> Any:
        sql, positions = self._sql(connection)
        values: Any = parameters if positions is None else [parameters[name] for name in positions]
        return driver_of(connection).execute(sql, values)

    def _sql(self, connection: Connection) -> tuple[str, tuple[str, ...] | None]:
        dialect = connection.dialect
        known = self._compiled.get(dialect.name)
        if known is None:
            compiled: Any = self._statement.compile(dialect=dialect)  # type: ignore[attr-defined]
            positions: Sequence[str] | None = compiled.positiontup
            known = (str(compiled), None if positions is None else tuple(positions))
            self._compiled[dialect.name] = known
        return known
