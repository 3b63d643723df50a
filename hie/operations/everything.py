"""$everything of a patient, of all patients and of an encounter.

https://hl7.org/fhir/R4/patient-operation-everything.html, https://hl7.org/fhir/R4/encounter-operation-everything.html

The compartment, and beside it what its resources refer to outside of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson

from hie.context import Context
from hie.errors import InvalidRequest, InvalidSearch, OutcomeIssue
from hie.fhir import bundle, compartments, datatypes, facts, json_format, outcome, summary
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.paging import CURSOR, UNTIL, link, page_size
from hie.fhir.summary import Selection
from hie.interactions import as_of
from hie.operations import answer_parameters, surroundings
from hie.operations.page_state import PageState, led_on, page_state
from hie.operations.server_context import require
from hie.registry import Operation, Parameter, standard_parameters, standard_returns
from hie.store.contents import MOST_BYTES
from hie.store.opening import size_of
from hie.store.search import criteria
from hie.store.search.chain import Asked
from hie.store.search.criteria import BelongsTo, CareBetween, InCompartment, InSomeCompartment, Place, Reading
from hie.store.search.index import refers_beside
from hie.store.search.query import SearchQuery
from hie.store.versions import StoredVersion

#: A page of all patients is given up as it is after so many searches that found too little of anybody the token sees.
_MOST_SEARCHES = 10

Page = tuple[list[StoredVersion], list[tuple[str, str]], int | None]
"""Matches, the cursor of each link to another page, and the total."""


def patient(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return a page of one patient's record, or of the records of all patients that the token sees."""
    ctx = as_of.context(request, ctx)
    if request.id is None:
        return _all_patients(request, ctx)
    place = InCompartment(f"Patient/{request.id}", members_of("Patient", types_of(request)))
    query = _record_of(request, ctx, place)
    with page_state(ctx, led_on(ctx, query)) as state:
        state.then.store.read("Patient", request.id)
        return _record(request, state, query, lambda resource: bool(owners_of(resource, ctx)))


def encounter(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return a page of what belongs to an encounter: its compartment, and what refers to it by an element that decides
    of no compartment, as R4's extension encounter-associatedEncounter.
    """
    ctx = as_of.context(request, ctx)
    types = types_of(request)
    wanted = types if types is not None and _all_shown("Encounter", types) else facts.RESOURCE_TYPES
    query = _record_of(request, ctx, BelongsTo(f"Encounter/{request.id}", wanted))
    with page_state(ctx, led_on(ctx, query)) as state:
        met = orjson.loads(state.then.store.read("Encounter", request.id or "").content or b"{}")
        own, patients = ("Encounter", request.id or ""), set(owners_of(met, ctx))

        def skipped(resource: dict[str, Any]) -> bool:
            places = compartments.compartment_values(resource, ctx.store.base_url)
            owners = {id_ for kind, id_ in places if kind == "Patient"}
            return own in places or (bool(owners) and owners.isdisjoint(patients)) or refers_beside(
                resource, own, ctx.store.blind, ctx.store.base_url)

        return _record(request, state, query, skipped)


def _record_of(request: FhirRequest, ctx: Context, place: Place) -> SearchQuery:
    shown = _all_shown(request.type or "", types_of(request))
    return query_of(request, ctx, place, "accurate" if shown else "none")


def _record(
    request: FhirRequest, state: PageState, query: SearchQuery, skipped: Callable[[dict[str, Any]], bool]
) -> FhirResponse:
    found = state.searching.store.search(query)
    page = (found.matches, list(found.cursors), found.total)
    return answer(request, state.then, types_of(request), page, skipped, (request.type or "", request.id or ""))


def _all_patients(request: FhirRequest, ctx: Context) -> FhirResponse:
    require(ctx, "Patient", "s")
    types = types_of(request)
    query = query_of(request, ctx, InSomeCompartment("Patient", members_of("Patient", types)), of_many=True)
    with page_state(ctx, led_on(ctx, query)) as state:
        page = _filled(query, state)
        return answer(request, state.then, types, page, lambda resource: bool(owners_of(resource, ctx)), None)


def _filled(query: SearchQuery, state: PageState) -> Page:
    """Search until the page is full of members of visible patients' compartments; the index cannot tell whose."""
    matches: list[StoredVersion] = []
    cursor, store = query.cursor, state.searching.store
    if cursor is not None and cursor.startswith(UNTIL):
        raise InvalidSearch("The pages of all records go forward alone; follow their next links.", expression=CURSOR)
    for _ in range(_MOST_SEARCHES):
        left = MOST_BYTES - size_of(matches)
        found = store.search(replace(query, count=query.count - len(matches), cursor=cursor, most_bytes=left))
        matches += of_visible_patients(found.matches, state.then)
        cursor = found.next_cursor
        if cursor is None or len(matches) >= query.count or size_of(matches) >= MOST_BYTES:
            break
    return matches, [("next", cursor)] if cursor is not None else [], None


def owners_of(resource: dict[str, Any], ctx: Context) -> list[str]:
    """Return the ids of the patients in whose records a resource is."""
    return compartments.patient_of(resource, ctx.store.base_url)


def of_visible_patients(matches: list[StoredVersion], ctx: Context) -> list[StoredVersion]:
    owners = [owners_of(orjson.loads(one.content or b"{}"), ctx) for one in matches]
    asked = dict.fromkeys(("Patient", id_) for found in owners for id_ in found)
    visible = {row.id for row in ctx.store.rows_of(asked)}
    return [one for one, found in zip(matches, owners, strict=True) if not visible.isdisjoint(found)]


# ---- what is asked ---------------------------------------------------------------------------------------------------


def query_of(
    request: FhirRequest, ctx: Context, place: Place, total: str = "none", *, of_many: bool = False
) -> SearchQuery:
    """Return the search of a page; `of_many`: of many records, of which no total is known."""
    asked: list[Asked] = [place]
    since = _since(request)
    if since is not None:
        asked.append(criteria.parse("Resource", "_lastUpdated", f"ge{since}", Reading()))
    care = care_between(request)
    if care is not None:
        asked.append(care)
    count = page_size(request, ctx.settings) if request.parameter("_count") is not None else ctx.settings.max_page_size
    selection = summary.asked(request)
    counts = selection is not None and selection.counts_only
    if (counts or count == 0) and of_many:
        name, text = ("_summary", "count") if counts else ("_count", "0")
        raise InvalidSearch(f"{name}={text} asks for a total, which is known of one record only.", expression=name)
    if counts:
        count = 0
    here = (("_everything", f"{request.type}/{request.id or ''}"),)
    tied = (*here, *(pair for pair in request.parameters if pair[0] != CURSOR))
    return SearchQuery(None, tuple(asked), count=count, total=total, cursor=request.parameter(CURSOR), self_link=tied)


def members_of(kind: str, types: frozenset[str] | None) -> frozenset[str]:
    """Return the types to search a compartment for where only some types are to be shown."""
    members = frozenset(compartments.members(kind)) | {kind}
    # Where a type outside of the compartment is wanted, every member may refer to one.
    return types if types is not None and types <= members else members


def _all_shown(kind: str, types: frozenset[str] | None) -> bool:
    """Tell whether every match is shown, so that their number means something."""
    return types is None or types <= frozenset(compartments.members(kind)) | {kind}


def types_of(request: FhirRequest) -> frozenset[str] | None:
    """Return the types that are to be shown; None: all."""
    names = [part.strip() for name, value in request.parameters if name == "_type" for part in value.split(",")]
    for name in names:
        if name not in facts.RESOURCE_TYPES:
            raise InvalidRequest(f"_type names {name[:80]!r}, which is not a resource type of FHIR R4.",
                                 expression="_type")
    return frozenset(names) or None


def _since(request: FhirRequest) -> str | None:
    text = request.parameter("_since")
    if text is None:
        return None
    text = text.replace(" ", "+")  # a bare + in a URL means a space
    _bounds("_since", text)
    return text


def care_between(request: FhirRequest) -> CareBetween | None:
    """Read start and end, which mean the dates of care, not those of the record; both days count."""
    start, end = request.parameter("start"), request.parameter("end")
    if start is None and end is None:
        return None
    low = datatypes.OPEN_LOW if start is None else _bounds("start", start)[0]
    high = datatypes.OPEN_HIGH if end is None else _bounds("end", end)[1]
    if low >= high:
        raise InvalidRequest(f"start ({start}) lies behind end ({end}).", expression="start")
    return CareBetween(low, high)


def _bounds(name: str, text: str) -> tuple[int, int]:
    try:
        return datatypes.date_bounds(text)
    except datatypes.DatatypeError:
        raise InvalidSearch(
            f"{name} is {text[:80]!r}; a date is YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with Z or an offset.",
            expression=name,
        ) from None


# ---- what is answered ------------------------------------------------------------------------------------------------


def answer(
    request: FhirRequest, ctx: Context, types: frozenset[str] | None, page: Page,
    skipped: Callable[[dict[str, Any]], bool], entity: tuple[str, str] | None,
) -> FhirResponse:  # fmt: skip
    """Return a page with what its matches refer to."""
    matches, cursors, total = page
    included, is_cut = surroundings.around(matches, skipped, ctx)
    rows = [bundle.outcome_entry(outcome.outcome([_cut(len(included))]))] if is_cut else []
    selection = summary.asked(request)
    for mode, versions in (("match", matches), ("include", included)):
        rows += [
            bundle.match_entry(ctx.base_url, one.type, one.id, _shown(one, selection), mode)
            for one in versions
            if types is None or one.type in types
        ]
    links = _links(request, cursors, ctx.base_url)
    content = bundle.listing("searchset", ctx.new_id(), ctx.clock(), links, rows, total)
    return FhirResponse(200, content, entity=entity)


def _shown(stored: StoredVersion, selection: Selection | None) -> bytes | dict[str, Any]:
    """Return the part that is wanted: elements by name of every type, as all of them belong to the record."""
    content = stored.content or b"{}"
    return content if selection is None else selection.of(json_format.parse(content))


def _cut(number: int) -> OutcomeIssue:
    told = f"The record refers to more than the {number} resources included here; a smaller _count shows all of them."
    return OutcomeIssue("incomplete", told, "_count", "warning")


def _links(request: FhirRequest, cursors: list[tuple[str, str]], base_url: str) -> list[tuple[str, str]]:
    address = "/".join(filter(None, (base_url, request.type, request.id, "$everything")))
    links = [("self", link(address, request.parameters))]
    kept = [(name, value) for name, value in request.parameters if name != CURSOR]
    return links + [(relation, link(address, (*kept, (CURSOR, leads)))) for relation, leads in cursors]


#: Parameters of this server's own, and those of all interactions that cut what is answered: http.html#parameters
PAGES = (
    Parameter(CURSOR, "string", documentation="Where a further page begins: of links alone, which say all else too. A "
              "parameter of this server."),
    answer_parameters.AS_OF, answer_parameters.SUMMARY, answer_parameters.ELEMENTS,
)
TOLD = {
    "_since": "Members that were changed at or after this instant, with whatever they refer to, however old.",
    "_type": "Only resources of these types, among what is included too; repeated, or with commas.",
    "_count": "So many members of the compartment on a page at most, and never more than the server's limit.",
}
TOLD_OF_CARE = {
    "start": "Dates of care from this day on, which counts; a resource without a date is never left out.",
    "end": "Dates of care up to this day, which counts; a resource without a date is never left out.",
}
RETURN = "A Bundle of the type searchset: a page, what is referred to from it as search.mode include."

OPERATIONS = (
    Operation(
        code="everything",
        levels=frozenset({"type", "instance"}),
        types=frozenset({"Patient"}),
        function=patient,
        definition="http://hl7.org/fhir/OperationDefinition/Patient-everything",
        parameters=(*standard_parameters("everything@Patient", TOLD_OF_CARE | TOLD), *PAGES),
        returns=standard_returns("everything@Patient", {"return": RETURN}),
        documentation="The record of a patient, or of every patient whom the token may read: the patient, all "
                      "resources of the compartment, and what these refer to outside of it, in pages.",
    ),
    Operation(
        code="everything",
        levels=frozenset({"instance"}),
        types=frozenset({"Encounter"}),
        function=encounter,
        definition="http://hl7.org/fhir/OperationDefinition/Encounter-everything",
        parameters=(*standard_parameters("everything@Encounter", TOLD), *PAGES),
        returns=standard_returns("everything@Encounter", {"return": RETURN}),
        documentation="What belongs to an encounter: the encounter, its compartment, what refers to it by other "
                      "elements of the encounter, and what these refer to, in pages.",
    ),
)
