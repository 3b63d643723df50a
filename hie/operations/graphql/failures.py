"""What is missing in an answer, and why: https://spec.graphql.org/October2021/#sec-Errors

Each error has the path to where it is missing, and in its extensions the OperationOutcome that a request of its own
would have been refused with: https://hl7.org/fhir/R4/graphql.html#errors
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hie.errors import FhirError
from hie.fhir import graphql_errors
from hie.operations.graphql.nodes import Key

#: Further ones are not told.
MOST = 1_000


def failure(path: Iterable[Key], error: FhirError, told: str = "") -> dict[str, Any]:
    """Return an error as GraphQL has it; `told` is said before it."""
    found = graphql_errors.of(error, told)
    for issue in found["extensions"]["resource"]["issue"]:
        if issue.get("expression") == ["http.If-Match"]:  # which a mutation has as an argument
            issue["expression"] = ["ifMatch"]
    return found | {"path": list(path)}


def note(errors: list[dict[str, Any]], path: Iterable[Key], error: FhirError) -> None:
    """Add an error, if there are not too many."""
    if len(errors) < MOST:
        errors.append(failure(path, error))
    elif len(errors) == MOST:
        errors.append({"message": f"More is missing than these {MOST} errors tell; ask for less at a time."})
