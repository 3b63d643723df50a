"""Jobs at the administration API: they are listed, retried and cancelled."""

from __future__ import annotations

import pytest

from hie.app import Application
from hie.web.admin.blueprint import PREFIX
from tests.conformance.administration import Admin


def enqueue(application: Application, number: int) -> list[int]:
    for _ in range(number):
        ctx = application.context()
        ctx.store.transact(lambda store: store.enqueue("kind", {"patient": "Patient/secret"}))
    return sorted(job["id"] for job in application.store.jobs.list(count=number))


def test_jobs_are_paged_newest_first_without_their_payload(admin: Admin, application: Application) -> None:
    numbers = enqueue(application, 5)
    first = admin("GET", "/jobs?count=2&state=ready")
    assert "secret" not in first.text
    seen = [job["id"] for job in first.json["jobs"]]  # type: ignore[index]
    following = first.json["next"]  # type: ignore[index]
    while following:
        page = admin.ok("GET", following.removeprefix(PREFIX))
        seen += [job["id"] for job in page["jobs"]]
        following = page["next"]
    assert seen == sorted(numbers, reverse=True)


def test_jobs_are_filtered_by_state(admin: Admin, application: Application) -> None:
    one, two = enqueue(application, 2)
    admin.ok("POST", f"/jobs/{one}/cancel")
    assert [job["id"] for job in admin.ok("GET", "/jobs?state=cancelled")["jobs"]] == [one]
    assert [job["id"] for job in admin.ok("GET", "/jobs?state=ready")["jobs"]] == [two]


def test_a_failed_job_shows_its_error_and_can_be_retried(admin: Admin, application: Application) -> None:
    (number,) = enqueue(application, 1)
    claimed = application.store.jobs.claim("worker", application.clock())
    assert claimed is not None
    application.store.jobs.fail(claimed, "it broke", application.clock(), final=True)
    job = admin.ok("GET", f"/jobs/{number}")
    assert (job["state"], job["error"]) == ("failed", "it broke")
    assert admin.refused("POST", f"/jobs/{number}/cancel") == (409, "conflict", "")
    assert admin.ok("POST", f"/jobs/{number}/retry")["state"] == "ready"
    assert admin.refused("POST", f"/jobs/{number}/retry") == (409, "conflict", "")


@pytest.mark.parametrize(
    ("method", "path", "refusal"),
    [
        ("GET", "/jobs?state=lost", (400, "invalid", "state")),
        ("GET", "/jobs?count=0", (400, "invalid", "count")),
        ("GET", "/jobs?count=1001", (400, "invalid", "count")),
        ("GET", "/jobs?before=x", (400, "invalid", "before")),
        ("GET", "/jobs/x", (400, "invalid", "job")),
        ("GET", "/jobs/99999999999999999999", (400, "invalid", "job")),
        ("GET", "/jobs/999999", (404, "not-found", "")),
        ("POST", "/jobs/999999/retry", (404, "not-found", "")),
        ("POST", "/jobs/999999/cancel", (404, "not-found", "")),
    ],
)
def test_jobs_that_are_not_there_or_not_numbers_are_refused(
    admin: Admin, method: str, path: str, refusal: tuple[int, str, str]
) -> None:
    assert admin.refused(method, path) == refusal
