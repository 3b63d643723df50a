"""The worker: claims jobs one after another and does them, in a thread or in as many processes as a site needs.

A job that fails is tried again after a pause, up to HIE_JOB_ATTEMPTS times; what a retry cannot mend fails at once. The
job of a worker that died is claimed again when its claim has run out.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hie.app import Application
from hie.context import Context
from hie.errors import Busy, Conflict, FhirError, Outdated, PreconditionFailed, TooManyRequests
from hie.jobs.leftovers import Leftovers
from hie.jobs.turns import Turns
from hie.models import CHEST_XRAY, loaded
from hie.operations.server_context import own_record
from hie.store import away
from hie.store.jobs import Job

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0
RENEW_SECONDS = 5.0
#: Refusals that may not be one the next time.
_PASSING = (Busy, Conflict, PreconditionFailed, TooManyRequests)


class Worker:
    """One claim at a time; `name` tells workers apart in the table of jobs."""

    def __init__(self, application: Application, name: str | None = None) -> None:
        self._application = application
        self._leftovers, self._turns = Leftovers(application), Turns(application)
        self.name = name or f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"

    def run(self, stop: threading.Event, rest: Callable[[], object] = lambda: None) -> None:
        """Work until `stop` is set; the job at hand is finished first. `rest` is called when a row of jobs is done."""
        self._prepare(stop)
        pause, worked = POLL_SECONDS, False
        while not stop.is_set():
            before = worked
            try:
                worked = self.step()
                pause = POLL_SECONDS
            except Outdated:  # which is told where it is found, as often as is of use
                worked, pause = False, LONGEST_PAUSE_SECONDS
            except Exception as error:
                _tell("jobs cannot be claimed or finished", error)  # the worker outlives it
                worked, pause = False, min(2 * pause, LONGEST_PAUSE_SECONDS)
            if not worked:
                if before:
                    rest()
                stop.wait(pause)

    def step(self) -> bool:
        """Claim and do one job; False where none was due."""
        now = self._application.clock
        self._application.store.look_again()
        self._leftovers.remove_if_due()
        job = self._turns.claim(self.name)
        if job is None:
            return False
        started = time.monotonic()
        with self._held(job):
            error = self._done(job)
        state = "done"
        if error is None:
            self._application.store.jobs.complete(job, now())
        else:
            final = self._is_final(job, error)
            if final:
                self._give_up(job, error)
            self._application.store.jobs.fail(job, _told(error), now(), final=final)
            state = "failed" if final else "to be tried again"
        ms = round((time.monotonic() - started) * 1000)
        logger.info("job %s", state, extra={"kind": job.kind, "attempt": job.attempts, "ms": ms})
        return True

    @contextmanager
    def _held(self, job: Job) -> Iterator[None]:
        """Renew the claim as long as the job runs."""
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(RENEW_SECONDS):
                try:
                    self._application.store.jobs.renew(job, self._application.clock())
                except Exception as error:
                    _tell("a claim could not be renewed", error, kind=job.kind)

        thread = threading.Thread(target=renew, name="claim", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _done(self, job: Job) -> Exception | None:
        """Do the job; the error it failed with, None where it did not."""
        kind = self._application.registry.job(job.kind)
        if kind is None:
            return _Impossible(f"This server knows no jobs of kind {job.kind!r}.")
        if job.attempts > self._application.settings.job_attempts:
            return _Impossible("The job was begun and never finished, again and again.")
        try:
            kind.function(job.payload, self._context(job))
        except FhirError as error:
            return error
        except Exception as error:
            logger.exception("a job failed", extra={"kind": job.kind, "attempt": job.attempts})
            return error
        return None

    def _is_final(self, job: Job, error: Exception) -> bool:
        if isinstance(error, _Impossible) or job.attempts >= self._application.settings.job_attempts:
            return True
        return isinstance(error, FhirError) and error.status < 500 and not isinstance(error, _PASSING)

    def _give_up(self, job: Job, error: Exception) -> None:
        kind = self._application.registry.job(job.kind)
        if kind is None or kind.gave_up is None:
            return
        try:
            kind.gave_up(job.payload, _told(error), self._context(job))
        except Exception:
            # The job fails all the same; a Task that cannot be written now stays as it is.
            logger.exception("the failure of a job could not be told", extra={"kind": job.kind})

    def _context(self, job: Job) -> Context:
        context = self._application.context(request_id=f"job-{job.id}-{job.attempts}", interaction="job")
        return own_record(context, "job")

    def _prepare(self, stop: threading.Event) -> None:
        """Load what the first job would otherwise wait for; on a busy machine that takes longer than an end may."""
        for load in (_load_imaging, _load_types, self._load_model):
            if not stop.is_set():
                load()

    def _load_model(self) -> None:
        try:
            loaded(CHEST_XRAY, self._application.context())
        except Exception as error:  # the database is away, for instance: the job that needs it tries again
            _tell("a model cannot be loaded", error)


def _load_imaging() -> None:
    import fhir_adapters.imaging.pixels  # noqa: F401 - loaded, not used
    import ml.cnn.heatmap  # noqa: F401 - the same


def _load_types() -> None:
    from fhir_adapters import ai_model

    ai_model.prepare()


def _tell(message: str, error: Exception, **more: str) -> None:
    """Write to the log what failed; where the database is away, that is all there is to tell."""
    if away.refusal(error) is None:
        logger.error(message, exc_info=error, extra=more)
        return
    cause = type(getattr(error, "orig", None) or error)
    logger.error(message, extra=more | {"reason": f"{cause.__module__}.{cause.__qualname__}"})


class _Impossible(Exception):
    """A job that no retry can mend."""


def _told(error: Exception) -> str:
    """What may be shown of an error: ours in words, any other by its type, which quotes no record."""
    if isinstance(error, FhirError):
        return error.diagnostics
    return str(error) if isinstance(error, _Impossible) else f"Internal error ({type(error).__name__})."
