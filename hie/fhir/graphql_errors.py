"""Errors as GraphQL has them, with the OperationOutcome inside: https://hl7.org/fhir/R4/graphql.html#errors"""

from __future__ import annotations

from typing import Any

from hie.errors import FhirError
from hie.fhir import outcome


def of(error: FhirError, told: str = "") -> dict[str, Any]:
    """Return an error with its message, `told` before it; in its extensions what a request of FHIR is refused with."""
    return {"message": told + error.diagnostics,
            "extensions": {"status": error.status, "code": error.issues[0].code, "resource": outcome.of_error(error)}}


def refusal(error: FhirError) -> dict[str, Any]:
    """Return the answer to a request that is refused as a whole."""
    return {"data": None, "errors": [of(error)]}
