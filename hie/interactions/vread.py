"""FHIR vread interaction: https://hl7.org/fhir/R4/http.html#vread"""

from __future__ import annotations

from hie.context import Context
from hie.errors import NotSupported
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.paging import AS_OF
from hie.interactions.read import if_changed


def vread(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return one version of a resource."""
    if request.parameter(AS_OF) is not None:
        raise NotSupported(f"{AS_OF} is for read, search and $everything: a version is always what it was.",
                           expression=AS_OF)
    return if_changed(request, ctx.store.vread(*request.instance, int(request.vid or 0)))
