"""What bulk files of patients hold: their records, and beside them what these refer to and what tells of their origin.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html#endpoint---all-patients, #endpoint---group-of-patients
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hie.context import Context
from hie.errors import OutcomeIssue
from hie.fhir import compartments, json_format
from hie.interactions.bulk_export import Entry, Listed
from hie.operations import surroundings
from hie.operations.everything import of_visible_patients, owners_of
from hie.operations.export.asked import LATEST, PROVENANCE, Asked, Filter
from hie.operations.export.associated import Associated
from hie.operations.export.removed import removed
from hie.operations.export.whole import changed_after, listed, of_type, pages
from hie.operations.group_everything import first_shown_here
from hie.store.search import criteria
from hie.store.search.criteria import Criterion, InCompartment, InSomeCompartment, Reading
from hie.store.search.engine import SearchPage
from hie.store.search.query import SearchQuery
from hie.store.versions import StoredVersion

_PATIENT = "Patient"
#: Ids that one search names.
_IDS = 100
Place = tuple[str, str]


def records(asked: Asked, patients: Sequence[str] | None, ctx: Context) -> Iterator[Entry]:
    """Yield the records of some patients, by their ids in order, or of all (None), whom the token may read."""
    yield from _Records(asked, patients, ctx).each()
    if asked.since is not None:
        members = replace(asked, types=asked.types & _members())
        yield from removed(members, ctx, lambda one: _is_of(one, patients, ctx)) if members.types else ()


def _members() -> frozenset[str]:
    return frozenset(compartments.members(_PATIENT)) | {_PATIENT}


def _is_of(one: StoredVersion, patients: Sequence[str] | None, ctx: Context) -> bool:
    owners = owners_of(json_format.parse(one.content or b"{}"), ctx)
    return bool(owners) if patients is None else not set(owners).isdisjoint(patients)


class _Records:
    def __init__(self, asked: Asked, patients: Sequence[str] | None, ctx: Context) -> None:
        self._asked, self._patients, self._ctx = asked, patients, ctx
        wanted, members = asked.types, _members()
        provenance = asked.provenance is not None or PROVENANCE in wanted
        self._associated = Associated(asked, ctx, beside=provenance)
        self._beside = wanted - members
        self._shown = wanted & members - ({PROVENANCE} if asked.provenance == LATEST else set())
        self._walks = bool(self._beside) or self._associated.beside
        self._met: set[Place] = set()

    def each(self) -> Iterator[Entry]:
        """Yield what is wanted; where more than the records is, they are walked through whole."""
        allowed = self._ctx.store.grant.types("r") & self._ctx.store.grant.types("s") & _members()
        filtered = {name for name in self._asked.filters if name in self._shown}
        plain = (allowed if self._walks else self._shown) - filtered
        since = () if self._walks or self._asked.since is None else (changed_after(self._asked.since),)
        if plain:
            yield from self._found(SearchQuery(None, since, total="none"), plain, "record")
        for type_name in sorted(filtered):
            for number, each in enumerate(self._asked.filters[type_name]):
                query = of_type(type_name, (*since, *each), number)
                yield from self._found(query, frozenset({type_name}), f"{type_name}.{number}")
        yield from self._filtered_beside()

    def _found(self, query: SearchQuery, types: frozenset[str], name: str) -> Iterator[Entry]:
        """Yield what the records have of some types and what comes with it."""
        for page in self._pages(query, types, name):
            for one in page.matches:
                if one.type in self._shown and self._associated.is_wanted(one) and self._is_first(one):
                    yield listed(one)
            yield from self._associated.of(page)
            if self._beside:
                yield from self._around(page.matches)

    def _is_first(self, one: StoredVersion) -> bool:
        """Tell whether a match of several filters is met for the first time."""
        if len(self._asked.filters.get(one.type, ())) < 2:
            return True
        place = (one.type, one.id)
        is_first = place not in self._met
        self._met.add(place)
        return is_first

    # -- whose records -----------------------------------------------------------------------------------------------

    def _pages(self, query: SearchQuery, types: frozenset[str], name: str) -> Iterator[SearchPage]:
        if self._patients is None:
            whole = self._tied(query, InSomeCompartment(_PATIENT, types), name)
            for page in pages(whole, self._ctx):
                yield _cut(page, of_visible_patients(page.matches, self._ctx))
            return
        for patient in self._seen():
            mine = self._tied(query, InCompartment(f"{_PATIENT}/{patient}", types), f"{name}.{patient}")
            for page in pages(mine, self._ctx):
                yield _cut(page, first_shown_here(page.matches, patient, self._patients, self._ctx))

    def _tied(self, query: SearchQuery, place: InCompartment | InSomeCompartment, name: str) -> SearchQuery:
        """Return the search of one place, to which its cursors belong."""
        tied = (("_export", name),)
        held: Filter = (place, *query.criteria)
        return self._associated.with_its_own(replace(query, criteria=held, count=500, self_link=tied))

    def _seen(self) -> Iterator[str]:
        """Yield the patients whom the token may read."""
        patients = self._patients or ()
        for start in range(0, len(patients), _IDS):
            some = patients[start : start + _IDS]
            seen = {row.id for row in self._ctx.store.rows_of([(_PATIENT, one) for one in some])}
            yield from (one for one in some if one in seen)

    # -- what they refer to ------------------------------------------------------------------------------------------

    def _around(self, matches: Sequence[StoredVersion]) -> Iterator[Entry]:
        """Yield what matches refer to outside of the records, each once, in the version of the moment."""
        places, issues = self._named(matches)
        fresh = [one for one in dict.fromkeys(places) if one[0] in self._beside and one not in self._met]
        self._met.update(fresh)
        for row in self._ctx.store.rows_of(fresh):
            is_new = self._asked.since is None or row.updated > self._asked.since
            if is_new and row.type not in self._asked.filters:
                yield Listed(row.type, row.id, 4 * len(row.sealed or b""))
        yield from issues

    def _named(self, matches: Sequence[StoredVersion]) -> tuple[list[Place], list[OutcomeIssue]]:
        """Return the places; where one answer does not hold those of all, halves of the matches are asked."""
        found, is_cut = surroundings.around(matches, lambda one: bool(owners_of(one, self._ctx)), self._ctx)
        if not is_cut:
            return [(one.type, one.id) for one in found], []
        if len(matches) == 1:
            (one,) = matches
            told = (f"{one.type}/{one.id} refers to more than {surroundings.MOST} resources outside of the record, "
                    "or to more than are read for it; some of them are missing, and can be read by their addresses.")
            return [(each.type, each.id) for each in found], [OutcomeIssue("incomplete", told, severity="warning")]
        half = len(matches) // 2
        first, then = self._named(matches[:half]), self._named(matches[half:])
        return [*first[0], *then[0]], [*first[1], *then[1]]

    def _filtered_beside(self) -> Iterator[Entry]:
        """Yield of what the records refer to that of which a filter is asked, as far as it meets one."""
        for type_name in sorted(self._beside.intersection(self._asked.filters)):
            ids = sorted(id_ for kind, id_ in self._met if kind == type_name)
            for start in range(0, len(ids), _IDS):
                yield from self._meeting(type_name, ids[start : start + _IDS])

    def _meeting(self, type_name: str, ids: Sequence[str]) -> Iterator[Listed]:
        met: dict[str, Listed] = {}
        for number, each in enumerate(self._asked.filters[type_name]):
            query = of_type(type_name, (_among(ids), *each), number)
            for page in pages(replace(query, self_link=(("_export", f"{type_name}.{number}.{ids[0]}"),)), self._ctx):
                met.update((one.id, listed(one)) for one in page.matches
                           if self._asked.since is None or one.updated > self._asked.since)
        yield from met.values()


def _cut(page: SearchPage, matches: list[StoredVersion]) -> SearchPage:
    """Return a page with fewer matches, of which what was included is asked anew."""
    return page if len(matches) == len(page.matches) else replace(page, matches=matches, is_cut=True)


def _among(ids: Sequence[str]) -> Criterion:
    return criteria.parse("Resource", "_id", ",".join(ids), Reading())
