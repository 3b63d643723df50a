"""Tokens that few resources carry lead a search, of whatever parameter they are.

The order of kinds (hie.store.search.clauses) takes a code or a name for something that many resources may have. In a
large store most names and many codes belong to few. PostgreSQL's statistics tell; its planner, which expects a
thousandth of all resources of any token that is not among the commonest, reads the index of the whole type beside that
of tokens to have fewer. On SQLite, of a token that many carry and one that far fewer do, the latter leads: they are
counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from hie.store.search.clauses import REFERENCE, WIDE, AllTokens, AnyToken, Both, Clause, Either, Led, Token, both
from hie.store.search.counting import ANY_TYPE, counted
from hie.store.search.leading import is_named

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: Up to so many a token is counted on SQLite; one that fewer than MANY carry leads as it is, one that AHEAD times as
#: many carry as another follows that.
FREQUENT, MANY, AHEAD = 10_000, 1_000, 4


def settled(store: ResourceStore, clause: Clause) -> Clause:
    """Return the clause so that tokens which the statistics do not count among the common ones lead it."""
    if clause.rank <= REFERENCE:
        return clause
    if store.database.dialect == "sqlite":
        led = few_led(store, clause)
        return led if store.at is not None else _fewest_first(store, led)
    if store.at is not None:  # what is past has tokens of its own, of which the statistics do not tell
        return clause
    common = store.database.common_tokens()
    if common is None:
        return clause
    parts = clause.parts if isinstance(clause, Both) else (clause,)
    return both([_led(part, common) for part in parts])


def few_led(store: ResourceStore, clause: Clause) -> Clause:
    """Return the clause so that what few resources carry leads it, where else a range or nothing would.

    Such is what a token's conditions ask, of all types as of one. What is found is sorted then, whatever the order.
    """
    parts = clause.parts if isinstance(clause, Both) else (clause,)
    if clause.rank <= REFERENCE or isinstance(parts[0], Token):
        return clause
    ways = [part for part in parts if _is_of_tokens(part)]
    if not ways or ways[-1] is parts[0]:
        return clause
    fewest = min(ways, key=lambda part: counted(store, part, ANY_TYPE, MANY))
    if fewest is parts[0] or counted(store, fewest, ANY_TYPE, MANY) >= MANY:
        return clause
    return both([Led(fewest), *(part for part in parts if part is not fewest)])


def _is_of_tokens(part: Clause) -> bool:
    """Tell whether the index of tokens leads to what matches, or that of ids."""
    if isinstance(part, Either):
        return all(map(_is_of_tokens, part.parts))
    if isinstance(part, Both):
        return is_named(part) or _is_of_tokens(part.parts[0])
    return isinstance(part, Token | AnyToken | AllTokens)


def _fewest_first(store: ResourceStore, clause: Clause) -> Clause:
    """Return the clause so that a token which far fewer resources carry than the first goes before it."""
    if not isinstance(clause, Both) or not isinstance(clause.parts[0], Token):
        return clause
    first, *rest = clause.parts
    others = [part for part in rest if isinstance(part, Token | AnyToken) and part.rank < WIDE]
    if not others:
        return clause
    found = counted(store, first, ANY_TYPE, FREQUENT)
    if found < MANY:
        return clause
    fewest = min(others, key=lambda part: counted(store, part, ANY_TYPE, found // AHEAD))
    if counted(store, fewest, ANY_TYPE, found // AHEAD) >= found // AHEAD:
        return clause
    return both([replace(fewest, rank=first.rank), *(part for part in clause.parts if part is not fewest)])


def _led(part: Clause, common: Mapping[int, int]) -> Clause:
    """Return a rare token with the rank of what leads to few; anything else as it is."""
    match part:
        case Token(hash_) if hash_ not in common:
            return replace(part, rank=REFERENCE)
        case AllTokens(hashes) if not common.keys() >= {*hashes}:
            return replace(part, rank=REFERENCE)
        case AnyToken(hashes) if common.keys().isdisjoint(hashes):
            return replace(part, rank=REFERENCE)
    return part
