"""FHIR create interaction, conditional too: https://hl7.org/fhir/R4/http.html#create"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hie.context import Context
from hie.errors import OutcomeIssue
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.resource import to_create, validated
from hie.interactions import answers, conditional, integrity, referring
from hie.interactions.accepting import accepted
from hie.store.resources import ResourceStore
from hie.store.versions import StoredVersion


def create(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Store a new resource; with If-None-Exist only where none matches.

    The server chooses the id. `request.id` is set only by a transaction, which must know the ids of its new resources
    before it stores the first.
    """
    type_name = request.type or ""
    if (resource := to_create(request.resource)) is not request.resource:
        request = replace(request, resource=resource)
    links = referring.found(request.resource)
    issues = validated(request.resource, type_name) if links else accepted(request.resource, type_name, ctx)
    if_none_exist = request.conditions.if_none_exist
    criteria = (
        ()
        if if_none_exist is None
        else conditional.criteria(type_name, if_none_exist, "http.If-None-Exist", ctx.base_url)
    )

    def unit(store: ResourceStore) -> FhirResponse:
        inside = ctx.within(store)
        if criteria:
            found = conditional.existing(type_name, criteria, inside, "http.If-None-Exist")
            if found is not None:
                return answers.written(request, found, 200, issues)
        told = issues
        if links:
            referring.resolve(links, request.resource, inside)
            told = accepted(request.resource, type_name, inside)
        return made(request, store.create(type_name, request.resource, id=request.id), told, inside)

    with integrity.named(lambda: {"": ("", request.resource)}):
        return ctx.store.transact(unit)


def made(
    request: FhirRequest, stored: StoredVersion, issues: Sequence[OutcomeIssue], inside: Context
) -> FhirResponse:
    """Do what follows the making of a resource, inside its transaction, and answer."""
    inside.registry.after_write(stored, request.resource, inside)
    return answers.written(request, stored, 201, issues)
