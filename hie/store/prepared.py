"""Core statements of hot paths: compiled once for each dialect, run on the driver's own cursor (D7a).

SQLAlchemy's execution costs three times what SQLite needs to answer. What is left out is result metadata and type
conversion, so only statements whose columns need none (text, numbers, bytes) may be prepared.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import BindParameter, Connection, Dialect, Insert, Table, bindparam, insert
from sqlalchemy.sql.expression import Executable
from sqlalchemy.types import TypeEngine

from hie.errors import TooCostly

if TYPE_CHECKING:
    from hie.store.direct import Direct, Statement

#: So many times a statement is left to psycopg, which plans it anew each time.
SELDOM = 2


def driver_of(connection: Connection) -> Any:
    """Return the sqlite3 or psycopg connection below."""
    return connection.connection.driver_connection


_DIALECTS: dict[str, Dialect] = {}


def dialect_of(connection: Connection) -> Dialect:
    """Return the dialect of a connection, the same for all engines of the process, by which statements are kept."""
    return _DIALECTS.setdefault(connection.dialect.name, connection.dialect)


def insert_or_ignore(connection: Connection, table: Table) -> Insert:
    """Return an INSERT that leaves rows alone which are there already."""
    if connection.dialect.name == "sqlite":
        return insert(table).prefix_with("OR IGNORE")
    from sqlalchemy.dialects.postgresql import insert as postgres_insert

    return postgres_insert(table).on_conflict_do_nothing()


def copy_in(connection: Connection, target: str, types: Sequence[str], values: Iterable[tuple[Any, ...]]) -> None:
    """PostgreSQL: insert rows by COPY; `target` is the table with its columns, `types` are theirs."""
    with driver_of(connection).cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(types)
        for row in values:
            copy.write_row(row)


@cache
def libpq() -> Any:
    """Return hie.store.direct; it is imported only where PostgreSQL is used, as psycopg is there where that is."""
    from hie.store import direct

    return direct


#: What SQLite says of conditions that stand in one another too deep.
_BEYOND_SQLITE = ("Expression tree is too large", "parser stack overflow")


class Prepared:
    """A SELECT (or a statement with RETURNING) whose rows are named tuples of its columns."""

    def __init__(self, statement: Executable, names: Iterable[str], row: type[tuple[Any, ...]] | None = None) -> None:
        """`row`: the class of named tuples with these names, where there is one."""
        self.statement = statement
        self._row: Any = row or namedtuple("Row", tuple(names))
        self._compiled: dict[str, _Sql] = {}
        self._numbered: tuple[Statement, _Sql] | None = None
        self._executed = 0

    def all(self, connection: Connection, parameters: dict[str, Any], *, prepare: bool | None = None) -> list[Any]:
        """Execute and return every row. `prepare` is psycopg's: False plans anew for these very values."""
        if prepare is None and (found := self._direct(connection)) is not None:
            return self._rows(found, connection, parameters)
        rows = self._cursor(connection, parameters, prepare).fetchall()
        return [*map(self._row._make, rows)]

    def first(self, connection: Connection, parameters: dict[str, Any]) -> Any | None:
        """Execute and return the first row; None where there is none."""
        if (direct := self._direct(connection)) is not None:
            rows = self._rows(direct, connection, parameters)
            return rows[0] if rows else None
        cursor = self._cursor(connection, parameters, None)
        row = cursor.fetchone()
        cursor.close()
        return None if row is None else self._row._make(row)

    def _direct(self, connection: Connection) -> Direct | None:
        """Return libpq itself, to read by; None on SQLite, in transactions, and for what is asked only now and then."""
        if connection.dialect.name != "postgresql":
            return None
        self._executed += 1
        if self._executed <= SELDOM:
            return None
        found: Direct = libpq().of(connection)
        return found if found.is_idle else None

    def _rows(self, direct: Direct, connection: Connection, parameters: dict[str, Any]) -> list[Any]:
        if self._numbered is None:
            self._numbered = self._of_numbers()
        statement, sql = self._numbered
        values = sql.values(parameters)
        for listener in connection.dispatch.before_cursor_execute:
            listener(connection, None, sql.text, values, None, False)
        return direct.rows(statement, values, self._row._make)

    def _of_numbers(self) -> tuple[Statement, _Sql]:
        sql = _Sql.of(self.statement, libpq().NUMBERED)
        return libpq().Statement(sql.text, len(sql.positions or ())), sql

    def _cursor(self, connection: Connection, parameters: dict[str, Any], prepare: bool | None) -> Any:
        name = connection.dialect.name
        known = self._compiled.get(name)
        if known is None:
            known = self._compiled[name] = _Sql.of(self.statement, connection.dialect)
        values = known.values(parameters)
        for listener in connection.dispatch.before_cursor_execute:  # who counts or explains statements sees these too
            listener(connection, None, known.text, values, None, False)
        if prepare is False and name == "postgresql":
            return driver_of(connection).execute(known.text, values, prepare=False)
        return _executed(connection, known.text, values)


class Listed:
    """A SELECT of what a list names, in a statement for each of some lengths of it.

    A list that is shorter than its statement names its last value again; a longer one is asked for in parts.
    """

    LENGTHS = (1, 4, 20, 100)

    def __init__(
        self, of: Callable[[Sequence[BindParameter[Any]]], Executable], type_: TypeEngine[Any], names: Iterable[str]
    ) -> None:
        """`of`: makes the statement of the values that are bound for the list."""
        self._of, self._type, self._names = of, type_, tuple(names)
        self._by_length: dict[int, Prepared] = {}

    def all(
        self, connection: Connection, listed: Sequence[Any], parameters: dict[str, Any]
    ) -> Iterator[list[Any]]:
        """Execute; yield the rows of each part of the list."""
        for start in range(0, len(listed), self.LENGTHS[-1]):
            part = listed[start : start + self.LENGTHS[-1]]
            length = next(one for one in self.LENGTHS if one >= len(part))
            values = {f"listed{n}": part[min(n, len(part) - 1)] for n in range(length)}
            yield self._for(length).all(connection, parameters | values)

    def _for(self, length: int) -> Prepared:
        if length not in self._by_length:
            values = [bindparam(f"listed{n}", type_=self._type) for n in range(length)]
            self._by_length[length] = Prepared(self._of(values), self._names)
        return self._by_length[length]


class KeptText:
    """A large SELECT of which the text alone is kept: one of 146 conditions has 14 MiB of parts, and 0.1 of text."""

    def __init__(self, statement: Executable, names: Iterable[str], dialect: Dialect) -> None:
        self._row: Any = namedtuple("Row", tuple(names))  # type: ignore[misc]
        self._sql = _Sql.of(statement, dialect)

    def all(self, connection: Connection, parameters: dict[str, Any]) -> list[Any]:
        """Execute and return every row."""
        values = self._sql.values(parameters)
        for listener in connection.dispatch.before_cursor_execute:
            listener(connection, None, self._sql.text, values, None, False)
        return [*map(self._row._make, _executed(connection, self._sql.text, values).fetchall())]


def _executed(connection: Connection, text: str, values: Any) -> Any:
    """Execute on the driver's own cursor; TooCostly where SQLite takes no statement of that depth."""
    try:
        return driver_of(connection).execute(text, values)
    except sqlite3.OperationalError as error:
        if str(error).startswith(_BEYOND_SQLITE):
            raise TooCostly("What is asked for, with the conditions of the token's scopes, is more than the database "
                            "takes in one statement; ask with fewer criteria, or of fewer types.") from error
        raise


class _Sql(NamedTuple):
    """A compiled statement: its text, the names of its parameters by position (or None), constants, conversions."""

    text: str
    positions: tuple[str, ...] | None
    constants: dict[str, Any]
    converters: tuple[tuple[str, Callable[[Any], Any]], ...]

    @classmethod
    def of(cls, statement: Executable, dialect: Dialect) -> _Sql:
        compiled: Any = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        converters = []
        for name, bind in compiled.binds.items():
            convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
            if convert is not None:
                converters.append((name, convert))
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        positions: Sequence[str] | None = compiled.positiontup
        return cls(str(compiled), None if positions is None else tuple(positions), constants, tuple(converters))

    def values(self, parameters: dict[str, Any]) -> Any:
        if self.constants:
            parameters = {**self.constants, **parameters}
        if self.converters:
            parameters = dict(parameters)
            for name, convert in self.converters:
                parameters[name] = convert(parameters[name])
        return parameters if self.positions is None else tuple([parameters[name] for name in self.positions])
