"""Tokens that few resources carry lead a search on PostgreSQL, of whatever parameter they are.

The order of kinds (hie.store.search.clauses) takes a code or a name for something that many resources may have. In a
large store most names and many codes belong to few, and the planner, which expects a thousandth of all resources
of any token that is not among the commonest, reads the index of the whole type beside that of tokens to have fewer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hie.store.search.clauses import RANGE, REFERENCE, AllTokens, AnyToken, Both, Clause, Token, both

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore


def settled(store: ResourceStore, clause: Clause) -> Clause:
    """Return the clause so that tokens which the statistics do not count among the common ones lead it.

    Tokens that stand behind dates stay there: where a date leads, pages are in its order, which must not change with
    the statistics from one page to the next.
    """
    if clause.rank <= REFERENCE or store.at is not None:  # what is past has tokens of its own
        return clause
    common = store.database.common_tokens()
    if common is None:
        return clause
    parts = clause.parts if isinstance(clause, Both) else (clause,)
    return both([_led(part, common) for part in parts])


def _led(part: Clause, common: frozenset[int]) -> Clause:
    """Return a rare token with the rank of what leads to few; anything else as it is."""
    if part.rank >= RANGE:
        return part
    match part:
        case Token(hash_) if hash_ not in common:
            return replace(part, rank=REFERENCE)
        case AllTokens(hashes) if not common.issuperset(hashes):
            return replace(part, rank=REFERENCE)
        case AnyToken(hashes) if common.isdisjoint(hashes):
            return replace(part, rank=REFERENCE)
    return part
