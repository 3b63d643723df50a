"""PostgreSQL: each request its own transaction, in steps or by one message (hie.store.at_once)."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from hie.store.audit import AuditEntry, AuditKeys, AuditStream
from hie.store.connections import is_lost
from hie.store.prepared import driver_of, libpq
from hie.store.writers import AUDIT_COLUMNS, Message, WriteTransaction

if TYPE_CHECKING:
    from hie.store.database import Database

#: So long ago a connection may have been used last for the server to be there still, as far as one can tell.
RECENT_SECONDS = 2.0
_INSERT_AUDIT_POSTGRES = (
    f"INSERT INTO audit ({', '.join(AUDIT_COLUMNS)}) VALUES ({', '.join(f'%({name})s' for name in AUDIT_COLUMNS)})"
)
_PREPARED = "SELECT name FROM pg_prepared_statements WHERE name = ANY(%s::text[])"


class PostgresWriter:
    """Each thread has its own connection for transactions in steps, and audit chains.

    Messages go by the thread's connection for reading: each is a whole transaction, so that none is open when it reads,
    and PostgreSQL needs half as many processes, which know what they are asked.
    """

    def __init__(self, database: Database, audit_keys: dict[int, AuditKeys]) -> None:
        self._database, self._audit_keys = database, audit_keys
        self._held = threading.local()

    def close(self) -> None:
        """Nothing is held but connections, which are closed with all others."""

    def begin(self, shared: Sequence[int]) -> WriteTransaction:
        connection: Connection | None = getattr(self._held, "connection", None)
        if connection is None or is_lost(connection):
            connection = self._hold()
        statement = "BEGIN" + "".join(f"; SELECT pg_advisory_xact_lock_shared({number:d})" for number in shared)
        try:
            driver_of(connection).execute(statement)
        except Exception:
            if not is_lost(connection):
                raise
            connection = self._hold()  # the server went away between two requests
            driver_of(connection).execute(statement)
        return _PostgresTransaction(connection, self._held)

    def _hold(self) -> Connection:
        connection = self._database.connections.hold(self._held)
        self._held.stream = AuditStream(self._audit_keys)
        return connection

    def commit_one(self, message: Message, entry: AuditEntry) -> bool:
        """Send a message on a connection that was there just now: what is lost with it may have been committed.

        One that was not used for a while may have been closed by a server that was started anew; it is asked first,
        when nothing is at stake yet.
        """
        sender = self._sender()
        (row,), end = sender.stream.rows([entry])
        if not sender.prepared.issuperset(message.statements) and not sender.prepare(message):
            return False
        try:
            libpq().execute(sender.driver, message.text(row))
        except BaseException as error:
            if not is_lost(sender.connection):
                sender.prepared.clear()  # it may be one of them that is not there any more
                if getattr(error, "sqlstate", None) == message.refused:
                    return False
            raise
        sender.used = time.monotonic()
        sender.stream.advance(end)
        entry.recorded = True
        return True

    def _sender(self) -> _Sender:
        """Return this thread's connection, or a new one where it went away."""
        connection = self._database.connection()
        sender: _Sender | None = getattr(self._held, "sender", None)
        if sender is None or sender.connection is not connection:
            sender = self._held.sender = _Sender(connection, AuditStream(self._audit_keys))
        if time.monotonic() - sender.used <= RECENT_SECONDS:
            return sender
        try:
            sender.driver.execute("SELECT")
            return sender
        except Exception:
            if not is_lost(connection):
                raise
        sender = self._held.sender = _Sender(self._database.connection(), AuditStream(self._audit_keys))
        return sender


class _Sender:
    """What a thread sends messages by: a connection, the chain of their audit records, and what is prepared there."""

    __slots__ = ("connection", "prepared", "stream", "used")

    def __init__(self, connection: Connection, stream: AuditStream) -> None:
        self.connection, self.stream = connection, stream
        self.prepared: set[str] = set()
        self.used = 0.0

    @property
    def driver(self) -> Any:
        return driver_of(self.connection)

    def prepare(self, message: Message) -> bool:
        """Prepare the statements for this connection; False where texts do not mean there what is written here."""
        driver = self.driver
        if driver.info.parameter_status("standard_conforming_strings") != "on":
            return False
        there = {row[0] for row in driver.execute(_PREPARED, [list(message.statements)])}
        for name, statement in message.statements.items():
            if name not in there:
                driver.execute(statement)
            self.prepared.add(name)
        return True


class _PostgresTransaction(WriteTransaction):
    def __init__(self, connection: Connection, held: Any) -> None:
        self.connection, self._held, self._open = connection, held, True

    def commit(self, entry: AuditEntry | None) -> None:
        stream: AuditStream = self._held.stream
        entries = [] if entry is None else [entry]
        rows, end = stream.rows(entries)
        driver = driver_of(self.connection)
        if rows:
            driver.execute(_INSERT_AUDIT_POSTGRES, rows[0], prepare=True)
        try:
            driver.execute("COMMIT")
        except BaseException:
            self.connection.close()  # whether it was committed is unknown: the next request begins a chain of its own
            raise
        finally:
            self._open = False
        stream.advance(end)
        for committed in entries:
            committed.recorded = True

    def rollback(self) -> None:
        if not self._open:
            return
        self._open = False
        if not is_lost(self.connection):
            driver_of(self.connection).execute("ROLLBACK")
