"""The rows of a page: part after part in their order.

SQL narrows by the index; where that cannot decide, opened resources are verified, and further rows fill the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Executable

from hie.fhir.scopes import BINARY
from hie.fhir.search_parameters import extract
from hie.store.opening import parsed
from hie.store.prepared import Prepared
from hie.store.search import contained, counting, drivers, instant, opened_order, ordering, side_order
from hie.store.search.asked import Arm, Asked, asked_by, of_type
from hie.store.search.chain import PerType
from hie.store.search.clauses import CODE, REFERENCE, AnyToken, Both, Clause, Shaped, Token, both
from hie.store.search.criteria import Criterion
from hie.store.search.ordering import Phase, Position, Way
from hie.store.search.page_statements import Keys, page_statement
from hie.store.search.query import SearchQuery
from hie.store.search.range_clauses import Interval, Number
from hie.store.search.reading import Reading
from hie.store.search.statements import run
from hie.store.search.tables import COLUMNS
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: Rows opened at a time where resources must be verified.
BATCH = 200

#: So many tokens at most are asked of each row in the order of an index.
MOST_ASKED = 8
#: So many types are asked one by one at most, in such orders, and by such kinds of parameters.
MOST_APART = 10
#: So many matches in all are sorted rather than looked for in the order asked for.
MANY = 1_000
#: And so many tokens, of which very many resources carry one; so many are looked up to see which of them are carried.
MOST_TOKENS, MOST_LOOKED_UP = 16, 2_000
APART = ((), ("date",), ("updated",), ("id",))
RANGES = frozenset({"date", "number", "quantity"})


class Part(NamedTuple):
    """One ordered part of what one arm finds."""

    arm: Arm
    phase: Phase
    apart: tuple[tuple[str | None, Clause], ...] = ()
    """Of several types, or tokens, what each is asked by itself; empty: they are asked together."""
    number: int = 0
    """The arm's own."""


def parts_of(store: ResourceStore, query: SearchQuery, asked: Asked, position: Position | None = None) -> list[Part]:
    """Return what is asked in the order that the search wants, or its first page had, part after part."""
    orders = dict(enumerate(() if position is None else position.orders))
    return [Part(arm, _few_first(store, asked, arm, phase),
                 apart(store, query, arm, phase) or _by_token(store, asked, arm, phase), number)
            for number, arm in enumerate(asked.arms)
            for phase in ordering.phases(query, arm.clause, store.blind, orders.get(number, arm.order))]


def _few_first(store: ResourceStore, asked: Asked, arm: Arm, phase: Phase) -> Phase:
    """Return the phase so that few dates of rows lead, which are not sorted by them."""
    if asked.type is None or arm.inside:
        return phase
    clause = drivers.sorted_otherwise(store, phase.clause, _place_of(phase), asked.type)
    return phase if clause is phase.clause else replace(phase, clause=clause)


def _place_of(phase: Phase) -> str:
    return phase.keys[0].place if phase.keys else ""


def orders_of(query: SearchQuery, parts: Sequence[Part]) -> tuple[str, ...]:
    """Return what further pages have to be ordered by, each arm of them; nothing where the search says it."""
    if query.sort:
        return ()
    return tuple(ordering.own_order(part.phase) for _, (part, *_) in groupby(parts, key=lambda part: part.number))


def placed(position: Position | None, parts: Sequence[Part]) -> Position | None:
    """Return a cursor's position by the phases that are read now. Expired."""
    if position is None or position.phase is None:
        return position
    ours = [number for number, part in enumerate(parts) if part.number == position.phase]
    phase = ordering.placed(position.values, [parts[number].phase for number in ours])
    return replace(position, phase=ours[phase])


def unordered(store: ResourceStore, asked: Asked) -> list[Part]:
    """Return what is asked in the order of keys."""
    return [Part(arm, _few_first(store, asked, arm, Phase(arm.clause, ()))) for arm in asked.arms]


def is_sorted_opened(query: SearchQuery, asked: Asked) -> bool:
    """Tell whether no index has the order that a search asks for."""
    if opened_order.is_needed(query) or (query.sort and len(asked.arms) > 1):
        return True
    return asked.arms[0].inside and any(one.parameter.code == "_id" for one in query.sort)  # their ids are hashed


def is_met_in_part(query: SearchQuery, asked: Asked) -> bool:
    """Tell whether an index has the order of the first of several keys (hie.store.search.tied_order)."""
    return bool(opened_order.led(query).sort) and len(asked.arms) == 1 and not asked.arms[0].inside


def sort_values(part: Part, row: Any) -> tuple[Any, ...]:
    """Return the values of a row by which its part is sorted."""
    start = contained.WIDTH if part.arm.inside else len(COLUMNS)
    return tuple(row[start : start + len(part.phase.keys)])


def _open_rows(store: ResourceStore, arm: Arm, rows: Sequence[Any]) -> Iterable[StoredVersion]:
    return contained.opened(store, rows) if arm.inside else store.each_opened(rows)


class Found:
    """Rows of a page with the phase each came from; a verified row has been opened already."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, Any]] = []
        self.versions: list[StoredVersion | None] = []

    def add(self, row: tuple[int, Any], version: StoredVersion | None) -> None:
        """Keep one row."""
        self.rows.append(row)
        self.versions.append(version)


def each_found(store: ResourceStore, parts: Sequence[Part], found: Found, count: int) -> Iterator[StoredVersion]:
    """Yield the first `count` of what was found, each opened as it is asked for."""
    rows, versions = found.rows[:count], found.versions[:count]
    closed = [(parts[number].arm, row) for (number, row), one in zip(rows, versions, strict=True) if one is None]
    opened = (version for arm, some in groupby(closed, key=lambda one: one[0])
              for version in _open_rows(store, arm, [row for _, row in some]))
    for one in versions:
        yield next(opened) if one is None else one


def rows_behind(
    store: ResourceStore, asked: Asked, parts: Sequence[Part], position: Position | None, wanted: int,
    at_once: int | None = None,
) -> Iterator[tuple[tuple[int, Any], StoredVersion | None]]:
    """Yield up to `wanted` rows behind the position, phase after phase; or before it, backwards.

    `at_once`: so many are read at a time; None: all that are wanted.
    """
    if store.reading is not None:
        _prepare(store.reading, parts)
    backward = position is not None and position.backward
    numbers = range(len(parts) - 1, -1, -1) if backward else range(len(parts))
    start = position.phase if position is not None and position.phase is not None else numbers[0]
    for number in numbers[numbers.index(start) :]:
        behind = position if position is not None and position.phase == number else None
        part = parts[number]
        limit = max(wanted, BATCH) if part.arm.verify else wanted
        limit = limit if at_once is None else min(limit, at_once)
        while wanted > 0:
            rows = _fetch(store, asked, part, behind, limit, backward=backward)
            for row, version in verified(store, part.arm, rows) if part.arm.verify else zip(rows, repeat(None)):
                yield (number, row), version
                wanted -= 1
                if wanted == 0:
                    return
            if len(rows) < limit:
                break
            last = rows[-1]
            way: Way = "before" if backward else "after"
            behind = Position(number, sort_values(part, last), last.key, way=way)


def _prepare(reading: Reading, parts: Sequence[Part]) -> None:
    """Let statements that are about to read a first page see the same."""
    if any(part.arm.verify for part in parts):
        reading.hold()
    elif (len(parts) > 1 and parts[0].phase.clause.rank <= REFERENCE) or any(part.apart for part in parts):
        reading.begin()


def verified(store: ResourceStore, arm: Arm, rows: Sequence[Any]) -> Iterator[tuple[Any, StoredVersion | None]]:
    """Yield those rows whose opened resource passes the tests."""
    for row, version in zip(rows, _open_rows(store, arm, rows), strict=True):
        values = extract(parsed(version))
        if all(verify(values) for verify in arm.verify):
            yield row, version


def _fetch(
    store: ResourceStore, asked: Asked, part: Part, behind: Position | None, limit: int, *, backward: bool
) -> Sequence[Any]:
    if not part.apart:
        return _fetched(store, asked, part, behind, limit, backward=backward)
    found = {row.key: row for one, alone in _each(asked, part)
             for row in _fetched(store, one, alone, behind, limit, backward=backward)}
    falls = (any(one.descending for one in part.phase.keys) and not part.phase.first_is_null) != backward
    return sorted(found.values(), key=lambda row: (*sort_values(part, row), row.key), reverse=falls)[:limit]


def _fetched(
    store: ResourceStore, asked: Asked, part: Part, behind: Position | None, limit: int, *, backward: bool
) -> Sequence[Any]:
    reading, is_selective = store.reading, part.phase.clause.rank <= REFERENCE
    tells = reading is not None and reading.asks()
    statement, bound = _page(store, asked, part, behind, limit, backward=backward, tells=tells)
    rows = run(store.connection(), statement, bound, is_selective=is_selective)
    if reading is not None and tells and rows:
        reading.take(rows[0].seen)
    return rows


def _each(asked: Asked, part: Part) -> list[tuple[Asked, Part]]:
    """Return what is asked at once: a part, or each of several types or tokens by itself."""
    return [(asked._replace(type=type_name), part._replace(phase=replace(part.phase, clause=clause)))
            for type_name, clause in part.apart] or [(asked, part)]


def apart(store: ResourceStore, query: SearchQuery, arm: Arm, phase: Phase) -> tuple[tuple[str, Clause], ...]:
    """Return what is asked of each of several types by itself, where each has an index for it that all have not.

    A type is read in the order of its dates, times, ids or keys by an index, and its own ranges and joins lead. Few
    matches are found and sorted at once, whatever their types; so are those of tokens, where all types have one index.
    """
    if query.type is not None or query.contained is not None or arm.clause.rank <= REFERENCE:
        return ()
    names = query.types or store.grant.types("s")
    if len(names) > MOST_APART or tuple(one.place for one in phase.keys) not in APART:
        return ()
    if not phase.keys and store.database.dialect != "sqlite" and not _is_led_apart(store, query, names):
        return ()
    each = ((one, of_type(store, query, one).clause) for one in sorted(names))
    place = _place_of(phase)
    return tuple(
        (one, drivers.sorted_otherwise(store, ordering.held_to(clause, phase), place, one)) for one, clause in each)


def _by_token(
    store: ResourceStore, asked: Asked, arm: Arm, phase: Phase
) -> tuple[tuple[str | None, Clause], ...]:
    """Return what is asked of each of a few frequent tokens by itself, which SQLite has in the order of keys."""
    parts = phase.clause.parts if isinstance(phase.clause, Both) else (phase.clause,)
    first = parts[0]
    if store.database.dialect != "sqlite" or phase.keys or arm.inside or not isinstance(first, AnyToken):
        return ()
    if len(first.hashes) > MOST_LOOKED_UP or first.rank < CODE or not drivers.is_frequent(store, first):
        return ()
    known = first.hashes if len(first.hashes) <= MOST_TOKENS else counting.carried(store, first.hashes)
    if len(known) > MOST_TOKENS:
        return ()
    return tuple((asked.type, both([Token(one, first.rank), *parts[1:]])) for one in known)


def _is_led_apart(store: ResourceStore, query: SearchQuery, names: frozenset[str]) -> bool:
    """Tell whether a type has more to lead it than tokens, of which PostgreSQL has one index for all types."""
    if BINARY in names and not store.grant.meets_all("s"):
        return True
    first = (one.by_type[0][1] if isinstance(one, PerType) else one for one in query.criteria)
    return any(not isinstance(one, Criterion) or one.parameter.type in RANGES for one in first)


def _page(
    store: ResourceStore, asked: Asked, part: Part, behind: Position | None, limit: int, *, backward: bool = False,
    tells: bool = False,
) -> tuple[Prepared, dict[str, Any]]:
    phase = part.phase
    way: Way = behind.way if behind else "before" if backward else "after"
    statement, names = page_statement(
        store.database.dialect, Shaped(phase.clause), asked.type is not None, tuple(k.shape for k in phase.keys),
        phase.first_is_null, behind.nulls if behind else None, way, Keys(phase.keys), _is_in_order(store, asked, part),
        _is_found_first(phase.clause), instant.how(store), part.arm.inside, tells,
        side_order.bounding(phase.keys, phase.clause),
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
    asked = asked_by(store, query)
    limit = query.count + 1 if asked.is_decided else max(query.count + 1, BATCH)
    if not is_sorted_opened(query, asked):
        parts = parts_of(store, query, asked)
    elif is_met_in_part(query, asked):
        parts = parts_of(store, opened_order.led(query), asked)
    else:
        parts = unordered(store, asked)
    each = [one for part in parts for one in _each(asked, part)]
    pages = [(part.phase, *_page(store, one, part, None, limit)) for one, part in each]
    return [(part, page.statement, bound) for part, page, bound in pages]


def _is_found_first(clause: Clause) -> bool:
    """Tell whether matches are few, or come from a side table: then they are sorted, not met in the order of keys."""
    driver = clause.parts[0] if isinstance(clause, Both) else clause
    return clause.rank <= REFERENCE or (isinstance(driver, Number | Interval) and driver.leads)


def _is_in_order(store: ResourceStore, asked: Asked, part: Part) -> bool:
    """Tell whether to go through the index of the sort key, looking at each row, rather than sort all matches."""
    phase = part.phase
    if part.arm.inside or phase.first_is_null or not phase.keys:
        return False
    driver = phase.clause.parts[0] if isinstance(phase.clause, Both) else phase.clause
    # PostgreSQL's planner chooses between the indexes of a row, and cannot choose one of another table.
    place = phase.keys[0].place
    by_row = store.database.dialect == "sqlite" and place in ("date", "updated", "id")
    if not (by_row or side_order.has_order(phase.keys)) or driver.rank < CODE:
        return False
    if drivers.is_date_beside(driver, place):
        return asked.type is not None and _are_many(store, asked, phase)  # few of it would have been found first
    if isinstance(driver, AnyToken) and (driver.is_long or (by_row and len(driver.hashes) > MOST_ASKED)):
        return False
    return (isinstance(driver, Token | AnyToken) and drivers.is_frequent(store, driver)
            and _are_many(store, asked, phase))  # fmt: skip


def _are_many(store: ResourceStore, asked: Asked, phase: Phase) -> bool:
    """Tell whether what is asked together has many matches: all rows would be looked at for a page of a few."""
    if asked.type is None or not isinstance(phase.clause, Both):
        return True
    found = 0
    for one in drivers.ends(phase.clause):
        found += counting.matching(store, one, asked.type, MANY - found) if found < MANY else 0
    return found >= MANY
