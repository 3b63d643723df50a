"""Answers of interactions: what is stored, what is computed, what was written (http.html#ops)."""

from __future__ import annotations

from collections.abc import Sequence

from hie.errors import OutcomeIssue
from hie.fhir import outcome
from hie.fhir.conditions import has_tag
from hie.fhir.http import FhirRequest, FhirResponse
from hie.store.versions import StoredVersion


def current(stored: StoredVersion) -> FhirResponse:
    """Answer with a stored version as it is."""
    return FhirResponse(200, stored.content, stored.vid, stored.updated, entity=(stored.type, stored.id))


def if_other(request: FhirRequest, content: bytes, tag: str) -> FhirResponse:
    """Answer with what is computed under its ETag, or 304 where the client has that."""
    is_known = has_tag(request.conditions, tag)
    return FhirResponse(304 if is_known else 200, None if is_known else content, headers={"ETag": f'W/"{tag}"'})


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
