"""Patient/$summary: http://hl7.org/fhir/uv/ips/OperationDefinition/summary"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from hie.context import Context
from hie.errors import Forbidden, InvalidRequest, MultipleMatches, NotFound, NotSupported, OutcomeIssue, Unprocessable
from hie.fhir import json_format, references
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.instants import instant
from hie.fhir.json_format import Fragment
from hie.interactions import as_of
from hie.operations import answer_parameters, surroundings
from hie.operations.page_state import page_state
from hie.operations.patient_summary import lacking, words
from hie.operations.patient_summary.choosing import Chosen, chosen
from hie.operations.patient_summary.composition import BUNDLE, Document
from hie.operations.patient_summary.inside import Inside, target
from hie.operations.patient_summary.sections import SECTIONS
from hie.registry import Operation, Parameter
from hie.store.opening import parsed
from hie.store.search import query as search_query
from hie.store.versions import StoredVersion

Json = dict[str, Any]

#: The version of the guide whose profile the documents conform to.
VERSION = "1.1.0"
#: What entries refer to that comes along: who, with what, and what a result is made of. What else lies in the record,
#: such as encounters and claims, is no part of a summary.
TAKEN_ALONG = frozenset({
    "Device", "ImagingStudy", "Media", "Medication", "Observation", "Organization", "Practitioner",
    "PractitionerRole", "RelatedPerson", "Specimen", "Substance",
})  # fmt: skip
_UNCONFIRMED = frozenset({"entered-in-error", "registered", "preliminary", "cancelled", "unknown"})
#: Types of sections that have to be there: who may not search them could not tell them from empty ones.
_NEEDED = tuple(dict.fromkeys(source.type for one in SECTIONS if one.nothing is not None for source in one.sources))
#: As the definition spells it, and as it was meant.
_IDENTIFIERS = ("identifier", "identifer")
_UNESCAPED_BAR, _UNESCAPED_COMMA = (re.compile(rf"(?<!\\)(?:\\\\)*{one}") for one in (r"\|", ","))


def summary(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Make a document of what is current in a patient's record, for who has never seen it."""
    _refuse_others(request)
    then = as_of.context(request, ctx)
    _refuse_narrow(ctx)
    with page_state(then, None) as state:  # what is read together is of one state
        person = state.then.store.read("Patient", _id(request, state.then))
        content = _document(request, person, state.then)
    return FhirResponse(200, content, entity=("Patient", person.id))


def _refuse_others(request: FhirRequest) -> None:
    """Refuse documents of other profiles than this guide's."""
    profile = request.parameter("profile")
    if profile not in (None, BUNDLE, f"{BUNDLE}|{VERSION}"):
        raise NotSupported(f"profile is {str(profile)[:200]!r}; summaries are made by {BUNDLE} ({VERSION}) alone.",
                           expression="profile")


def _refuse_narrow(ctx: Context) -> None:
    """Refuse who could not look for what has to stand in a summary: nothing found would mean nothing."""
    scopes = [f"system/{one}.s" for one in _NEEDED if ctx.store.grant.queries(one, "s") == ()]
    if scopes:
        told = f"{', '.join(scopes)} {'is' if len(scopes) == 1 else 'are'} needed"
        raise Forbidden(f"The token has no scope for what a summary has to tell of: {told}.")


def _id(request: FhirRequest, ctx: Context) -> str:
    """Return whose summary is wanted: by the URL, or by an identifier that one Patient has."""
    given = [(name, value) for name, value in (*request.parameters, *request.arguments) if name in _IDENTIFIERS]
    if request.id is not None:
        if given:
            raise InvalidRequest("An identifier is for Patient/$summary; here the URL names the Patient.",
                                 expression=given[0][0])
        return request.id
    if len(given) != 1:
        raise InvalidRequest("Patient/$summary needs one identifier, system|value; or use Patient/[id]/$summary.",
                             expression=_IDENTIFIERS[0])
    name, value = given[0]
    return _identified(name, value if isinstance(value, str) else _token(value), ctx)


def _identified(name: str, token: str, ctx: Context) -> str:
    """Return the id of the one Patient with an identifier, as a search has it."""
    if not _UNESCAPED_BAR.split(token)[-1].strip() or _UNESCAPED_COMMA.search(token):
        raise InvalidRequest(f"{name} is {token[:80]!r}; it is one identifier with its value: system|value.",
                             expression=name)
    query = search_query.parse("Patient", [("identifier", token)], default_count=2, base_url=ctx.base_url)
    found = ctx.store.search(query).matches
    if not found:
        raise NotFound("No Patient that the token may search has this identifier.", expression=name)
    if len(found) > 1:
        raise MultipleMatches("More than one Patient has this identifier; one was meant.", expression=name)
    return found[0].id


def _token(identifier: Json) -> str:
    """Return an Identifier as a search writes it."""
    system, value = (re.sub(r"([\\,|$])", r"\\\1", str(identifier.get(one, ""))) for one in ("system", "value"))
    return f"{system}|{value}" if system else value


# ---- the document ----------------------------------------------------------------------------------------------------


def _document(request: FhirRequest, person: StoredVersion, ctx: Context) -> bytes:
    place, patient, at = f"Patient/{person.id}", parsed(person), _state(ctx)
    found = chosen(place, ctx)
    stored = list({(one.stored.type, one.stored.id): one.stored for each in found for one in each.entries}.values())
    around, is_cut = surroundings.around([person, *stored], lambda one: _is_left_out(one, place, ctx), ctx, TAKEN_ALONG)
    inside = Inside([*stored, *around], ctx.store.base_url)
    lacks = [*lacking.of_patient(patient, inside), *(lack for one in found for lack in lacking.of_section(one, inside))]
    if lacks and request.parameter("profile") is not None:
        issues = [OutcomeIssue("processing", lack, place) for lack in lacks]
        raise Unprocessable("The record has not what the profile wants.", issues=issues)
    told = [*_introduction(patient, at), *_unseen(found), *(f"Not as IPS wants it: {one}" for one in lacks)]
    if is_cut:
        told.append(f"What entries refer to is not all here: {len(around)} resources are.")
    document = Document(place, ctx, inside.name, told, not lacks)
    entries = [{"fullUrl": f"{ctx.base_url}/{one.type}/{one.id}", "resource": Fragment(one.content or b"{}")}
               for one in (person, *stored, *around)]  # fmt: skip
    return json_format.dump(document.bundle(found, entries, at))


def _state(ctx: Context) -> int:
    return ctx.clock() if ctx.store.at is None else ctx.store.at


def _is_left_out(resource: Json, place: str, ctx: Context) -> bool:
    """Tell whether what an entry refers to is no part of the summary: somebody else's, wrong, or not confirmed yet."""
    status = resource.get("status")
    if status == "entered-in-error" or (resource["resourceType"] == "Observation" and status in _UNCONFIRMED):
        return True
    named = (target(one, ctx.store.base_url) for _, one in references.iterate(resource))
    patients = {f"Patient/{to.id}" for to in named if to.type == "Patient"}
    return bool(patients) and place not in patients


def _introduction(patient: Json, at: int) -> Iterator[str]:
    yield f"{words.person(patient)}."
    yield (f"Put together by rules from what was stored here at {instant(at)}; nobody has looked at it. It tells what "
           "is stored and who asked may read, which need not be all that there is.")  # fmt: skip


def _unseen(found: Sequence[Chosen]) -> Iterator[str]:
    """Say what the token does not reach."""
    unseen = dict.fromkeys(name for one in found for name in one.unseen)
    if unseen:
        yield f"Not looked at, because the access of who asked does not reach it: {', '.join(unseen)}."
    partly = dict.fromkeys(name for one in found for name in one.partly)
    if partly:
        yield f"Looked at as far as the access of who asked reaches: {', '.join(partly)}."


OPERATION = Operation(
    code="summary",
    levels=frozenset({"type", "instance"}),
    types=frozenset({"Patient"}),
    function=summary,
    definition="http://hl7.org/fhir/uv/ips/OperationDefinition/summary",
    parameters=(
        Parameter("identifier", "Identifier", is_token=True, documentation="For Patient/$summary: an identifier that "
                  "one Patient has; in a URL or form as a search has it, system|value."),
        Parameter("identifer", "Identifier", is_token=True, documentation="The same, as the guide's definition spells "
                  "it."),
        Parameter("profile", "uri", documentation=f"{BUNDLE}, which is the profile of all that is answered. Who names "
                  "it is refused where the record lacks what it wants."),
        Parameter("graph", "uri", refused="What stands in a summary its sections say, no GraphDefinition; "
                  "Patient/[id]/$graph follows one."),
        answer_parameters.AS_OF,
    ),
    returns=(Parameter("return", "Bundle", 1, documentation="A Bundle of the type document, by the Bundle profile of "
                       "the International Patient Summary."),),
    documentation="What is current in a patient's record, as a document of the International Patient Summary. Where "
                  "nothing is stored it says that there is no information.",
)
