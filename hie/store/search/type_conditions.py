"""One clause of what resources of several types must match, each type its own: hashes are of one type each.

It is short where it can be: 146 alternatives, each beside the type it is for, took SQLite five seconds to plan.
"""

from __future__ import annotations

from collections.abc import Mapping

from hie.store.search.clauses import (
    NOTHING,
    AllTokens,
    AnyToken,
    Both,
    Clause,
    Either,
    Negation,
    Token,
    Types,
    both,
    either,
    negation,
)


def over_types(by_type: Mapping[str, Clause]) -> Clause:
    """Return what each type must match. Who asks for tokens need not name the type; who asks for none names all."""
    alike: dict[Clause, list[str]] = {}
    without: dict[str, tuple[int, ...]] = {}
    by_token: dict[str, Clause] = {}
    for name, clause in by_type.items():
        match clause:
            case Negation(Token(hash_)):
                without[name] = (hash_,)
            case Negation(AnyToken(several)):
                without[name] = several
            case _ if tells_type(clause):
                by_token[name] = clause
            case _:
                alike.setdefault(clause, []).append(name)
    parts = [both([Types(tuple(names)), clause]) for clause, names in alike.items()]
    if without:
        hashes = [one for each in without.values() for one in each]
        parts.append(both([Types(tuple(without)), negation(either([Token(one) for one in hashes]))]))
    return either([_of_tokens(by_token), *parts] if by_token else parts)


def _of_tokens(by_type: Mapping[str, Clause]) -> Clause:
    """Let the tokens of all types lead, found by one question, to what each type asks beside."""
    firsts: list[Clause] = []
    rest: dict[str, Clause] = {}
    for name, clause in by_type.items():
        parts = clause.parts if isinstance(clause, Both) else (clause,)
        first = next(part for part in parts if tells_type(part))
        firsts.append(first)
        if len(parts) > 1:
            rest[name] = both([part for part in parts if part is not first])
    if len(rest) == len(by_type) and all(isinstance(one, Token | AnyToken) for one in rest.values()):
        return both([either(firsts), either(list(rest.values()))])
    guards = [either([negation(Types((name,))), clause]) for name, clause in rest.items()]
    return both([either(firsts), *guards])


def tells_type(asked: Clause) -> bool:
    """Tell whether it asks for tokens, which are hashed with the type that they are of."""
    if isinstance(asked, Both):
        return any(tells_type(part) for part in asked.parts)
    if isinstance(asked, Either):
        return all(tells_type(part) for part in asked.parts)
    return isinstance(asked, Token | AnyToken | AllTokens) or asked == NOTHING

