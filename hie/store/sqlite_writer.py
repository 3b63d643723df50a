"""SQLite: one writer at a time for the file, in the order of arrival; neighbouring requests share one commit (D7b)."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from hie.errors import Busy
from hie.store.audit import AuditEntry, AuditKeys, AuditStream
from hie.store.prepared import driver_of
from hie.store.writers import AUDIT_COLUMNS, WriteTransaction

if TYPE_CHECKING:
    from hie.store.database import Database

#: A commit is not put off for further neighbours once it holds this many requests or is this old.
GROUP_REQUESTS, GROUP_SECONDS = 64, 0.06
#: Pages that the writer may hold, the readers having the mapped file; and those that it goes on holding after a
#: group of many rows, which took them from all over the file. The next process to write makes them void anyway.
_WRITERS_CACHE, _SMALLER_CACHE = "PRAGMA cache_size = -16384;", "PRAGMA cache_size = -8192;"
MANY_ROWS = 2_000
_INSERT_AUDIT_SQLITE = (
    f"INSERT INTO audit ({', '.join(AUDIT_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in AUDIT_COLUMNS)})"
)


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
