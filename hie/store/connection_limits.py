"""How many connections to the database a process opens at most, and how many PostgreSQL grants.

https://www.postgresql.org/docs/current/runtime-config-connection.html#GUC-MAX-CONNECTIONS
"""

from __future__ import annotations

from sqlalchemy import Connection, text

#: PostgreSQL: a thread that answers reads by one connection and writes in steps by another. SQLite has one writer.
_OF_THREAD = {"sqlite": 1, "postgresql": 2}
#: PostgreSQL: those of the first thread, of who moves audit records, and of statistics. SQLite: the first thread's, the
#: writer's.
_OF_PROCESS = {"sqlite": 2, "postgresql": 4}
#: A job worker works in two threads: one does the job, the other renews its claim, which is a write.
_OF_JOB_WORKER = {"sqlite": 2, "postgresql": 5}
#: What a thread that has just ended holds still while another begins.
SPARE = 8
#: So long a thread waits for a connection before its request is refused.
PATIENCE_SECONDS = 5.0

_GRANTED = text(
    "SELECT least("
    "current_setting('max_connections')::int - CASE WHEN r.rolsuper THEN 0 ELSE"
    " current_setting('superuser_reserved_connections')::int"
    " + coalesce(current_setting('reserved_connections', true)::int, 0) END,"
    " CASE WHEN r.rolconnlimit >= 0 AND NOT r.rolsuper THEN r.rolconnlimit END,"
    " CASE WHEN d.datconnlimit >= 0 AND NOT r.rolsuper THEN d.datconnlimit END) "
    "FROM pg_roles AS r, pg_database AS d WHERE r.rolname = current_user AND d.datname = current_database()"
)


def of_process(dialect: str, threads: int) -> int:
    """Return how many connections a process opens in which so many threads answer."""
    return threads * _OF_THREAD[dialect] + _OF_PROCESS[dialect]


def of_server(dialect: str, workers: int, threads: int, *, job_worker: bool) -> int:
    """Return how many connections all processes of a server open."""
    return workers * of_process(dialect, threads) + (_OF_JOB_WORKER[dialect] if job_worker else 0)


def granted(connection: Connection) -> int | None:
    """Return how many connections the database grants us; None where it sets no limit."""
    if connection.dialect.name != "postgresql":
        return None
    return int(connection.execute(_GRANTED).scalar_one())
