"""Which resources, named as the securityContext of a Binary, let a token see it. docs/adr/0023-security-context.md

https://hl7.org/fhir/R4/binary.html#security-context
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from hie.errors import Forbidden
from hie.fhir import search_parameters
from hie.fhir.facts import RESOURCE_TYPES
from hie.fhir.scopes import Grant, meeting
from hie.store.crypto import Blind
from hie.store.search import security_context
from hie.store.search.clauses import EVERYTHING, NOTHING, Clause
from hie.store.search.index import IndexRows
from hie.store.search.joined_clauses import InContext
from hie.store.search.scope_conditions import Query, of_queries
from hie.store.search.statements import sql_for
from hie.store.search.type_conditions import over_types

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore


def in_context(store: ResourceStore, letter: str) -> InContext:
    """Return that a Binary names nothing, or what is there and covered by a scope of the token that meets it."""
    return in_context_met_by(store, meeting(letter))


def in_context_met_by(store: ResourceStore, letters: frozenset[str]) -> InContext:
    """Return the same of a scope that has one of some letters."""
    return _in_context(store.blind, store.grant, letters, search_parameters.installed())


def shows_context(store: ResourceStore, letter: str, rows: IndexRows) -> bool:
    """Tell the same of a Binary that is about to be replaced, by its index rows."""
    place = security_context.place_of(rows, store.blind)
    if place is None or store.grant.meets_all(letter):
        return True
    asked = in_context(store, letter)
    _, *behind = asked.values()
    values = iter(behind)
    sql = sql_for(store.database.dialect, supply=lambda: next(values))
    return security_context.stands(sql, store.connection(), place, asked.part)


@lru_cache(maxsize=256)
def _in_context(blind: Blind, grant: Grant, letters: frozenset[str], _custom: object) -> InContext:
    """Return the clause."""
    return InContext(security_context.parameter(blind), over_types(conditions(blind, grant, letters)))


def conditions(blind: Blind, grant: Grant, letters: frozenset[str]) -> dict[str, Clause]:
    """Return what the resources of each type must match that a Binary may name."""
    found: dict[str, Clause] = {}
    for name in sorted(RESOURCE_TYPES):
        queries = grant.conditions(name, letters)
        found[name] = EVERYTHING if queries is None else _understood(blind, name, queries)
    return found


def _understood(blind: Blind, type_name: str, queries: tuple[Query, ...]) -> Clause:
    try:
        return of_queries(blind, type_name, queries)
    except Forbidden:  # a scope for this type that is not understood any more opens nothing of it
        return NOTHING
