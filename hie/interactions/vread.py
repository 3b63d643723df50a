"""FHIR vread interaction: https://hl7.org/fhir/R4/http.html#vread"""

from __future__ import annotations

from hie.context import Context
from hie.fhir.http import FhirRequest, FhirResponse
from hie.interactions.read import if_changed


def vread(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return one version of a resource."""
    return if_changed(request, ctx.store.vread(*request.instance, int(request.vid or 0)))
