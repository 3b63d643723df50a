"""FHIR read interaction: https://hl7.org/fhir/R4/http.html#read"""

from __future__ import annotations

from hie.context import Context
from hie.fhir.conditions import refuse_other_versions, unchanged
from hie.fhir.http import FhirRequest, FhirResponse
from hie.interactions import answers, as_of
from hie.store.versions import StoredVersion


def read(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return the current version of a resource, or the one that was so at _asOf."""
    return if_changed(request, as_of.context(request, ctx).store.read(*request.instance))


def if_changed(request: FhirRequest, stored: StoredVersion) -> FhirResponse:
    """Return the version, or 304 where the client says that it has it: https://hl7.org/fhir/R4/http.html#cread"""
    refuse_other_versions(request.conditions, stored.vid, stored.updated)
    if unchanged(request.conditions, stored.vid, stored.updated):
        return FhirResponse(304, None, stored.vid, stored.updated, entity=(stored.type, stored.id))
    return answers.current(stored)
