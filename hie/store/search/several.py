"""One criterion asked of several types: hashes are of one type each. https://hl7.org/fhir/R4/search.html#all"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hie.errors import InvalidSearch
from hie.fhir.search_parameters import IndexValues
from hie.store.search import compiling, hops, unreferenced
from hie.store.search.chain import Asked, PerType, Unreferenced
from hie.store.search.clauses import AnyToken, Both, Clause, Either, Ids, Negation, Types, both
from hie.store.search.criteria import BelongsTo, Compiled, Criterion, Verify
from hie.store.search.type_conditions import over_types
from hie.store.search.words import FullText

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

Compile = Callable[[str], Compiled]
"""What the criterion asks of one type."""
#: So many tokens one criterion may ask for, those of all types together: PostgreSQL looks up 10,000 in a second.
MOST_TOKENS = 30_000


class _TooMany(InvalidSearch):
    code = "too-costly"


def of_each(store: ResourceStore, criterion: Asked, names: Sequence[str], of_one: Compile) -> Compiled:
    """Return what one criterion asks of several types."""
    compiled = _of_each(store, criterion, names, of_one)
    found = _tokens(compiled.clause)
    if found > MOST_TOKENS:
        raise _TooMany(f"A criterion asks for {found} values of {len(names)} types together, more than {MOST_TOKENS}; "
                       "name fewer values, or the types that are meant by _type.", expression="_type")
    return compiled


def _tokens(clause: Clause) -> int:
    match clause:
        case AnyToken(hashes):
            return len(hashes)
        case Both(parts) | Either(parts):
            return sum(map(_tokens, parts))
        case Negation(part):
            return _tokens(part)
    return 1


def _of_each(store: ResourceStore, criterion: Asked, names: Sequence[str], of_one: Compile) -> Compiled:
    first = criterion.by_type[0][1] if isinstance(criterion, PerType) else criterion
    if isinstance(first, Criterion) and first.values and isinstance(first.values[0], FullText):
        hops.refuse_unindexed(store, first)
        return compiling.full_text(first.values[0], store.blind, names)
    if isinstance(first, BelongsTo):
        return Compiled(compiling.belonging(first, store.blind, names))
    if isinstance(first, Unreferenced):
        return unreferenced.compile_(store, first.source, None)
    compiled = {name: of_one(name) for name in names}
    verify = _by_type(compiled) if any(one.verify for one in compiled.values()) else None
    return Compiled(_over_types({name: one.clause for name, one in compiled.items()}, names), verify)


def _by_type(compiled: dict[str, Compiled]) -> Verify:
    """Return the test of resources of several types; of a type that the index decides, all pass."""

    def verify(found: IndexValues) -> bool:
        test = compiled[found.root["resourceType"]].verify
        return test is None or test(found)

    return verify


def _over_types(by_type: dict[str, Clause], names: Sequence[str]) -> Clause:
    if len(set(by_type.values())) == 1:
        one = by_type[names[0]]
        return both([one, Types(tuple(names))]) if isinstance(one, Ids) else one  # ids are indexed within their types
    return over_types(by_type)
