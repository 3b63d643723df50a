"""The job queue: what waits, runs, has failed. A job's payload names patients and is never shown."""

from __future__ import annotations

from typing import Any

from hie.errors import Conflict, NotFound
from hie.store.jobs import STATES
from hie.web.admin import inputs
from hie.web.admin.request import AdminRequest, AdminResponse, moment


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
    """Take a job that has not begun out of the queue."""
    job = _find(request)
    if not request.application.store.jobs.cancel(int(job["id"]), request.now):
        raise Conflict(f"Job {job['id']} is {_find(request)['state']}; only a job that is ready can be cancelled.")
    return AdminResponse(200, _find(request))


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
