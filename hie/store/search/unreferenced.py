"""What nothing refers to, of what the token may search: Microsoft's `_not-referenced`, by whatever element.

By one parameter it is `_has`, negated. https://learn.microsoft.com/azure/healthcare-apis/fhir/overview-of-search
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hie.store.reference_targets import WITNESSES
from hie.store.search import grants, then
from hie.store.search.clauses import EVERYTHING, Clause, negation
from hie.store.search.criteria import Compiled
from hie.store.search.joined_clauses import Referred

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore


def compile_(store: ResourceStore, source: str | None, type_name: str | None) -> Compiled:
    """Return the resources of a type (None: of any) to which none of `source` (None: of any type) refers. Forbidden"""
    part = _visible(store, source)
    known = then.referred_by_any(store, source, type_name, part) if store.at is not None else ()
    return Compiled(negation(Referred(source, part, known)))


def _visible(store: ResourceStore, source: str | None) -> Clause:
    """Return what the token may search of a type; of any type without what only bears witness, which keeps nothing."""
    if source is not None:
        allowed = grants.clause(store, source, "s")
    else:
        allowed = grants.over_types(store, "s", store.grant.types("s") - WITNESSES)
    return EVERYTHING if allowed is None else allowed
