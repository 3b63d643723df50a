"""Searches with `_contained`: what is contained is asked by the same clauses as any resource of its type.

It is asked over tables of its own, under the grant of its own type and under that of what contains it.
docs/adr/0020-contained-resources.md, https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from hie.errors import NotSupported
from hie.store.search import (
    compiling,
    contained,
    contained_limits,
    drivers,
    grants,
    hops,
    logic,
    narrowed,
    several,
)
from hie.store.search.chain import Asked, Chain, Has, Inside, PerType, Unreferenced, is_canonical
from hie.store.search.clauses import REFERENCE, WIDE, Both, Clause, Types, both, either, negation
from hie.store.search.counting import ANY_TYPE, counted
from hie.store.search.criteria import Compiled, Criterion
from hie.store.search.fragments import fragment_hash
from hie.store.search.joined_clauses import Fragments, HeldBy, Holds
from hie.store.search.leading import is_range
from hie.store.search.logic import LOGIC

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore
    from hie.store.search.query import SearchQuery


#: So many ids, each of so many types, are looked up; of more than these each contained resource is compared with all.
MOST_LOOKED_UP = 2_000


def check(store: ResourceStore, query: SearchQuery) -> None:
    """Refuse what contained resources are not indexed by. NotSupported; Forbidden where a scope asks for it."""
    contained_limits.check(query)
    contained_limits.check_grant(store.grant)


def inside(store: ResourceStore, query: SearchQuery) -> Compiled:
    """Return what contained resources must match, with the grant of their type and of what contains them."""
    return _held(store, _within(store, query))


def _within(store: ResourceStore, query: SearchQuery) -> Compiled:
    """Return what contained resources must match, with the grant of their type."""
    if query.type is not None:
        compiled = [_by_fragment(store, one, query.type) for one in query.criteria]
        allowed = grants.clause(store, query.type, "s")
    else:
        names = sorted(query.types or store.grant.types("s"))
        compiled = [_of_several(store, one, names) for one in query.criteria]
        allowed = grants.over_types(store, "s", query.types)
    parts = [one.clause for one in compiled]
    tests = [one.verify for one in compiled if one.verify is not None]
    verify = (lambda found: all(test(found) for test in tests)) if tests else None
    return Compiled(both(parts if allowed is None else [*parts, allowed]), verify)


def _of_several(store: ResourceStore, asked: Asked, names: list[str]) -> Compiled:
    """Return what one criterion asks of several types; many ids of many types are compared, not looked up each."""
    first = asked.by_type[0][1] if isinstance(asked, PerType) else asked
    if isinstance(first, Criterion) and _are_many_ids(first, names):
        clause: Clause = Fragments(tuple(fragment_hash(str(id_), store.blind) for id_ in first.values))
        return Compiled(negation(clause) if first.modifier == "not" else clause)
    return several.of_each(store, asked, names, partial(_by_fragment, store, asked))


def _are_many_ids(asked: Criterion, names: list[str]) -> bool:
    is_of_ids = asked.parameter.code == "_id" and asked.modifier != "missing"
    return is_of_ids and len(asked.values) * len(names) > MOST_LOOKED_UP


def _by_fragment(store: ResourceStore, asked: Asked, type_name: str) -> Compiled:
    compiled = _compiled(store, asked, type_name)
    return Compiled(contained.by_fragment(compiled.clause, type_name, store.blind), compiled.verify)


def _held(store: ResourceStore, asked: Compiled) -> Compiled:
    """Add the grant of what contains them."""
    allowed = grants.over_types(store, "s")
    return asked if allowed is None else Compiled(both([asked.clause, HeldBy(allowed)]), asked.verify)


def containers(store: ResourceStore, query: SearchQuery, own: Compiled | None) -> list[Clause]:
    """Return what resources of any type must match that contain a match, or (`own`) are one; the parts exclude others.

    Sorted, they are one part, so that one order holds for all.
    """
    asked = _within(store, query)
    inside = asked.clause.parts if isinstance(asked.clause, Both) else (asked.clause,)
    held = _ranked(store, query.type, contained.led(both([hops.by_indexes(part) for part in inside])))
    if asked.verify is not None:
        found = contained.matches(store, query.type, _held(store, asked))
        held = contained.keys([row.container for row, _ in found])
    allowed = grants.over_types(store, "s")
    limits = [] if allowed is None else [allowed]
    if own is None:
        return [both([held, *limits])]
    if own.verify is not None:
        own = Compiled(contained.keys(narrowed.keys(store, query.type, own)))
    alone, first = own.clause, own.clause
    if query.type is not None:
        alone = both([Types((query.type,)), own.clause])
        first = both([Types((query.type,)), _led(store, own.clause, query.type)])
    if query.sort:
        return [both([either([alone, held]), *limits])]
    return [both([first, *limits]), both([held, negation(alone), *limits])]


def _led(store: ResourceStore, alone: Clause, type_name: str) -> Clause:
    """Return what stands by itself so that a range of few leads to it (hie.store.search.drivers)."""
    first = alone.parts[0] if isinstance(alone, Both) else alone
    if not is_range(first) or counted(store, first, type_name, drivers.FREQUENT) >= drivers.FREQUENT:
        return alone
    return contained.led(alone)


def _ranked(store: ResourceStore, type_name: str | None, inside: Clause) -> Clause:
    """Return what contains a match so that few of them lead, and of very many each resource is asked."""
    held = Holds(type_name, inside, inside.rank)
    if not held.leads:
        return held
    most = hops.FREQUENT[store.database.dialect]
    found = counted(store, held, ANY_TYPE, most)
    if found >= most:
        return replace(held, rank=WIDE)
    return replace(held, few=True, rank=REFERENCE if found < hops.FEW else held.rank)


def _compiled(store: ResourceStore, asked: Asked, type_name: str) -> Compiled:
    """Return what the index of contained resources is asked for one criterion."""
    if isinstance(asked, PerType):
        return _compiled(store, dict(asked.by_type)[type_name], type_name)
    if isinstance(asked, Has | Unreferenced):
        raise NotSupported("_has, _list and _not-referenced with _contained: only its container can refer to a "
                           "contained resource.", expression="_has")
    if isinstance(asked, Inside):
        raise NotSupported("A chain into a Bundle with _contained: a Bundle is not contained.", expression="_contained")
    if isinstance(asked, Chain) and is_canonical(asked.parameter):
        return hops.by_canonical(store, asked, type_name)
    if isinstance(asked, Chain):
        return Compiled(_chained(store, asked, type_name))
    if isinstance(asked, LOGIC):
        return logic.compile_(
            asked, store.blind, type_name,
            lambda part: _compiled(store, part, type_name),
            lambda part: contained.found(store, type_name, _resolving(store, part, type_name)),
        )  # fmt: skip
    if isinstance(asked, Criterion):
        hops.refuse_unindexed(store, asked)
    return compiling.compile_(asked, store.blind, type_name)


def _chained(store: ResourceStore, chain: Chain, type_name: str) -> Clause:
    """Return the contained resources that refer to a match that stands by itself: these are found first."""
    code = chain.parameter.code
    found = [
        narrowed.referring(store, type_name, code, one, narrowed.ids(store, one, hops.granted(store, asked, one)))
        for one, asked in hops.open_ends(store, chain.ends)
    ]
    return either(found)


def _resolving(store: ResourceStore, part: Compiled, type_name: str) -> Compiled:
    asked = hops.within_grant(store, part, type_name)
    return _held(store, Compiled(contained.by_fragment(asked.clause, type_name, store.blind), asked.verify))
