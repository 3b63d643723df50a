"""The job queue: what waits, runs, has failed. A job's payload names patients and is never shown."""

from __future__ import annotations

import logging
from typing import Any

from hie.errors import Conflict, FhirError, NotFound
from hie.store.jobs import STATES, Job
from hie.web.admin import inputs
from hie.web.admin.request import AdminRequest, AdminResponse, moment

log = logging.getLogger(__name__)


def list_jobs(request: AdminRequest) -> AdminResponse:
    """Jobs, newest first; `next` is the URL of the page after this one."""
    state = inputs.one_of(request.query, "state", STATES)
    count = inputs.count(request.query)
    before = inputs.row_number(request.query["before"], "before") if "before" in request.query else None
    rows = request.application.store.jobs.list(state=state, before=before, count=count + 1)
    page = rows[:count]
    following = None
    if len(rows) > count:
        filtered = f"&state={state}" if state else ""
        following = f"{request.url}?count={count}&before={page[-1]['id']}{filtered}"
    return AdminResponse(200, {"jobs": [_job(row) for row in page], "next": following})


def read_job(request: AdminRequest) -> AdminResponse:
    """One job, with the text of its last failure."""
    return AdminResponse(200, _find(request))


def retry_job(request: AdminRequest) -> AdminResponse:
    """Make a failed or cancelled job ready again, with all its tries before it."""
    job = _find(request)
    if not request.application.store.jobs.retry(int(job["id"]), request.now):
        raise Conflict(f"Job {job['id']} is {_find(request)['state']}; only a failed or cancelled job can be retried.")
    return AdminResponse(200, _find(request))


def cancel_job(request: AdminRequest) -> AdminResponse:
    """Take a job that has not begun out of the queue; whoever waits for it is told that it failed."""
    job = _find(request)
    cancelled = request.application.store.jobs.cancel(int(job["id"]), request.now)
    if cancelled is None:
        raise Conflict(f"Job {job['id']} is {_find(request)['state']}; only a job that is ready can be cancelled.")
    _tell(cancelled, request)
    return AdminResponse(200, _find(request))


def _tell(cancelled: Job, request: AdminRequest) -> None:
    kind = request.application.registry.job(cancelled.kind)
    if kind is None or kind.gave_up is None:
        return
    context = request.application.context(request_id=request.entry.request_id, interaction="job")
    try:
        kind.gave_up(cancelled.payload, "An administrator took it out of the queue.", context)
    except FhirError:  # the job is cancelled all the same; a Task that cannot be written now stays as it is
        log.exception("the end of a job could not be told", extra={"kind": cancelled.kind})


def _find(request: AdminRequest) -> dict[str, Any]:
    row = request.application.store.jobs.find(inputs.row_number(request.path["job"], "job"))
    if row is None:
        raise NotFound("There is no job of this number.")
    return _job(row)


def _job(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"], "kind": row["kind"], "state": row["state"], "attempts": row["attempts"],
        "created": moment(row["created"]), "runAfter": moment(row["run_after"]), "finished": moment(row["finished"]),
        "worker": row["worker"], "error": row["error"],
    }  # fmt: skip
