"""Which version of each model judges: one row is active, for every process that shares the database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection

from hie.store import administration
from hie.store.database import Database

#: How long a process may go on with the version that was active before.
REMEMBERED_MICROSECONDS = 2_000_000

logger = logging.getLogger(__name__)


class ActiveModels:
    """The active versions as the table has them, looked up again when what is remembered has aged."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database, self._clock = database, clock
        self._read_at: int | None = None
        self._active: dict[str, str] = {}

    def __call__(self, name: str) -> str | None:
        """Return the active version of a model; None where the table knows none."""
        now = self._clock()
        if self._read_at is None or now - self._read_at > REMEMBERED_MICROSECONDS:
            rows = administration.models(self._database.connection())
            self._active = {row["name"]: row["version"] for row in rows if row["active"]}
            self._read_at = now
        return self._active.get(name)

    def know(self, at_hand: Mapping[str, Sequence[str]]) -> None:
        """Add versions, the shipped one of a model first, to the table.

        Where the active version is not at hand any more, as after an upgrade, the shipped one takes its place.
        """
        rows = administration.models(self._database.connection())
        known = {(row["name"], row["version"]) for row in rows}
        active = {row["name"]: row["version"] for row in rows if row["active"]}
        new = [(name, one) for name, versions in at_hand.items() for one in versions if (name, one) not in known]
        lost = [name for name, versions in at_hand.items() if name in active and active[name] not in versions]
        if not new and not lost:
            return
        now = self._clock()

        def unit(connection: Connection) -> None:
            for name, version in new:
                administration.add_model(connection, name, version, now)
            for name in lost:
                administration.activate_model(connection, name, at_hand[name][0], now)

        self._database.write(unit)
        for name in lost:
            logger.warning("the active version is gone; the shipped one is active now", extra={"model": name})
