"""What chains and `_has` see at their other end of a state of the store that is over: of the first page, or of `_asOf`.

Few ends are found as they were then, and asked for by the tokens of references to them, which every version has, past
or not. Of many only what was changed since then matters. What was not is asked by the same join as now, held to what
was there then (hie.store.search.joins). What was replaced or deleted since is found in the past, and told to the join:
as places that are referred to, or as keys of resources of which it is known. The past has no index of references, so
its versions are opened for theirs; how many that are, writes since then decide, not the size of the store. Further
pages open them all; as of an instant, which may be years ago, no more than a search may, and else as many ends are
found by their ids. docs/adr/0018-record-as-of-an-instant.md
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, and_, bindparam, literal_column, select
from sqlalchemy.types import BigInteger, Text

from hie.fhir import references
from hie.fhir.search_parameters import IndexValues
from hie.store.integrity import literal_targets
from hie.store.models import DELETED, resource
from hie.store.opening import parsed
from hie.store.prepared import Listed, Prepared
from hie.store.reference_targets import WITNESSES
from hie.store.rows import Current
from hie.store.search import instant, joins, narrowed, reference
from hie.store.search.clauses import AnyToken, Clause, Either, Ids, Led, Shaped, both, either
from hie.store.search.criteria import Compiled
from hie.store.search.index import place as place_of
from hie.store.search.joined_clauses import Branch, Joined, JoinedThen, Linked
from hie.store.search.leading import has_keys
from hie.store.search.literal_references import literal_references
from hie.store.search.reference_walks import reference_walk
from hie.store.search.sql import Sql
from hie.store.search.statements import at_instant, prepared, run
from hie.store.search.tables import CURRENT, PAST, How, Tables, place, valid

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

Target = tuple[str, str]
_BATCH = 500
#: So many ends are asked for by their tokens alone, and so many versions of the past are opened without asking first
#: whether there is a shorter way: PostgreSQL looks each token up.
_FEW = 50


def forward(store: ResourceStore, type_name: str, code: str, joined: Clause, beside: Clause) -> Clause:
    """Return what referred by a parameter to a match then; `beside`: what else is asked of it."""
    if not isinstance(joined, Joined):  # nobody at the other end can match
        return joined
    few = _by_tokens(store, type_name, code, joined, _FEW)
    if few is not None:
        found = either([few, *joined.held])
        return Led(found) if isinstance(found, Either) and has_keys(found) else found
    try:
        gone = [place_of(one.type, row.id, store.blind)
                for one in joined.branches for row in _rows(store, one.type, one.clause, (PAST,))]
        known = tuple(_that_referred(store, type_name, code, joined, beside))
    except narrowed.TooMany:
        return either([*(_by_ids(store, type_name, code, one) for one in joined.branches), *joined.held])
    return JoinedThen(joined, tuple(gone), known, joined.rank)


def _by_ids(store: ResourceStore, type_name: str, code: str, branch: Branch) -> Clause:
    ids = narrowed.ids(store, branch.type, Compiled(branch.clause))
    return narrowed.referring(store, type_name, code, branch.type, ids)


def _that_referred(
    store: ResourceStore, type_name: str, code: str, joined: Joined, beside: Clause
) -> Iterator[int]:
    """Yield the keys of those whose version of then is past, and referred to a match."""
    past = list(islice(_rows(store, type_name, beside, (PAST,)), _FEW + 1))
    if not past:
        return
    by_tokens = _by_tokens(store, type_name, code, joined, _BATCH) if len(past) > _FEW else None
    if by_tokens is not None:
        yield from (row.key for row in _rows(store, type_name, both([beside, by_tokens]), (PAST,)))
        return
    to = {row.key: targets for row, targets in _referring(store, type_name, code, beside, (PAST,))}
    matching: set[Target] = set()
    for one in joined.branches:
        named = sorted({id_ for targets in to.values() for type_, id_ in targets if type_ == one.type})
        for start in range(0, len(named), _BATCH):
            asked = both([one.clause, Ids(tuple(named[start : start + _BATCH]))])
            matching.update((one.type, row.id) for row in _rows(store, one.type, asked, (CURRENT, PAST)))
    for key, targets in to.items():
        if not matching.isdisjoint(targets):
            yield key


def _by_tokens(store: ResourceStore, type_name: str, code: str, joined: Joined, most: int) -> Clause | None:
    """Return what referred to the matches, where these are fewer than so many, a batch at most; None: they are not."""
    found: list[Clause] = []
    left = most
    for one in joined.branches:
        rows = next(_batches(store, one.type, one.clause, (CURRENT, PAST), opens=False))
        left -= len(rows)
        if left <= 0:
            return None
        found.append(narrowed.referring(store, type_name, code, one.type, [row.id for row in rows]))
    return either(found)


def reverse(store: ResourceStore, source: str, code: str, type_name: str, joined: Joined) -> Clause:
    """Return what a match of the source type referred to then."""
    clause = joined.branches[0].clause
    try:
        return _reverse(store, source, code, type_name, joined, clause)
    except narrowed.TooMany:
        return narrowed.referred(store, source, code, type_name, Compiled(clause))


def _reverse(
    store: ResourceStore, source: str, code: str, type_name: str, joined: Joined, clause: Clause
) -> Clause:
    found = {target for _, targets in _referring(store, source, code, clause, (PAST,)) for target in targets}
    if source in WITNESSES or not store.keys.enforces_on_delete:  # else it outlives nothing that it refers to
        ended = _ended(store, type_name)
        if ended:
            asked = both([clause, Linked(ended)])
            found.update(target for _, targets in _referring(store, source, code, asked, (CURRENT,))
                         for target in targets)
    known = _keys(store, type_name, sorted(id_ for type_, id_ in found if type_ == type_name))
    return JoinedThen(joined, (), tuple(known), joined.rank)


def referred_by_any(store: ResourceStore, source: str | None, type_name: str | None, asked: Clause) -> tuple[int, ...]:
    """Return the keys of what matches of the source type (None: of any) referred to then, by whatever element.

    Of those that the index of references does not tell of: their version of then is past, or its target is deleted.
    """
    found = set(_literal_targets(store, source, asked, (PAST,)))
    if source in WITNESSES or not store.keys.enforces_on_delete:
        ended = _ended(store, type_name)
        if ended:
            to_them = both([asked, either([Linked(ended), AnyToken(ended)])])
            found.update(_literal_targets(store, source, to_them, (CURRENT,)))
    by_type: dict[str, list[str]] = {}
    for type_, id_ in sorted(found):
        if type_name in (None, type_):
            by_type.setdefault(type_, []).append(id_)
    return tuple(key for type_, ids in by_type.items() for key in _keys(store, type_, ids))


def _literal_targets(
    store: ResourceStore, source: str | None, asked: Clause, of: tuple[Tables, ...]
) -> Iterator[Target]:
    for rows in _batches(store, source, asked, of, opens=True):
        for version in store.each_opened([Current(*row) for row in rows]):
            yield from literal_targets(literal_references(parsed(version), b"", None, store.base_url))


def _ended(store: ResourceStore, type_name: str | None) -> tuple[int, ...]:
    """Return the places of what was there then and is deleted now: with it they left the index of references."""
    how = instant.how(store)
    assert how is not None  # noqa: S101 - the past is asked
    statement = _deleted_since(how, type_name is not None)
    rows = run(store.connection(), statement, _bound(store, type_name), is_selective=False)
    if store.seen is None or store.seen.at_instant:
        narrowed.check_number(len(rows), f"resources{_of_type(type_name)} that were deleted since")
    return tuple(sorted(place_of(row.type, row.id, store.blind) for row in rows))


@lru_cache
def _deleted_since(how: How, typed: bool) -> Prepared:
    then, now = PAST.row.c, resource.c
    is_deleted = and_(now.key == then.key, now.method == literal_column(str(DELETED)))
    return prepared(select(then.type, then.id).where(*place(PAST.row, typed=typed), valid(PAST, how), is_deleted))


_BY_ID = Listed(
    lambda ids: select(resource.c.key).where(*place(resource, typed=True), resource.c.id.in_(ids)), Text(), ("key",)
)


def _keys(store: ResourceStore, type_name: str, ids: list[str]) -> Iterator[int]:
    for part in _BY_ID.all(store.connection(), ids, {"tenant": store.tenant, "type": type_name}):
        yield from (row.key for row in part)


def _referring(
    store: ResourceStore, type_name: str, code: str, asked: Clause, of: tuple[Tables, ...]
) -> Iterator[tuple[Current, set[Target]]]:
    """Yield what matched then, and what it referred to by a parameter."""
    walk = reference_walk(type_name, code)
    for rows in _batches(store, type_name, asked, of, opens=True):
        current = [Current(*row) for row in rows]
        for row, version in zip(current, store.each_opened(current), strict=True):
            content = parsed(version)
            values = IndexValues(content)
            walk(content, values)
            yield row, set(_targets(store, values))


def _targets(store: ResourceStore, values: IndexValues) -> Iterable[Target]:
    for value in values.references:
        to = references.parse(reference.target(value, store.base_url) or "")
        if to.kind == "relative" and to.type is not None and to.id is not None:
            yield to.type, to.id


def _rows(store: ResourceStore, type_name: str, asked: Clause, of: tuple[Tables, ...]) -> Iterator[Any]:
    """Yield key and id of what matched then."""
    for rows in _batches(store, type_name, asked, of, opens=False):
        yield from rows


def _batches(
    store: ResourceStore, type_name: str | None, asked: Clause, of: tuple[Tables, ...], *, opens: bool
) -> Iterator[list[Any]]:
    how = instant.how(store)
    assert how is not None  # noqa: S101 - the past is asked
    statement, names = _statement(Shaped(asked), how, type_name is not None, of == (PAST,), of == (CURRENT,), opens)
    bound: dict[str, Any] = dict(zip(names, asked.values(), strict=True))
    bound |= {"row_limit": _BATCH, "behind": 0, **_bound(store, type_name)}
    looked_at, is_bounded = 0, store.seen is None or store.seen.at_instant
    while True:
        rows = run(store.connection(), statement, bound, is_selective=False)
        yield rows
        if len(rows) < _BATCH:
            return
        looked_at += len(rows)
        if is_bounded:
            narrowed.check_number(looked_at, f"resources{_of_type(type_name)} that were replaced since")
        bound["behind"] = rows[-1].key


def _bound(store: ResourceStore, type_name: str | None) -> dict[str, Any]:
    """Return what binds a statement to the tenant, to a type if one is asked, and to the past."""
    return {"tenant": store.tenant, **({} if type_name is None else {"type": type_name}), **instant.bounds(store)}


def _of_type(type_name: str | None) -> str:
    return "" if type_name is None else f" of type {type_name}"


@lru_cache(maxsize=256)
def _statement(
    shaped: Shaped, how: How, typed: bool, past_alone: bool, current_alone: bool, opens: bool
) -> tuple[Prepared, tuple[str, ...]]:
    most = bindparam("row_limit", type_=BigInteger())
    leads = has_keys(joins.driver_of(shaped.clause))

    def arm(sql: Sql) -> Select[Any]:
        tables = sql.tables
        columns = tables.columns if opens else (tables.row.c.key, tables.row.c.id)
        is_by_time = tables.is_past and (how.is_recent or not leads)  # what was replaced since is little
        found = (sql.recent if is_by_time else sql.page)(columns, shaped.clause, place(tables.row, typed=typed))
        return found.where(sql.key > bindparam("behind", type_=BigInteger())).order_by(sql.key).limit(most)

    tables = (PAST,) if past_alone else (CURRENT,) if current_alone else (CURRENT, PAST)
    both_of_them, names = at_instant(how, arm, tables)
    return prepared(select(both_of_them).order_by(both_of_them.c.key).limit(most)), names
