"""What a search asks of the index: with the grant inside, and the tests of what the index cannot decide (D11)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from hie.store.search import (
    chained_order,
    containing,
    context_leads,
    drivers,
    grants,
    hops,
    ordering,
    pairs,
    rare,
    several,
)
from hie.store.search.clauses import EVERYTHING, REFERENCE, Clause, both
from hie.store.search.criteria import Compiled, Criterion, Verify
from hie.store.search.merged import merged
from hie.store.search.page_statements import is_of_tokens
from hie.store.search.query import Containment, SearchQuery

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore


class Arm(NamedTuple):
    """One question to the index, with the grant, and the tests of what the index cannot decide.

    `inside`: it is asked of contained resources (hie.store.search.containing).
    """

    clause: Clause
    verify: tuple[Verify, ...]
    inside: bool = False
    order: str | None = None
    """The order that it has where no _sort says one (hie.store.search.ordering.order_asked); None: of what leads."""
    is_cheap: bool = False
    """Whether a count costs less than a page: all of a type, or what belongs to one person or identifier."""


class Asked(NamedTuple):
    """What a whole search asks: matches of one arm come before those of the next, and are none of these."""

    type: str | None
    arms: tuple[Arm, ...]

    @property
    def is_decided(self) -> bool:
        """Whether the index decides what matches."""
        return not any(arm.verify for arm in self.arms)


def asked_by(store: ResourceStore, query: SearchQuery) -> Asked:
    """Return what a search asks, with what the store's grant lets it see. Forbidden."""
    chained_order.check(store, query)
    if query.contained is not None:
        return _asked_contained(store, query, query.contained)
    return Asked(query.type, (_own(store, query),))


def _own(store: ResourceStore, query: SearchQuery) -> Arm:
    """Return what a search asks of the resources that stand by themselves."""
    return _over_types(store, query) if query.type is None else of_type(store, query, query.type)


def of_type(store: ResourceStore, query: SearchQuery, type_name: str) -> Arm:
    """Return what a search asks of the resources of one type that stand by themselves."""
    granted = grants.clause(store, type_name, "s")
    compiled = [*_compiled(store, query.criteria, type_name, granted)]
    asked = both(merged(query.criteria, [one.clause for one in compiled], type_name))
    order = _order(store, query, asked, sees_all=granted is None)
    permitted = asked if granted is None else both([asked, granted])
    verify = tuple(one.verify for one in compiled if one.verify is not None)
    is_cheap = _is_counted_cheaply(permitted)
    whole = hops.settled(store, rare.settled(store, permitted))
    if query.contained is None or not query.contained.whole:  # else it is asked beside other types
        whole = drivers.settled(store, whole, type_name, pairs.together(query.criteria, store.blind, type_name))
        whole = context_leads.led(store, whole, type_name)
    return Arm(whole, verify, order=order, is_cheap=is_cheap)


def _compiled(
    store: ResourceStore, criteria: Sequence[Any], type_name: str, granted: Clause | None
) -> list[Compiled]:
    """Return what the index is asked for each criterion; on further pages chains learn what stands beside them."""
    if store.at is None or all(isinstance(one, Criterion) for one in criteria):
        return [hops.compile_(store, one, type_name) for one in criteria]
    plain = {n: hops.compile_(store, one, type_name) for n, one in enumerate(criteria) if isinstance(one, Criterion)}
    beside = both([*(one.clause for one in plain.values()), *([] if granted is None else [granted])])
    return [plain.get(n) or hops.compile_(store, one, type_name, beside) for n, one in enumerate(criteria)]


def _asked_contained(store: ResourceStore, query: SearchQuery, how: Containment) -> Asked:
    """Return what a search asks that looks at contained resources."""
    containing.check(store, query)
    own = None if how.alone else _own(store, query)
    if how.whole:
        alone = None if own is None else Compiled(own.clause, _every(own.verify))
        return Asked(None, tuple(Arm(one, ()) for one in containing.containers(store, query, alone)))
    found = containing.inside(store, query)
    verify = () if found.verify is None else (found.verify,)
    inside = Arm(found.clause, verify, inside=True, is_cheap=_is_counted_cheaply(found.clause))
    return Asked(query.type, (inside,) if own is None else (own, inside))


def _every(tests: tuple[Verify, ...]) -> Verify | None:
    return (lambda found: all(test(found) for test in tests)) if tests else None


def _over_types(store: ResourceStore, query: SearchQuery) -> Arm:
    granted = grants.over_types(store, "s", query.types)
    names = sorted(query.types or store.grant.types("s"))
    compiled = [several.of_each(store, one, names, partial(hops.compile_, store, one)) for one in query.criteria]
    parts = [one.clause for one in compiled]
    whole = both(parts if granted is None else [*parts, granted])
    verify = tuple(one.verify for one in compiled if one.verify is not None)
    order, is_cheap = _order(store, query, both(parts), sees_all=granted is None), _is_counted_cheaply(whole)
    return Arm(hops.settled(store, rare.few_led(store, whole)), verify, order=order, is_cheap=is_cheap)


def _order(store: ResourceStore, query: SearchQuery, asked: Clause, *, sees_all: bool) -> str | None:
    """Tell it by what is asked, before the grant is added and others' resources decide what leads, which it would tell.

    Who sees all may be told: on SQLite, where what leads is counted. PostgreSQL's statistics are of all tenants.
    """
    return None if sees_all and store.database.dialect == "sqlite" else ordering.order_asked(query, asked)


def _is_counted_cheaply(clause: Clause) -> bool:
    """Tell it by what is asked, not by how many there are in all, which a total that is given would tell."""
    return clause == EVERYTHING or (is_of_tokens(clause) and clause.rank <= REFERENCE)
