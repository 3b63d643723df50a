"""FHIR delete interaction, conditional too: https://hl7.org/fhir/R4/http.html#delete"""

from __future__ import annotations

from hie.context import Context
from hie.fhir import outcome
from hie.fhir.conditions import wanted_version
from hie.fhir.http import FhirRequest, FhirResponse
from hie.interactions import conditional
from hie.store.resources import ResourceStore


def delete(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Delete a resource; what is not there (any more) is no error."""
    type_name = request.type or ""
    if_match = wanted_version(request.conditions)
    criteria = None if request.id is not None else conditional.checked(request.parameters, "http.url")

    def unit(store: ResourceStore) -> FhirResponse:
        inside = ctx.within(store)
        if criteria is None:
            id_ = request.instance[1]
        else:
            found = conditional.existing(type_name, criteria, inside)
            if found is None:
                return _told(f"No {type_name} matches; nothing was deleted.", None)
            id_ = found.id
        stored = store.delete(type_name, id_, if_match=if_match)
        if stored is None:
            return _told(f"{type_name}/{id_} is not there; nothing was deleted.", (type_name, id_))
        answer = _told(f"{type_name}/{id_} was deleted; it is kept in its history.", (type_name, id_))
        return FhirResponse(200, answer.content, stored.vid, stored.updated, entity=answer.entity)

    return ctx.store.transact(unit)


def _told(text: str, entity: tuple[str, str] | None) -> FhirResponse:
    return FhirResponse(200, outcome.dump([outcome.information(text)]), entity=entity)
