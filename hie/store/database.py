"""One database, two dialects: held connections for reading, ordered writers (D7a, D7b).

The audit record of a request is committed with its writes; those of requests that wrote nothing go through a journal
(hie.store.audit_journal).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, bindparam, select
from sqlalchemy.dialects import postgresql

from hie.store.audit import GENESIS, AuditEntry, AuditKeys
from hie.store.audit_journal import AuditJournal
from hie.store.audit_left import move_all
from hie.store.conflicts import WRITE_ATTEMPTS, contended, retry_pause, retryable
from hie.store.connections import Connections, is_lost
from hie.store.models import audit
from hie.store.postgres_writer import PostgresWriter
from hie.store.prepared import driver_of
from hie.store.sqlite_writer import SqliteWriter
from hie.store.statistics import Common, Statistics
from hie.store.writers import AUDIT_COLUMNS, Message, WriteTransaction

T = TypeVar("T")

_KEEP_AUDIT_SQLITE = (
    f"INSERT OR IGNORE INTO audit ({', '.join(AUDIT_COLUMNS)}) VALUES ({', '.join('?' for _ in AUDIT_COLUMNS)})"
)
_COLUMN_TYPES = [column.type.compile(postgresql.dialect()) for column in audit.c]
_KEEP_AUDIT_POSTGRES = (  # one statement for any number of rows
    f"INSERT INTO audit ({', '.join(AUDIT_COLUMNS)}) SELECT * FROM "
    f"unnest({', '.join(f'%s::{name}[]' for name in _COLUMN_TYPES)}) ON CONFLICT DO NOTHING"
)
_LAST_RECORD = (
    select(audit.c.seq, audit.c.mac).where(audit.c.stream == bindparam("stream")).order_by(audit.c.seq.desc()).limit(1)
)


class Database:
    """The engine with this process's way of reading and writing through it."""

    def __init__(self, engine: Engine, audit_keys: dict[int, AuditKeys], data_directory: Path) -> None:
        self.engine = engine
        self.dialect = engine.dialect.name
        self._audit_directory = data_directory / "audit"
        self._audit_keys = audit_keys
        self._journal = AuditJournal(self._audit_directory, audit_keys, self._keep_records)
        self._held = threading.local()
        self.connections = Connections(engine)
        self._writer: SqliteWriter | PostgresWriter
        self._statistics: Statistics | None = None
        self._common: Common | None = None
        self.wary_pages = 0
        """Pages that are not expected to be read in peace (hie.store.search.reading)."""
        if self.dialect == "sqlite":
            self._writer = SqliteWriter(self, audit_keys, data_directory / "locks")
        else:
            self._writer = PostgresWriter(self, audit_keys)
            self._statistics, self._common = Statistics(self.open_autocommit), Common()

    def connection(self) -> Connection:
        """Return this thread's connection for reading; every statement sees what was committed before it."""
        held: Connection | None = getattr(self._held, "connection", None)
        if held is None or is_lost(held):
            held = self.connections.hold(self._held)
        return held

    def begin(self, shared: Sequence[int] = ()) -> WriteTransaction:
        """Begin a transaction for writing; on SQLite this waits for its turn.

        On PostgreSQL it begins with shared locks of these numbers; SQLite has one writer anyway.
        """
        return self._writer.begin(shared)

    def commit_one(self, message: Message, entry: AuditEntry) -> bool:
        """PostgreSQL: send the one message that does everything, the audit record included.

        False: nothing was kept, and it has to be done in steps.
        """
        return isinstance(self._writer, PostgresWriter) and self._writer.commit_one(message, entry)

    def write(self, unit: Callable[[Connection], T], entry: AuditEntry | None = None) -> T:
        """Run `unit` in one transaction together with its audit record; `unit` may run again after a conflict."""
        for attempt in range(WRITE_ATTEMPTS):
            transaction = self.begin()
            try:
                result = unit(transaction.connection)
                transaction.commit(entry)
                return result
            except BaseException as error:
                transaction.rollback()
                if not retryable(error):
                    raise
                if attempt == WRITE_ATTEMPTS - 1:
                    raise contended() from error
                retry_pause(attempt)
        raise AssertionError("unreachable")  # pragma: no cover

    def record(self, entry: AuditEntry) -> None:
        """Keep the audit record of a request that wrote nothing, so that it outlives this process."""
        self._journal.append(entry)
        entry.recorded = True

    def settle_records(self) -> None:
        """Move to the audit table what this process and those beside it, or before it, have kept so far."""
        self._journal.move()
        move_all(self._audit_directory, self._audit_keys, self._last_record, self._keep_records)

    def _last_record(self, stream: str) -> tuple[int, bytes]:
        row = self.connection().execute(_LAST_RECORD, {"stream": stream}).one_or_none()
        return (0, GENESIS) if row is None else (row.seq, bytes(row.mac))

    def _keep_records(self, rows: list[dict[str, Any]]) -> None:
        """Write rows of the audit table; those that are there already stay as they are."""
        columns = [[row[name] for row in rows] for name in AUDIT_COLUMNS]

        def unit(connection: Connection) -> None:
            if self.dialect == "sqlite":
                driver_of(connection).executemany(_KEEP_AUDIT_SQLITE, zip(*columns, strict=True))
            else:
                driver_of(connection).execute(_KEEP_AUDIT_POSTGRES, columns)

        self.write(unit)

    def wrote(self, resources: int) -> None:
        """Take note of how many resources a committed transaction wrote."""
        if self._statistics is not None:
            self._statistics.wrote(resources)

    def common_tokens(self) -> Mapping[int, int] | None:
        """Return the tokens that many resources carry, and how many do; None where there are no statistics of them."""
        return None if self._common is None else self._common.tokens(self.connection())

    def open_autocommit(self) -> Connection:
        """Open a connection that this object closes at the end."""
        return self.connections.open()

    def close(self) -> None:
        """Close every connection of this process; audit records that wait are moved first."""
        self._journal.close()
        if self._statistics is not None:
            self._statistics.close()
        self.connections.close()
        self._writer.close()
        self.engine.dispose()
