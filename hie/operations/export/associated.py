"""Where the Provenance of what is exported comes from: https://hl7.org/fhir/uv/bulkdata/STU2/export.html#query-parameters
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.fhir import json_format, references, search_parameters
from hie.fhir.instants import parse_instant
from hie.interactions.bulk_export import Listed
from hie.operations.export.asked import LATEST, PROVENANCE, Asked
from hie.operations.export.pages import AT_ONCE, pages
from hie.store.search import criteria
from hie.store.search.criteria import Reading
from hie.store.search.engine import SearchPage
from hie.store.search.query import Include, SearchQuery
from hie.store.search.reference import relative
from hie.store.versions import StoredVersion

_TARGET = "target"
#: So many places one search names.
_PLACES = 50
Place = tuple[str, str]


class Associated:
    """The Provenance of what is found, each once; `beside`: it comes with what it is of, whatever its own type says."""

    def __init__(self, asked: Asked, ctx: Context, *, beside: bool) -> None:
        self._asked, self._ctx = asked, ctx
        self.beside = beside and PROVENANCE in ctx.store.grant.types("r") & ctx.store.grant.types("s")
        self._shown: set[str] = set()

    def with_its_own(self, query: SearchQuery) -> SearchQuery:
        """Return a search that brings it as well."""
        if not self.beside:
            return query
        parameter = search_parameters.for_type(PROVENANCE)[_TARGET]
        return replace(query, includes=(Include(PROVENANCE, parameter, None, reverse=True),))

    def is_wanted(self, one: StoredVersion) -> bool:
        """Tell whether a match was changed since, and is no Provenance that stands in a file already."""
        if self._asked.since is not None and one.updated <= self._asked.since:
            return False
        if self.beside and one.type == PROVENANCE:
            if one.id in self._shown:
                return False
            self._shown.add(one.id)
        return True

    def of(self, page: SearchPage) -> Iterator[Listed]:
        """Yield the Provenance of a page's matches that is wanted."""
        places = [(one.type, one.id) for one in page.matches]
        yield from self.of_places(places) if page.is_cut else self._wanted(page.included, places)

    def of_places(self, places: Sequence[Place]) -> Iterator[Listed]:
        """Yield that of what stands at some places, by searches of its own."""
        for start in range(0, len(places) if self.beside else 0, _PLACES):
            some = places[start : start + _PLACES]
            yield from self._wanted(self._found(some), some)

    def _wanted(self, found: list[StoredVersion], places: Sequence[Place]) -> Iterator[Listed]:
        if not self.beside:
            return
        wanted = _latest(found, set(places), self._ctx) if self._asked.provenance == LATEST else found
        yield from (Listed(one.type, one.id, len(one.content or b"")) for one in wanted if self.is_wanted(one))

    def _found(self, places: Sequence[Place]) -> list[StoredVersion]:
        first, named = "/".join(places[0]), ",".join("/".join(one) for one in places)
        asked = criteria.parse(PROVENANCE, _TARGET, named, Reading())
        tied = (("_export", f"{first}.{len(places)}"),)
        query = SearchQuery(PROVENANCE, (asked,), (), AT_ONCE, "none", self_link=tied)
        return [one for page in pages(query, self._ctx) for one in page.matches]


def _latest(found: list[StoredVersion], own: Set[Place], ctx: Context) -> list[StoredVersion]:
    """Return that which was recorded last of each place; of those recorded at one time the last that was stored."""
    last: dict[Place, tuple[int, int, StoredVersion]] = {}
    for one in found:
        resource = json_format.parse(one.content or b"{}")
        when = (parse_instant(resource.get("recorded", "")) or 0, one.updated)
        for place in _targets(resource, ctx):
            if place in own and when >= last.get(place, (0, 0))[:2]:
                last[place] = (*when, one)
    return list({one.id: one for _, _, one in last.values()}.values())


def _targets(resource: dict[str, Any], ctx: Context) -> Iterator[Place]:
    for target in resource.get("target", ()):
        to = references.parse(relative(str(target.get("reference", "")), ctx.store.base_url))
        yield to.type or "", to.id or ""


def narrowed(page: SearchPage, matches: list[StoredVersion], ctx: Context) -> SearchPage:
    """Return a page with some of its matches, and their Provenance."""
    if len(matches) == len(page.matches):
        return page
    own = {(one.type, one.id) for one in matches}
    beside = [one for one in page.matches if one.type == PROVENANCE]  # what is a match is not included as well
    theirs = [one for one in (*page.included, *beside)
              if not own.isdisjoint(_targets(json_format.parse(one.content or b"{}"), ctx))]
    return replace(page, matches=matches, included=theirs)
