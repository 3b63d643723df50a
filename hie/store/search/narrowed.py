"""Ends of chains that the index only narrows, such as `:contains`: found first, by opening the candidates.

What is found goes into the statement as ids or tokens. Nothing is cut in silence: where too many would have to be
opened, the search is refused. https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.types import BigInteger

from hie.errors import InvalidSearch
from hie.fhir import references
from hie.fhir.search_parameters import IndexValues, answering, extract
from hie.store.opening import parsed
from hie.store.prepared import Prepared
from hie.store.rows import Current
from hie.store.search import instant, reference
from hie.store.search.blinding import hash_of
from hie.store.search.clauses import CODE, NOTHING, REFERENCE, AnyToken, Clause, Ids, Shaped, either
from hie.store.search.criteria import Compiled
from hie.store.search.plan import plan_of
from hie.store.search.reference_walks import reference_walk
from hie.store.search.sql import Sql
from hie.store.search.statements import at_instant, prepared, run, sql_for
from hie.store.search.tables import CONTAINED, CONTAINED_PAST, CURRENT, PAST, How, place
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: So many candidates are opened for one end of a chain, about 50 µs each.
MOST_OPENED = 20_000
_BATCH = 500


class TooMany(InvalidSearch):
    code = "too-costly"


def ids(store: ResourceStore, type_name: str, asked: Compiled) -> list[str]:
    """Return the ids of the resources of a type that match; where the index decides, none is opened."""
    if asked.verify is None:
        return [row.id for rows in _candidates(store, type_name, asked) for row in rows]
    return [version.id for version, _ in matches(store, type_name, asked)]


def keys(store: ResourceStore, type_name: str | None, asked: Compiled) -> list[int]:
    """Return the keys of the resources that match, of one type or, None, of those that `asked` names."""
    return [row.key for row, _, _ in _opened(store, type_name, asked)]


def referring(store: ResourceStore, type_name: str, code: str, target: str, found: Sequence[str]) -> Clause:
    """Return the resources of a type that refer by a parameter to one of the found."""
    if not found:
        return NOTHING
    codes = answering(plan_of(type_name).parameters, code)
    hashed = [hash_of(store.blind, type_name, one) for one in codes]
    return AnyToken(tuple(hash_("to", f"{target}/{id_}") for hash_ in hashed for id_ in found), REFERENCE)


def referred(store: ResourceStore, source: str, code: str, type_name: str, asked: Compiled) -> Clause:
    """Return the resources of a type to which those of `source` that match refer by a parameter."""
    walk, found = reference_walk(source, code), set()
    for _, content in matches(store, source, asked):
        values = IndexValues(content)
        walk(content, values)
        for value in values.references:
            to = references.parse(reference.target(value, store.base_url) or "")
            if to.kind == "relative" and to.type == type_name and to.id is not None:
                found.add(to.id)
    return Ids(tuple(sorted(found))) if found else NOTHING


#: URL and version: of a resource, which may have none, or as a canonical reference names them, which may mean any.
#: What a canonical names may also be a place on this server, `Type/id`, as R4's own examples write it.
Canonical = tuple[str, str | None]


def canonicals(store: ResourceStore, type_name: str, asked: Compiled) -> frozenset[Canonical]:
    """Return by what canonical references can name the resources of a type that match: URL or place, and version."""
    found = matches(store, type_name, asked)
    return frozenset(one for version, content in found for one in _named_by(version, content))


def _named_by(version: StoredVersion, content: dict[str, Any]) -> Iterator[Canonical]:
    own = content.get("version")
    of_version = own if isinstance(own, str) else None
    if isinstance(content.get("url"), str):
        yield content["url"], of_version
    yield f"{version.type}/{version.id}", of_version


def canonicals_of(version: StoredVersion) -> tuple[Canonical, ...]:
    """Return by what canonical references can name a resource."""
    return tuple(_named_by(version, parsed(version)))


def is_meant(
    store: ResourceStore, version: StoredVersion, content: dict[str, Any], found: frozenset[Canonical]
) -> bool:
    """Tell whether canonical references mean a resource: by a version it alone, by none each."""
    places = frozenset((reference.relative(url, store.base_url), named) for url, named in found)
    return any(
        one in places or (one[0], None) in places
        for own in _named_by(version, content)
        for one in [(reference.relative(own[0], store.base_url), own[1])]
    )


def naming(store: ResourceStore, type_name: str, code: str, found: frozenset[Canonical]) -> Compiled:
    """Return the resources of a type that refer by canonical URL to one of the found.

    One that names no version means every version; the index cannot tell it from one that names another.
    """
    if not found:
        return Compiled(NOTHING)
    codes = frozenset(answering(plan_of(type_name).parameters, code))
    hashed = [hash_of(store.blind, type_name, one) for one in codes]
    meant_ = frozenset((reference.relative(url, store.base_url), version) for url, version in found)
    known = frozenset(place for place, _ in meant_)
    clause = AnyToken(tuple(hash_("to", one) for hash_ in hashed for one in sorted(known)), REFERENCE)

    def is_named(url: str, version: str | None) -> bool:
        place = reference.relative(url, store.base_url)
        return place in known if version is None else (place, version) in meant_

    def verify(values: IndexValues) -> bool:
        return any(
            value[0] in codes and value[3] is not None and is_named(value[3], value[5]) for value in values.references
        )

    return Compiled(clause, verify)


def named(store: ResourceStore, source: str, code: str, asked: Compiled) -> frozenset[Canonical]:
    """Return what the resources of a type that match refer to by the canonical URLs of a parameter."""
    walk = reference_walk(source, code)
    found: set[Canonical] = set()
    for _, content in matches(store, source, asked):
        values = IndexValues(content)
        walk(content, values)
        found.update((value[3], value[5]) for value in values.references if value[3] is not None)
    return frozenset(found)


def by_url(store: ResourceStore, type_name: str, found: frozenset[Canonical]) -> Clause:
    """Return the resources of a type that have one of the URLs, or stand at one, in whatever version."""
    if not found:
        return NOTHING
    hash_ = hash_of(store.blind, type_name, "url")
    urls = sorted({url for url, _ in found})
    at = (references.parse(reference.relative(url, store.base_url)) for url in urls)
    standing = {one.id for one in at if one.kind == "relative" and one.type == type_name and one.id is not None}
    having = AnyToken(tuple(hash_("uri", url) for url in urls), CODE)
    return either([having, Ids(tuple(sorted(standing)))]) if standing else having


def meant(store: ResourceStore, type_name: str, asked: Compiled, found: frozenset[Canonical]) -> Clause:
    """Return those of the asked resources that canonical references mean: by a version it alone, by none each."""
    known = set()
    for version, content in matches(store, type_name, asked):
        if is_meant(store, version, content, found):
            known.add(version.id)
    return Ids(tuple(sorted(known))) if known else NOTHING


def matches(
    store: ResourceStore, type_name: str | None, asked: Compiled
) -> Iterator[tuple[StoredVersion, dict[str, Any]]]:
    """Yield the resources of a type that match, opened."""
    for _, version, content in _opened(store, type_name, asked):
        yield version, content


def _opened(
    store: ResourceStore, type_name: str | None, asked: Compiled
) -> Iterator[tuple[Current, StoredVersion, dict[str, Any]]]:
    for rows in _candidates(store, type_name, asked):
        for row, version in zip(rows, store.each_opened(rows), strict=True):
            content = parsed(version)
            if asked.verify is None or asked.verify(extract(content)):
                yield row, version, content


def _candidates(store: ResourceStore, type_name: str | None, asked: Compiled) -> Iterator[list[Current]]:
    """Yield what the index finds, batch by batch; refused where that is too much."""
    if store.reading is not None:
        store.reading.hold()
    found, names = candidates(
        store.database.dialect, Shaped(asked.clause), instant.how(store), type_name is not None
    )
    bound = bounds(store, type_name, asked, names, _BATCH)
    looked_at = 0
    while True:
        rows = [Current(*row) for row in run(store.connection(), found, bound, is_selective=False)]
        yield rows
        if len(rows) < _BATCH:
            return
        looked_at += len(rows)
        check_number(looked_at, "resources" if type_name is None else f"resources of type {type_name}")
        bound["behind"] = rows[-1].key


def bounds(
    store: ResourceStore, type_name: str | None, asked: Compiled, names: Sequence[str], limit: int
) -> dict[str, Any]:
    """Return the values of `candidates` for its first rows."""
    bound: dict[str, Any] = dict(zip(names, asked.clause.values(), strict=True))
    bound |= {"tenant": store.tenant, "row_limit": limit, "behind": 0, **instant.bounds(store)}
    if type_name is not None:
        bound["type"] = type_name
    return bound


def check_number(opened: int, what: str) -> None:
    """Refuse to open more candidates than one search may."""
    if opened >= MOST_OPENED:
        raise TooMany(
            f"More than {MOST_OPENED} {what} would have to be opened for this search; narrow it, for example by a "
            "longer text, or by a beginning instead of :contains."
        )


@lru_cache(maxsize=256)
def candidates(
    dialect: str, shaped: Shaped, as_of: How | None, typed: bool, inside: bool = False
) -> tuple[Prepared, tuple[str, ...]]:
    """Return what gives candidates in the order of their keys, and the names of its values.

    `typed`: of one type; `inside`: those that resources contain.
    """
    most = bindparam("row_limit", type_=BigInteger())

    def arm(sql: Sql) -> Select[Any]:
        found = sql.page(sql.tables.columns, shaped.clause, place(sql.tables.row, typed))
        return found.where(sql.key > bindparam("behind", type_=BigInteger())).order_by(sql.key).limit(most)

    if as_of is not None:
        tables = (CONTAINED, CONTAINED_PAST) if inside else (CURRENT, PAST)
        both, names = at_instant(as_of, arm, tables)
        return prepared(select(both).order_by(both.c.key).limit(most)), names
    sql = sql_for(dialect, tables=CONTAINED if inside else CURRENT)
    return prepared(arm(sql)), tuple(bind.key for bind in sql.binds)
