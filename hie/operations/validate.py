"""$validate: https://hl7.org/fhir/R4/resource-operation-validate.html

The modes create, update and delete do what is asked about, in a transaction that is taken back: what they say the
interaction itself would say, with the references, the token's scopes and what others have stored.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.errors import FhirError, InvalidRequest, NotSupported, OutcomeIssue
from hie.fhir import json_format, outcome, resource, stated
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.outcome import information
from hie.fhir.profiles import Library
from hie.fhir.profiles.base_types import is_base
from hie.fhir.snapshots import judging as snapshots
from hie.fhir.validation.issue import Issue
from hie.interactions import integrity, judging
from hie.interactions.accepting import profile_issues
from hie.operations.published import Published
from hie.registry import Operation, standard_parameters, standard_returns
from hie.store.stored_profiles import StoredProfiles
from hie.store.terminology import terminology

_MODES = ("create", "update", "delete", "profile")
_IN_PARAMETERS = re.compile(r"^Parameters\.parameter\[\d+\]\.resource")
_METHODS = {"create": "POST", "update": "PUT", "delete": "DELETE"}


def validate(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Tell whether a resource could be stored, or what is stored deleted; the answer is 200 either way."""
    mode = request.parameter("mode")
    if mode is not None and mode not in _MODES:
        raise InvalidRequest(f"mode is {mode[:80]!r}; it must be one of {', '.join(_MODES)}.", expression="mode")
    profile = request.parameter("profile")
    if mode == "profile" and (profile is None or request.id is None or request.resource is not None):
        raise InvalidRequest("mode=profile asks whether a stored resource, [type]/[id]/$validate, conforms to the "
                             "profile that is named.", expression="mode")
    library = ctx.profiles.library()
    if profile is not None and library.find(profile) is None and not is_base(profile):
        _refuse_unknown(profile, library, StoredProfiles(ctx.store, library))
    if mode == "delete":
        return _answer(_deletable(request, ctx))
    return _answer(_issues(_subject(request, ctx), request, mode, profile, ctx))


def _refuse_unknown(profile: str, installed: Library, stored: StoredProfiles) -> None:
    """Refuse a profile that is neither installed nor stored where the token may see it, and one that cannot be used."""
    if stored.find(profile) is None:
        raise NotSupported(
            installed.reason(profile) or stored.reason(profile) or
            f"No installed package has the profile {profile[:300]!r}, nor is it stored; the CapabilityStatement names "
            "those that are installed.", expression="profile")


def _answer(issues: list[OutcomeIssue]) -> FhirResponse:
    return FhirResponse(200, outcome.dump(issues))


def _subject(request: FhirRequest, ctx: Context) -> Any:
    """Return the resource that was sent, or else the one that the URL names."""
    if request.resource is not None:
        return request.resource
    if request.id is None:
        raise InvalidRequest("$validate needs a resource: as the body, or as the parameter resource of a Parameters.",
                             expression="resource")
    return json_format.parse(ctx.store.read(request.type or "", request.id).content or b"{}")


def _issues(
    subject: Any, request: FhirRequest, mode: str | None, profile: str | None, ctx: Context
) -> list[OutcomeIssue]:
    """Judge by R4, and where that finds no error by the profile named, those declared, and what R4's text states."""
    if mode == "create":
        subject = resource.to_create(subject)
    unread = _unread(subject, request)
    try:
        issues = resource.validated(subject, request.type or "")
        if mode == "update" or (mode is None and request.id is not None and "id" in subject):
            _check_update(subject, request)
    except FhirError as error:
        return [*unread, *error.issues]
    if unread:
        return [*unread, *issues]
    wanted = () if profile is None else (profile,)
    judged_by = ctx.judging or judging.of_one()
    within = replace(ctx, judging=judged_by)
    found = profile_issues(subject, wanted, within, with_support=True, of_vital_signs="error")
    told = [*_of_a_profile(subject, ctx, judged_by), *stated.problems(subject, terminology(ctx.store), judged_by.time)]
    stated_too = [OutcomeIssue(one.code, one.diagnostics, one.expression, one.severity) for one in told]
    # What writes warn of, an entry's fullUrl, may be one of the errors here.
    known = {(one.diagnostics, one.expression) for one in stated_too}
    issues = [*stated_too, *(one for one in issues if (one.diagnostics, one.expression) not in known)]
    if mode in ("create", "update"):
        found += [one for one in _rehearsed(mode, request, subject, ctx) if one not in (*found, *issues)]
    return [*found, *issues]


def _unread(subject: Any, request: FhirRequest) -> list[OutcomeIssue]:
    """Return what XML said that is no FHIR, at its place in the resource itself."""
    return [replace(one, expression=_IN_PARAMETERS.sub(subject["resourceType"], one.expression or ""))
            for one in request.unread]


def _of_a_profile(subject: dict[str, Any], ctx: Context, judged_by: judging.Judging) -> list[Issue]:
    """Tell why nobody could use a profile."""
    if subject["resourceType"] != "StructureDefinition":
        return []
    return snapshots.problems(subject, Published(ctx.store, ctx.profiles), judged_by.time)


def _check_update(subject: dict[str, Any], request: FhirRequest) -> None:
    if request.id is not None:
        resource.check_id(subject, request.id)
    elif "id" not in subject:
        raise InvalidRequest("An update needs an id in the resource.", expression=f"{request.type}.id")


def _deletable(request: FhirRequest, ctx: Context) -> list[OutcomeIssue]:
    if request.id is None:
        raise InvalidRequest("mode=delete asks of one stored resource: [type]/[id]/$validate.", expression="mode")
    try:
        ctx.store.read(request.type or "", request.id)
    except FhirError as error:
        return list(error.issues)
    return _rehearsed("delete", request, None, ctx) or [
        information(f"{request.type}/{request.id} is there, and could be deleted.")]


def _rehearsed(mode: str, request: FhirRequest, subject: Any, ctx: Context) -> list[OutcomeIssue]:
    """Return what the interaction would be refused by, by doing it and taking it back."""
    if ctx.store.in_transaction:
        return [information(f"Whether the {mode} would be refused by references, scopes or what is stored, is not "
                            "looked at inside of a transaction.")]
    id_ = None if mode == "create" else request.id or subject["id"]
    asked = FhirRequest(mode, type=request.type, id=id_, resource=subject, method=_METHODS[mode],
                        conditions=request.conditions)
    try:
        with integrity.named(lambda: {"": ("", subject)}):
            ctx.store.rehearse(lambda store: ctx.dispatch(asked, ctx.within(store)))
    except FhirError as error:
        if error.status >= 500:  # nothing was found out
            raise
        return list(error.issues)
    return []


OPERATION = Operation(
    code="validate",
    levels=frozenset({"type", "instance"}),
    function=validate,
    definition="http://hl7.org/fhir/OperationDefinition/Resource-validate",
    parameters=standard_parameters("validate@Resource", {
        "resource": "The resource; without it the one at the address.",
        "mode": "create, update or delete: could it be done, by this token; profile: does what is stored conform. "
                "Without a mode: is the content right.",
        "profile": "A profile that is asked for, beside those that the resource declares.",
    }),
    returns=standard_returns("validate@Resource", {"return": "What was found, and where."}),
    documentation="Whether a resource is right, or could be stored or deleted. Nothing is stored.",
    tells_of_body=True,
    conditions=frozenset({"if_match", "if_none_match", "if_none_exist", "if_unmodified_since"}),
)
