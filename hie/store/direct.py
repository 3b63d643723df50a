"""Hot statements of PostgreSQL on libpq itself: prepared once on a connection, rows in the binary format.

A cursor of psycopg costs twice what libpq does, whatever it asks. What a value is to PostgreSQL, and what comes back is
to Python, stays psycopg's to say: https://www.psycopg.org/psycopg3/docs/api/pq.html
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from psycopg import OperationalError
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import InvalidSqlStatementName, error_from_result
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

#: Parameters written $1, $2 …, as PostgreSQL prepares statements.
NUMBERED = PGDialect_psycopg(paramstyle="numeric_dollar")
#: Statements that a connection keeps prepared; each holds memory in its server process.
KEPT = 128
_BINARY = 1
_NUMBERS = count(1)


class Statement:
    """One text, under a name of its own on whatever connection."""

    __slots__ = ("formats", "name", "text")

    def __init__(self, text: str, parameters: int) -> None:
        self.name, self.text = b"hie_%d" % next(_NUMBERS), text.encode()
        # As text: the statement says the type of each; in binary a number would have to be of that type's size.
        self.formats = [PyFormat.TEXT] * parameters


class Direct:
    """What one connection has prepared, for one thread at a time (as the connection) and outside of transactions."""

    __slots__ = ("_connection", "_prepared", "_transformer", "driver")

    def __init__(self, driver: Any) -> None:
        self.driver, self._connection = driver, driver.pgconn
        self._transformer = Transformer(driver)
        self._prepared: OrderedDict[bytes, None] = OrderedDict()

    @property
    def is_idle(self) -> bool:
        """Tell whether no transaction is open: only then may a statement fail, and be prepared and executed anew."""
        return bool(self._connection.transaction_status == TransactionStatus.IDLE)

    def rows(self, statement: Statement, values: Sequence[Any], make_row: Callable[[Sequence[Any]], Any]) -> list[Any]:
        """Execute and return every row; the errors are psycopg's."""
        adapted = self._transformer.dump_sequence(values, statement.formats)
        try:
            result = self._executed(statement, adapted)
        except InvalidSqlStatementName:  # psycopg deallocates all after a rollback; others may have been prepared since
            self._prepared.pop(statement.name, None)
            result = self._executed(statement, adapted)
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, make_row)

    def _executed(self, statement: Statement, adapted: Sequence[Any]) -> Any:
        if statement.name not in self._prepared:
            self._prepare(statement)
        result = self._connection.exec_prepared(statement.name, adapted, None, _BINARY)
        return self._expected(result, ExecStatus.TUPLES_OK)

    def _prepare(self, statement: Statement) -> None:
        if len(self._prepared) >= KEPT:
            oldest, _ = self._prepared.popitem(last=False)
            with suppress(InvalidSqlStatementName):  # gone already, with all others
                self._expected(self._connection.exec_(b"DEALLOCATE " + oldest), ExecStatus.COMMAND_OK)
        self._expected(self._connection.prepare(statement.name, statement.text), ExecStatus.COMMAND_OK)
        self._prepared[statement.name] = None

    def _expected(self, result: Any, status: ExecStatus) -> Any:
        if result.status == status:
            return result
        raise _error(self._connection, result)


def execute(driver: Any, text: str) -> None:
    """Execute several statements as one transaction; the errors are psycopg's, and nothing is kept where there is one.

    https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT
    """
    result = driver.pgconn.exec_(text.encode())
    if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        raise _error(driver.pgconn, result)


def value(driver: Any, text: str) -> str:
    """Execute statements, and return the one value of the last, as text; the errors are psycopg's."""
    result = driver.pgconn.exec_(text.encode())
    if result.status != ExecStatus.TUPLES_OK:
        raise _error(driver.pgconn, result)
    found: bytes = result.get_value(0, 0)
    return found.decode()


def _error(connection: Any, result: Any) -> Exception:
    error = error_from_result(result)
    if connection.status == ConnStatus.OK and error.diag.sqlstate is not None:
        return error
    connection.finish()  # what could not be sent is told before the end is met, and nothing more comes by it
    return OperationalError(str(error))  # what psycopg says where the server went away


def of(connection: Connection) -> Direct:
    """Return what a connection has prepared; of a connection that was opened anew, nothing."""
    info, driver = connection.info, connection.connection.driver_connection
    known: Direct | None = info.get("direct")
    if known is None or known.driver is not driver:
        known = info["direct"] = Direct(driver)
    return known
