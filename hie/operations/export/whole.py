"""What bulk files of the system hold: all resources of the types that are wanted, each type by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hie.context import Context
from hie.fhir import search_parameters
from hie.fhir.instants import instant
from hie.interactions.bulk_export import Entry, Listed
from hie.operations.export.asked import LATEST, PROVENANCE, Asked, Filter
from hie.operations.export.associated import Associated
from hie.operations.export.pages import AT_ONCE, pages
from hie.operations.export.removed import removed
from hie.store.search import criteria
from hie.store.search.criteria import Criterion, Reading
from hie.store.search.engine import SearchPage
from hie.store.search.query import SearchQuery, SortKey
from hie.store.versions import StoredVersion


def whole(asked: Asked, ctx: Context) -> Iterator[Entry]:
    """Yield what the types have, and what was deleted of them."""
    associated = Associated(asked, ctx, beside=asked.provenance is not None and not _has_all(asked))
    for type_name in sorted(asked.types):
        if type_name == PROVENANCE and asked.provenance == LATEST:
            continue
        for page in pages_of_type(asked, type_name, ctx, associated):
            yield from (listed(one) for one in page.matches if associated.is_wanted(one))
            yield from associated.of(page)
    if asked.since is not None:
        yield from removed(asked, ctx)


def _has_all(asked: Asked) -> bool:
    """Tell whether every Provenance comes anyway."""
    return PROVENANCE in asked.types and PROVENANCE not in asked.filters and asked.provenance != LATEST


def pages_of_type(asked: Asked, type_name: str, ctx: Context, associated: Associated) -> Iterator[SearchPage]:
    """Yield what is of a type and meets one of its filters; what meets several comes once."""
    since = () if associated.beside or asked.since is None else (changed_after(asked.since),)
    seen: set[str] = set()
    filters = asked.filters.get(type_name, ((),))
    for number, each in enumerate(filters):
        query = of_type(type_name, (*since, *each), number)
        for page in pages(associated.with_its_own(query), ctx):
            if len(filters) > 1:
                page = replace(page, matches=[one for one in page.matches if one.id not in seen])
                seen.update(one.id for one in page.matches)
            yield page


def of_type(type_name: str, asked: Filter, number: int) -> SearchQuery:
    """Return a search whose pages nothing that is written meanwhile changes the order of."""
    sort = (SortKey(search_parameters.for_type(type_name)["_id"], descending=False),) if asked else ()
    tied = (("_export", f"{type_name}.{number}"),)
    return SearchQuery(type_name, asked, sort, AT_ONCE, "none", self_link=tied)


def changed_after(at: int) -> Criterion:
    """Return the criterion of what was changed later than an instant; versions are told apart by milliseconds."""
    return criteria.parse("Resource", "_lastUpdated", f"gt{instant(at)}", Reading())


def listed(one: StoredVersion) -> Listed:
    """Return a resource as a file has it."""
    return Listed(one.type, one.id, len(one.content or b""))
