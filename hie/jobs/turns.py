"""Which job a worker does next: kinds of jobs take turns, and of a kind its owners.

Who asks for much waits for much, and nobody else for him: a client may have a hundred requests waiting.
"""

from __future__ import annotations

from functools import partial

from hie.app import Application
from hie.registry import JobKind
from hie.store.jobs import Job

#: So many owners are remembered.
MOST_OWNERS = 10_000


class Turns:
    """What one worker remembers of the turns of others."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._kind, self._turn, self._served = "", 0, dict[tuple[str, str], int]()
        kinds = application.registry.jobs
        self._choose = {one.code: partial(self._chosen, one) for one in kinds if one.owners is not None}

    def claim(self, worker: str) -> Job | None:
        """Claim the next job; None where none is due."""
        jobs, now = self._application.store.jobs, self._application.clock()
        job = jobs.claim(worker, now, after=self._kind, choose=self._choose)
        self._kind = "" if job is None else job.kind
        return job

    def _chosen(self, kind: JobKind, due: list[Job]) -> Job:
        """Return the first job of the owner whose last turn is the longest time ago."""
        if kind.owners is None:
            return due[0]
        whose = kind.owners([one.payload for one in due], self._application.context(interaction="job"))
        keys = [(kind.code, owner) for owner in whose]
        at = min(range(len(due)), key=lambda one: self._served.get(keys[one], 0))
        if len(self._served) >= MOST_OWNERS:
            self._served.clear()
        self._turn += 1
        self._served[keys[at]] = self._turn
        return due[at]
