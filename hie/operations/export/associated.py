"""Where the Provenance of what is exported comes from: https://hl7.org/fhir/uv/bulkdata/STU2/export.html#query-parameters
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.fhir import json_format, references, search_parameters
from hie.fhir.instants import parse_instant
from hie.interactions.bulk_export import Listed
from hie.operations.export.asked import LATEST, PROVENANCE, Asked
from hie.store.search import criteria
from hie.store.search.criteria import Reading
from hie.store.search.engine import SearchPage
from hie.store.search.query import Include, SearchQuery
from hie.store.search.reference import relative
from hie.store.versions import StoredVersion

_TARGET = "target"
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
        if not self.beside:
            return
        found = self._each(page.matches) if page.is_cut else page.included
        wanted = _latest(found, page.matches, self._ctx) if self._asked.provenance == LATEST else found
        yield from (Listed(one.type, one.id, len(one.content or b"")) for one in wanted if self.is_wanted(one))

    def _each(self, matches: list[StoredVersion]) -> list[StoredVersion]:
        """Return that of each by a search of its own, where one answer does not hold that of all."""
        found: dict[str, StoredVersion] = {}
        for one in matches:
            asked = criteria.parse(PROVENANCE, _TARGET, f"{one.type}/{one.id}", Reading())
            query = SearchQuery(PROVENANCE, (asked,), (), 500, "none", self_link=(("_export", f"{one.type}/{one.id}"),))
            while True:
                page = self._ctx.store.search(query)
                found.update((each.id, each) for each in page.matches)
                if page.next_cursor is None:
                    break
                query = replace(query, cursor=page.next_cursor)
        return list(found.values())


def _latest(found: list[StoredVersion], matches: list[StoredVersion], ctx: Context) -> list[StoredVersion]:
    """Return that which was recorded last of each match; of those recorded at one time the last that was stored."""
    own = {(one.type, one.id) for one in matches}
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
