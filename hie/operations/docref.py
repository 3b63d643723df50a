"""DocumentReference/$docref: http://hl7.org/fhir/us/core/OperationDefinition-docref.html

No document is made on demand here: what is stored is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from hie.context import Context
from hie.errors import InvalidRequest, TooCostly
from hie.fhir import bundle, json_format, search_parameters, summary
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.paging import link
from hie.fhir.summary import Selection
from hie.operations import answer_parameters, scanning
from hie.operations.everything import care_between
from hie.operations.lastn import MOST, Groups, as_shown
from hie.operations.server_context import require
from hie.registry import Operation, Parameter
from hie.store.search import query as search_query
from hie.store.search.criteria import CareBetween
from hie.store.search.query import SearchQuery
from hie.store.search.sort_keys import SortKey
from hie.store.terminology import Later
from hie.store.versions import StoredVersion

_TYPE = "DocumentReference"
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_HINT = "ask for a type, or between start and end, or for some _elements."


def docref(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return the references to a patient's current documents: the latest of each type, or those of dates of care."""
    require(ctx, _TYPE, "s")
    query, care = _query(request, ctx), care_between(request)
    selection = summary.asked(request, _TYPE)
    profiles = frozenset(value for name, value in request.parameters if name == "profile")
    found = _wanted(query, profiles, ctx) if request.parameter("on-demand") != "true" else iter(())
    shown = list(_latest(found, selection) if care is None else _cared_for(found, care, selection))
    rows = [] if selection is not None and selection.counts_only else [
        bundle.match_entry(ctx.base_url, _TYPE, one.id, one.content or b"{}", "match") for one in shown]
    links = [("self", link(f"{ctx.base_url}/{_TYPE}/$docref", _asked(request)))]
    return FhirResponse(200, bundle.listing("searchset", ctx.new_id(), ctx.clock(), links, rows, len(shown)))


Found = Iterator[tuple[StoredVersion, dict[str, Any]]]


def _query(request: FhirRequest, ctx: Context) -> SearchQuery:
    patient = request.parameter("patient") or ""
    if not _ID.fullmatch(patient):
        raise InvalidRequest(f"patient is {patient[:80]!r}; it is the id of a Patient here.", expression="patient")
    asked = [("patient", f"Patient/{patient}"), ("status", "current")]
    types = [value for name, value in _asked(request) if name == "type"]
    if types:
        asked.append(("type", ",".join(types)))
    query = search_query.parse(_TYPE, asked, base_url=ctx.base_url, now=ctx.clock(), terminology=Later(ctx.store))
    return SearchQuery(_TYPE, query.criteria, (SortKey(search_parameters.for_type(_TYPE)["date"], descending=True),))


def _asked(request: FhirRequest) -> list[tuple[str, str]]:
    """Return what was asked as a URL says it: a Coding becomes a token, as a search has it."""
    return [*request.parameters, *((name, _token(coding)) for name, coding in request.arguments)]


def _token(coding: dict[str, Any]) -> str:
    code, system = coding.get("code"), coding.get("system")
    if code is None:
        raise InvalidRequest("A type of $docref needs its code.", expression="type")
    return _escaped(code) if system is None else f"{_escaped(system)}|{_escaped(code)}"


def _escaped(text: str) -> str:
    return re.sub(r"([\\,|$])", r"\\\1", text)


def _wanted(query: SearchQuery, profiles: frozenset[str], ctx: Context) -> Found:
    """Yield what is current and of a profile that is asked for, the most recent first."""
    without_versions = {one.partition("|")[0] for one in profiles}
    for page in scanning.pages(query, ctx, "ask for a type."):
        for stored in page:
            resource = json_format.parse(stored.content or b"{}")
            if resource.get("docStatus") != "entered-in-error" and (
                    not profiles or _is_of(resource, profiles, without_versions)):
                yield stored, resource


def _is_of(resource: dict[str, Any], profiles: frozenset[str], without_versions: set[str]) -> bool:
    """Tell whether a document's format, which R4 has for the template it conforms to, is one of the profiles."""
    formats = {one.get("format", {}).get("code", "") for one in resource.get("content", [])}
    return any(format_ in profiles or format_ in without_versions or format_.partition("|")[0] in profiles
               for format_ in formats)  # fmt: skip


def _latest(found: Found, selection: Selection | None) -> Iterator[StoredVersion]:
    groups = Groups(1, selection, element="type", hint=_HINT, expression="type", undated_tie=True)
    for stored, resource in found:
        groups.add(stored, resource)
    return groups.members()


def _cared_for(found: Found, care: CareBetween, selection: Selection | None) -> Iterator[StoredVersion]:
    """Yield the documents of care that lies at least in part between two dates, and those that do not say of which."""
    room, kept = scanning.Kept(_HINT, "type"), 0
    for stored, resource in found:
        periods = [one for one in search_parameters.extract(resource).dates if one[0] == "period"]
        if periods and not any(low < care.high and high > care.low for _, low, high, *_ in periods):
            continue
        shown = as_shown(stored, resource, selection)
        room.take(len(shown.content or b""))
        kept += 1
        if kept > MOST:
            raise TooCostly(f"More than {MOST} resources would be answered; {_HINT}", expression="type")
        yield shown


OPERATION = Operation(
    code="docref",
    levels=frozenset({"type"}),
    types=frozenset({_TYPE}),
    function=docref,
    definition="http://hl7.org/fhir/us/core/OperationDefinition/docref",
    also=("http://hl7.org/fhir/uv/ipa/OperationDefinition/docref",),
    parameters=(
        Parameter("patient", "id", 1, documentation="The id of the Patient."),
        Parameter("start", "dateTime", documentation="Documents of care from this day on, which counts. Without start "
                  "and end the current document of each type is meant."),
        Parameter("end", "dateTime", documentation="Documents of care up to this day, which counts."),
        Parameter("type", "Coding", max="*", is_token=True, documentation="A type of documents: in a URL or form as a "
                  "search has it, system|code, several with commas."),
        Parameter("on-demand", "boolean", documentation="true asks for documents that are made on demand alone: there "
                  "are none here."),
        Parameter("profile", "canonical", max="*", documentation="Documents whose content.format has this canonical "
                  "URL as its code."),
        answer_parameters.SUMMARY,
        answer_parameters.ELEMENTS,
    ),
    returns=(Parameter("return", "Bundle", 1, documentation="A Bundle of the type searchset with "
                       "DocumentReferences, the most recent first."),),
    documentation="The references to a patient's current documents: the latest of each type, or those of care between "
                  "two dates. No document is made.",
)
