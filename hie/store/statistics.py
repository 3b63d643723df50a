"""Planner statistics of PostgreSQL that keep up with a store that fills quickly.

Autovacuum looks once a minute. Until then PostgreSQL takes a type with thousands of resources for one row and reads
all of them for each search: 9 ms instead of 2 at 5,000 Observations. So the store asks for statistics itself, at 200
written resources and at each doubling.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

FIRST = 200
logger = logging.getLogger(__name__)
_ESTIMATE = text("SELECT reltuples::bigint FROM pg_class WHERE oid = 'resource'::regclass")
_ANALYZE = "ANALYZE resource, date_index, number_index"


class Statistics:
    """Counts what this process wrote, and analyses in the background when it was much."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._written, self._next = 0, FIRST
        self._thread: threading.Thread | None = None

    def wrote(self, resources: int) -> None:
        """Take note of committed resources."""
        with self._lock:
            self._written += resources
            busy = self._thread is not None and self._thread.is_alive()
            if self._written < self._next or busy:
                return
            self._written = 0
            self._thread = threading.Thread(target=self._analyze, name="statistics", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Wait for an analysis under way."""
        if self._thread is not None:
            self._thread.join(timeout=30)

    def _analyze(self) -> None:
        connection = None
        try:
            connection = self._connect()
            connection.exec_driver_sql(_ANALYZE)
            self._next = max(FIRST, int(connection.execute(_ESTIMATE).scalar_one()))
        except DBAPIError as error:
            logger.warning("statistics could not be renewed: %s", type(error.orig).__name__)
        finally:
            if connection is not None:
                connection.close()
