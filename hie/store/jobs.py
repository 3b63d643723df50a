"""Jobs as rows of our own table, written with the resource that caused them (D12)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Integer, Select, bindparam, delete, func, insert, or_, select, text, update
from sqlalchemy.sql.dml import ReturningUpdate

from hie.store.crypto import SealBroken, associated_data, open_, seal
from hie.store.database import Database
from hie.store.models import job
from hie.store.tenants import Tenant

READY, RUNNING, DONE, FAILED, CANCELLED = "ready", "running", "done", "failed", "cancelled"
STATES = (READY, RUNNING, DONE, FAILED, CANCELLED)
#: A claim is lost after this time unless the worker finishes or renews it: so long waits the job of a killed worker.
CLAIM_MICROSECONDS = 20_000_000
#: So many due jobs of a kind are looked at to choose one.
CHOSEN_AMONG = 1_000
#: First pause before another try; doubled each time.
BACKOFF_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job."""

    id: int
    tenant: int
    kind: str
    payload: dict[str, Any]
    attempts: int


def new(
    tenant: Tenant, kind: str, payload: dict[str, Any], now: int, run_after: int | None = None
) -> dict[str, Any]:
    """Return the row of a new job; its payload is sealed."""
    sealed = seal(tenant.job_cipher, orjson.dumps(payload), _place(tenant, kind))
    return {
        "tenant": tenant.id, "kind": kind, "state": READY, "payload": sealed, "attempts": 0,
        "run_after": now if run_after is None else run_after, "created": now,
    }  # fmt: skip


#: The columns of a new job, with PostgreSQL's types.
NEW = {
    "tenant": "int4", "kind": "text", "state": "text", "payload": "bytea", "attempts": "int4", "run_after": "int8",
    "created": "int8",
}  # fmt: skip


def add(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Add new jobs to the open transaction."""
    if rows:
        connection.execute(_INSERT, rows)


_INSERT = insert(job)


def _place(tenant: Tenant, kind: str) -> bytes:
    return associated_data("job", tenant.id, kind)


_IS_READY = (job.c.state == READY) & (job.c.run_after <= bindparam("now"))
_IS_DUE = or_(_IS_READY, (job.c.state == RUNNING) & (job.c.claimed_until < bindparam("now")))
#: The first of each kind, and what lost workers held; of these the one due longest, of kind `after` where there is no
#: other. Each kind is the least beyond the last, so that an index leads to it past all of its jobs.
_NEXT = text(
    f"""
    WITH RECURSIVE kinds (kind) AS (
        SELECT min(kind) FROM job WHERE state = '{READY}'
        UNION ALL
        SELECT (SELECT min(job.kind) FROM job WHERE job.state = '{READY}' AND job.kind > kinds.kind)
        FROM kinds WHERE kinds.kind IS NOT NULL
    ), firsts (id) AS (
        SELECT (SELECT job.id FROM job WHERE job.state = '{READY}' AND job.kind = kinds.kind AND job.run_after <= :now
                ORDER BY job.run_after, job.id LIMIT 1)
        FROM kinds WHERE kinds.kind IS NOT NULL
        UNION ALL
        SELECT job.id FROM job WHERE job.state = '{RUNNING}' AND job.claimed_until < :now
    )
    SELECT job.id, job.kind, job.state FROM firsts JOIN job ON job.id = firsts.id
    ORDER BY job.kind = :after, job.run_after, job.id LIMIT 1
    """
)
#: Workers that claim at the same moment meet at the same job so often at most.
_TRIES = 5
_COLUMNS = (job.c.id, job.c.tenant, job.c.kind, job.c.payload, job.c.attempts)
_OF_KIND = (
    select(*_COLUMNS).where(_IS_READY, job.c.kind == bindparam("its_kind")).order_by(job.c.run_after, job.c.id)
    .limit(bindparam("most", type_=Integer()))
)
_THAT_ONE = select(job.c.id).where(_IS_DUE, job.c.id == bindparam("job_id"))


def _claim(which: Select[Any]) -> ReturningUpdate[Any]:
    return (
        update(job)
        .where(job.c.id == which.with_only_columns(job.c.id).with_for_update(skip_locked=True).scalar_subquery())
        .values(state=RUNNING, attempts=job.c.attempts + 1, worker=bindparam("by"), claimed_until=bindparam("until"))
        .returning(*_COLUMNS)
    )


_CLAIM_OF_KIND, _CLAIM_THAT_ONE = _claim(_OF_KIND), _claim(_THAT_ONE)
_CANCEL = (
    update(job)
    .where(job.c.id == bindparam("job_id"), job.c.state == READY)
    .values(state=CANCELLED, finished=bindparam("ended"))
    .returning(*_COLUMNS)
)
_RENEW = (
    update(job)
    .where(job.c.id == bindparam("job_id"), job.c.state == RUNNING, job.c.attempts == bindparam("attempt"))
    .values(claimed_until=bindparam("until"))
)
_FINISH = (
    update(job)
    .where(job.c.id == bindparam("job_id"), job.c.state == RUNNING, job.c.attempts == bindparam("attempt"))
    .values(
        state=bindparam("new_state"), error=bindparam("new_error"), run_after=bindparam("after"),
        finished=bindparam("ended"), claimed_until=None, worker=None,
    )
)  # fmt: skip


class Jobs:
    """The queue as workers and administrators use it."""

    def __init__(self, database: Database, tenants: dict[int, Tenant]) -> None:
        self._database, self._tenants = database, tenants

    def claim(
        self, worker: str, now: int, *, after: str = "", choose: Mapping[str, Callable[[list[Job]], Job]] | None = None
    ) -> Job | None:
        """Take the next due job, or one whose worker was lost; None when there is none.

        One of kind `after` is taken only where no other is due; of a kind that `choose` names, the one that it chooses.
        """
        connection = self._database.connection()
        claimed = {"now": now, "by": worker, "until": now + CLAIM_MICROSECONDS}
        for attempt in range(_TRIES):
            next_ = connection.execute(_NEXT, {"now": now, "after": after}).first()
            if next_ is None:
                return None  # looking needs no writer's turn
            statement, which = _CLAIM_OF_KIND, {"its_kind": next_.kind, "most": 1}
            if next_.state == RUNNING:
                statement, which = _CLAIM_THAT_ONE, {"job_id": next_.id}
            elif attempt == 0 and choose and next_.kind in choose and (due := self._due(connection, next_.kind, now)):
                statement, which = _CLAIM_THAT_ONE, {"job_id": choose[next_.kind](due).id}
            row = self._claimed(statement, claimed | which)
            if row is not None:
                return self._opened(row)
        return None  # others were quicker

    def _claimed(self, statement: ReturningUpdate[Any], parameters: dict[str, Any]) -> Any:
        return self._database.write(lambda connection: connection.execute(statement, parameters).first())

    def _due(self, connection: Connection, kind: str, now: int) -> list[Job]:
        """Return the due jobs of a kind; one that does not open keeps no other from being done."""
        found = []
        for row in connection.execute(_OF_KIND, {"now": now, "its_kind": kind, "most": CHOSEN_AMONG}):
            with suppress(SealBroken):
                found.append(self._opened(row))
        return found

    def _opened(self, row: Any) -> Job:
        return Job(row.id, row.tenant, row.kind, self._open(row.tenant, row.kind, row.payload), row.attempts)

    def renew(self, claimed: Job, now: int) -> None:
        """Keep a claim that is being worked on; does nothing where it was lost."""
        parameters = {"job_id": claimed.id, "attempt": claimed.attempts, "until": now + CLAIM_MICROSECONDS}
        self._database.write(lambda connection: connection.execute(_RENEW, parameters))

    def complete(self, claimed: Job, now: int) -> None:
        """Mark a claimed job done."""
        self._finish(claimed, DONE, None, now, now)

    def fail(self, claimed: Job, error: str, now: int, *, final: bool) -> None:
        """Put a claimed job back for another try after a pause, or mark it failed for good."""
        if final:
            self._finish(claimed, FAILED, error, now, now)
        else:
            self._finish(claimed, READY, error, None, now + BACKOFF_MICROSECONDS * 2 ** (claimed.attempts - 1))

    def _finish(self, claimed: Job, state: str, error: str | None, ended: int | None, after: int) -> None:
        tenant = self._tenants[claimed.tenant]
        sealed = None if error is None else seal(tenant.job_cipher, error.encode(), _place(tenant, "error"))
        parameters = {
            "job_id": claimed.id, "attempt": claimed.attempts, "new_state": state, "new_error": sealed, "ended": ended,
            "after": after,
        }  # fmt: skip
        self._database.write(lambda connection: connection.execute(_FINISH, parameters))

    def retry(self, job_id: int, now: int) -> bool:
        """Make a failed or cancelled job ready again; False when it is not in such a state."""
        fresh = {"state": READY, "attempts": 0, "run_after": now, "finished": None}
        return self._change(job_id, (FAILED, CANCELLED), fresh)

    def cancel(self, job_id: int, now: int) -> Job | None:
        """Take a job that has not begun out of the queue and return it; None when it is not waiting."""
        parameters = {"job_id": job_id, "ended": now}
        row = self._database.write(lambda connection: connection.execute(_CANCEL, parameters).first())
        return None if row is None else self._opened(row)

    def _change(self, job_id: int, states: tuple[str, ...], values: dict[str, Any]) -> bool:
        statement = update(job).where(job.c.id == job_id, job.c.state.in_(states)).values(**values)
        return bool(self._database.write(lambda connection: connection.execute(statement).rowcount))

    def remove_finished(self, kinds: Sequence[str], before: int) -> int:
        """Remove the jobs of some kinds that were done or cancelled before a time; those that failed stay."""
        finished = (job.c.state.in_((DONE, CANCELLED)) & (job.c.run_after <= before) & (job.c.finished <= before)
                    & job.c.kind.in_(kinds))
        if self._database.connection().execute(select(job.c.id).where(finished).limit(1)).first() is None:
            return 0
        return int(self._database.write(lambda connection: connection.execute(delete(job).where(finished)).rowcount))

    def counts(self) -> dict[str, int]:
        """Return the number of jobs in each state."""
        rows = self._database.connection().execute(select(job.c.state, func.count()).group_by(job.c.state))
        return dict.fromkeys(STATES, 0) | {row[0]: row[1] for row in rows}

    def list(self, *, state: str | None = None, before: int | None = None, count: int = 50) -> list[dict[str, Any]]:
        """Return jobs, newest first, without their payload."""
        statement = select(job).order_by(job.c.id.desc()).limit(count)
        if state is not None:
            statement = statement.where(job.c.state == state)
        if before is not None:
            statement = statement.where(job.c.id < before)
        return [self._described(row) for row in self._database.connection().execute(statement)]

    def find(self, job_id: int) -> dict[str, Any] | None:
        """Return one job without its payload; None when there is none of this number."""
        row = self._database.connection().execute(select(job).where(job.c.id == job_id)).first()
        return None if row is None else self._described(row)

    def _described(self, row: Any) -> dict[str, Any]:
        tenant = self._tenants[row.tenant]
        error = None if row.error is None else open_(tenant.job_cipher, bytes(row.error), _place(tenant, "error"))
        return {
            "id": row.id, "kind": row.kind, "state": row.state, "attempts": row.attempts, "created": row.created,
            "run_after": row.run_after, "finished": row.finished, "worker": row.worker,
            "error": error.decode() if error is not None else None,
        }  # fmt: skip

    def _open(self, tenant_id: int, kind: str, payload: bytes) -> dict[str, Any]:
        tenant = self._tenants[tenant_id]
        opened: dict[str, Any] = orjson.loads(open_(tenant.job_cipher, bytes(payload), _place(tenant, kind)))
        return opened

