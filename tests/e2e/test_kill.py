"""SIGKILL under load: what was answered is there, nothing is half there, no job is lost."""

from __future__ import annotations

import random
import threading
import time
import uuid
from typing import Any

import pytest
from sqlalchemy import create_engine, update

from hie.store.jobs import CLAIM_MICROSECONDS, RUNNING, job

KILLS = 10
CLIENTS = 4


def bundle(number: str) -> dict[str, Any]:
    """A patient with three observations, found again by identifier and tag."""
    patient_url = f"urn:uuid:{uuid.uuid4()}"
    tag = {"tag": [{"system": "http://example.org/load", "code": number}]}
    patient = {
        "resourceType": "Patient",
        "meta": tag,
        "identifier": [{"system": "http://example.org/mrn", "value": number}],
        "name": [{"family": f"Load{number}"}],
    }
    observation = {
        "resourceType": "Observation",
        "meta": tag,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": patient_url},
    }
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"fullUrl": patient_url, "resource": patient, "request": {"method": "POST", "url": "Patient"}},
            *({"resource": observation, "request": {"method": "POST", "url": "Observation"}} for _ in range(3)),
        ],
    }


def media(patient: str) -> dict[str, Any]:
    """An image of one grey: the model will refuse to judge it, which is a finished job too."""
    return {
        "resourceType": "Media",
        "status": "completed",
        "subject": {"reference": patient},
        "content": {"contentType": "image/png", "data": GREY_PNG},
    }


GREY_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAFklEQVR4nGNs"
    "YMANmPDIjUqOSo4wSQDxiwC4Zvu+UwAAAABJRU5ErkJggg=="
)


class Load:
    """Clients that go on posting until told to stop, and remember what was answered."""

    def __init__(self, exchange: Any) -> None:
        self.exchange, self.stopping = exchange, threading.Event()
        self.sent: set[str] = set()
        self.answered: set[str] = set()
        self.images: set[str] = set()
        self.wrong: list[tuple[int, Any]] = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(CLIENTS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join(timeout=90)

    def await_answer(self) -> None:
        """Wait until something more was answered: a kill before that would prove nothing."""
        before, until = len(self.answered), time.monotonic() + 60
        while len(self.answered) == before and time.monotonic() < until:
            time.sleep(0.01)

    def _work(self, client: int) -> None:
        number = 0
        while not self.stopping.is_set():
            number += 1
            name = f"{client}-{number}"
            with self._lock:
                self.sent.add(name)
            try:
                status, answer, _ = self.exchange.request("POST", "/fhir", bundle(name), timeout=30)
            except (OSError, ValueError):
                time.sleep(0.05)  # killed in the middle: whether it was stored is unknown
                continue
            if status != 200:
                self._note(status, answer)
                continue
            with self._lock:
                self.answered.add(name)
            if number % 5 == 0:
                self._post_image(answer["entry"][0]["response"]["location"])

    def _post_image(self, location: str) -> None:
        patient = "/".join(location.split("/")[-4:-2])
        try:
            status, answer, _ = self.exchange.request("POST", "/fhir/Media", media(patient), timeout=30)
        except (OSError, ValueError):
            return
        if status == 201:
            with self._lock:
                self.images.add(answer["id"])
        else:
            self._note(status, answer)

    def _note(self, status: int, answer: Any) -> None:
        with self._lock:
            self.wrong.append((status, answer))


def let_claims_run_out(exchange: Any) -> None:
    """Let the power be off for longer than a worker may keep a job that it was doing."""
    engine = create_engine(exchange.settings.sqlalchemy_url)
    with engine.begin() as connection:
        connection.execute(update(job).where(job.c.state == RUNNING).values(
            claimed_until=job.c.claimed_until - CLAIM_MICROSECONDS))
    engine.dispose()


def search(exchange: Any, query: str) -> list[dict[str, Any]]:
    """Return every match of a search, over all pages."""
    found: list[dict[str, Any]] = []
    path = f"/fhir/{query}"
    while path:
        status, page, _ = exchange.request("GET", path)
        assert status == 200, page
        found += [entry["resource"] for entry in page.get("entry", []) if entry["search"]["mode"] == "match"]
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        path = following[0].partition(exchange.address)[2] if following else ""
    return found


@pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"])
def test_ten_kills_under_load_lose_no_answered_write_and_leave_nothing_half(exchange: Any) -> None:
    source = random.Random(42)
    load = Load(exchange)
    load.start()
    for number in range(KILLS):
        load.await_answer()
        time.sleep(source.uniform(0, 0.2))
        exchange.kill()
        if number == KILLS - 1:
            let_claims_run_out(exchange)
        exchange.start()
    load.await_answer()
    load.stop()
    assert load.wrong == []
    assert len(load.answered) > KILLS

    patients = search(exchange, "Patient?_count=1000")
    stored = {patient["identifier"][0]["value"] for patient in patients}
    assert load.answered <= stored
    assert stored <= load.sent
    assert len(patients) == len(stored)

    observations: dict[str, int] = {}
    for observation in search(exchange, "Observation?code=8867-4&_count=1000"):
        number = observation["meta"]["tag"][0]["code"]
        observations[number] = observations.get(number, 0) + 1
    assert observations == dict.fromkeys(stored, 3)

    assert load.images <= {found["id"] for found in search(exchange, "Media?_count=1000")}
    until = time.monotonic() + 90
    while time.monotonic() < until:
        open_tasks = [t for t in search(exchange, "Task?_count=1000") if t["status"] not in ("completed", "failed")]
        if not open_tasks:
            break
        time.sleep(0.2)
    tasks = search(exchange, "Task?_count=1000")
    assert {task["focus"]["reference"] for task in tasks} >= {f"Media/{id_}" for id_ in load.images}
    assert {task["status"] for task in tasks} <= {"completed"}

    exchange.stop()
    report = exchange.command("check")
    assert report.returncode == 0, report.stdout + report.stderr
