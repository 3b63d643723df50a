"""What is missing in an answer, and why: https://spec.graphql.org/October2021/#sec-Errors

Each error has the path to where it is missing, and in its extensions the OperationOutcome that a request of its own
would have been refused with: https://hl7.org/fhir/R4/graphql.html#errors
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hie.errors import FhirError
from hie.fhir import outcome
from hie.operations.graphql.nodes import Key

#: Further ones are not told.
MOST = 1_000


def failure(path: Iterable[Key], error: FhirError, told: str = "") -> dict[str, Any]:
    """Return an error as GraphQL has it; `told` is said before it."""
    issues = [replace(one, expression="ifMatch") if one.expression == "http.If-Match" else one
              for one in error.issues]
    return {"message": told + error.diagnostics, "path": list(path),
            "extensions": {"status": error.status, "code": issues[0].code, "resource": outcome.outcome(issues)}}


def note(errors: list[dict[str, Any]], path: Iterable[Key], error: FhirError) -> None:
    """Add an error, if there are not too many."""
    if len(errors) < MOST:
        errors.append(failure(path, error))
    elif len(errors) == MOST:
        errors.append({"message": f"More is missing than these {MOST} errors tell; ask for less at a time."})
