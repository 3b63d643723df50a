"""Who waits for whom: what is asked for later is done by few workers, and any client may ask for much."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from hie.jobs.worker import Worker
from hie.store.models import job
from tests.conformance.later import asked


def test_clients_take_turns_and_so_do_kinds_of_jobs(client, fhir, application):
    busy = [asked(fhir, "GET", "Patient") for _ in range(4)]
    others = [client("system/*.rs", name=name) for name in ("second", "third")]
    their = [asked(one, "GET", "Patient") for one in others]
    application.context().store.transact(lambda store: store.enqueue("async-expiry", {"request": "0" * 32}))
    worker, told = Worker(application, "test"), []
    while worker.step():
        told.append([fhir.get(one).status for one in busy].count(200)
                    + 10 * [who.get(one).status for who, one in zip(others, their, strict=True)].count(200)
                    + 100 * application.store.jobs.counts()["done"])
    assert [one % 100 for one in told] == [1, 1, 11, 21, 22, 23, 24]
    assert [one // 100 for one in told] == [1, 2, 3, 4, 5, 6, 7], "the second was of another kind"


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_job_that_does_not_open_keeps_no_other_from_being_done(fhir, application):
    addresses = [asked(fhir, "GET", "Patient") for _ in range(3)]
    broken = update(job).where(job.c.id == 1).values(payload=b"broken")
    application.store.database.write(lambda connection: connection.execute(broken))
    worker = Worker(application, "test")
    assert [worker.step(), worker.step()] == [True, True]
    assert [fhir.get(one).status for one in addresses] == [202, 200, 200]


def test_where_another_worker_was_quicker_the_next_is_done(fhir, application):
    asked(fhir, "GET", "Patient"), asked(fhir, "GET", "Patient")
    jobs, now, taken = application.store.jobs, application.clock(), []

    def slow(due: list[Any]) -> Any:
        taken.append(jobs.claim("quicker", now))
        return due[0]

    found = jobs.claim("slower", now, choose={"async": slow})
    assert sorted((taken[0].id, found.id)) == [one["id"] for one in reversed(jobs.list(state="running"))]
    assert len({taken[0].id, found.id}) == 2
