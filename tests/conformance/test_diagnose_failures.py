"""Jobs of images that fail, are cancelled or lose their worker, and workers that are told to stop."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from sqlalchemy import select

from hie.jobs import diagnosis
from hie.jobs import worker as worker_module
from hie.jobs.worker import Worker
from hie.registry import JobKind
from hie.store import jobs
from hie.store.models import job
from tests.conformance.images import media, tasks
from tests.pictures import encoded


def test_a_job_that_an_administrator_cancels_fails_its_task_and_may_be_tried_again(
    client, fhir, patient, worker, radiograph
):
    admin = client("admin")
    fhir.create(media(patient, encoded(radiograph)))
    (job_,) = admin.get("/admin/jobs").json["jobs"]
    assert admin.post(f"/admin/jobs/{job_['id']}/cancel").json["state"] == "cancelled"
    (task,) = fhir.get("Task").resources()
    assert (task["status"], task["statusReason"]) == (
        "failed", {"text": "An administrator took it out of the queue."})  # fmt: skip
    assert not worker.step()

    assert admin.post(f"/admin/jobs/{job_['id']}/retry").json["state"] == "ready"
    assert worker.step()
    (task,) = fhir.get("Task").resources()
    assert (task["status"], "statusReason" in task) == ("completed", False)
    assert fhir.total(f"Observation?patient={patient}") == 1


def test_a_cancelled_task_is_not_worked_on(fhir, patient, worker, radiograph):
    fhir.create(media(patient, encoded(radiograph)))
    (task,) = fhir.get("Task").resources()
    fhir.put(f"Task/{task['id']}", {**task, "status": "cancelled"})
    assert worker.step()
    assert fhir.total("Observation") == 0
    assert tasks(fhir) == ["cancelled"]


def test_a_job_that_goes_wrong_is_tried_again(app, fhir, patient, worker, clock, radiograph, monkeypatch):
    fhir.create(media(patient, encoded(radiograph)))
    with monkeypatch.context() as broken:
        broken.setattr(diagnosis.diagnose, "result", lambda *_: 1 / 0)
        assert worker.step()
    assert tasks(fhir) == ["in-progress"]
    assert not worker.step(), "it waits for its pause"
    clock.forward(2)
    assert worker.step()
    assert tasks(fhir) == ["completed"]


def test_a_job_that_always_goes_wrong_fails_with_its_task(app, fhir, patient, worker, clock, radiograph, monkeypatch):
    fhir.create(media(patient, encoded(radiograph)))
    monkeypatch.setattr(diagnosis.diagnose, "result", lambda *_: 1 / 0)
    for _ in range(3):
        assert worker.step()
        clock.forward(60)
    assert not worker.step()
    (task,) = fhir.get("Task").resources()
    assert (task["status"], task["statusReason"]["text"]) == ("failed", "Internal error (ZeroDivisionError).")
    assert app.extensions["hie"].store.jobs.counts()["failed"] == 1


def test_the_job_of_a_lost_worker_is_done_by_another(app, fhir, patient, worker, clock, radiograph):
    fhir.create(media(patient, encoded(radiograph)))
    assert app.extensions["hie"].store.jobs.claim("lost", clock()) is not None
    assert not worker.step()
    clock.forward(600)
    assert worker.step()
    assert tasks(fhir) == ["completed"]


def claimed_until(application):
    return application.store.database.connection().execute(select(job.c.claimed_until)).scalar_one()


def test_a_claim_is_kept_as_long_as_its_worker_works(app, fhir, patient, clock, radiograph, monkeypatch):
    application = app.extensions["hie"]
    seen = []

    def long_work(payload, ctx):
        # Time passes, twice as long as a claim lasts; another worker looks for work whenever the claim was renewed.
        for _ in range(4):
            clock.forward(jobs.CLAIM_MICROSECONDS / 2e6)
            until = claimed_until(application)
            end = time.monotonic() + 20
            while claimed_until(application) == until and time.monotonic() < end:
                time.sleep(0.005)
            seen.append(application.store.jobs.claim("other", clock()))

    monkeypatch.setattr(worker_module, "RENEW_SECONDS", 0.01)
    registry = replace(application.registry, jobs=(JobKind("diagnose", long_work),))
    fhir.create(media(patient, encoded(radiograph)))
    assert Worker(replace(application, registry=registry), "slow").step()
    assert seen == [None] * 4
    assert application.store.jobs.counts()["done"] == 1


def test_a_job_whose_media_is_gone_fails_at_once(app, fhir, patient, worker, radiograph):
    source = fhir.create(media(patient, encoded(radiograph)))
    (task,) = fhir.get("Task").resources()
    fhir.put(f"Task/{task['id']}", {k: v for k, v in task.items() if k != "focus"})
    assert fhir.delete(f"Media/{source['id']}").status == 200
    worker.step()
    assert "was deleted" in fhir.get("Task").resources()[0]["statusReason"]["text"]


def test_a_worker_works_until_it_is_told_to_stop(app, fhir, patient, radiograph):
    stop = threading.Event()
    thread = threading.Thread(target=Worker(app.extensions["hie"]).run, args=(stop,))
    thread.start()
    fhir.create(media(patient, encoded(radiograph)))
    end = time.monotonic() + 20
    while fhir.total("Observation") == 0 and time.monotonic() < end:
        time.sleep(0.01)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert tasks(fhir) == ["completed"]


def test_a_worker_that_is_told_to_end_loads_nothing_more(app, monkeypatch):
    stop, loads = threading.Event(), []
    monkeypatch.setattr(worker_module, "_load_types", stop.set)
    monkeypatch.setattr(worker_module, "loaded", lambda *_: loads.append(1))
    Worker(app.extensions["hie"]).run(stop)
    assert loads == []
    monkeypatch.setattr(worker_module, "_load_types", lambda: None)
    monkeypatch.setattr(Worker, "step", lambda _: stop.set())
    stop.clear()
    Worker(app.extensions["hie"]).run(stop)
    assert loads == [1]
