"""Statements of SQLAlchemy, compiled once for all tests of a process.

Each test opens a database of its own, by an engine of its own, and an engine compiles for itself: a tenth of what the
suite computed.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.util import LRUCache

KEPT = 1_000


class Compiled:
    """What SQLAlchemy keeps compiled statements in, by the name of a dialect instead of one engine's own dialect."""

    def __init__(self) -> None:
        self._kept: LRUCache[tuple[Any, ...], Any] = LRUCache(KEPT)

    def get(self, key: tuple[Any, ...]) -> Any:
        dialect, *more = key
        return self._kept.get((dialect.name, *more))

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        dialect, *more = key
        self._kept[dialect.name, *more] = compiled


def share() -> None:
    """Let all engines of this process have one store of compiled statements."""
    shared = Compiled()

    @event.listens_for(Engine, "engine_connect")
    def _use(connection: Connection) -> None:
        connection.execution_options(compiled_cache=shared)
