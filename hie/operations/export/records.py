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
from hie.operations.export.associated import Associated, narrowed
from hie.operations.export.pages import AT_ONCE, pages
from hie.operations.export.removed import removed
from hie.operations.export.whole import changed_after, listed, of_type
from hie.store.search import criteria
from hie.store.search.criteria import Criterion, InAnyCompartment, InSomeCompartment, Reading
from hie.store.search.engine import SearchPage
from hie.store.search.query import SearchQuery
from hie.store.versions import StoredVersion

_PATIENT = "Patient"
#: Ids that one search names, and patients.
_IDS, _PATIENTS = 100, 100
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
            yield from self._associated.of(self._of_what_comes(page))
            if self._beside:
                yield from self._around(page.matches)

    def _of_what_comes(self, page: SearchPage) -> SearchPage:
        """Return a page without what is only walked through, if Provenance is wanted of what comes alone."""
        if self._asked.provenance is None:
            return page
        return narrowed(page, [one for one in page.matches if one.type in self._shown], self._ctx)

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
                yield narrowed(page, of_visible_patients(page.matches, self._ctx), self._ctx)
            return
        met: set[Place] = set()
        for some in self._seen():
            place = InAnyCompartment(tuple(f"{_PATIENT}/{one}" for one in some), types)
            for page in pages(self._tied(query, place, f"{name}.{some[0]}"), self._ctx):
                yield narrowed(page, self._first_met(page.matches, met), self._ctx)

    def _first_met(self, matches: list[StoredVersion], met: set[Place]) -> list[StoredVersion]:
        """Leave out what is of several patients, and was met with others of them before."""
        if len(self._patients or ()) <= _PATIENTS:
            return matches
        found = []
        for one in matches:
            place = (one.type, one.id)
            if place in met:
                continue
            if len(owners_of(json_format.parse(one.content or b"{}"), self._ctx)) > 1:
                met.add(place)
            found.append(one)
        return found

    def _tied(self, query: SearchQuery, place: InAnyCompartment | InSomeCompartment, name: str) -> SearchQuery:
        """Return the search of one place, to which its cursors belong."""
        tied = (("_export", name),)
        held: Filter = (place, *query.criteria)
        return self._associated.with_its_own(replace(query, criteria=held, count=AT_ONCE, self_link=tied))

    def _seen(self) -> Iterator[list[str]]:
        """Yield the patients whom the token may read, some at a time."""
        patients = self._patients or ()
        for start in range(0, len(patients), _PATIENTS):
            some = [(_PATIENT, one) for one in patients[start : start + _PATIENTS]]
            seen = [row.id for row in self._ctx.store.rows_of(some)]
            if seen:
                yield seen

    # -- what they refer to ------------------------------------------------------------------------------------------

    def _around(self, matches: Sequence[StoredVersion]) -> Iterator[Entry]:
        """Yield what matches refer to outside of the records, each once, in the version of the moment."""
        found, issues = self._named(matches)
        fresh = [one for one in found if one[0] in self._beside and one not in self._met]
        self._met.update(fresh)
        for row in self._ctx.store.rows_of(fresh):
            is_new = self._asked.since is None or row.updated > self._asked.since
            if is_new and row.type not in self._asked.filters:
                yield Listed(row.type, row.id, found[row.type, row.id])
        yield from self._associated.of_places([one for one in fresh if one[0] not in self._asked.filters])
        yield from issues

    def _named(self, matches: Sequence[StoredVersion]) -> tuple[dict[Place, int], list[OutcomeIssue]]:
        """Return the places, and the bytes that stand there, or stood when they were referred to.

        Where one answer does not hold those of all, halves of the matches are asked.
        """
        found, is_cut = surroundings.around(matches, lambda one: bool(owners_of(one, self._ctx)), self._ctx)
        places = {(one.type, one.id): len(one.content or b"") for one in found}
        if not is_cut:
            return places, []
        if len(matches) == 1:
            (one,) = matches
            told = (f"{one.type}/{one.id} refers to more than {surroundings.MOST} resources outside of the record, "
                    "or to more than are read for it; some of them are missing, and can be read by their addresses.")
            return places, [OutcomeIssue("incomplete", told, severity="warning")]
        half = len(matches) // 2
        first, then = self._named(matches[:half]), self._named(matches[half:])
        return first[0] | then[0], [*first[1], *then[1]]

    def _filtered_beside(self) -> Iterator[Entry]:
        """Yield of what the records refer to that of which a filter is asked, as far as it meets one."""
        for type_name in sorted(self._beside.intersection(self._asked.filters)):
            ids = sorted(id_ for kind, id_ in self._met if kind == type_name)
            for start in range(0, len(ids), _IDS):
                yield from self._meeting(type_name, ids[start : start + _IDS])

    def _meeting(self, type_name: str, ids: Sequence[str]) -> Iterator[Listed]:
        met: dict[str, StoredVersion] = {}
        for number, each in enumerate(self._asked.filters[type_name]):
            query = of_type(type_name, (_among(ids), *each), number)
            for page in pages(replace(query, self_link=(("_export", f"{type_name}.{number}.{ids[0]}"),)), self._ctx):
                met.update((one.id, one) for one in page.matches)
        since = self._asked.since
        yield from (listed(one) for one in met.values() if since is None or one.updated > since)
        yield from self._associated.of_places([(type_name, id_) for id_ in met])


def _among(ids: Sequence[str]) -> Criterion:
    return criteria.parse("Resource", "_id", ",".join(ids), Reading())
