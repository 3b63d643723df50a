"""Whether a resource is stored: by the rules of R4, and where the tenant asks for it by the profiles it declares.

https://hl7.org/fhir/R4/profiling.html#resources
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hie.context import Context
from hie.errors import OutcomeIssue, Unprocessable
from hie.fhir import json_format, subscriptions, vital_signs
from hie.fhir.fhirpath import Conforms, Element
from hie.fhir.resource import validated
from hie.fhir.validation.issue import Severity
from hie.interactions.answering import answer_issues
from hie.interactions.judging import Unjudged, of_one
from hie.interactions.pointing import reader

if TYPE_CHECKING:
    from hie.fhir.profiles.checking import Check

#: Whatever they declare: entries declare profiles, and answers name their questionnaire.
_JUDGED = frozenset({"Bundle", "QuestionnaireResponse"})

#: What stored definitions are that others are judged by.
JUDGED_BY = frozenset({"CodeSystem", "Questionnaire", "StructureDefinition", "ValueSet"})

logger = logging.getLogger(__name__)


def accepted(resource: Any, type_name: str, ctx: Context) -> list[OutcomeIssue]:
    """Return the warnings of a resource that may be stored; InvalidResource or Unprocessable with all issues.

    NotSupported: a Subscription that wants to be carried out.
    """
    issues = validated(resource, type_name)
    subscriptions.refuse_wanted(resource)
    if ctx.profiles.mode(ctx.store.tenant) == "off" or not _is_judged(resource, type_name):
        return issues
    if ctx.judging is not None and ctx.judging.waiting is not None:
        ctx.judging.waiting.append(Unjudged(json_format.dump(resource), issues))
        return issues
    return judged(resource, issues, ctx)


def judged(resource: dict[str, Any], issues: list[OutcomeIssue], ctx: Context) -> list[OutcomeIssue]:
    """Return the warnings of a resource that may be stored by the profiles it declares; Unprocessable with all issues.
    """
    # A vital sign that declares nothing was always stored: it is told, and never refused.
    found = profile_issues(resource, (), ctx, with_support=False, of_vital_signs="warning")
    wrong = [one for one in found if one.severity == "error"]
    if wrong and ctx.profiles.mode(ctx.store.tenant) == "reject":
        raise Unprocessable(wrong[0].diagnostics, issues=[*found, *issues])
    if wrong:
        logger.warning("stored, though not as its profiles say", extra={
            "type": resource["resourceType"], "issues": len(wrong)})
    return [*(replace(one, severity="warning") if one.severity == "error" else one for one in found), *issues]


def _is_judged(resource: dict[str, Any], type_name: str) -> bool:
    """Tell whether there is anything beyond R4's base rules that a resource may be judged by."""
    return "meta" in resource or "contained" in resource or type_name in _JUDGED or bool(vital_signs.of(resource))


def profile_issues(
    resource: dict[str, Any], profiles: Iterable[str], ctx: Context, *, with_support: bool, of_vital_signs: Severity
) -> list[OutcomeIssue]:
    """Return what is not as the profiles say, those named and those declared, and of answers as their questionnaire;
    and as R4 says of vital signs, no worse than `of_vital_signs`.

    Beside what is installed they are, as their terminology is, what is stored and the token may see.
    """
    from hie.fhir.profiles import conformance
    from hie.fhir.profiles.resolving import Elsewhere
    from hie.fhir.profiles.terminology import asked_by
    from hie.store.stored_profiles import StoredProfiles

    library, judging = ctx.profiles.library(), ctx.judging or of_one()
    judging.time.take_left_out()  # of a resource before, whose judging was broken off
    source = judging.source(ctx.store)
    asked = asked_by(library, source, judging.time, judging.service)
    stored = StoredProfiles(ctx.store, library, source, judging.time)
    targets = Elsewhere(reader(ctx.store, judging.coming), ctx.base_url, judging.time)
    found = conformance(resource, profiles, library, asked, with_support=with_support, stored=stored, targets=targets,
                        of_vital_signs=of_vital_signs)
    found += answer_issues(resource, ctx.store, judging)
    # What was not judged could be wrong: an error, in front, so that a long list does not hide it.
    left_out = [OutcomeIssue("too-costly", told, resource["resourceType"]) for told in judging.time.take_left_out()]
    return [*left_out, *(OutcomeIssue(one.code, one.diagnostics, one.expression, one.severity) for one in found)]


def conforming(resource: dict[str, Any] | None, ctx: Context) -> Conforms:
    """Return what answers FHIRPath's conformsTo() for items of a resource; profiles are read when it is asked."""
    kept: list[Conforms] = []

    def conforms(item: Element, canonical: str) -> bool | None:
        if not kept:
            kept.append(conforming_each(ctx)(resource))
        return kept[0](item, canonical)

    return conforms


def conforming_each(ctx: Context) -> Callable[[dict[str, Any] | None], Conforms]:
    """Return what does so for one resource after the other; stored definitions are looked up once for all of them."""
    from hie.fhir.profiles.place import around

    checks = checks_of(ctx)

    def of(resource: dict[str, Any] | None) -> Conforms:
        check, here = checks(), around(resource)
        return lambda item, canonical: check.conforms_to(item, canonical, here)

    return of


def checks_of(ctx: Context) -> Callable[[], Check]:
    """Return what makes a check by profiles for each resource, over what is installed and what the token may see."""
    from hie.fhir.profiles.checking import Check
    from hie.fhir.profiles.library import WithStored
    from hie.fhir.profiles.terminology import asked_by
    from hie.store.stored_profiles import StoredProfiles
    from hie.store.terminology import StoredTerminology

    installed = ctx.profiles.library()
    stored = StoredProfiles(ctx.store, installed)
    return lambda: Check(WithStored(installed, stored), asked_by(installed, StoredTerminology(ctx.store)), stored)
