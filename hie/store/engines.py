"""The engine of each dialect: its options, and what every connection of it needs."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from sqlalchemy import Engine, event

from hie.store import connection_limits

#: So long a process that starts waits for the journal of a SQLite file.
LOCK_PATIENCE_SECONDS = 30.0


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
    # No column is an hstore, whose number each engine would ask for first.
    return options | {"pool_pre_ping": True, "use_native_hstore": False, "connect_args": {"prepare_threshold": 3}}


def prepare_engine(engine: Engine) -> None:
    """Set what every connection of this engine needs."""
    if engine.dialect.name != "sqlite":
        event.listen(engine, "connect", _set_up)
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


#: Neither workers nor a compiler for a page of some rows: both take longer than the page, and of what is behind a key
#: list or a SELECT PostgreSQL expects so many rows that it would start them, from a million resources on.
_FOR_PAGES = "SET max_parallel_workers_per_gather = 0; SET jit = off"
#: Whatever a database or role is set to: values are escaped by the standard, else bytes come to be others; messages go
#: as UTF-8; and each statement of a transaction sees what was committed before it, as whoever waits for locks needs.
_AS_RELIED_ON = (
    "SET standard_conforming_strings = on; SET client_encoding = 'UTF8'; "
    "SET default_transaction_isolation = 'read committed'"
)


def _set_up(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"{_FOR_PAGES}; {_AS_RELIED_ON}")
    connection.commit()


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
