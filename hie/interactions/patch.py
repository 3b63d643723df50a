"""FHIR patch interaction, conditional too: https://hl7.org/fhir/R4/http.html#patch"""

from __future__ import annotations

from typing import Any

from hie.context import Context
from hie.errors import InvalidRequest, NotFound, OutcomeIssue, TooLarge, Unprocessable
from hie.fhir import json_format, patching
from hie.fhir.conditions import refuse_if_none_match, wanted_versions
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.patching import Patch
from hie.fhir.resource import check_id
from hie.interactions import answers, conditional, integrity, referring
from hie.interactions.accepting import accepted
from hie.store.models import PATCHED
from hie.store.opening import parsed
from hie.store.resources import ResourceStore


def patch(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Change a resource by a patch; what comes out is stored as an update would store it.

    A patch tells of what it meets (by a test, by an error, by its answer): besides u it needs r.
    """
    type_name = request.type or ""
    change = patching.parse(request.content_type, request.resource)
    refuse_if_none_match(request.conditions, "patch")
    if_match = wanted_versions(request.conditions)
    criteria = None if request.id is not None else conditional.checked(request.parameters, "http.url")
    patched: dict[str, Any] = {}

    def unit(store: ResourceStore) -> FhirResponse:
        nonlocal patched
        inside = ctx.within(store)
        id_ = request.instance[1] if criteria is None else meant_id(type_name, criteria, inside)
        before = store.read_to_change(type_name, id_, if_match=if_match)
        patched, issues = _patched(change, parsed(before), id_, inside)
        stored = store.update(type_name, id_, patched, if_match=before.vid, method=PATCHED)
        if stored.vid != before.vid:
            inside.registry.after_write(stored, patched, inside)
        return answers.written(request, stored, 200, issues)

    with integrity.named(lambda: {"": ("", patched)}):
        return ctx.store.transact(unit)


def outcome(request: FhirRequest, ctx: Context) -> dict[str, Any]:
    """Return what a patch will make of the resource, inside the transaction that will apply it."""
    type_name, id_ = request.instance
    before = ctx.store.read_to_change(type_name, id_, if_match=wanted_versions(request.conditions))
    return _patched(patching.parse(request.content_type, request.resource), parsed(before), id_, ctx)[0]


def meant_id(type_name: str, criteria: tuple[tuple[str, str], ...], ctx: Context) -> str:
    """Return the id of the one match; a patch has nothing to make a new resource of."""
    found = conditional.existing(type_name, criteria, ctx, "http.url")
    if found is None:
        raise NotFound(f"No {type_name} matches; there is nothing to patch.", expression="http.url")
    return found.id


def _patched(
    change: Patch, resource: dict[str, Any], id_: str, ctx: Context
) -> tuple[dict[str, Any], list[OutcomeIssue]]:
    type_name, narrative = resource["resourceType"], resource.get("text")
    text = None if narrative is None else json_format.dump(narrative)
    data = _data(resource)
    result = change.applied(resource, ctx.allowance)
    if isinstance(result, dict):
        referring.resolve(referring.found(result), result, ctx)
    try:
        issues = accepted(result, type_name, ctx)
        check_id(result, id_)
    except InvalidRequest as refused:
        told = "The patched resource would not be valid: " + refused.diagnostics
        raise Unprocessable(told, issues=refused.issues) from None
    if text is not None and "text" in result and json_format.dump(result["text"]) == text and _data(result) != data:
        _drop_narrative(result)
    if len(json_format.dump(result)) > ctx.settings.max_body_bytes:
        raise TooLarge(f"The patched resource is larger than the {ctx.settings.max_body_bytes} bytes that a resource "
                       "may have.")
    return result, issues


def _data(resource: Any) -> bytes | None:
    """What a narrative tells of; None where a patch left no resource."""
    if not isinstance(resource, dict):
        return None
    return json_format.dump({name: one for name, one in resource.items() if name not in ("id", "meta", "text")})


def _drop_narrative(resource: dict[str, Any]) -> None:
    """Take away a narrative that was generated from data which are others now: "clinically unsafe", http.html#patch"""
    status = resource["text"].get("status")
    if status in ("generated", "extensions"):
        del resource["text"]
    elif status == "additional":
        type_name = resource["resourceType"]
        raise Unprocessable("The narrative says more than the data (status additional) and would no longer fit them; "
                            "patch or remove text in the same patch.", expression=f"{type_name}.text")
