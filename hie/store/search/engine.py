"""Searches on the store: one page, its total, what it includes. https://hl7.org/fhir/R4/search.html

SQL narrows by the index, with the grant inside (D11); where the index cannot decide, opened resources are verified and
further rows fill the page. Statements are built once for each shape of search.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import groupby, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Executable, Select, bindparam, func, literal_column, select
from sqlalchemy.types import BigInteger

from hie.errors import InvalidSearch, NotSupported
from hie.fhir.search_parameters import IndexValues, extract
from hie.store.opening import parsed
from hie.store.prepared import Prepared
from hie.store.search import (
    contained,
    containing,
    cursors,
    drivers,
    estimate,
    grants,
    hops,
    inclusion,
    instant,
    opened_order,
    ordering,
    pairs,
    rare,
    relevance,
    several,
)
from hie.store.search.chain import PerType
from hie.store.search.clauses import (
    CODE,
    EVERYTHING,
    REFERENCE,
    AllTokens,
    AnyToken,
    Both,
    Clause,
    Either,
    Interval,
    NotDecidable,
    Number,
    Shaped,
    Token,
    both,
)
from hie.store.search.criteria import Compiled, Criterion, Verify
from hie.store.search.cursors import Cursors
from hie.store.search.grants import check_scope, matches, restriction, restriction_then
from hie.store.search.index import IndexRows
from hie.store.search.ordering import Key, Phase, Position, Way
from hie.store.search.query import Containment, SearchQuery, parse
from hie.store.search.reading import Reading, one_state, seen_by_page
from hie.store.search.seen import TOLD
from hie.store.search.sql import AccessPath, Sql
from hie.store.search.sqlite_sql import SqliteSql
from hie.store.search.statements import at_instant, prepared, run, sql_for
from hie.store.search.tables import COLUMNS, CONTAINED, CONTAINED_PAST, CURRENT, PAST, How, Tables, place
from hie.store.search.written import WrittenRows
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

__all__ = ["SearchPage", "Unstored", "check_scope", "match", "match_unstored", "matches", "restriction",
           "restriction_then", "search"]

#: Without _total, a page that does not hold all matches counts them up to here, where that costs little.
COUNTED = 1_000
#: Rows opened at a time where resources must be verified.
BATCH = 200
#: So many types are asked one by one at most, and by what kinds of parameters.
MOST_APART, RANGES = 10, frozenset({"date", "number", "quantity"})
#: Takes the keys of contained resources apart from those of others, where both are sorted together.
_BEFORE = 2**62


@dataclass(frozen=True, slots=True)
class SearchPage:
    """One page. `total` None: not asked for, or not known cheaply."""

    matches: list[StoredVersion]
    included: list[StoredVersion]
    total: int | None
    cursors: Cursors = cursors.NONE
    is_cut: bool = False
    """More would have been included than one answer holds (inclusion.MOST_INCLUDED)."""
    told: tuple[dict[str, Any], ...] = ()
    """What else is told of each match (hie.store.search.relevance); empty where nothing is."""

    @property
    def next_cursor(self) -> str | None:
        """The cursor of the page behind this one; None: the last page."""
        return self.cursors.next


def search(store: ResourceStore, query: SearchQuery) -> SearchPage:
    """Return one page of a search, nothing in it beyond the grant."""
    if query.cursor is not None or query.count == 0 or store.unit is not None:
        return _search(store, query)
    return one_state(store, partial(_search, query=query))


def _search(store: ResourceStore, query: SearchQuery) -> SearchPage:
    store, position, asked = _read_from(store, query)
    if query.sort and query.count and _is_sorted_opened(query, asked):
        return _page_opened(store, query, asked, position)
    if query.count == 0:
        return SearchPage([], [], None if query.total == "none" else _all(store, query, asked))
    parts = _parts(store, query, asked)
    if position is not None:
        ordering.check(position, [one.phase for one in parts])
    size, total = query.count, None
    if position is not None and position.is_end:
        total = _count(store, asked, None)
        size = cursors.last_page_size(total, size)
    found = _Found()
    for row, version in _rows(store, asked, parts, position, size + 1):
        found.add(row, version)
    more = len(found.rows) > size
    page = _opened(store, parts, found, size)
    if total is None:
        total = _total(store, query, asked, position, len(page), more)
    further = _place(parts, found, size, position) if more else None
    return _page_of(store, query, position, page, total, further)


def _read_from(store: ResourceStore, query: SearchQuery) -> tuple[ResourceStore, Position | None, _Asked]:
    """Return the store as the first page saw it, where the page begins, and what is asked.

    The past has no index of references, so that the other end of a chain is opened. Where that is too much, further
    pages are of what is current, behind the last row: a page is not refused that follows one that was answered.
    """
    position = ordering.open_(store, query)
    if position is None or position.at is None:
        return store, position, _asked(store, query)
    then = store.as_of(position.at, position.seen)
    try:
        return then, position, _asked(then, query)
    except InvalidSearch as error:
        if error.code != "too-costly" or store.at is not None:  # there the past is what was asked for
            raise
    return store, replace(position, at=None, seen=None), _asked(store, query)


def _place(parts: Sequence[_Part], found: _Found, size: int, position: Position | None) -> cursors.Place:
    """Return where the page ends: its last row, or read backwards the one before its first."""
    phase, row = found.rows[size if position is not None and position.backward else size - 1]
    return phase, _sort_values(parts[phase], row), row.key


def _page_of(
    store: ResourceStore,
    query: SearchQuery,
    position: Position | None,
    page: list[StoredVersion],
    total: int | None,
    further: cursors.Place | None,
) -> SearchPage:
    if position is not None and position.backward:
        page.reverse()
    included, is_cut = inclusion.included(store, query.includes, page) if query.includes else ([], False)
    if store.reading is not None:
        store.reading.confirm()
    saw = seen_by_page(store) if further is not None and position is None else None
    around = cursors.around(store, query, position, further, page, total, saw)
    is_of_containers = query.contained is not None and query.contained.whole
    return SearchPage(page, included, total, around, is_cut, () if is_of_containers else relevance.told(query, page))


def _page_opened(store: ResourceStore, query: SearchQuery, asked: _Asked, position: Position | None) -> SearchPage:
    """Return a page in an order that no index has (hie.store.search.opened_order)."""
    if store.reading is not None:
        store.reading.hold()
    ordered = opened_order.Sorted(query, position, query.count + 1)
    ordered.take(_each_opened(store, asked))
    size = query.count
    if position is not None and position.is_end:
        size = cursors.last_page_size(ordered.total, size)
    page = [version for _, (_, version) in ordered.found[:size]]
    further = None
    if len(ordered.found) > size:
        values, (key, _) = ordered.found[size if position is not None and position.backward else size - 1]
        further = 0, values, key
    return _page_of(store, query, position, page, None if query.total == "none" else ordered.total, further)


def _each_opened(store: ResourceStore, asked: _Asked) -> Iterator[tuple[int, StoredVersion]]:
    """Yield every match, opened a batch at a time."""
    behind: Position | None = None
    parts = _unordered(asked)
    while True:
        found = _Found()
        for row, version in _rows(store, asked, parts, behind, BATCH):
            found.add(row, version)
        opened = _opened(store, parts, found, BATCH)
        for (number, row), version in zip(found.rows, opened, strict=True):
            yield row.key - (_BEFORE if parts[number].arm.inside else 0), version
        if len(found.rows) < BATCH:
            return
        phase, last = found.rows[-1]
        behind = Position(phase, (), last.key)


def match(
    store: ResourceStore, type_name: str, parameters: Sequence[tuple[str, str]], most: int = 2
) -> list[StoredVersion]:
    """Return the matches of a conditional interaction, `most` at most; http.html#ccreate"""
    query = _condition(store, type_name, parameters)
    asked = _asked(store, query)
    found, parts = _Found(), _unordered(asked)
    for row, version in _rows(store, asked, parts, None, most):
        found.add(row, version)
    return _opened(store, parts, found, most)


def match_ids(
    store: ResourceStore, type_name: str, parameters: Sequence[tuple[str, str]], most: int
) -> list[str]:
    """Return the ids of what `match` returns; where the index decides, nothing is opened for them."""
    asked = _asked(store, _condition(store, type_name, parameters))
    found = _rows(store, asked, _unordered(asked), None, most)
    return [version.id if version is not None else row.id for (_, row), version in found]


@dataclass(frozen=True, slots=True)
class Unstored:
    """A resource that a transaction is about to store."""

    id: str
    rows: IndexRows
    values: IndexValues


def match_unstored(
    store: ResourceStore, type_name: str, parameters: Sequence[tuple[str, str]], resources: Sequence[Unstored]
) -> list[str]:
    """Return the ids of those that match; NotSupported for criteria that only the database can judge."""
    (arm,) = _asked(store, _condition(store, type_name, parameters)).arms
    try:
        return [one.id for one in resources
                if arm.clause.holds(one.rows) and all(verify(one.values) for verify in arm.verify)]
    except NotDecidable:
        raise NotSupported(
            f"These criteria cannot be judged on the {type_name} resources of the same Bundle; name those by their "
            "fullUrl, or use criteria on tokens, strings, references and uris.") from None


def match_written(
    store: ResourceStore, type_name: str, parameters: Sequence[tuple[str, str]], written: WrittenRows
) -> list[str]:
    """Return the ids of those that a transaction writes and that match; none where only the database could judge."""
    (arm,) = _asked(store, _condition(store, type_name, parameters)).arms
    try:
        return [] if arm.verify else written.matching(arm.clause)
    except NotDecidable:
        return []


def _condition(store: ResourceStore, type_name: str, parameters: Sequence[tuple[str, str]]) -> SearchQuery:
    from hie.store.terminology import Later  # which searches by this module

    query = parse(type_name, parameters, base_url=store.base_url, now=store.clock(), default_count=2,
                  terminology=Later(store))
    if not query.criteria or query.sort or query.includes or query.cursor:
        raise InvalidSearch("A condition consists of search criteria alone, and of one at least.")
    return query


# ---- what is asked ---------------------------------------------------------------------------------------------------


class _Arm(NamedTuple):
    """One question to the index, with the grant, and the tests of what the index cannot decide.

    `inside`: it is asked of contained resources (hie.store.search.containing).
    """

    clause: Clause
    verify: tuple[Verify, ...]
    inside: bool = False


class _Asked(NamedTuple):
    """What a whole search asks: matches of one arm come before those of the next, and are none of these."""

    type: str | None
    arms: tuple[_Arm, ...]

    @property
    def is_decided(self) -> bool:
        """Whether the index decides what matches."""
        return not any(arm.verify for arm in self.arms)


def _asked(store: ResourceStore, query: SearchQuery) -> _Asked:
    if query.contained is not None:
        return _asked_contained(store, query, query.contained)
    return _Asked(query.type, (_own(store, query),))


def _own(store: ResourceStore, query: SearchQuery) -> _Arm:
    """Return what a search asks of the resources that stand by themselves."""
    return _over_types(store, query) if query.type is None else _of_type(store, query, query.type)


def _of_type(store: ResourceStore, query: SearchQuery, type_name: str) -> _Arm:
    compiled = [hops.compile_(store, one, type_name) for one in query.criteria]
    parts = [one.clause for one in compiled]
    granted = grants.clause(store, type_name, "s")
    if granted is not None:
        parts.append(granted)
    verify = tuple(one.verify for one in compiled if one.verify is not None)
    whole = hops.settled(store, rare.settled(store, both(parts)))
    if query.contained is None or not query.contained.whole:  # else it is asked beside other types
        whole = drivers.settled(store, whole, type_name, pairs.together(query.criteria, store.blind, type_name))
    return _Arm(whole, verify)


def _asked_contained(store: ResourceStore, query: SearchQuery, how: Containment) -> _Asked:
    """Return what a search asks that looks at contained resources."""
    containing.check(store, query)
    own = None if how.alone else _own(store, query)
    if how.whole:
        alone = None if own is None else Compiled(own.clause, _every(own.verify))
        return _Asked(None, tuple(_Arm(one, ()) for one in containing.containers(store, query, alone)))
    found = containing.inside(store, query)
    inside = _Arm(found.clause, () if found.verify is None else (found.verify,), inside=True)
    return _Asked(query.type, (inside,) if own is None else (own, inside))


def _every(tests: tuple[Verify, ...]) -> Verify | None:
    return (lambda found: all(test(found) for test in tests)) if tests else None


def _over_types(store: ResourceStore, query: SearchQuery) -> _Arm:
    granted = grants.over_types(store, "s", query.types)
    names = sorted(query.types or store.grant.types("s"))
    compiled = [several.of_each(store, one, names, partial(hops.compile_, store, one)) for one in query.criteria]
    parts = [one.clause for one in compiled]
    whole = both(parts if granted is None else [*parts, granted])
    verify = tuple(one.verify for one in compiled if one.verify is not None)
    return _Arm(hops.settled(store, whole), verify)


# ---- pages -----------------------------------------------------------------------------------------------------------


class _Part(NamedTuple):
    """One ordered part of what one arm finds."""

    arm: _Arm
    phase: Phase
    apart: tuple[tuple[str, Clause], ...] = ()
    """Of several types what each is asked by itself; empty: they are asked together."""


def _parts(store: ResourceStore, query: SearchQuery, asked: _Asked) -> list[_Part]:
    return [_Part(arm, phase, _apart(store, query, arm, phase)) for arm in asked.arms
            for phase in ordering.phases(query, arm.clause, store.blind)]


def _unordered(asked: _Asked) -> list[_Part]:
    """Return what is asked in the order of keys."""
    return [_Part(arm, Phase(arm.clause, ())) for arm in asked.arms]


def _is_sorted_opened(query: SearchQuery, asked: _Asked) -> bool:
    """Tell whether no index has the order that a search asks for."""
    if opened_order.is_needed(query) or (query.sort and len(asked.arms) > 1):
        return True
    return asked.arms[0].inside and any(one.parameter.code == "_id" for one in query.sort)  # their ids are hashed


def _sort_values(part: _Part, row: Any) -> tuple[Any, ...]:
    start = contained.WIDTH if part.arm.inside else len(COLUMNS)
    return tuple(row[start : start + len(part.phase.keys)])


def _open_rows(store: ResourceStore, arm: _Arm, rows: Sequence[Any]) -> list[StoredVersion]:
    return contained.opened(store, rows) if arm.inside else store.open(rows)


class _Found:
    """Rows of a page with the phase each came from; a verified row has been opened already."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, Any]] = []
        self.versions: list[StoredVersion | None] = []

    def add(self, row: tuple[int, Any], version: StoredVersion | None) -> None:
        """Keep one row."""
        self.rows.append(row)
        self.versions.append(version)


def _opened(store: ResourceStore, parts: Sequence[_Part], found: _Found, count: int) -> list[StoredVersion]:
    if all(version is None for version in found.versions) and not parts[-1].arm.inside:
        return store.open([row for _, row in found.rows[:count]])
    rows, versions = found.rows[:count], found.versions[:count]
    closed = [(parts[number].arm, row) for (number, row), one in zip(rows, versions, strict=True) if one is None]
    opened: list[StoredVersion] = []
    for arm, some in groupby(closed, key=lambda one: one[0]):
        opened += _open_rows(store, arm, [row for _, row in some])
    following = iter(opened)
    return [next(following) if one is None else one for one in versions]


def _rows(
    store: ResourceStore, asked: _Asked, parts: Sequence[_Part], position: Position | None, wanted: int
) -> Iterator[tuple[tuple[int, Any], StoredVersion | None]]:
    """Yield up to `wanted` rows behind the position, phase after phase; or before it, backwards."""
    if store.reading is not None:
        _prepare(store.reading, parts)
    backward = position is not None and position.backward
    numbers = range(len(parts) - 1, -1, -1) if backward else range(len(parts))
    start = position.phase if position is not None and position.phase is not None else numbers[0]
    for number in numbers[numbers.index(start) :]:
        behind = position if position is not None and position.phase == number else None
        part = parts[number]
        limit = max(wanted, BATCH) if part.arm.verify else wanted
        while wanted > 0:
            rows = _fetch(store, asked, part, behind, limit, backward=backward)
            for row, version in _verified(store, part.arm, rows) if part.arm.verify else zip(rows, repeat(None)):
                yield (number, row), version
                wanted -= 1
                if wanted == 0:
                    return
            if len(rows) < limit:
                break
            last = rows[-1]
            way: Way = "before" if backward else "after"
            behind = Position(number, _sort_values(part, last), last.key, way=way)


def _prepare(reading: Reading, parts: Sequence[_Part]) -> None:
    """Let statements that are about to read a first page see the same."""
    if any(part.arm.verify for part in parts):
        reading.hold()
    elif (len(parts) > 1 and parts[0].phase.clause.rank <= REFERENCE) or any(part.apart for part in parts):
        reading.begin()


def _verified(store: ResourceStore, arm: _Arm, rows: Sequence[Any]) -> Iterator[tuple[Any, StoredVersion | None]]:
    """Yield those rows whose opened resource passes the tests."""
    for row, version in zip(rows, _open_rows(store, arm, rows), strict=True):
        values = extract(parsed(version))
        if all(verify(values) for verify in arm.verify):
            yield row, version


def _fetch(
    store: ResourceStore, asked: _Asked, part: _Part, behind: Position | None, limit: int, *, backward: bool
) -> Sequence[Any]:
    if not part.apart:
        return _fetched(store, asked, part, behind, limit, backward=backward)
    found = [row for one, alone in _each(asked, part)
             for row in _fetched(store, one, alone, behind, limit, backward=backward)]
    falls = any(one.descending for one in part.phase.keys) != backward
    return sorted(found, key=lambda row: (*_sort_values(part, row), row.key), reverse=falls)[:limit]


def _fetched(
    store: ResourceStore, asked: _Asked, part: _Part, behind: Position | None, limit: int, *, backward: bool
) -> Sequence[Any]:
    reading, is_selective = store.reading, part.phase.clause.rank <= REFERENCE
    tells = reading is not None and reading.asks()
    statement, bound = _page(store, asked, part, behind, limit, backward=backward, tells=tells)
    rows = run(store.connection(), statement, bound, is_selective=is_selective)
    if reading is not None and tells and rows:
        reading.take(rows[0].seen)
    return rows


def _each(asked: _Asked, part: _Part) -> list[tuple[_Asked, _Part]]:
    """Return what is asked at once: a part, or each of several types by itself."""
    return [(asked._replace(type=type_name), part._replace(phase=replace(part.phase, clause=clause)))
            for type_name, clause in part.apart] or [(asked, part)]


def _apart(store: ResourceStore, query: SearchQuery, arm: _Arm, phase: Phase) -> tuple[tuple[str, Clause], ...]:
    """Return what is asked of each of several types by itself, where each has an index for it that all have not.

    In the order of its dates a type is read by an index; and SQLite lets the dates or numbers of one type lead. Few
    matches are found and sorted at once, whatever their types.
    """
    if query.types is None or query.contained is not None or len(query.types) > MOST_APART:
        return ()
    if arm.clause.rank <= REFERENCE or phase.first_is_null:
        return ()
    places = [one.place for one in phase.keys]
    if places != ["date"] and (places or store.database.dialect != "sqlite" or not _has_range(query)):
        return ()
    return tuple((one, _of_type(store, query, one).clause) for one in sorted(query.types))


def _has_range(query: SearchQuery) -> bool:
    """Tell whether one of the criteria is about dates, numbers or quantities."""
    first = (one.by_type[0][1] if isinstance(one, PerType) else one for one in query.criteria)
    return any(isinstance(one, Criterion) and one.parameter.type in RANGES for one in first)


def _page(
    store: ResourceStore, asked: _Asked, part: _Part, behind: Position | None, limit: int, *, backward: bool = False,
    tells: bool = False,
) -> tuple[Prepared, dict[str, Any]]:
    phase = part.phase
    way: Way = behind.way if behind else "before" if backward else "after"
    statement, names = _page_statement(
        store.database.dialect, Shaped(phase.clause), asked.type is not None, tuple(k.shape for k in phase.keys),
        phase.first_is_null, behind.nulls if behind else None, way, _Keys(phase.keys), _is_in_order(store, part),
        _is_found_first(phase.clause), instant.how(store), part.arm.inside, tells,
    )  # fmt: skip
    bound = dict(zip(names, phase.clause.values(), strict=True))
    bound["tenant"], bound["row_limit"] = store.tenant, limit
    if store.at is not None:
        bound |= instant.bounds(store)
    if asked.type is not None:
        bound["type"] = asked.type
    if phase.keys:
        bound.update(ordering.parameters(phase.keys))
    if behind is not None:
        bound.update(behind.parameters())
    return statement, bound


def first_pages(store: ResourceStore, query: SearchQuery) -> list[tuple[Phase, Executable, dict[str, Any]]]:
    """Return what a search asks for its first page, phase by phase; for explanations, nothing is executed."""
    asked = _asked(store, query)
    limit = query.count + 1 if asked.is_decided else max(query.count + 1, BATCH)
    parts = _unordered(asked) if _is_sorted_opened(query, asked) else _parts(store, query, asked)
    each = [one for part in parts for one in _each(asked, part)]
    pages = [(part.phase, *_page(store, one, part, None, limit)) for one, part in each]
    return [(part, page.statement, bound) for part, page, bound in pages]


def _is_found_first(clause: Clause) -> bool:
    """Tell whether matches are few, or come from a side table: then they are sorted, not met in the order of keys."""
    driver = clause.parts[0] if isinstance(clause, Both) else clause
    return clause.rank <= REFERENCE or (isinstance(driver, Number | Interval) and driver.leads)


def _is_in_order(store: ResourceStore, part: _Part) -> bool:
    """Tell whether to go through the index of the sort key, looking at each row, rather than sort all matches."""
    phase = part.phase
    if store.database.dialect != "sqlite" or part.arm.inside or phase.first_is_null or not phase.keys:
        return False
    driver = phase.clause.parts[0] if isinstance(phase.clause, Both) else phase.clause
    if phase.keys[0].place not in ("date", "updated") or not isinstance(driver, Token) or driver.rank < CODE:
        return False
    return drivers.is_frequent(store, driver)


# ---- totals ----------------------------------------------------------------------------------------------------------


def _total(
    store: ResourceStore, query: SearchQuery, asked: _Asked, position: Position | None, found: int, more: bool
) -> int | None:
    """Return the number of matches: for nothing where one page holds them all, else as _total asks."""
    if query.total == "none":
        return None
    if position is not None and _is_told(query, position):
        return position.total
    if position is None and not more:
        return found
    if query.total is not None:
        return _all(store, query, asked)
    if any(arm.verify or not _is_counted_cheaply(arm.clause) for arm in asked.arms):
        return None
    counted = _count(store, asked, COUNTED + 1)
    return counted if counted <= COUNTED else None


def _is_told(query: SearchQuery, position: Position) -> bool:
    """Tell whether the total of the first page is what is asked for now."""
    if position.total is None:
        return query.total is None
    return not (position.is_estimate and query.total == "accurate")


def _all(store: ResourceStore, query: SearchQuery, asked: _Asked) -> int:
    """Count all matches; where an estimate will do, only so many, and of more ask a sample."""
    arm = asked.arms[0]
    is_estimated = query.total == "estimate" and store.at is None and query.contained is None
    if not is_estimated or not estimate.is_possible(arm.clause):
        return _count(store, asked, None)
    exact = estimate.exact(store, arm.clause, asked.type, opened=bool(arm.verify))
    counted = _count(store, asked, exact + 1)
    if counted <= exact:
        return counted

    def judge(rows: Sequence[Any]) -> int:
        return sum(1 for _ in _verified(store, arm, rows))

    sample = estimate.sample(store, arm.clause, asked.type, judge if arm.verify else None)
    told = sample.total(counted)
    return _count(store, asked, None) if told is None else told


def _count(store: ResourceStore, asked: _Asked, limit: int | None) -> int:
    return sum(_count_arm(store, asked, arm, limit) for arm in asked.arms)


def _count_arm(store: ResourceStore, asked: _Asked, arm: _Arm, limit: int | None) -> int:
    if arm.verify:
        parts = [_Part(arm, Phase(arm.clause, ()))]
        return sum(1 for _ in _rows(store, asked, parts, None, limit or 2**62))
    return sum(_count_part(store, asked, part, limit, arm.inside) for part in ordering.counted(arm.clause))


def _count_part(store: ResourceStore, asked: _Asked, clause: Clause, limit: int | None, inside: bool) -> int:
    is_selective, reading = clause.rank <= REFERENCE, store.reading
    tells = reading is not None and not reading.is_held
    statement, names = _count_statement(
        store.database.dialect, Shaped(clause), asked.type is not None, limit is not None, instant.how(store),
        inside, is_selective, tells,
    )  # fmt: skip
    bound = dict(zip(names, clause.values(), strict=True))
    bound["tenant"] = store.tenant
    bound |= instant.bounds(store)
    if asked.type is not None:
        bound["type"] = asked.type
    if limit is not None:
        bound["row_limit"] = limit
    counted, *told = run(store.connection(), statement, bound, is_selective=is_selective)[0]
    if reading is not None and told:
        reading.take(told[0])
    return int(counted)


# ---- statements ------------------------------------------------------------------------------------------------------

Statement = tuple[Prepared, tuple[str, ...]]


class _Keys:
    """Sort keys that count as equal: their shape stands beside them in the statement's key."""

    __slots__ = ("keys",)

    def __init__(self, keys: tuple[Key, ...]) -> None:
        self.keys = keys

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Keys)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=1024)
def _page_statement(
    dialect: str,
    shaped: Shaped,
    typed: bool,
    _order: tuple[Any, ...],
    first_is_null: bool | None,
    nulls: tuple[bool, ...] | None,
    way: Way,
    keys: _Keys,
    in_order: bool,
    is_selective: bool,
    as_of: How | None,
    inside: bool,
    tells: bool,
) -> Statement:
    is_far, backward = ordering.is_far(shaped.clause), way != "after"
    most = bindparam("row_limit", type_=BigInteger())
    told = [TOLD] if tells else []

    def arm(sql: Sql) -> Select[Any]:
        if nulls is not None and not is_far:
            sql.read_from = ordering.read_from(keys.keys, first_is_null, backward=backward)
        values = [ordering.expression(key, number, sql, is_far=is_far) for number, key in enumerate(keys.keys)]
        columns = [*sql.tables.columns, *(value.label(f"sort{number}") for number, value in enumerate(values))]
        if as_of is None:
            columns += told
        at = place(sql.tables.row, typed)
        if as_of is not None and as_of.is_recent and sql.tables.is_past:
            statement = sql.recent(columns, shaped.clause, at)
        else:
            path = AccessPath(in_order, is_selective, is_by_key=not keys.keys)
            statement = sql.page(columns, shaped.clause, at, path)
        if first_is_null is not None:
            statement = statement.where(values[0].is_(None) if first_is_null else values[0].is_not(None))
        if nulls is not None:
            statement = statement.where(ordering.beyond(keys.keys, values, first_is_null, sql.key, nulls, way))
        order = ordering.order_by(keys.keys, values, first_is_null, sql.key, backward=backward)
        return statement.order_by(*order).limit(most)

    if as_of is None:
        sql = sql_for(dialect, tables=CONTAINED if inside else CURRENT)
        return prepared(arm(sql)), tuple(bind.key for bind in sql.binds)
    found, names = at_instant(as_of, arm, _then(inside))
    sorted_by = [found.c[f"sort{number}"] for number in range(len(keys.keys))]
    order = ordering.order_by(keys.keys, sorted_by, first_is_null, found.c.key, backward=backward)
    return prepared(select(found, *told).order_by(*order).limit(most)), names


@lru_cache(maxsize=512)
def _count_statement(
    dialect: str, shaped: Shaped, typed: bool, is_limited: bool, as_of: How | None, inside: bool, is_selective: bool,
    tells: bool,
) -> Statement:
    one: list[Any] = [literal_column("1").label("one")]
    told: list[Any] = [TOLD] if tells else []
    most = bindparam("row_limit", type_=BigInteger())
    if as_of is not None:
        found, names = at_instant(
            as_of, lambda sql: sql.page(one, shaped.clause, place(sql.tables.row, typed)), _then(inside))
        limited = select(found).limit(most) if is_limited else select(found)
        counted: Select[Any] = select(func.count(), *told).select_from(limited.subquery())
        return prepared(counted), names
    sql = sql_for(dialect, tables=CONTAINED if inside else CURRENT)
    if isinstance(sql, SqliteSql) and typed and not inside and _is_of_tokens(shaped.clause):
        # Tokens belong to one tenant and type, and to live resources only: their table alone can count.
        rows = sql.token_rows(shaped.clause)
    else:
        at = place(sql.tables.row, typed)
        rows = sql.page(one, shaped.clause, at, AccessPath(is_selective=is_selective, is_by_key=True))
    if is_limited:
        if dialect == "postgresql" and is_selective:
            # Sorted, all matches are found by their index. Else the planner, which cannot see the limit either, may
            # hope to meet enough of them soon among all rows.
            rows = rows.order_by(sql.key)
        rows = rows.limit(most)
    counted = select(func.count(), *told).select_from(rows.subquery())
    return prepared(counted), tuple(bind.key for bind in sql.binds)


def _then(inside: bool) -> tuple[Tables, Tables]:
    return (CONTAINED, CONTAINED_PAST) if inside else (CURRENT, PAST)


def _is_counted_cheaply(clause: Clause) -> bool:
    """Tell whether a count costs less than the page: all of a type, or what belongs to one person or identifier."""
    return clause == EVERYTHING or (_is_of_tokens(clause) and clause.rank <= REFERENCE)


def _is_of_tokens(clause: Clause) -> bool:
    parts = clause.parts if isinstance(clause, Both) else (clause,)
    return isinstance(parts[0], Token | AllTokens) and all(
        isinstance(part, Token | AllTokens | AnyToken)
        or (isinstance(part, Either) and all(isinstance(one, Token | AllTokens | AnyToken) for one in part.parts))
        for part in parts
    )
