"""Where a search for Binaries begins under a grant: at those that name nothing, or name what the token may see.

What a securityContext lets through is asked of each Binary (hie.store.search.security_context). Where the token's
scopes have conditions, few of very many may be left: what resources of a type must carry leads to the Binaries that
name them, a token of the Binary's own to those that name a resource of a type that no token decides, or none. That is
a superset: what leads is not what decides. docs/adr/0023-security-context.md
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from hie.fhir import search_parameters
from hie.fhir.scopes import BINARY, Grant, meeting
from hie.store.crypto import Blind
from hie.store.search import drivers, hops, proxies, security_context
from hie.store.search.clauses import NOTHING, REFERENCE, AllTokens, AnyToken, Both, Clause, Led, Token, both
from hie.store.search.counting import counted
from hie.store.search.joined_clauses import InContextOf

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore


def led(store: ResourceStore, clause: Clause, type_name: str) -> Clause:
    """Return a search's clause so that the Binaries that the token may see lead it, where these are few."""
    if type_name != BINARY or clause.rank <= REFERENCE or store.grant.meets_all("s"):
        return clause
    seen = _seen(store.blind, store.grant, search_parameters.installed())
    most = hops.FREQUENT[store.database.dialect]
    found = counted(store, seen, type_name, most)
    if found >= most or drivers.is_dense(store, found, type_name):
        return clause
    return both([Led(seen), clause])


@lru_cache(maxsize=256)
def _seen(blind: Blind, grant: Grant, _custom: object) -> InContextOf:
    tokens, carried = [security_context.named_token(None, blind)], list[int]()
    for name, asked in proxies.conditions(blind, grant, meeting("s")).items():
        match next((part for part in (asked.parts if isinstance(asked, Both) else (asked,)) if _is_token(part)), asked):
            case Token(hash_):
                carried.append(hash_)
            case AnyToken(hashes):
                carried += hashes
            case AllTokens(hashes):
                carried.append(hashes[0])
            case _ if asked != NOTHING:
                tokens.append(security_context.named_token(name, blind))
    return InContextOf(tuple(tokens), security_context.parameter(blind), tuple(carried))


def _is_token(part: Clause) -> bool:
    return isinstance(part, Token | AnyToken | AllTokens)
