"""Contained resources as they are found: opened from what contains them, and as the ends of chains.

A chain's last hop may lead into the resource that refers, to what it contains: search.html#contained,
docs/adr/0020-contained-resources.md
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from hie.errors import Forbidden, NotSupported
from hie.fhir import json_format, search_parameters
from hie.fhir.search_parameters import answering, extract
from hie.store.crypto import Blind
from hie.store.opening import parsed
from hie.store.rows import Current
from hie.store.search import contained_limits, grants, instant, logic, narrowed
from hie.store.search.chain import Asked
from hie.store.search.clauses import (
    CATEGORY,
    ID,
    NOTHING,
    AnyToken,
    Both,
    Clause,
    Either,
    Ids,
    Keys,
    Led,
    Negation,
    Shaped,
    Token,
    Types,
    both,
    either,
    negation,
)
from hie.store.search.criteria import Compiled
from hie.store.search.fragments import fragment_token, referred_token
from hie.store.search.joined_clauses import HeldBy, Holds
from hie.store.search.leading import is_range
from hie.store.search.plan import plan_of
from hie.store.search.statements import run
from hie.store.search.tables import CONTAINED
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: How many columns a row has before its sort values: those of its container, its place, and its container's key.
WIDTH = len(CONTAINED.columns)
BATCH = 500


# ---- what a chain ends in --------------------------------------------------------------------------------------------


def ends(
    store: ResourceStore, type_name: str, code: str, target: str, asked: Asked, compiled: Compiled
) -> Iterator[Holds]:
    """Yield the resources of a type that contain a match at the last hop of a chain, and refer to it by a parameter.

    `compiled` is what is asked of any resource of the target's type, the grant included. Parameters that are defined
    here do not index what is contained.
    """
    if not logic.is_testable(asked) or compiled.clause == NOTHING:
        return
    if search_parameters.has_custom() and not _is_lasting(store, asked):
        return
    if contained_limits.names_ids(store.grant, target):
        return
    codes = answering(plan_of(type_name).parameters, code)
    hashes = tuple(referred_token(type_name, one, store.blind) for one in codes)
    referred = Token(hashes[0], CATEGORY) if len(hashes) == 1 else AnyToken(hashes, CATEGORY)
    asked_here = by_fragment(compiled.clause, target, store.blind)
    if compiled.verify is None:
        clause = both([referred, led(asked_here)])
        yield Holds(target, clause, clause.rank)
        return
    allowed = grants.clause(store, type_name, "s")
    limits = [] if allowed is None else [HeldBy(both([Types((type_name,)), allowed]))]
    narrowing = Compiled(both([referred, asked_here, *limits]), compiled.verify)
    known = found(store, target, narrowing)
    if known != NOTHING:
        yield Holds(target, known, known.rank)


def _is_lasting(store: ResourceStore, asked: Any) -> bool:
    try:
        contained_limits.check_criteria(asked)
        contained_limits.check_grant(store.grant)
    except (NotSupported, Forbidden):
        return False
    return True


# ---- opening ---------------------------------------------------------------------------------------------------------


def opened(store: ResourceStore, rows: Sequence[Any]) -> Iterator[StoredVersion]:
    """Open the rows of contained resources: each is a part of its container, opened once for neighbours."""
    each = [list(some) for _, some in groupby(rows, key=lambda row: row.container)]
    containers = store.each_opened([Current(*some[0][: WIDTH - 2]) for some in each])
    for some, version in zip(each, containers, strict=True):
        parts = parsed(version)["contained"]
        yield from (_alone(version, parts[row.part]) for row in some)


def part_of(container: StoredVersion, fragment: str) -> StoredVersion:
    """Return a contained resource by its id."""
    return next(_alone(container, one) for one in parsed(container)["contained"] if one.get("id") == fragment)


def _alone(container: StoredVersion, part: dict[str, Any]) -> StoredVersion:
    return container._replace(content=json_format.dump(part), fragment=str(part.get("id", "")))


def by_fragment(clause: Clause, type_name: str, blind: Blind) -> Clause:
    """Return a clause so that it asks for the ids of contained resources, which no column has."""
    match clause:
        case Ids(ids):
            return either([Token(fragment_token(type_name, id_, blind), ID) for id_ in ids])
        case Both(parts):
            return both([by_fragment(part, type_name, blind) for part in parts])
        case Either(parts):
            return either([by_fragment(part, type_name, blind) for part in parts])
        case Negation(part):
            return negation(by_fragment(part, type_name, blind))
    return clause


def led(clause: Clause) -> Clause:
    """Let a range of numbers or further dates be found by its index before what contains it."""
    first, *rest = clause.parts if isinstance(clause, Both) else (clause,)
    return both([Led(first), *rest]) if is_range(first) else clause


def found(store: ResourceStore, type_name: str, asked: Compiled) -> Clause:
    """Return the contained resources of a type that match as those that were found."""
    return keys([row.key for row, _ in matches(store, type_name, asked)])


def keys(known: Sequence[int]) -> Clause:
    """Return rows that were found before."""
    return Keys(tuple(sorted(set(known)))) if known else NOTHING


def matches(store: ResourceStore, type_name: str | None, asked: Compiled) -> Iterator[tuple[Any, StoredVersion]]:
    """Yield the contained resources that match, opened; refused where too many would have to be.

    They are of one type or, None, of those that `asked` names.
    """
    if store.reading is not None:
        store.reading.hold()
    shaped, typed = Shaped(asked.clause), type_name is not None
    statement, names = narrowed.candidates(store.database.dialect, shaped, instant.how(store), typed, inside=True)
    bound = narrowed.bounds(store, type_name, asked, names, BATCH)
    looked_at = 0
    while True:
        rows = run(store.connection(), statement, bound, is_selective=False)
        for row, version in zip(rows, opened(store, rows), strict=True):
            if asked.verify is None or asked.verify(extract(parsed(version))):
                yield row, version
        if len(rows) < BATCH:
            return
        looked_at += len(rows)
        narrowed.check_number(looked_at, f"contained resources of type {type_name}" if typed else "contained resources")
        bound["behind"] = rows[-1].key
