"""Answers of the interactions that write, by the client's preference: https://hl7.org/fhir/R4/http.html#ops"""

from __future__ import annotations

from collections.abc import Sequence

from hie.errors import OutcomeIssue
from hie.fhir import outcome
from hie.fhir.http import FhirRequest, FhirResponse
from hie.store.versions import StoredVersion


def current(stored: StoredVersion) -> FhirResponse:
    """Answer with a stored version as it is."""
    return FhirResponse(200, stored.content, stored.vid, stored.updated, entity=(stored.type, stored.id))


def written(
    request: FhirRequest, stored: StoredVersion, status: int, issues: Sequence[OutcomeIssue] = ()
) -> FhirResponse:
    """Answer with the version that a create or update made or found."""
    preference = request.preferences.return_
    content = stored.content
    if preference == "minimal":
        content = None
    elif preference == "OperationOutcome":
        content = outcome.dump(issues)
    return FhirResponse(
        status,
        content,
        stored.vid,
        stored.updated,
        location=f"{stored.type}/{stored.id}/_history/{stored.vid}",
        entity=(stored.type, stored.id),
        issues=issues,
    )
