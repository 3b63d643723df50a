"""What nothing else removes any more: kept requests whose own removal was lost or cancelled, and jobs long done for
them.

Each request that is answered later has a job that removes it when it expires. An earlier version could lose that, an
administrator can cancel it, and it can fail for good.
"""

from __future__ import annotations

import logging

from hie.app import Application
from hie.interactions.asynchronous import EXPIRY_JOB, JOB
from hie.operations.server_context import own_record
from hie.store import asynchronous

logger = logging.getLogger(__name__)

_HOUR = 3_600_000_000
#: How often it is looked for them, and how long after its time a job has not removed what it should.
EVERY, OVERDUE = _HOUR, _HOUR


class Leftovers:
    """Looks for them once an hour; several workers may do so at the same time."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._due = 0

    def remove_if_due(self) -> None:
        """Remove them, if the last look is an hour ago."""
        now = self._application.clock()
        if now < self._due:
            return
        self._due = now + EVERY
        context = own_record(self._application.context(interaction="job"), "job")
        requests = asynchronous.remove_expired(context.store, now - OVERDUE)
        kept = self._application.settings.async_hours * _HOUR
        jobs = self._application.store.jobs.remove_finished((JOB, EXPIRY_JOB), now - kept - OVERDUE)
        if requests or jobs:
            logger.info("left-over rows were removed", extra={"count": requests + jobs, "kind": JOB})
