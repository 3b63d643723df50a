"""What chains and `_has` ask of the index: joins over references, with the grant at every hop (D11).

A resource that the token may not search is never at the other end of a join: neither found nor told apart through it.
Why joins and not two searches, and what the index of references tells: docs/adr/0012.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from hie.errors import Forbidden, NotSupported
from hie.fhir.search_parameters import answering
from hie.store.search import compiling, contained, grants, inside, joins, logic, narrowed, ordering, then, unreferenced
from hie.store.search.blinding import hash_of
from hie.store.search.chain import Asked, Chain, Has, Inside, PerType, Unreferenced, ends_of, is_canonical
from hie.store.search.clauses import (
    EVERYTHING,
    ID,
    IDENTIFIER,
    NOTHING,
    REFERENCE,
    WIDE,
    Both,
    Clause,
    Either,
    Ids,
    Negation,
    both,
    either,
)
from hie.store.search.counting import ANY_TYPE, counted
from hie.store.search.criteria import Compiled, Criterion
from hie.store.search.joined_clauses import Branch, Holds, Joined, JoinedThen
from hie.store.search.leading import has_keys, is_range
from hie.store.search.logic import LOGIC
from hie.store.search.plan import plan_of
from hie.store.search.range_clauses import Interval

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

T = TypeVar("T")

#: Where a join finds so many, resources here are looked at one by one instead, until the page is full. To find them all
#: first costs SQLite half a microsecond each, PostgreSQL two.
FREQUENT = {"sqlite": 30_000, "postgresql": 6_000}
#: A join that finds fewer drives the statement, before a code or a word.
FEW = 2_000


def compile_(store: ResourceStore, asked: Asked, type_name: str, beside: Clause = EVERYTHING) -> Compiled:
    """Return what the index is asked for one criterion of a search for a type, chained or not.

    `beside`: what is asked of the same resource too, for what must be opened (hie.store.search.then).
    """
    if isinstance(asked, Criterion):
        refuse_unindexed(store, asked)
        return compiling.compile_(asked, store.blind, type_name)
    if isinstance(asked, Chain):
        by_url = is_canonical(asked.parameter)
        return by_canonical(store, asked, type_name) if by_url else Compiled(
            _forward(store, asked, type_name, beside))
    if isinstance(asked, Has):
        return Compiled(_reverse(store, asked, type_name))
    if isinstance(asked, Unreferenced):
        return unreferenced.compile_(store, asked.source, type_name)
    if isinstance(asked, Inside):
        return inside.compile_(store, asked, type_name)
    if isinstance(asked, PerType):
        return compile_(store, dict(asked.by_type)[type_name], type_name, beside)
    if isinstance(asked, LOGIC):
        return logic.compile_(
            asked, store.blind, type_name,
            lambda part: compile_(store, part, type_name, beside),
            lambda part: Ids(tuple(narrowed.ids(store, type_name, within_grant(store, part, type_name)))),
        )  # fmt: skip
    return compiling.compile_(asked, store.blind, type_name)


def refuse_unindexed(store: ResourceStore, criterion: Criterion) -> None:
    """Refuse to ask for what the tenant's index does not hold."""
    if criterion.parameter.code == "_content" and not store.keys.content_words:
        raise NotSupported(
            "_content is not offered here: only words of narratives are indexed, for _text; HIE_CONTENT_SEARCH=true "
            "indexes those of every string.",
            expression="_content",
        )


def _forward(store: ResourceStore, chain: Chain, type_name: str, beside: Clause) -> Clause:
    open_ = open_ends(store, chain.ends)
    parameters = tuple(_parameters(store, type_name, chain.parameter.code))
    branches, known = [], []
    held: list[Holds] = []
    for one, asked in open_:
        compiled = granted(store, asked, one)
        held += contained.ends(store, type_name, chain.parameter.code, one, asked, compiled)
        if compiled.verify is not None:
            ids = narrowed.ids(store, one, compiled)
            known.append(narrowed.referring(store, type_name, chain.parameter.code, one, ids))
        elif compiled.clause != NOTHING:
            branches.append(Branch(one, parameters, compiled.clause))
    joined = _joined(branches, reverse=False, held=held)
    if store.at is not None:
        joined = then.forward(store, type_name, chain.parameter.code, joined, beside)
    return either([*known, joined])


def by_canonical(store: ResourceStore, chain: Chain, type_name: str) -> Compiled:
    """Return what refers by canonical URL to a match, whose URLs are read first: the index knows no such join."""
    found = [narrowed.canonicals(store, one, granted(store, asked, one)) for one, asked in open_ends(store, chain.ends)]
    return narrowed.naming(store, type_name, chain.parameter.code, frozenset().union(*found))


def open_ends(store: ResourceStore, ends: Sequence[tuple[str, T]]) -> list[tuple[str, T]]:
    """Return the ends of a chain that the token may search; Forbidden where it may search none."""
    found = [(one, asked) for one, asked in ends if one in store.grant.types("s")]
    if not found:
        wanted = ", ".join(one for one, _ in ends[:5])
        raise Forbidden(f"The token has no scope to search what the chain leads to: system/{wanted}.s is needed.")
    return found


def _reverse(store: ResourceStore, has: Has, type_name: str) -> Clause:
    compiled = granted(store, has.asked, has.source)
    if is_canonical(has.parameter):
        return _named(store, has, compiled, type_name)
    if compiled.verify is not None:
        return narrowed.referred(store, has.source, has.parameter.code, type_name, compiled)
    if compiled.clause == NOTHING:
        return NOTHING
    parameters = tuple(_parameters(store, has.source, has.parameter.code))
    branch = Branch(has.source, parameters, compiled.clause)
    joined = _joined([branch], reverse=True)
    if isinstance(joined, Joined) and store.at is not None:
        return then.reverse(store, has.source, has.parameter.code, type_name, joined)
    return joined


def _named(store: ResourceStore, has: Has, asked: Compiled, type_name: str) -> Clause:
    """Return what the matches of `source` name by canonical URL: they are opened first, then what has the URLs."""
    if asked.clause == NOTHING or type_name not in ends_of(has.parameter):
        return NOTHING
    found = narrowed.named(store, has.source, has.parameter.code, asked)
    if not found:
        return NOTHING
    having = Compiled(narrowed.by_url(store, type_name, found))
    return narrowed.meant(store, type_name, within_grant(store, having, type_name), found)


def granted(store: ResourceStore, asked: Asked, type_name: str) -> Compiled:
    """Return a criterion of the type at the other end together with what the token may search of it."""
    return within_grant(store, compile_(store, asked, type_name), type_name)


def within_grant(store: ResourceStore, compiled: Compiled, type_name: str) -> Compiled:
    """Return what is asked of a type together with what the token may search of it."""
    allowed = grants.clause(store, type_name, "s")
    clause = by_indexes(compiled.clause)
    return Compiled(clause if allowed is None else both([clause, allowed]), compiled.verify)


def by_indexes(clause: Clause) -> Clause:
    """Take an open-ended date of the row apart where two indexes answer it, as hie.store.search.ordering does."""
    if isinstance(clause, Interval) and clause.where == "date" and clause.prefix in ordering.OPEN_ENDED:
        return either([replace(clause, part=part) for part in ("near", "far")])
    return clause


def _parameters(store: ResourceStore, type_name: str, code: str) -> Iterator[int]:
    for one in answering(plan_of(type_name).parameters, code):
        yield hash_of(store.blind, type_name, one)()


def _joined(branches: list[Branch], *, reverse: bool, held: Sequence[Holds] = ()) -> Clause:
    """Return the join; each resource that matches there has a number of them here, so it lets through more."""
    if not branches:
        return either(held)
    rank = max(one.clause.rank for one in branches)
    rank = REFERENCE if rank <= IDENTIFIER else min(rank + 1, WIDE)
    return Joined(tuple(branches), reverse, True, rank, tuple(held))


# ---- where to begin --------------------------------------------------------------------------------------------------


def settled(store: ResourceStore, clause: Clause) -> Clause:
    """Return the clause so that a join that finds few drives it, and one that finds very many does not."""
    parts = clause.parts if isinstance(clause, Both) else (clause,)
    if not any(isinstance(part, Joined | JoinedThen) for part in parts):
        return clause
    is_first = isinstance(parts[0], Joined | JoinedThen)
    if parts[0].rank <= REFERENCE and not is_first:
        return clause
    most = FREQUENT[store.database.dialect] if is_first else FEW
    return both([_ranked(store, part, most) for part in parts])


def _ranked(store: ResourceStore, part: Clause, most: int) -> Clause:
    """Return a join ranked by what it finds, counted up to `most`; any other clause as it is."""
    if isinstance(part, JoinedThen):  # counted as on the first page, for the same order
        now = _ranked(store, _as_first(part.now), most)
        assert isinstance(now, Joined)  # noqa: S101 - as it was
        return replace(part, now=replace(part.now, drives=now.drives, rank=now.rank), rank=now.rank)
    if not isinstance(part, Joined) or not part.drives:
        return part
    found = _found(store, part, most)
    if found >= FREQUENT[store.database.dialect]:
        return replace(part, drives=False, rank=WIDE)
    return replace(part, rank=REFERENCE) if found < FEW else part


def _as_first(clause: Any) -> Any:
    """Return a clause as the first page asked it."""
    match clause:
        case JoinedThen(now):
            return _as_first(now)
        case Joined(branches):
            return replace(clause, branches=tuple(replace(one, clause=_as_first(one.clause)) for one in branches))
        case Both(parts) | Either(parts):
            return replace(clause, parts=tuple(map(_as_first, parts)))
        case Negation(part):
            return replace(clause, part=_as_first(part))
    return clause


def _found(store: ResourceStore, joined: Joined, most: int) -> int:
    """Count what a join finds; where the other end alone has as many as `most`, that says enough."""
    for branch in joined.branches:
        first = joins.driver_of(branch.clause)
        if store.database.dialect != "sqlite" and not is_range(first):
            continue
        if isinstance(first, Joined):
            at_other_end = _found(store, first, most)
        elif has_keys(first) or _is_of_row(first):
            at_other_end = counted(store, first, branch.type, most)
        else:
            at_other_end = 0 if first.rank == ID else most
        if at_other_end >= most:
            return most
    return counted(store, joined, ANY_TYPE, most)


def _is_of_row(clause: Clause) -> bool:
    """Tell whether a date of the row itself is asked, which an index of the type's rows answers."""
    parts = clause.parts if isinstance(clause, Either) else (clause,)
    return all(isinstance(part, Interval) and part.where != "index" and part.prefix != "ne" for part in parts)
