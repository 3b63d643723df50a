"""Turns of PostgreSQL's transactions while they end each other.

Two that wait for each other cost a second until the database ends one, and where many change the same few resources, by
criteria and cascades whose locks nobody foresees, all of them wait. For a while after that a process's transactions of
several steps are done one after the other, as SQLite's are.
"""

from __future__ import annotations

import time

_DEADLOCK = "40P01"
#: So long after two waited for each other.
SECONDS = 10.0


class Turns:
    """Whether the transactions of one tenant take turns in this process."""

    def __init__(self) -> None:
        self._until = 0.0

    def met(self, error: BaseException) -> None:
        """Take note of what ended a transaction."""
        if getattr(getattr(error, "orig", error), "sqlstate", None) == _DEADLOCK:
            self._until = time.monotonic() + SECONDS

    @property
    def are_taken(self) -> bool:
        """Tell whether a transaction has to wait for its turn."""
        return time.monotonic() < self._until
