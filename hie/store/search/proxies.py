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
from hie.store.search.clauses import (
    NOTHING,
    AllTokens,
    AnyToken,
    Both,
    Clause,
    Either,
    InContext,
    Negation,
    Token,
    Types,
    both,
    either,
    negation,
)
from hie.store.search.index import IndexRows
from hie.store.search.scope_conditions import Query, of_queries
from hie.store.search.statements import sql_for

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
    """Return the clause. Where many types have each the one condition, it asks one question for all of them."""
    free: list[str] = []
    parts: list[Clause] = []
    without: dict[str, int] = {}
    for name in sorted(RESOURCE_TYPES):
        queries = grant.conditions(name, letters)
        asked = None if queries is None else _understood(blind, name, queries)
        match asked:
            case None:
                free.append(name)
            case Negation(Token(hash_)):
                without[name] = hash_
            case _:
                parts.append(asked if _tells_type(asked) else both([Types((name,)), asked]))
    if free:
        parts.append(Types(tuple(free)))
    if without:
        parts.append(both([Types(tuple(without)), negation(either([Token(one) for one in without.values()]))]))
    return InContext(security_context.parameter(blind), either(parts))


def _understood(blind: Blind, type_name: str, queries: tuple[Query, ...]) -> Clause:
    try:
        return of_queries(blind, type_name, queries)
    except Forbidden:  # a scope for this type that is not understood any more opens nothing of it
        return NOTHING


def _tells_type(asked: Clause) -> bool:
    """Tell whether it asks for tokens, which are hashed with the type that they are of."""
    if isinstance(asked, Both):
        return any(_tells_type(part) for part in asked.parts)
    if isinstance(asked, Either):
        return all(_tells_type(part) for part in asked.parts)
    return isinstance(asked, Token | AnyToken | AllTokens) or asked == NOTHING
