"""One database, two dialects: held connections for reading, ordered writers (D7a, D7b).

SQLite: one writer at a time for the file, over all threads and processes, in the order of arrival; neighbouring
requests share one commit. PostgreSQL: each request its own transaction. On both, the audit record of a request is
committed with its writes; those of requests that wrote nothing go through a journal (hie.store.audit_journal).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Engine, bindparam, event, select
from sqlalchemy.dialects import postgresql

from hie.errors import Busy
from hie.store import connection_limits
from hie.store.audit import GENESIS, AuditEntry, AuditKeys, AuditStream
from hie.store.audit_journal import AuditJournal
from hie.store.audit_left import move_all
from hie.store.connections import Connections, is_lost
from hie.store.models import audit
from hie.store.prepared import driver_of, libpq
from hie.store.statistics import Common, Statistics

T = TypeVar("T")

#: A commit is not put off for further neighbours once it holds this many requests or is this old.
GROUP_REQUESTS, GROUP_SECONDS = 64, 0.06
WRITE_ATTEMPTS = 6
LOCK_PATIENCE_SECONDS = 30.0
#: SQLite: pages that the writer may hold, the readers having the mapped file; and those that it goes on holding after a
#: group of many rows, which took them from all over the file. The next process to write makes them void anyway.
_WRITERS_CACHE, _SMALLER_CACHE = "PRAGMA cache_size = -16384;", "PRAGMA cache_size = -8192;"
MANY_ROWS = 2_000
#: So long ago a connection may have been used last for the server to be there still, as far as one can tell.
RECENT_SECONDS = 2.0
#: PostgreSQL: serialization_failure, deadlock_detected, and a unique row that a neighbour was quicker to write
RETRIED = frozenset({"40001", "40P01", "23505"})
_AUDIT_COLUMNS = tuple(audit.c.keys())
_INSERT_AUDIT_POSTGRES = (
    f"INSERT INTO audit ({', '.join(_AUDIT_COLUMNS)}) VALUES ({', '.join(f'%({name})s' for name in _AUDIT_COLUMNS)})"
)
_INSERT_AUDIT_SQLITE = (
    f"INSERT INTO audit ({', '.join(_AUDIT_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in _AUDIT_COLUMNS)})"
)

_KEEP_AUDIT_SQLITE = (
    f"INSERT OR IGNORE INTO audit ({', '.join(_AUDIT_COLUMNS)}) VALUES ({', '.join('?' for _ in _AUDIT_COLUMNS)})"
)
_COLUMN_TYPES = [column.type.compile(postgresql.dialect()) for column in audit.c]
_KEEP_AUDIT_POSTGRES = (  # one statement for any number of rows
    f"INSERT INTO audit ({', '.join(_AUDIT_COLUMNS)}) SELECT * FROM "
    f"unnest({', '.join(f'%s::{name}[]' for name in _COLUMN_TYPES)}) ON CONFLICT DO NOTHING"
)


class Again(Exception):
    """The unit of work met a neighbour's write and must run once more."""


def engine_options(url: str, threads: int) -> dict[str, Any]:
    """Return the options of create_engine for `url`, in a process of so many threads that answer."""
    dialect = "sqlite" if url.startswith("sqlite") else "postgresql"
    options = {
        "pool_size": connection_limits.of_process(dialect, threads),
        "max_overflow": connection_limits.SPARE,
        "pool_timeout": connection_limits.PATIENCE_SECONDS,
    }
    if dialect == "sqlite":
        return options | {"connect_args": {"check_same_thread": False, "timeout": 60, "cached_statements": 512}}
    return options | {"pool_pre_ping": True, "connect_args": {"prepare_threshold": 3}}


def prepare_engine(engine: Engine) -> None:
    """Set what every connection of this engine needs."""
    if engine.dialect.name != "sqlite":
        event.listen(engine, "connect", _plan_for_pages)
        return

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        _keep_a_log(connection)
        for pragma in (
            "synchronous = FULL", "foreign_keys = ON", "temp_store = MEMORY",
            "cache_size = -1024", "mmap_size = 33554432", "wal_autocheckpoint = 32000", "trusted_schema = OFF",
            "secure_delete = ON",
        ):  # fmt: skip
            connection.execute(f"PRAGMA {pragma}")


def _plan_for_pages(connection: Any, _record: Any) -> None:
    """Keep PostgreSQL from starting workers or a compiler for a page of some rows: both take longer than the page.

    Of what is behind a key list or a SELECT it expects so many rows that it would, from a million resources on.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET max_parallel_workers_per_gather = 0; SET jit = off")
    connection.commit()


_LAST_RECORD = (
    select(audit.c.seq, audit.c.mac).where(audit.c.stream == bindparam("stream")).order_by(audit.c.seq.desc()).limit(1)
)


def _keep_a_log(connection: Any) -> None:
    """Set the journal to WAL; SQLite's own patience does not cover this where several processes start at once."""
    until = time.monotonic() + LOCK_PATIENCE_SECONDS
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


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
        columns = [[row[name] for row in rows] for name in _AUDIT_COLUMNS]

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

    def common_tokens(self) -> frozenset[int] | None:
        """Return the tokens that many resources carry; None where the database keeps no statistics of them."""
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


class Message(Protocol):
    """A transaction as one text of several statements (hie.store.at_once)."""

    @property
    def statements(self) -> Mapping[str, str]:
        """What it executes: names of statements, and the texts that prepare them, once for a connection."""

    @property
    def refused(self) -> str:
        """The SQLSTATE by which PostgreSQL says that nothing was kept and all must be done in steps."""

    def text(self, record: dict[str, Any]) -> str:
        """Return the text with the row of the request's audit record."""


class WriteTransaction(ABC):
    """An open transaction; exactly one of commit and rollback ends it."""

    connection: Connection

    @abstractmethod
    def commit(self, entry: AuditEntry | None) -> None:
        """Commit what was written and the request's audit record; returns when both are durable."""

    @abstractmethod
    def rollback(self) -> None:
        """Undo; does nothing after commit."""


def retryable(error: BaseException) -> bool:
    """Say whether a transaction that failed with `error` may simply run again."""
    if isinstance(error, Again):
        return True
    return getattr(getattr(error, "orig", error), "sqlstate", None) in RETRIED


def contended() -> Busy:
    """Build the refusal of what met neighbours at every try; nothing of it was kept."""
    return Busy("Others changed the same resources at every try; nothing was kept. Send it again.")


def retry_pause(attempt: int) -> None:
    """Wait a moment, longer each time, before a transaction that met a neighbour runs again."""
    time.sleep(0.005 * 2**attempt)


class _FileTurn:
    """Whose turn it is to write one file, over processes: a turnstile keeps a process from overtaking a waiting one."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._turnstile = os.open(directory / "turnstile.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._writer = os.open(directory / "writer.lock", os.O_RDWR | os.O_CREAT, 0o600)

    def take(self) -> None:
        fcntl.flock(self._turnstile, fcntl.LOCK_EX)
        fcntl.flock(self._writer, fcntl.LOCK_EX)
        fcntl.flock(self._turnstile, fcntl.LOCK_UN)

    def give(self) -> None:
        fcntl.flock(self._writer, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._turnstile)
        os.close(self._writer)


class _Ticket:
    """One request's share of a group commit."""

    __slots__ = ("_error", "_finished")

    def __init__(self) -> None:
        self._finished = threading.Lock()
        self._finished.acquire()
        self._error: BaseException | None = None

    def finish(self, error: BaseException | None) -> None:
        self._error = error
        self._finished.release()

    def wait(self) -> None:
        self._finished.acquire()
        if self._error is not None:
            raise Busy("The request could not be committed; nothing of it was kept.") from self._error


class SqliteWriter:
    """Group commit on one connection. Whoever holds `_turn` writes; the last of a queue commits for all."""

    def __init__(self, database: Database, audit_keys: dict[int, AuditKeys], lock_directory: Path) -> None:
        self._database = database
        self._file_turn = _FileTurn(lock_directory)
        self._closed = False
        self._stream = AuditStream(audit_keys)
        self._turn = threading.Lock()
        self._counter = threading.Lock()
        self._queued = 0
        self._connection: Connection | None = None
        self._open_since: float | None = None
        self._changes = 0
        self._batch: list[tuple[_Ticket, AuditEntry | None]] = []

    def close(self) -> None:
        """Let go of the files of the turn, once."""
        if not self._closed:
            self._closed = True
            self._file_turn.close()

    def begin(self, _shared: Sequence[int]) -> WriteTransaction:
        with self._counter:
            self._queued += 1
        self._turn.acquire()
        with self._counter:
            self._queued -= 1
        try:
            connection = self._begin_group()
            if has_neighbours := bool(self._batch):
                driver_of(connection).execute("SAVEPOINT request")
        except BaseException:
            self._leave()
            raise
        return _SqliteTransaction(self, connection, has_neighbours)

    def keep(self, entry: AuditEntry | None) -> _Ticket:
        """Keep the request's savepoint for the group's commit and leave."""
        ticket = _Ticket()
        self._batch.append((ticket, entry))
        self._leave()
        return ticket

    def drop(self) -> None:
        """Leave after the request was rolled back, and with it the group where nobody else is in it."""
        if not self._batch:
            self._open_since = None
            self._file_turn.give()
        self._leave()

    def _leave(self) -> None:
        try:
            if self._open_since is not None and (
                self._queued == 0
                or len(self._batch) >= GROUP_REQUESTS
                or time.monotonic() - self._open_since > GROUP_SECONDS
            ):
                self._commit_group()
        finally:
            self._turn.release()

    def _begin_group(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = self._database.open_autocommit()
            driver_of(self._connection).executescript(_WRITERS_CACHE)
        if self._open_since is None:
            self._file_turn.take()
            try:
                driver_of(self._connection).execute("BEGIN IMMEDIATE")
            except BaseException:
                self._file_turn.give()
                raise
            self._open_since = time.monotonic()
            self._changes = driver_of(self._connection).total_changes
        return self._connection

    def _commit_group(self) -> None:
        assert self._connection is not None  # noqa: S101 - a group is open
        driver = driver_of(self._connection)
        batch, self._batch = self._batch, []
        entries = [entry for _, entry in batch if entry is not None]
        error: BaseException | None = None
        try:
            if entries:
                rows, end = self._stream.rows(entries)
                driver.executemany(_INSERT_AUDIT_SQLITE, rows)
            driver.execute("COMMIT")
            if entries:
                self._stream.advance(end)
        except BaseException as failure:
            error = failure
            with suppress(sqlite3.Error):
                driver.execute("ROLLBACK")
        finally:
            self._open_since = None
            self._file_turn.give()
        for ticket, _ in batch:
            ticket.finish(error)
        if error is None and driver.total_changes - self._changes > MANY_ROWS:
            with suppress(sqlite3.Error):
                driver.executescript(_SMALLER_CACHE + _WRITERS_CACHE)  # at once, unlike a statement that was kept


class _SqliteTransaction(WriteTransaction):
    """One request of a group. The first needs no savepoint, which would keep a copy of every page that it changes."""

    def __init__(self, writer: SqliteWriter, connection: Connection, has_neighbours: bool) -> None:
        self._writer, self.connection, self._has_neighbours, self._open = writer, connection, has_neighbours, True

    def commit(self, entry: AuditEntry | None) -> None:
        if self._has_neighbours:
            driver_of(self.connection).execute("RELEASE request")
        self._open = False
        self._writer.keep(entry).wait()
        if entry is not None:
            entry.recorded = True

    def rollback(self) -> None:
        if not self._open:
            return
        self._open = False
        driver = driver_of(self.connection)
        try:
            if self._has_neighbours:
                driver.execute("ROLLBACK TO request")
                driver.execute("RELEASE request")
            elif driver.in_transaction:  # SQLite ends it itself where a disk is full
                driver.execute("ROLLBACK")
        finally:
            self._writer.drop()


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
