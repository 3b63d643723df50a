"""Which clauses an index answers by itself, so that a statement may begin with them."""

from __future__ import annotations

from hie.store.search.clauses import AllTokens, AnyToken, Both, Clause, Either, Ids, Led, Token, Types
from hie.store.search.joined_clauses import Holds, InContextOf, Joined, JoinedThen, Linked
from hie.store.search.range_clauses import Interval, Number

#: So many alternatives of several parts each are SELECTs of one statement, of which SQLite's parser takes only few.
MOST_ALTERNATIVES = 16


def is_range(clause: Clause) -> bool:
    """Tell whether an index of numbers or dates gives the keys that match (Sql.range_keys)."""
    if isinstance(clause, Interval):
        return clause.drives or clause.leads
    if isinstance(clause, Either):
        return all(is_range(part) for part in clause.parts)
    return isinstance(clause, Led | InContextOf) or (isinstance(clause, Number) and clause.leads)


def is_named(clause: Clause) -> bool:
    """Tell whether resources are asked for by their types and ids."""
    return isinstance(clause, Both) and any(isinstance(one, Ids) for one in clause.parts) and any(
        isinstance(one, Types) for one in clause.parts)


def has_keys(clause: Clause) -> bool:
    """Tell whether `keys` gives a SELECT."""
    if isinstance(clause, Both):
        return is_named(clause) or isinstance(clause.parts[0], Token | AnyToken | AllTokens)
    if isinstance(clause, Joined | JoinedThen):
        return clause.drives
    if isinstance(clause, Holds):
        return clause.leads
    if isinstance(clause, Either):
        alternatives = sum(isinstance(part, Both) for part in clause.parts)
        return alternatives <= MOST_ALTERNATIVES and all(has_keys(part) for part in clause.parts)
    return is_range(clause) or isinstance(clause, Token | AnyToken | AllTokens | Linked)
