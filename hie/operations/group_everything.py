"""Group/$everything: the records of the patients in a group. https://hl7.org/fhir/R4/group-operation-everything.html

Pages go from patient to patient in the order of their ids, so that what a page asks does not grow with the group.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hie.context import Context
from hie.errors import InvalidSearch, TooCostly, Unprocessable
from hie.fhir import datatypes, json_format, modifiers, references
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.paging import CURSOR
from hie.interactions import as_of
from hie.operations import scanning
from hie.operations.everything import (
    PAGES,
    RETURN,
    TOLD,
    TOLD_OF_CARE,
    answer,
    members_of,
    owners_of,
    query_of,
    types_of,
)
from hie.operations.page_state import Moment, PageState, led_on, page_state
from hie.registry import Operation, standard_parameters, standard_returns
from hie.store.contents import MOST_BYTES
from hie.store.opening import size_of
from hie.store.search import ordering
from hie.store.search.criteria import InCompartment
from hie.store.search.ordering import Position
from hie.store.search.query import SearchQuery
from hie.store.search.reference import relative
from hie.store.versions import StoredVersion

#: A page is given up as it is after the records of so many patients, or so many whom the token does not see.
_MOST_RECORDS, _MOST_UNSEEN = 20, 1_000
#: Groups within groups; a page reads patients so many at a time.
_MOST_GROUPS, _AT_ONCE = 100, 100

Ask = Callable[[str, str | None, int], SearchQuery]
"""The search of a patient's record from a cursor on, for so many."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: in the record of a patient, behind what an earlier page showed of it."""

    patient: str
    cursor: str | None = None


def group(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return a page of the records of the group's patients whom the token may read."""
    ctx = as_of.context(request, ctx)
    types = types_of(request)
    members = members_of("Patient", types)
    query = query_of(request, ctx, InCompartment("", members), of_many=True)
    ask = partial(_of, query, members, f"Group/{request.id}")
    place, first = _begin(query, ctx)
    with page_state(ctx, first) as state:
        patients = patients_of(json_format.parse(state.then.store.read(*request.instance).content or b"{}"), state.then)
        matches, following = _page(ask, query.count, patients, place, state)
        cursors = [] if following is None else [("next", _sealed(following, query, state.moment(matches), ctx))]
        return answer(request, state.then, types, (matches, cursors, None),
                      lambda one: bool(owners_of(one, ctx)), request.instance)


def _sealed(place: Place, query: SearchQuery, moment: Moment, ctx: Context) -> str:
    """Return a place as a link has it, in which nobody reads whose record it is."""
    return ordering.seal(ctx.store, query, Position(None, (place.patient, place.cursor), 0, None, *moment))


def _begin(query: SearchQuery, ctx: Context) -> tuple[Place, Moment | None]:
    """Return where a page begins, and the moment of the first one. InvalidSearch, Expired."""
    position = ordering.open_(ctx.store, query)
    if position is None:
        return Place(""), None
    if position.backward:
        raise InvalidSearch("The pages of a group go forward alone; follow their next links.", expression=CURSOR)
    return Place(*position.values), led_on(ctx, query)


def _page(
    ask: Ask, count: int, patients: Sequence[str], place: Place, state: PageState
) -> tuple[list[StoredVersion], Place | None]:
    """Read record after record until the page is full; return where the next page begins."""
    matches: list[StoredVersion] = []
    records, unseen = 0, 0

    def is_full() -> bool:
        return len(matches) >= count or size_of(matches) >= MOST_BYTES

    for patient, is_seen in _from(patients, place, state.then):
        cursor = place.cursor if patient == place.patient else None
        if records == _MOST_RECORDS or unseen == _MOST_UNSEEN or is_full():
            return matches, Place(patient, cursor)
        unseen += not is_seen
        records += is_seen
        while is_seen:
            query = ask(patient, cursor, count - len(matches))
            store = (state.then if cursor is None else state.searching).store
            found = store.search(replace(query, most_bytes=MOST_BYTES - size_of(matches)))
            matches += first_shown_here(found.matches, patient, patients, state.then)
            cursor = found.next_cursor
            if cursor is None:
                break
            if is_full():
                return matches, Place(patient, cursor)
    return matches, None


def _of(
    query: SearchQuery, members: frozenset[str], here: str, patient: str, cursor: str | None, count: int
) -> SearchQuery:
    """Return the search of one patient's record, to whose pages its cursors belong."""
    criteria = (InCompartment(f"Patient/{patient}", members), *query.criteria[1:])
    tied = (("_everything", f"{here}/Patient/{patient}"), *query.self_link[1:])
    return replace(query, criteria=criteria, count=count, cursor=cursor, self_link=tied)


def _from(patients: Sequence[str], place: Place, ctx: Context) -> Iterator[tuple[str, bool]]:
    """Yield the patients from a place on, and whether the token may read them."""
    at = bisect_right(patients, place.patient)
    if at and patients[at - 1] == place.patient:
        at -= 1
    for start in range(at, len(patients), _AT_ONCE):
        some = patients[start : start + _AT_ONCE]
        seen = {row.id for row in ctx.store.rows_of([("Patient", one) for one in some])}
        yield from ((one, one in seen) for one in some)


def first_shown_here(
    found: Sequence[StoredVersion], patient: str, patients: Sequence[str], ctx: Context
) -> list[StoredVersion]:
    """Leave out what belongs to the record of an earlier patient as well, with which it was shown."""
    members = frozenset(patients[: bisect_right(patients, patient) - 1])
    if not members:
        return list(found)
    earlier = [members.intersection(owners_of(json_format.parse(one.content or b"{}"), ctx)) for one in found]
    asked = dict.fromkeys(("Patient", id_) for ids in earlier for id_ in ids)
    seen = {row.id for row in ctx.store.rows_of(asked)} if asked else set()
    return [one for one, ids in zip(found, earlier, strict=True) if seen.isdisjoint(ids)]


# ---- whose records ---------------------------------------------------------------------------------------------------


def patients_of(resource: dict[str, Any], ctx: Context) -> list[str]:
    """Return the ids of the patients who are in a group now, or in the groups in it that the token may read."""
    patients: set[str] = set()
    kept = scanning.Kept("ask for the groups in it one by one.", "Group.member")
    seen, waiting = {str(resource.get("id"))}, iter([resource])
    while True:
        named = {place for one in waiting for place in _members(one, ctx)}
        patients.update(id_ for type_name, id_ in named if type_name == "Patient")
        inner = {id_ for type_name, id_ in named if type_name == "Group"} - seen
        seen |= inner
        if len(seen) > _MOST_GROUPS:
            raise TooCostly(f"The Group has more than {_MOST_GROUPS} groups in it.", expression="Group.member")
        if not inner:
            return sorted(patients)
        waiting = _opened(sorted(inner), kept, ctx)


def _opened(ids: list[str], kept: scanning.Kept, ctx: Context) -> Iterator[dict[str, Any]]:
    """Yield groups that the token may read, one in memory at a time; what they have together is counted."""
    for one in ctx.store.each_read(("Group", id_) for id_ in ids):
        kept.take(len(one.content or b""))
        yield json_format.parse(one.content or b"{}")


def _members(resource: dict[str, Any], ctx: Context) -> Iterator[tuple[str, str]]:
    """Yield who is in a group now; a group that does not say who is, or by modifiers that are not known, is refused."""
    modifiers.refuse_definition(resource)
    if resource.get("actual") is False:
        raise Unprocessable(f"Group/{resource.get('id')} names no members: it is defined by characteristics, which are "
                            "not evaluated.", expression="Group.actual")
    for member in resource.get("member", ()):
        if member.get("inactive") is True or not _is_now(member.get("period", {}), ctx.store.at or ctx.clock()):
            continue
        to = references.parse(relative(member.get("entity", {}).get("reference", ""), ctx.store.base_url))
        if to.kind == "relative" and to.type is not None and to.id is not None:
            yield to.type, to.id


def _is_now(period: dict[str, Any], now: int) -> bool:
    low = datatypes.date_bounds(period["start"])[0] if "start" in period else datatypes.OPEN_LOW
    high = datatypes.date_bounds(period["end"])[1] if "end" in period else datatypes.OPEN_HIGH
    return low <= now < high


OPERATION = Operation(
    code="everything",
    levels=frozenset({"instance"}),
    types=frozenset({"Group"}),
    function=group,
    definition="http://hl7.org/fhir/OperationDefinition/Group-everything",
    parameters=(*standard_parameters("everything@Group", TOLD_OF_CARE | TOLD), *PAGES),
    returns=standard_returns("everything@Group", {"return": RETURN}),
    documentation="The records of all patients who are members of a group now, or of a group in it, patient after "
                  "patient, in pages.",
)
