"""Which of the resources that a transaction writes match criteria: judged by their index rows, without the database.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hie.store.search.clauses import AllTokens, AnyToken, Both, Clause, Either, Token
from hie.store.search.index import IndexRows


class WrittenRows:
    """The index rows of what is written of one type, by id; found by their tokens, as many criteria ask of many."""

    def __init__(self, rows: Mapping[str, IndexRows]) -> None:
        self._rows = rows
        self._carriers: dict[int, set[str]] = {}
        for id_, one in rows.items():
            for hash_ in one.tokens:
                self._carriers.setdefault(hash_, set()).add(id_)

    def matching(self, clause: Clause) -> list[str]:
        """Return the ids of those that match, as far as tokens tell; NotDecidable where they do not."""
        return sorted(id_ for id_ in self._led_to(clause) if clause.holds(self._rows[id_]))

    def _led_to(self, clause: Clause) -> Collection[str]:
        hashes = _leading(clause)
        if hashes is None:
            return self._rows.keys()
        return set().union(*(self._carriers.get(hash_, ()) for hash_ in hashes))


def _leading(clause: Clause) -> tuple[int, ...] | None:
    """Return tokens of which a match has one at least; None: the clause tells none."""
    match clause:
        case Token(hash_):
            return (hash_,)
        case AnyToken(hashes):
            return hashes
        case AllTokens(hashes):
            return hashes[:1]
        case Both(parts):
            return next((found for part in parts if (found := _leading(part)) is not None), None)
        case Either(parts):
            each = [_leading(part) for part in parts]
            return None if None in each else tuple(hash_ for one in each for hash_ in one or ())
    return None
