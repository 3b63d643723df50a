"""What tests of answers that come later have in common: asking, and reading what came."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from hie.store.models import async_request
from tests.conformance.conftest import Answer, Fhir

LATER = {"Prefer": "respond-async"}


def asked(fhir: Fhir, method: str, url: str, body: Any = None, **headers: Any) -> str:
    """Ask for a later answer; return the path of its status."""
    answer = fhir(method, url, body, **LATER | headers)
    assert answer.status == 202, answer.content
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert answer.json["resourceType"] == "OperationOutcome"
    return str(answer.headers["Content-Location"]).removeprefix("http://localhost")


def only_entry(answer: Answer) -> Any:
    """Return the one entry of an answer that has come."""
    assert (answer.status, answer.json["type"], len(answer.entries())) == (200, "batch-response", 1), answer.content
    return answer.entries()[0]


def rows(application: Any) -> list[Any]:
    """Return what is kept."""
    return list(application.store.database.connection().execute(select(async_request)))
