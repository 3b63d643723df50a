"""Planner statistics of PostgreSQL that keep up with a store that fills quickly.

Autovacuum looks once a minute. Until then PostgreSQL takes a type with thousands of resources for one row and reads
all of them for each search: 9 ms instead of 2 at 5,000 Observations. So the store asks for statistics itself, at 200
written resources and at each doubling.

What it then knows of single tokens is only which are common. It takes any other for about as frequent as the rarest of
those, a thousandth of the store, where most belong to one patient; `Common` tells searches which are common.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

FIRST = 200
logger = logging.getLogger(__name__)
_ESTIMATE = text("SELECT reltuples::bigint FROM pg_class WHERE oid = 'resource'::regclass")
_ANALYZE = "ANALYZE resource, date_index, number_index"


#: The frequencies end with three more: the least, the greatest, and that of NULL.
_COMMON = text(
    "SELECT (SELECT json_object_agg(e.element, (e.frequency * c.reltuples)::bigint)"
    " FROM unnest(s.most_common_elems::text::bigint[], s.most_common_elem_freqs)"
    " AS e (element, frequency) WHERE e.element IS NOT NULL AND e.frequency * c.reltuples >= :most) "
    "FROM pg_stats AS s JOIN pg_class AS c ON c.oid = 'resource'::regclass "
    "WHERE s.schemaname = current_schema() AND s.tablename = 'resource' AND s.attname = 'tokens'"
)
COMMON_SECONDS = 60.0
#: So many resources are found and sorted sooner than a page of them is met among all.
COMMON = 200


class Common:
    """The tokens that many resources carry, by the statistics of the database."""

    def __init__(self) -> None:
        self._tokens: dict[int, int] | None = None
        self._until = 0.0

    def tokens(self, connection: Connection) -> Mapping[int, int] | None:
        """Return them as of a minute ago at most, each with about how many carry it; None: no statistics yet."""
        now = time.monotonic()
        if now >= self._until:
            self._until = now + COMMON_SECONDS  # others go on with what is known
            row = connection.execute(_COMMON, {"most": COMMON}).one_or_none()
            self._tokens = None if row is None else {int(token): number for token, number in (row[0] or {}).items()}
        return self._tokens


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
