"""One clause of what resources of several types must match, each type its own: hashes are of one type each.

It is short where it can be: 146 alternatives, each beside the type it is for, took SQLite five seconds to plan, and
where such stand in each other it refuses the statement ("Expression tree is too large").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
    alternatives = _alternatives(by_type)
    if alternatives:
        return either([over_types(one) for one in alternatives])
    alike: dict[Clause, list[str]] = {}
    by_token: dict[str, list[Clause]] = {}
    lacking: list[Clause] = []
    for name, clause in by_type.items():
        asked: list[Clause] = []
        for part in _parts(clause):
            if isinstance(part, Negation) and isinstance(part.part, Token | AnyToken):
                lacking.append(part.part)  # no other type has such a token
            else:
                asked.append(part)
        if any(map(tells_type, asked)):
            by_token[name] = asked
        else:
            alike.setdefault(both(asked), []).append(name)
    found = [both([Types(tuple(names)), clause]) for clause, names in alike.items()]
    if by_token:
        found.insert(0, _of_tokens(by_token))
    return both([either(found), negation(either(lacking))]) if lacking else either(found)


def _alternatives(by_type: Mapping[str, Clause]) -> list[dict[str, Clause]]:
    """Return the first, second ... of what several scopes for a type ask each, by type; empty where none asks two."""
    if not any(isinstance(one, Either) and any(isinstance(part, Both) for part in one.parts)
               for one in by_type.values()):
        return []
    found: list[dict[str, Clause]] = []
    for name, clause in by_type.items():
        for number, part in enumerate(clause.parts if isinstance(clause, Either) else (clause,)):
            if number == len(found):
                found.append({})
            found[number][name] = part
    return found


def _parts(clause: Clause) -> tuple[Clause, ...]:
    return clause.parts if isinstance(clause, Both) else (clause,)


def _of_tokens(by_type: Mapping[str, Sequence[Clause]]) -> Clause:
    """Let the tokens of all types lead, found by one question, to what each type asks beside.

    Further tokens are asked by one question too: the second of all types, the third, and so on.
    """
    firsts: list[Clause] = []
    further: list[dict[str, Clause]] = []
    guards: dict[Clause, list[str]] = {}
    for name, parts in by_type.items():
        first = next(part for part in parts if tells_type(part))
        firsts.append(first)
        number = 0
        for part in parts:
            if part is first:
                continue
            if not isinstance(part, Token | AnyToken):
                guards.setdefault(part, []).append(name)
                continue
            if number == len(further):
                further.append({})
            further[number][name] = part
            number += 1
    asked = [either(firsts)]
    for one in further:
        others = tuple(name for name in by_type if name not in one)
        asked.append(either([*([Types(others)] if others else []), *one.values()]))
    asked.extend(either([negation(Types(tuple(names))), clause]) for clause, names in guards.items())
    return both(asked)


def tells_type(asked: Clause) -> bool:
    """Tell whether it asks for tokens, which are hashed with the type that they are of."""
    if isinstance(asked, Both):
        return any(tells_type(part) for part in asked.parts)
    if isinstance(asked, Either):
        return all(tells_type(part) for part in asked.parts)
    return isinstance(asked, Token | AnyToken | AllTokens) or asked == NOTHING

