"""What a server of so many processes and threads needs of the database and the system, and what they give it."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import suppress

from sqlalchemy import Connection

from hie.settings import Settings
from hie.store import connection_limits

#: Connections of clients over all processes; those beyond wait until the system's own queue is full.
_CLIENTS = 1_024
#: Files of a process that are neither connections nor clients: modules, locks, metrics, journals, the log.
_OTHER_FILES = 64
#: Far more than the most threads need.
_FILES = 65_536
#: SQLite keeps the database and its log open for each connection.
_FILES_OF_CONNECTION = {"sqlite": 2, "postgresql": 1}


def clients(settings: Settings) -> int:
    """Return how many clients a process serves at once: each thread has one, and one that waits."""
    return max(_CLIENTS // settings.workers, 2 * settings.threads)


def open_more_files() -> None:
    """Let this process and its children open as many files as the system lets them; `lacking` tells of too few."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def lacking(settings: Settings, connection: Connection) -> Iterator[str]:
    """Tell what there is not enough of, with the numbers; requests that lack it are refused (503)."""
    dialect, workers, threads = connection.dialect.name, settings.workers, settings.threads
    needed = connection_limits.of_server(dialect, workers, threads, job_worker=settings.embedded_worker)
    granted = connection_limits.granted(connection)
    if granted is not None and needed > granted:
        yield (f"{workers} workers of {threads} threads may need {needed} connections to PostgreSQL, which grants "
               f"{granted}: raise its max_connections, or lower HIE_WORKERS or HIE_THREADS. Requests that get no "
               "connection are answered 503.")
    files = connection_limits.of_process(dialect, threads) * _FILES_OF_CONNECTION[dialect]
    files += clients(settings) + _OTHER_FILES
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and files > most:
        yield (f"{threads} threads may need {files} open files in each web process, which the system limits to {most}: "
               "raise the limit (ulimit -n, LimitNOFILE), or lower HIE_THREADS.")
