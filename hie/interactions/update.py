"""FHIR update interaction, conditional too: https://hl7.org/fhir/R4/http.html#update"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.errors import Conflict, Forbidden, InvalidRequest, PreconditionFailed, Unprocessable
from hie.fhir import json_format, meta
from hie.fhir.conditions import wanted_versions, wants_absence
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.resource import check_id, validated
from hie.fhir.routes import checked_id
from hie.fhir.scopes import BINARY
from hie.fhir.summary import SUBSETTED
from hie.interactions import answers, conditional, integrity, referring
from hie.interactions.accepting import accepted
from hie.store.models import UPDATED
from hie.store.opening import parsed
from hie.store.resources import ResourceStore
from hie.store.writes import is_labelled


def update(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Store a new version of a resource, or the first one under an id that the client chose."""
    type_name = request.type or ""
    links = referring.found(request.resource)
    issues = validated(request.resource, type_name) if links else accepted(request.resource, type_name, ctx)
    _refuse_part(request.resource, type_name)
    if_match, only_new = wanted_versions(request.conditions), wants_absence(request.conditions)
    criteria = None
    if request.id is None:
        criteria = conditional.checked(request.parameters, "http.url")
    else:
        check_id(request.resource, request.id)

    keeping = _kept(request)
    keeps_labels = ctx.keeps_labels and ctx.settings.labels_on_update == "keep"

    def unit(store: ResourceStore) -> FhirResponse:
        inside = ctx.within(store)
        id_ = request.id
        if criteria is not None:
            id_ = meant_id(type_name, request.resource.get("id"), criteria, inside)
        if id_ is None and if_match is not None:
            raise PreconditionFailed(f"If-Match {if_match}, but no {type_name} matches.", expression="http.If-Match")
        told = issues
        if links:
            referring.resolve(links, request.resource, inside)
            told = accepted(request.resource, type_name, inside)
        if id_ is None:
            stored = store.create(type_name, request.resource, method=UPDATED)
        else:
            stored = store.update(
                type_name, id_, request.resource, if_match=if_match, only_new=only_new, keeping=keeping,
                keeps_labels=keeps_labels)
        is_more = keeping or (keeps_labels and is_labelled(stored))
        whole = parsed(stored) if is_more else request.resource
        inside.registry.after_write(stored, whole, inside)
        answer = answers.written(request, stored, 201 if stored.came_into_being else 200, told)
        if not is_more or answer.content is not stored.content or _is_read(type_name, whole, store):
            return answer
        return replace(answer, content=json_format.dump(_as_sent(whole, request.resource, keeping)))

    with integrity.named(lambda: {"": ("", request.resource)}):
        return ctx.store.transact(unit)


def _kept(request: FhirRequest) -> tuple[str, ...]:
    """Return what an update leaves as it is: content in its own format cannot say who may read it, its header may."""
    return ("securityContext",) if request.type == BINARY and request.content_type else ()


def _is_read(type_name: str, resource: dict[str, Any], store: ResourceStore) -> bool:
    """Tell whether the token may read what it updated, all of it."""
    if store.grant.covers_all(type_name, "r"):
        return True
    try:
        store.permit("r", resource)
    except Forbidden:
        return False
    return type_name != BINARY  # of which what it names decides, too


def _as_sent(stored: dict[str, Any], sent: dict[str, Any], keeping: tuple[str, ...]) -> dict[str, Any]:
    """Return what is stored without what stayed of the version before, which an update need not be allowed to see."""
    shown = {name: one for name, one in stored.items() if name in sent or name not in keeping}
    return meta.labelled_alone_by(shown, sent)


def _refuse_part(resource: dict[str, Any], type_name: str) -> None:
    """Refuse to put a part of a resource, as _summary or _elements give it, in place of the whole.

    https://hl7.org/fhir/R4/search.html#summary
    """
    tags = resource["meta"].get("tag", ()) if "meta" in resource else ()
    if any(tag.get("code") == SUBSETTED["code"] and tag.get("system") == SUBSETTED["system"] for tag in tags):
        raise Unprocessable(
            "The resource has the tag SUBSETTED, so it is a part of one, and would take the place of the whole: read "
            "it without _summary and _elements, or patch it. Where it is the whole, take the tag away.",
            expression=f"{type_name}.meta.tag",
        )


def meant_id(type_name: str, given: Any, criteria: tuple[tuple[str, str], ...], ctx: Context) -> str | None:
    """Return the id that a conditional update writes to; None: the server chooses one for a new resource.

    `given` is the id that the resource itself carries, if any.
    """
    found = conditional.existing(type_name, criteria, ctx, "http.url")
    if found is None:
        return None if given is None else _new_id(given, type_name, ctx)
    if given is not None and given != found.id:
        raise InvalidRequest(f"The criteria match {type_name}/{found.id}, the resource has id {given!r}.",
                             expression=f"{type_name}.id")
    return found.id


def _new_id(given: Any, type_name: str, ctx: Context) -> str:
    """Return the id that the client chose for a new resource, unless another resource already has it."""
    id_ = checked_id(given, type_name)
    if ctx.store.read_many([(type_name, id_)]):
        raise Conflict(f"The criteria match nothing, but {type_name}/{id_} exists; it would be overwritten.",
                       expression=f"{type_name}.id")
    return id_
