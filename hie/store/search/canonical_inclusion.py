"""_include and _revinclude over canonical URLs: https://hl7.org/fhir/R4/references.html#canonical

The index knows no join by URL: what sources name, or what names them, is searched for by the URLs, and opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hie.errors import Forbidden
from hie.store.search import chain, hops, narrowed
from hie.store.search.clauses import NOTHING
from hie.store.search.criteria import Compiled
from hie.store.search.narrowed import Canonical
from hie.store.search.plan import plan_of
from hie.store.search.query import Include
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore


class Named:
    """What sources of an _include name by canonical URLs, for each type that may have these."""

    def __init__(self) -> None:
        self._of_type: dict[str, set[Canonical]] = {}

    def add(self, directive: Include, type_name: str, value: Any) -> None:
        """Take one reference of a resource of a type; those that are no canonical URLs are left alone."""
        parameter = plan_of(type_name).parameters.get(value[0])
        if value[3] is None or parameter is None or not chain.is_canonical(parameter):
            return
        for end in chain.ends_of(parameter):
            if directive.target in (None, end):
                self._of_type.setdefault(end, set()).add((value[3], value[5]))

    def found(self, store: ResourceStore) -> Iterator[tuple[str, str]]:
        """Yield type and id of what is meant: by a version it alone, by none each; searched for, so under s."""
        for type_name, named in sorted(self._of_type.items()):
            canonicals = frozenset(named)
            having = Compiled(narrowed.by_url(store, type_name, canonicals))
            for version, content in _within_grant(store, type_name, having):
                if narrowed.is_meant(content, canonicals):
                    yield type_name, version.id


def naming(
    store: ResourceStore, directive: Include, page: Sequence[StoredVersion], room: int
) -> Iterator[StoredVersion]:
    """Yield what names resources of the page by the canonical URLs of a _revinclude, `room` of them at most."""
    if directive.source == "*" or room <= 0:
        return
    known = plan_of(directive.source).parameters.values()
    parameters = [directive.parameter] if directive.parameter is not None else list(known)
    for parameter in filter(chain.is_canonical, parameters):
        ends = chain.ends_of(parameter) if directive.target is None else {directive.target}
        found = frozenset(_canonicals(one for one in page if one.type in ends))
        asked = narrowed.naming(store, directive.source, parameter.code, found)
        for version, _ in _within_grant(store, directive.source, asked):
            if room <= 0:
                return
            room -= 1
            yield version


def _canonicals(versions: Iterable[StoredVersion]) -> Iterator[Canonical]:
    for one in versions:
        own = narrowed.canonical_of(one)
        if own is not None:
            yield own


def _within_grant(
    store: ResourceStore, type_name: str, asked: Compiled
) -> Iterator[tuple[StoredVersion, dict[str, Any]]]:
    if asked.clause == NOTHING:
        return
    try:
        within = hops.within_grant(store, asked, type_name)
    except Forbidden:
        return
    yield from narrowed.matches(store, type_name, within)
