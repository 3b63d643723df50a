"""_include and _revinclude: resources that matches refer to, and that refer to matches; within the grant.

https://hl7.org/fhir/R4/search.html#revinclude. One statement for each type that is included, one for each _revinclude;
never one for each match.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Select, bindparam, select
from sqlalchemy.types import BigInteger

from hie.errors import Forbidden
from hie.fhir import references
from hie.fhir.facts import RESOURCE_TYPES
from hie.fhir.search_parameters import IndexValues, answering
from hie.store.contents import MOST_BYTES
from hie.store.named_versions import NamedVersions, number
from hie.store.opening import size_of, up_to
from hie.store.prepared import Prepared
from hie.store.rows import Current
from hie.store.search import canonical_inclusion, chain, grants, instant, reference
from hie.store.search.blinding import hash_of
from hie.store.search.canonical_inclusion import Named
from hie.store.search.clauses import AnyToken, Clause, Shaped, both
from hie.store.search.index import place as place_of
from hie.store.search.joined_clauses import Linked
from hie.store.search.plan import plan_of
from hie.store.search.query import Include
from hie.store.search.reference_walks import reference_walk
from hie.store.search.seen import TOLD
from hie.store.search.sql import Sql
from hie.store.search.statements import at_instant, prepared, run, sql_for
from hie.store.search.tables import COLUMNS, How, place
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: One answer includes at most so many resources, and :iterate goes on from included ones so many times.
MOST_INCLUDED = 1_000
MOST_ROUNDS = 10
#: So many superseded versions are read for one answer, each by its key.
MOST_VERSIONS = 100

Target = tuple[str, str]


def included(
    store: ResourceStore, includes: Sequence[Include], page: Sequence[StoredVersion]
) -> tuple[list[StoredVersion], bool]:
    """Return what the directives add to the page's matches, each resource once, and whether more was left out."""
    if store.reading is not None:
        store.reading.include()
    adding = _Adding(store, {(one.type, one.id) for one in page if one.fragment is None})
    adding.add(includes, [one if one.fragment is None else _by_itself(one) for one in page])
    again = [one for one in includes if one.iterate]
    before = 0
    for _ in range(MOST_ROUNDS if again else 0):
        fresh, before = adding.result[before:], len(adding.result)
        if not fresh or adding.is_cut:
            break
        adding.add(again, fresh)
    result = adding.result[:MOST_INCLUDED]
    is_cut = adding.is_cut or (bool(again) and adding.would_go_on(again, adding.result[before:]))
    return result, is_cut


def _by_itself(part: StoredVersion) -> StoredVersion:
    """Return a contained resource as what refers; its container's id is not its own."""
    return part._replace(type=orjson.loads(part.content or b"{}")["resourceType"], id=f"#{part.fragment}")


class _Adding:
    """What is included so far; what is known already is never included again, so circles end."""

    def __init__(self, store: ResourceStore, known: set[Target]) -> None:
        self._store, self._known = store, known
        self._versions, self._bytes_left = NamedVersions(store, MOST_VERSIONS), MOST_BYTES
        self.result: list[StoredVersion] = []
        self.is_cut = False

    def add(self, includes: Sequence[Include], sources: Sequence[StoredVersion]) -> None:
        """Include what the directives find from some resources."""
        forward = [one for one in includes if not one.reverse]
        if forward:
            self._keep(self._pointed(forward, sources))
        for directive in includes:
            if directive.reverse and not self.is_cut:
                room = MOST_INCLUDED + 1 - len(self.result) + len(self._known)
                self._keep(self._within(self._store.each_opened(_referring(self._store, directive, sources, room))))
                self._keep(self._within(canonical_inclusion.naming(self._store, directive, sources, room)))

    def would_go_on(self, includes: Sequence[Include], sources: Sequence[StoredVersion]) -> bool:
        """Tell whether a further round would find something."""
        before = len(self.result)
        if sources and not self.is_cut:
            self.add(includes, sources)
        return len(self.result) > before

    def _pointed(self, includes: Sequence[Include], sources: Sequence[StoredVersion]) -> list[StoredVersion]:
        named = canonical_inclusion.Named()
        targets: dict[Target, set[int | None]] = {}
        for type_name, id_, vid in _targets(self._store, includes, sources, named):
            targets.setdefault((type_name, id_), set()).add(vid)
        for target in named.found(self._store):
            targets.setdefault(target, set()).add(None)
        wanted = [target for target in targets if target not in self._known]
        room = MOST_INCLUDED - len(self.result)
        self.is_cut = self.is_cut or len(wanted) > room
        found = {(one.type, one.id): one for one in self._within(self._store.each_read(wanted[:room]))}
        named_ = [one for target in wanted[:room] if target in found
                  for one in self._versions.of(found[target], targets[target])]
        self.is_cut = self.is_cut or self._versions.is_cut
        return named_

    def _within(self, versions: Iterable[StoredVersion]) -> list[StoredVersion]:
        found, is_cut = up_to(versions, self._bytes_left)
        self.is_cut = self.is_cut or is_cut
        return found

    def _keep(self, found: Sequence[StoredVersion]) -> None:
        fresh = {(one.type, one.id, one.vid): one for one in found if (one.type, one.id) not in self._known}
        self._known.update((one.type, one.id) for one in found)
        self.result += fresh.values()
        self._bytes_left -= size_of(fresh.values())
        self.is_cut = self.is_cut or len(self.result) > MOST_INCLUDED


# ---- _include --------------------------------------------------------------------------------------------------------


def _targets(
    store: ResourceStore, includes: Sequence[Include], page: Sequence[StoredVersion], named: Named
) -> Iterator[tuple[str, str, int | None]]:
    for version in page:
        for directive in includes:
            if directive.source in (version.type, "*"):
                yield from _referred(directive, version, store.base_url, named)


def _referred(
    directive: Include, version: StoredVersion, base_url: str, named: Named
) -> Iterator[tuple[str, str, int | None]]:
    allowed = _allowed(directive)
    resource_ = orjson.loads(version.content or b"{}")  # references need no decimal's digits
    values = IndexValues(resource_)
    code = directive.parameter.code if directive.parameter else None
    reference_walk(version.type, code)(resource_, values)
    for value in values.references:
        to = references.parse(reference.target(value, base_url) or "")
        is_of_version = value[3] is not None and value[5] is not None  # a canonical's, which its URL leads to
        if to.kind == "relative" and to.type in allowed and to.id is not None and not is_of_version:
            yield to.type, to.id, number(value[5])
        if value[3] is not None:
            named.add(directive, version.type, value)


def _allowed(directive: Include) -> frozenset[str]:
    if directive.target:
        return frozenset({directive.target})
    return RESOURCE_TYPES if directive.parameter is None else chain.targets(directive.parameter)


# ---- _revinclude -----------------------------------------------------------------------------------------------------


def _referring(
    store: ResourceStore, directive: Include, page: Sequence[StoredVersion], room: int
) -> list[Current]:
    typed = directive.source != "*"
    try:
        granted = grants.clause(store, directive.source, "s") if typed else grants.over_types(store, "s")
    except Forbidden:
        return []
    by_url = directive.parameter is not None and chain.is_canonical(directive.parameter)
    allowed = _allowed(directive)
    targets = [one for one in page if one.type in allowed]
    if not targets or room <= 0 or by_url:  # hie.store.search.canonical_inclusion
        return []
    asked = _pointing(store, directive, targets)
    if granted is not None:
        asked = both([asked, granted])
    tells = store.reading is not None
    statement, names = _statement(store.database.dialect, Shaped(asked), typed, instant.how(store), tells)
    bound: dict[str, Any] = dict(zip(names, asked.values(), strict=True))
    bound |= {"tenant": store.tenant, "row_limit": room, **({"type": directive.source} if typed else {})}
    bound |= instant.bounds(store)
    rows = run(store.connection(), statement, bound, is_selective=False)
    if store.reading is not None:
        store.reading.included(rows)
    return [Current(*row[: len(COLUMNS)]) for row in rows]


def _pointing(store: ResourceStore, directive: Include, targets: Sequence[StoredVersion]) -> Clause:
    if directive.parameter is None and store.at is None:
        return Linked(tuple(place_of(one.type, one.id, store.blind) for one in targets))
    if directive.parameter is None:  # the past has no index of references: each parameter is asked
        types = sorted(store.grant.types("s")) if directive.source == "*" else [directive.source]
        pairs = [(one, code) for one in types for code, p in plan_of(one).parameters.items() if chain.is_chained(p)]
    else:
        pairs = [(directive.source, directive.parameter.code)]
    codes = {(one, base) for one, code in pairs for base in answering(plan_of(one).parameters, code)}
    hashed = [hash_of(store.blind, *one) for one in sorted(codes)]
    return AnyToken(tuple(hash_("to", f"{one.type}/{one.id}") for hash_ in hashed for one in targets))


@lru_cache(maxsize=512)
def _statement(
    dialect: str, asked: Shaped, typed: bool, how: How | None, tells: bool
) -> tuple[Prepared, tuple[str, ...]]:
    most = bindparam("row_limit", type_=BigInteger())

    def arm(sql: Sql) -> Select[Any]:
        found = sql.page(sql.tables.columns, asked.clause, place(sql.tables.row, typed))
        return found.order_by(sql.key).limit(most)

    if how is not None:
        both_of_them, names = at_instant(how, arm)
        found = select(both_of_them).order_by(both_of_them.c.key).limit(most)
    else:
        sql = sql_for(dialect)
        found = arm(sql)
        names = tuple(bind.key for bind in sql.binds)
    return prepared(found.add_columns(TOLD) if tells else found), names
