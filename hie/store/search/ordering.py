"""The order of results, and how a page continues after the last row of the one before (keyset paging).

A search runs in phases, each of which one index can answer in order: rows with a value of the first sort key before
rows without one; dates that start in the range asked for before longer ones that only reach into it. A cursor names the
sort values of the last row of a page, and what the first page was ordered by: which criterion leads may be another on
further pages, and with it the phases, but not the order. Read onwards it gives the page behind that row; backwards, all
phases in the reverse order, the page that ends with it. https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, bindparam, func, literal_column, or_, select, tuple_
from sqlalchemy.types import BigInteger, Double, Text

from hie.errors import Expired, InvalidSearch
from hie.fhir.paging import LINK_HOURS, UNTIL
from hie.store.crypto import Blind, SealBroken
from hie.store.search import cursor_text
from hie.store.search.blinding import hash_of
from hie.store.search.clauses import RANGE, Both, Clause, both
from hie.store.search.plan import is_single, plan_of
from hie.store.search.query import SearchQuery
from hie.store.search.range_clauses import OPEN_ENDED, Interval
from hie.store.search.seen import Seen, from_json
from hie.store.search.sort_keys import SortKey
from hie.store.search.sql import Sql

#: Which rows are wanted: those behind a row; that row and those before it; those before it alone.
Way = Literal["after", "until", "before"]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the order: a column of the row, or the least or greatest value in a side table."""

    place: str  # key | updated | id | date | dates | numbers
    descending: bool = False
    hashes: tuple[int, ...] = ()
    is_single: bool = False
    """Whether the side table has one value at most for each resource, so that its index has them in order."""

    @property
    def nullable(self) -> bool:
        """Tell whether a resource may have no value here."""
        return self.place in ("date", "dates", "numbers")

    @property
    def shape(self) -> tuple[str, bool, int, bool]:
        """Return what the SQL depends on."""
        return self.place, self.descending, len(self.hashes), self.is_single


@dataclass(frozen=True, slots=True)
class Phase:
    """One ordered part of the results; the parts do not overlap."""

    clause: Clause
    keys: tuple[Key, ...]
    first_is_null: bool | None = None


def phases(query: SearchQuery, clause: Clause, blind: Blind, own: str | None = None) -> list[Phase]:
    """Return the parts of a search in their order; `own`: by what, where no _sort says it (None: by what leads)."""
    if query.sort:
        keys = tuple(_key(query, one, blind) for one in query.sort)
    else:
        own = order_asked(query, clause) if own is None else own
        keys = (Key(own),) if own else ()
    if keys and keys[0].place == "date" and _begins_at_date(clause):  # what it finds has a date
        return [Phase(part, keys) for part in _near_and_far(clause, descending=keys[0].descending)]
    if keys and keys[0].nullable:
        dated = Phase(clause, keys, False)
        return [dated, Phase(clause, keys, True)] if query.sort else [dated]  # a date is asked for
    return [Phase(clause, keys)]


def own_order(phase: Phase) -> str:
    """Name what the rows of a phase are ordered by where no _sort says it; "": by their keys."""
    return phase.keys[0].place if phase.keys else ""


def placed(values: Sequence[Any], parts: Sequence[Phase]) -> int:
    """Return the number of the phase in which a row with these sort values stands. Expired."""
    for number, part in enumerate(parts):
        if len(values) == len(part.keys) and _holds(part, values):
            return number
    raise Expired("What was stored since has changed the order of this search, which no _sort fixes; begin again "
                  "at its first page.", expression="_cursor")


def _holds(part: Phase, values: Sequence[Any]) -> bool:
    if part.first_is_null is not None:
        return part.first_is_null is (values[0] is None)
    first = _taken_apart(part.clause)
    if not part.keys or first is None:
        return True
    return values[0] is not None and (values[0] < first.far_until) is (first.part == "far")


def counted(clause: Clause) -> list[Clause]:
    """Return clauses whose matches together are those of one, each counted by an index."""
    return _near_and_far(clause, descending=True) if _driven_by_date(clause) else [clause]


def _key(query: SearchQuery, one: SortKey, blind: Blind) -> Key:
    parameter, type_name = one.parameter, query.type or "Resource"
    if parameter.code == "_id":
        return Key("id", one.descending)
    if parameter.code == "_lastUpdated":
        return Key("updated", one.descending)
    if query.types is not None or parameter.code == plan_of(type_name).primary_date:  # of all of several types
        return Key("date", one.descending)
    codes = parameter.union_of or (parameter.code,)
    hashed = [hash_of(blind, type_name, code) for code in codes]
    if parameter.type == "date":
        return Key("dates", one.descending, tuple(hash_() for hash_ in hashed), is_single(type_name, parameter.code))
    forms = tuple(hash_(*form) for hash_ in hashed for form in ((), ("range",)))
    return Key("numbers", one.descending, forms, len(hashed) == 1 and is_single(type_name, parameter.code))


def _driving(clause: Clause) -> Clause:
    return clause.parts[0] if isinstance(clause, Both) else clause


def _driven_by_date(clause: Clause) -> bool:
    """Tell whether the primary date is the most selective criterion, so that its index gives the rows."""
    first = _driving(clause)
    return isinstance(first, Interval) and first.where == "date" and first.rank == RANGE and first.prefix != "ne"


def _begins_at_date(clause: Clause) -> bool:
    """Tell whether an index of the primary date that is read in its order may begin at a date that is asked for."""
    return _driven_by_date(clause) or _open_ended(clause) is not None


def _open_ended(clause: Clause) -> Interval | None:
    """Return what is asked of the primary date with an open end, wherever it stands; None: nothing is."""
    parts = clause.parts if isinstance(clause, Both) else (clause,)
    return next((one for one in parts if isinstance(one, Interval) and one.where == "date" and not one.part
                 and one.rank == RANGE and one.prefix in OPEN_ENDED), None)


def _taken_apart(clause: Clause) -> Interval | None:
    """Return what a phase asks of the primary date, if that is of near or of far intervals alone."""
    parts = clause.parts if isinstance(clause, Both) else (clause,)
    return next((one for one in parts if isinstance(one, Interval) and one.part in ("near", "far")), None)


def order_asked(query: SearchQuery, asked: Clause) -> str:
    """Name the order that a search has by itself: that of dates where a range of these may lead it; "": of keys.

    A range that has no order of its own, as of numbers, leaves it to one of dates beside it: where both are of very
    many, the index of the dates is read.
    """
    parts = asked.parts if isinstance(asked, Both) else (asked,)
    for one in parts if parts[0].rank == RANGE else ():
        if _driven_by_date(one):
            return "date"
        if query.contained is None and _driven_by_updated(one):
            return "updated"
    return ""


def _driven_by_updated(clause: Clause) -> bool:
    """Tell whether the time of the last update is the most selective criterion, so that its index gives the rows."""
    first = _driving(clause)
    return isinstance(first, Interval) and first.where == "updated" and first.rank == RANGE and first.prefix != "ne"


def _near_and_far(clause: Clause, *, descending: bool) -> list[Clause]:
    """Take a date criterion apart where two indexes answer it; far ones start before all near ones."""
    first = _driving(clause) if _driven_by_date(clause) else _open_ended(clause)
    assert isinstance(first, Interval)  # noqa: S101 - _begins_at_date said so
    if first.prefix not in OPEN_ENDED:
        return [clause]
    parts = clause.parts if isinstance(clause, Both) else (clause,)
    near = both([replace(first, part="near") if one is first else one for one in parts])
    far = both([replace(first, part="far") if one is first else _beside_far(one) for one in parts])
    return [near, far] if descending else [far, near]


def _beside_far(part: Clause) -> Clause:
    """Return another date of the row so that it is asked of the long periods, and does not lead to others."""
    return replace(part, part="beside") if isinstance(part, Interval) and part.where == "date" else part


def held_to(clause: Clause, phase: Phase) -> Clause:
    """Return what one of several types is asked, of the dates that a phase is of: near ones or far ones."""
    first = _taken_apart(phase.clause)
    if first is None:
        return clause
    parts = clause.parts if isinstance(clause, Both) else (clause,)
    rest = [part for part in parts if part != replace(first, part="")]
    return both([first, *(map(_beside_far, rest) if first.part == "far" else rest)])


def is_far(clause: Clause) -> bool:
    """Tell whether a clause is that of the phase of long periods."""
    first = _taken_apart(clause)
    return first is not None and first.part == "far"


# ---- SQL -------------------------------------------------------------------------------------------------------------


def expression(key: Key, number: int, sql: Sql, *, is_far: bool) -> ColumnElement[Any]:
    """Return the value that a key sorts by; `is_far` in the phase of long periods, which have their own index."""
    tables, row = sql.tables, sql.tables.row
    match key.place:
        case "updated":
            return row.c.updated
        case "id":
            return row.c.id
        case "date":
            return row.c.date_low + literal_column("0") if is_far else row.c.date_low
    table = tables.dates if key.place == "dates" else tables.numbers
    hashes = [bindparam(f"o{number}_{i}", type_=BigInteger()) for i in range(len(key.hashes))]
    value = func.max(table.c.low) if key.descending else func.min(table.c.low)
    return select(value).where(*sql.same(table, row), table.c.parameter.in_(hashes)).scalar_subquery()


def order_by(
    keys: Sequence[Key],
    values: Sequence[ColumnElement[Any]],
    first_is_null: bool | None,
    row: ColumnElement[int],
    *,
    backward: bool = False,
) -> list[Any]:
    """Return ORDER BY: missing values last, and the row's own key at the end so that no two rows are equal.

    `row` is the column of that key in the table that drives the statement, whose order then costs nothing. `backward`:
    all of it the other way round.
    """
    order: list[Any] = []
    for position, (key, value) in enumerate(zip(keys, values, strict=True)):
        if position == 0 and first_is_null:
            continue
        if key.nullable and position > 0:
            missing = value.is_(None)
            order.append(missing.desc() if backward else missing)
        order.append(value.desc() if key.descending != backward else value)
    return [*order, row.desc() if _falls(keys, first_is_null) != backward else row]


def _falls(keys: Sequence[Key], first_is_null: bool | None) -> bool:
    """Tell whether the row's own key falls from row to row: as the first sort key does."""
    return bool(keys) and keys[0].descending and not first_is_null


def falls(phase: Phase) -> bool:
    """Tell whether the rows' own keys fall where they are alike in what a phase is sorted by."""
    return _falls(phase.keys, phase.first_is_null)


def read_from(
    keys: Sequence[Key], first_is_null: bool | None, *, backward: bool
) -> tuple[str, Literal["rising", "falling"]] | None:
    """Return the row's own column in whose order rows are read from the cursor on, and which way (Sql.read_from)."""
    if not keys or first_is_null or keys[0].place not in ("date", "updated"):
        return None
    return keys[0].place, "falling" if keys[0].descending != backward else "rising"


def beyond(
    keys: Sequence[Key],
    values: Sequence[ColumnElement[Any]],
    first_is_null: bool | None,
    row: ColumnElement[int],
    nulls: tuple[bool, ...],
    way: Way,
    *,
    in_side_table: bool = False,
) -> ColumnElement[bool]:
    """Return the condition of the rows that a way from the cursor's row leads to.

    `nulls` says which sort values of that row are missing, `in_side_table` that the first is in the order of its index.
    """
    backward = way != "after"
    key_bind: Any = bindparam("after_key", type_=BigInteger())
    start = 1 if first_is_null else 0
    binds: list[Any] = [bindparam(f"after{i}", type_=_type(keys[i])) for i in range(len(keys))]
    falls = _falls(keys, first_is_null) != backward
    if start == 0 and len(keys) == 1:
        return _past(tuple_(values[0], row), tuple_(binds[0], key_bind), falls, way == "until")
    equal: list[ColumnElement[bool]] = []
    alternatives: list[ColumnElement[bool]] = []
    for i in range(start, len(keys)):
        value = values[i]
        if nulls[i]:  # what is missing comes last
            if backward:
                alternatives.append(and_(*equal, value.is_not(None)))
            equal.append(value.is_(None))
            continue
        further = _past(value, binds[i], keys[i].descending != backward, False)
        if keys[i].nullable and i > 0 and not backward:
            further = or_(further, value.is_(None))
        alternatives.append(and_(*equal, further))
        equal.append(value == binds[i])
    rest = or_(and_(*equal, _past(row, key_bind, falls, way == "until")), *alternatives)
    if start == 0 and keys and (keys[0].place in ("id", "date", "updated") or in_side_table):
        # Said once more of the first key alone, so that its index is read from there.
        return and_(_past(values[0], binds[0], keys[0].descending != backward, True), rest)
    return rest


def _past(place: Any, position: Any, falls: bool, inclusive: bool) -> ColumnElement[bool]:
    """Return whether a place lies beyond a position, in a falling or in a rising order."""
    found: ColumnElement[bool]
    if inclusive:
        found = place <= position if falls else place >= position
    else:
        found = place < position if falls else place > position
    return found


def _type(key: Key) -> Any:
    return {"id": Text(), "numbers": Double()}.get(key.place, BigInteger())


def parameters(keys: Sequence[Key]) -> dict[str, Any]:
    """Return the values of `expression`'s binds."""
    return {f"o{number}_{i}": hash_ for number, key in enumerate(keys) for i, hash_ in enumerate(key.hashes)}


# ---- cursors ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Position:
    """The last row of a page, and the total that the first page counted.

    `phase` None: no row at all, which is before the first one read onwards, behind the last one read backwards.
    """

    phase: int | None
    """The number of the phase; in a cursor that of the arm, whose phases the values tell apart."""
    values: tuple[Any, ...]
    key: int
    total: int | None = None
    at: int | None = None
    """The instant as of which further pages are read (hie.store.search.instant); None: as it is then."""
    seen: Seen | None = None
    """What the first page saw at that instant; None: all that had been written by then."""
    way: Way = "after"
    is_estimate: bool = False
    """Whether the total is one."""
    orders: tuple[str, ...] = ()
    """What the first page was ordered by, each arm of it, where no _sort says it (`own_order`)."""

    @property
    def backward(self) -> bool:
        """Tell whether the rows up to this one are wanted, not those behind it."""
        return self.way != "after"

    @property
    def is_end(self) -> bool:
        """Tell whether the last rows are wanted."""
        return self.phase is None and self.backward

    @property
    def nulls(self) -> tuple[bool, ...]:
        """Say which sort values are missing."""
        return tuple(value is None for value in self.values)

    def parameters(self) -> dict[str, Any]:
        """Return the values of `beyond`'s binds."""
        return {"after_key": self.key, **{f"after{i}": value for i, value in enumerate(self.values)}}


#: Cursors of servers that did not know what a page had seen, or had been ordered by, had so many parts.
_BEFORE_SEEN, _BEFORE_ORDERS = 9, 10
_FREE = frozenset({"_count", "_total", "_format", "_pretty", "_summary", "_elements", "_include", "_revinclude"})


def _mark(store: Any, query: SearchQuery) -> int:
    """Return what ties a cursor to its search and to what the token may see; how the answer looks may change."""
    kept = [part for pair in query.self_link if pair[0] not in _FREE for part in pair]
    return cursor_text.mark(store.blind, store.grant, [query.address or query.type or "", *kept])


def seal(store: Any, query: SearchQuery, position: Position) -> str:
    """Return the cursor of the page after a position; with UNTIL in front of it, of the page up to there."""
    seen = None if position.seen is None else position.seen.to_json()
    parts = [
        "search", _mark(store, query), position.phase, list(position.values), position.key, position.total,
        position.at, seen, position.is_estimate, store.clock(), position.orders,
    ]  # fmt: skip
    return cursor_text.seal(store, parts, [position.key, seen])


def open_(store: Any, query: SearchQuery) -> Position | None:
    """Return where the query's cursor continues; InvalidSearch where it is not one of this search, Expired."""
    if query.cursor is None:
        return None
    way: Way = "until" if query.cursor.startswith(UNTIL) else "after"
    try:
        opened = _opened(store, query.cursor)
        if isinstance(opened, list) and opened[:1] == ["search"] and len(opened) == _BEFORE_SEEN:
            raise Expired("This link was made before the server was upgraded; begin again at the search's first page.",
                          expression="_cursor")
        if isinstance(opened, list) and len(opened) == _BEFORE_ORDERS:
            if query.contained is not None:
                raise Expired("This link was made before the server was upgraded; begin again at the search's first "
                              "page.", expression="_cursor")
            opened = [*opened[:2], opened[2] and 0, *opened[3:], ()]  # it named the phase; there is one arm alone
        kind, mark, phase, values, key, total, at, seen, is_estimate, made, orders = opened
        if kind != "search" or mark != _mark(store, query):
            raise ValueError
    except (SealBroken, ValueError, TypeError) as error:
        raise InvalidSearch(
            "_cursor is none that this server gave for this search; begin again at its first page.",
            expression="_cursor",
        ) from error
    if store.clock() - made > LINK_HOURS * 3_600_000_000:
        raise Expired(f"Links to pages are good for {LINK_HOURS} hours; begin again at the search's first page.",
                      expression="_cursor")
    return Position(phase, tuple(values), key, total, at, _saw(store, seen), way, is_estimate, tuple(orders))


def first_page(store: Any, cursor: str) -> tuple[int, Seen | None] | None:
    """Return when the first page was read that a cursor leads on from, and what it saw, before its search is known.

    None: it is no cursor of a search, which `open_` will say.
    """
    try:
        kind, _mark, _phase, _values, _key, _total, at, seen, *_ = _opened(store, cursor)
    except (SealBroken, ValueError, TypeError):
        return None
    return (at, _saw(store, seen)) if kind == "search" and at is not None else None


def _opened(store: Any, cursor: str) -> Any:
    return json.loads(store.open_text(cursor.removeprefix(UNTIL)))


def _saw(store: Any, seen: list[int] | None) -> Seen | None:
    return None if seen is None else from_json(seen, at_instant=store.at is not None)
