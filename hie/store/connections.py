"""The open connections of a process: each thread holds its own, and leaves it to another when it ends.

The web server ends a thread that had nothing to do for half a minute and starts one anew for what comes next. What such
a thread held would stay open for ever, until the database took no further connection.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from contextlib import suppress

from sqlalchemy import Connection, Engine

from hie.store.prepared import driver_of


class Connections:
    """All connections of one engine that are closed at the end only."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._opened: list[Connection] = []
        self._lock = threading.Lock()
        self._left: deque[Connection] = deque()  # by threads that have ended

    def open(self) -> Connection:
        """Open a connection that belongs to no thread."""
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        with self._lock:
            lost = [one for one in self._opened if is_lost(one)]
            self._opened = [one for one in self._opened if one not in lost]
            self._opened.append(connection)
        for one in lost:
            _let_go(one)
        return connection

    def hold(self, held: threading.local) -> Connection:
        """Give this thread a connection as `held.connection`: one that another left, or else a new one."""
        connection = self._adopted() or self.open()
        held.connection, held.end = connection, _End()
        weakref.finalize(held.end, self._left.append, connection).atexit = False
        return connection

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            opened, self._opened = self._opened, []
        for connection in opened:
            with suppress(Exception):
                connection.close()
        self._left.clear()

    def _adopted(self) -> Connection | None:
        while self._left:
            try:
                connection = self._left.pop()
            except IndexError:  # another thread was quicker
                break
            if _is_of_use(connection):
                return connection
            with self._lock:
                self._opened = [one for one in self._opened if one is not connection]
            _let_go(connection)
        return None


class _End:
    """Goes when its thread ends, as nothing but a threading.local of the thread knows it."""


def is_lost(connection: Connection) -> bool:
    """Tell whether a held connection is of no use any more, for instance because PostgreSQL was started anew."""
    if connection.closed or connection.invalidated:
        return True
    return connection.dialect.name == "postgresql" and bool(driver_of(connection).closed)


def _is_of_use(connection: Connection) -> bool:
    """Tell whether a connection that nobody used for a while answers still, and is in no transaction."""
    if is_lost(connection):
        return False
    driver = driver_of(connection)
    if connection.dialect.name == "sqlite":
        return not driver.in_transaction
    try:
        driver.execute("SELECT")
    except Exception:
        return False
    return bool(driver.info.transaction_status == 0)


def _let_go(connection: Connection) -> None:
    with suppress(Exception):
        connection.invalidate()
        connection.close()
