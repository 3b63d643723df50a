"""delete-history and delete-history-version, for administrators: https://hl7.org/fhir/R5/http.html#delete-history"""

from __future__ import annotations

from hie.context import Context
from hie.errors import Forbidden
from hie.fhir import outcome
from hie.fhir.http import FhirRequest, FhirResponse
from hie.store.resources import ResourceStore


def delete_history(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Erase the superseded versions of a resource, or one of them; the current version stays."""
    type_name, id_ = request.instance
    if not ctx.principal.grant.admin:
        raise Forbidden("Erasing history needs a token with the scope admin, besides "
                        f"system/{type_name}.d: what is erased cannot be brought back.")
    vid = None if request.vid is None else int(request.vid)

    def unit(store: ResourceStore) -> FhirResponse:
        erased = store.erase_history(type_name, id_, vid)
        what = f"{erased} superseded version{'' if erased == 1 else 's'}" if vid is None else f"Version {vid}"
        told = outcome.information(f"{what} of {type_name}/{id_} {'was' if erased == 1 else 'were'} erased for good; "
                                   "the current version stays.")
        return FhirResponse(200, outcome.dump([told]), entity=(type_name, id_))

    return ctx.store.transact(unit)
