"""What the criteria of conditional interactions match: https://hl7.org/fhir/R4/http.html#cond-update"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hie.errors import InvalidSearch, NotSupported
from hie.fhir.paging import CURSOR
from hie.fhir.search_parameters import IndexValues
from hie.store.search import pages
from hie.store.search.asked import asked_by
from hie.store.search.clauses import NotDecidable
from hie.store.search.index import IndexRows
from hie.store.search.query import SearchQuery, parse
from hie.store.search.written import WrittenRows
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

_NO_CRITERIA = frozenset({"_sort", "_include", "_revinclude", "_count", "_total", "_containedType", CURSOR})


def match(
    store: ResourceStore, type_name: str, parameters: Sequence[tuple[str, str]], most: int = 2
) -> list[StoredVersion]:
    """Return the matches of a conditional interaction, `most` at most; http.html#ccreate"""
    query = _condition(store, type_name, parameters)
    asked = asked_by(store, query)
    found, parts = pages.Found(), pages.unordered(store, asked)
    for row, version in pages.rows_behind(store, asked, parts, None, most):
        found.add(row, version)
    return [*pages.each_found(store, parts, found, most)]


def match_ids(
    store: ResourceStore, type_name: str, parameters: Sequence[tuple[str, str]], most: int
) -> list[str]:
    """Return the ids of what `match` returns; where the index decides, nothing is opened for them."""
    asked = asked_by(store, _condition(store, type_name, parameters))
    found = pages.rows_behind(store, asked, pages.unordered(store, asked), None, most)
    return [version.id if version is not None else row.id for (_, row), version in found]


@dataclass(frozen=True, slots=True)
class Unstored:
    """A resource that a transaction is about to store."""

    id: str
    rows: IndexRows
    values: IndexValues


def match_unstored(
    store: ResourceStore, type_name: str, parameters: Sequence[tuple[str, str]], resources: Sequence[Unstored]
) -> list[str]:
    """Return the ids of those that match; NotSupported for criteria that only the database can judge."""
    (arm,) = asked_by(store, _condition(store, type_name, parameters)).arms
    try:
        return [one.id for one in resources
                if arm.clause.holds(one.rows) and all(verify(one.values) for verify in arm.verify)]
    except NotDecidable:
        raise NotSupported(
            f"These criteria cannot be judged on the {type_name} resources of the same Bundle; name those by their "
            "fullUrl, or use criteria on tokens, strings, references and uris.") from None


def match_written(
    store: ResourceStore, type_name: str, parameters: Sequence[tuple[str, str]], written: WrittenRows
) -> list[str]:
    """Return the ids of those that a transaction writes and that match; none where only the database could judge."""
    (arm,) = asked_by(store, _condition(store, type_name, parameters)).arms
    try:
        return [] if arm.verify else written.matching(arm.clause)
    except NotDecidable:
        return []


def _condition(store: ResourceStore, type_name: str, parameters: Sequence[tuple[str, str]]) -> SearchQuery:
    from hie.store.terminology import Later  # which searches by this module

    query = parse(type_name, parameters, base_url=store.base_url, now=store.clock(), default_count=2,
                  terminology=Later(store))
    names = [name for name, _ in parameters]
    other = next((name for name in names if name.partition(":")[0] in _NO_CRITERIA), None)
    if other is not None or not query.criteria:
        raise InvalidSearch("A condition consists of search criteria alone, and of one at least.",
                            expression=other or next(iter(names), None))
    return query
