"""_include and _revinclude over canonical URLs: https://hl7.org/fhir/R4/references.html#canonical

The index knows no join by URL: what sources name, or what names them, is searched for by the URLs, and opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from hie.errors import Forbidden
from hie.fhir.facts import RESOURCE_TYPES
from hie.fhir.search_parameters import IndexValues
from hie.store.search import chain, grants, hops, narrowed
from hie.store.search.clauses import NOTHING, both, either
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
                if narrowed.is_meant(store, version, content, canonicals):
                    yield type_name, version.id


def naming(
    store: ResourceStore, directive: Include, page: Sequence[StoredVersion], room: int
) -> Iterator[StoredVersion]:
    """Yield what names resources of the page by the canonical URLs of a _revinclude, `room` of them at most."""
    if room <= 0:
        return
    if directive.source == "*":
        yield from islice(_naming_of_all(store, page), room)
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


def _naming_of_all(store: ResourceStore, page: Sequence[StoredVersion]) -> Iterator[StoredVersion]:
    """Yield what names resources of the page by whatever canonical parameter, of all types by one question."""
    own: dict[str, frozenset[Canonical]] = {}
    for type_name in {one.type for one in page} & _known_by_url():
        own[type_name] = frozenset(_canonicals(one for one in page if one.type == type_name))
    by_type: dict[str, list[Compiled]] = {}
    for source in sorted(store.grant.types("s")) if any(own.values()) else ():
        for parameter in filter(chain.is_canonical, plan_of(source).parameters.values()):
            found = frozenset().union(*(own[end] for end in own.keys() & chain.ends_of(parameter)))
            asked = narrowed.naming(store, source, parameter.code, found)
            if asked.clause != NOTHING:
                by_type.setdefault(source, []).append(asked)
    if not by_type:
        return
    clause = either([one.clause for parts in by_type.values() for one in parts])
    granted = grants.over_types(store, "s", frozenset(by_type))

    def verify(values: IndexValues) -> bool:
        return any(one.verify is None or one.verify(values) for one in by_type[values.root["resourceType"]])

    asked = Compiled(clause if granted is None else both([clause, granted]), verify)
    for version, _ in narrowed.matches(store, None, asked):
        yield version


@cache
def _known_by_url() -> frozenset[str]:
    """Return the types that canonical parameters of R4 lead to."""
    every = (one for type_name in RESOURCE_TYPES for one in plan_of(type_name).parameters.values())
    return frozenset().union(*map(chain.ends_of, filter(chain.is_canonical, every)))


def _canonicals(versions: Iterable[StoredVersion]) -> Iterator[Canonical]:
    for one in versions:
        yield from narrowed.canonicals_of(one)


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
