"""Transactions that meet a neighbour's write, and are done again (D7b)."""

from __future__ import annotations

import time

from hie.errors import Busy

WRITE_ATTEMPTS = 6
#: PostgreSQL: serialization_failure, deadlock_detected, and a unique row that a neighbour was quicker to write
RETRIED = frozenset({"40001", "40P01", "23505"})


class Again(Exception):
    """The unit of work met a neighbour's write and must run once more."""


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
