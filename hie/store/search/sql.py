"""What clauses need to become SQL, whatever the dialect: the tables they ask, and the values they bind in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Double,
    FromClause,
    Select,
    Text,
    and_,
    bindparam,
    exists,
    false,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.types import TypeEngine

from hie.store.models import DELETED, FOREVER, contained, reference_index
from hie.store.search import joins, security_context
from hie.store.search.clauses import Both, Clause, Either, Led, Negation
from hie.store.search.joined_clauses import Holds, InContext, InContextOf, Joined, JoinedThen, Linked, Referred
from hie.store.search.leading import has_keys, is_range
from hie.store.search.range_clauses import OPEN_ENDED, TWO_ENDED, Interval, Number
from hie.store.search.range_sql import DAY, Reading, compared, interval_of, moment, starting
from hie.store.search.tables import CURRENT, INSIDE, How, Tables, inside_then, place

Condition = ColumnElement[bool]
Columns = Sequence[ColumnElement[Any]]


@dataclass(frozen=True, slots=True)
class AccessPath:
    """How the rows of a page are to be found."""

    in_order: bool = False
    """By the index of the sort key, as very many match: a matter of SQLite."""
    is_selective: bool = False
    """Those that match first, to be sorted then: a matter of PostgreSQL, as the next."""
    is_by_key: bool = False
    """Sorted by nothing but their keys."""
    in_key_order: bool = False
    """Met in the order of their keys until a page is full, where nothing leads to them: a matter of SQLite."""


ANY_PATH = AccessPath()


@dataclass(slots=True)
class Sql(ABC):
    """What clauses need to become SQL; subclasses know one dialect.

    `tables` are asked. `key` is the column of the resource's row id (and `vid` of the version's number, in the past),
    `row` the table that its other columns are asked of: that of `tables`, or an alias of it where a join
    (hie.store.search.joins) asks of the resource at its other end.
    """

    tables: Tables = CURRENT
    key: ColumnElement[int] = field(init=False)
    vid: ColumnElement[int] | None = field(init=False)
    row: FromClause = field(init=False)
    prefix: str = "v"
    binds: list[BindParameter[Any]] = field(default_factory=list)
    #: Given a value, bind it instead of a name: for expressions that go into others' statements.
    supply: Callable[[], Any] | None = None
    #: The column whose index is read from a cursor on, and which way: the bound of the search that lies behind is
    #: hidden from the index, which would else be read from there.
    read_from: tuple[str, Reading] | None = None
    #: The row's own column whose index gives the order (SQLite): ranges of others are hidden, that no index of theirs
    #: is read instead and all of it sorted. "": of another table's column.
    ordered_by: str | None = None
    #: Whether the rows of a whole type may have to be looked at: no part of the search leaves but a few.
    is_wide: bool = False
    #: How the past is asked; None: it is asked of the present.
    as_of: How | None = None
    #: How many questions about other ends of references this one stands in.
    depth: int = 0
    #: Where a dialect keeps a resource's tokens.
    tokens_in_rows: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.row = self.tables.row
        self._ask(self.row)

    def _ask(self, table: FromClause) -> None:
        """Let clauses ask of the keys of a table."""
        self.key, self.vid = table.c.key, (table.c.vid if self.tables.is_past else None)

    def own(self, table: FromClause) -> Condition:
        """Return whether a row of an index table is one of the resource (of the past: of the version)."""
        same: Condition = table.c.key == self.key
        return same if self.vid is None else and_(same, table.c.vid == self.vid)

    def identity(self, table: FromClause) -> list[ColumnElement[Any]]:
        """Return the columns that say whose row an index row is."""
        return [table.c.key, table.c.vid] if self.tables.is_past else [table.c.key]

    def same(self, one: FromClause, other: FromClause) -> list[Condition]:
        """Return that two rows belong to one resource (of the past: to one version)."""
        return [left == right for left, right in zip(self.identity(one), self.identity(other), strict=True)]

    def within(self, keys: Any) -> Condition:
        """Return whether the row is among the keys of a SELECT of `identity`."""
        row = self.row.c
        return tuple_(row.key, row.vid).in_(keys) if self.tables.is_past else row.key.in_(keys)

    def bind(self, type_: TypeEngine[Any]) -> BindParameter[Any]:
        """Return the next bound value, in the order of Clause.values."""
        if self.supply is not None:
            made: BindParameter[Any] = bindparam(None, self.supply(), type_=type_, unique=True)
        else:
            made = bindparam(f"{self.prefix}{len(self.binds)}", type_=type_)
        self.binds.append(made)
        return made

    def stands_now(self, part: Clause) -> Condition:
        """Return whether the resource as it stands now matches, whatever version is looked at."""
        if self.as_of and self.tables.container is not None:
            return self._stands_now_inside(part)
        if not self.tables.is_past:
            return part.sql(self)
        now = CURRENT.row.alias()
        inside = replace(self, tables=CURRENT)  # binds are shared: their names go on
        inside.row, inside.key = now, now.c.key
        live = now.c.method != literal_column(str(DELETED))
        return exists(select(literal_column("1")).where(now.c.key == self.row.c.key, live, part.sql(inside)))

    def in_context(self, clause: InContext) -> Condition:
        """Return whether what a Binary names as its security context matches, if it names anything."""
        return security_context.condition(self, clause)

    def known(self, row: FromClause) -> Sql:
        """Return what asks of a current row that a join has found by its key; binds are shared."""
        inside = replace(self, tables=CURRENT, as_of=None)
        inside.row, inside.key = row, row.c.key
        return inside

    # -- what is contained ----------------------------------------------------------------------------------------

    def _stands_now_inside(self, part: Clause) -> Condition:
        """Return whether what the container has now under the same id matches."""
        now = contained.alias()
        inside = replace(self, tables=INSIDE)
        inside.row, inside.key = now, now.c.key
        same = (now.c.container == self.row.c.container, now.c.fragment == self.row.c.fragment)
        current = now.c.until == literal_column(str(FOREVER))
        return exists(select(literal_column("1")).where(*same, current, part.sql(inside)))

    def holds(self, clause: Holds) -> Condition:
        """Return whether the resource contains one that matches."""
        if not clause.leads:
            return self.holds_one(clause)
        return self.found_first(self.holders(clause)) if clause.few else self.row.c.key.in_(self.holders(clause))

    def holds_one(self, clause: Holds) -> Condition:
        """Return the same, asked of one resource after another."""
        inside, where = self._inside(clause)
        here = contained.c.container == self.row.c.key
        return exists(select(literal_column("1")).where(here, *where, *inside.tables.live, clause.part.sql(inside)))

    def holders(self, clause: Holds) -> Select[Any]:
        """Return a SELECT of the keys of those that contain one that matches."""
        inside, where = self._inside(clause)
        return inside.page([contained.c.container.label("key")], clause.part, where)

    def _inside(self, clause: Holds) -> tuple[Sql, list[Condition]]:
        inside = replace(self, tables=INSIDE if self.as_of is None else inside_then(self.as_of))
        where = place(contained, typed=False)
        if clause.type is not None:
            its: ColumnElement[str] = literal_column(f"'{clause.type}'")  # one of FHIR's, checked when it was read
            where.append(contained.c.type == its)
        return inside, where

    def held_by(self, part: Clause) -> Condition:
        """Return whether the version that contains the row matches; of others TRUE, so that both ask alike."""
        container = self.tables.container
        outer = (container or self.tables).row.alias()
        around = replace(self, tables=container or self.tables)
        around.row, around.key = outer, outer.c.key
        around.vid = outer.c.vid if around.tables.is_past else None
        condition = part.sql(around)
        if container is None:
            return true()
        same = [outer.c.key == self.row.c.container]
        if container.is_past:
            same.append(outer.c.vid == self.row.c.vid)
        return exists(select(literal_column("1")).where(*same, condition))

    # -- columns of the row ---------------------------------------------------------------------------------------

    def constant(self, value: bool) -> Condition:
        """Return TRUE or FALSE."""
        return true() if value else false()

    def presence(self) -> Condition:
        """Return whether a bit of `presence` is set."""
        return self.row.c.presence.bitwise_and(self.bind(BigInteger())) != literal_column("0")

    def one_id(self) -> Condition:
        """Return whether the id is one value."""
        return self.row.c.id == self.bind(Text())

    def interval(self, clause: Interval) -> Condition:
        """Return whether a date stands to [low, high) as the prefix says."""
        if clause.where == "index":
            return self.side(self.tables.dates, self.date_condition(clause))
        bound = [(self.bind(BigInteger()), self.bind(BigInteger())) for _ in (clause, *clause.also)]
        return self.date_of_row(clause, bound, by_start=clause.by_start)

    def date_of_row(self, clause: Interval, bound: Sequence[tuple[Any, Any]], *, by_start: bool = False) -> Condition:
        """Return the condition on a date of the row, whose ends are bound; `by_start`: what an index knows of it."""
        is_beside = self.ordered_by not in (None, clause.where) and self.row is self.tables.row
        found = []
        for one, (low, high) in zip((clause, *clause.also), bound, strict=True):
            if one.where == "updated":
                updated = self.row.c.updated + literal_column("0") if is_beside else self.row.c.updated
                found.append(moment(one.prefix, updated, low, high, self._reading("updated")))
            elif by_start and (one is clause or one.prefix not in OPEN_ENDED):
                start = self.row.c.date_low
                found.append(starting(one.prefix, start, start, low, high))
            else:
                # Of two lower bounds the index is read from the first part's on, which is the later one.
                hidden = is_beside or (one is not clause and (clause.part == "far" or one.prefix in ("ge", "gt", "sa")))
                found.append(self._own_date(one.prefix, low, high, "beside" if hidden else one.part))
        return and_(*found)

    def _own_date(self, prefix: str, low: Any, high: Any, part: str) -> Condition:
        start, end = self.row.c.date_low, self.row.c.date_high
        if part == "beside":
            return interval_of(prefix, start + literal_column("0"), end, low, high, part)
        if part != "far":
            return interval_of(prefix, start, end, low, high, part, self._reading("date"))
        # An expression, so that it does not choose the index: of long periods that would be the one of all dates, read
        # from its beginning, rather than the partial index of the long ones.
        return and_(end - start > DAY, interval_of(prefix, start + literal_column("0"), end, low, high, part))

    def _reading(self, column: str) -> Reading | None:
        """Return which way the index of the row's own column is read from a cursor on; None: it is not."""
        if self.read_from is None or self.read_from[0] != column or self.row is not self.tables.row:
            return None
        return self.read_from[1]

    def care_date(self) -> Condition:
        """Return whether the row's own date overlaps [low, high), or there is none."""
        low, high = self.bind(BigInteger()), self.bind(BigInteger())
        overlapping = and_(self.row.c.date_high > low, self.row.c.date_low < high)
        return or_(self.row.c.date_low.is_(None), overlapping)

    def number(self, clause: Number) -> Condition:
        """Return whether a number or quantity stands to the value as the prefix says."""
        return self.side(self.tables.numbers, self.number_condition(clause))

    def number_condition(self, clause: Number) -> Condition:
        """Return the condition on number_index alone."""
        return or_(*self.number_conditions(clause))

    def number_conditions(self, clause: Number) -> tuple[Condition, Condition]:
        """Return the condition of plain numbers, and that of ranges."""
        c = self.tables.numbers.c
        points, ranges = [c.parameter == self.bind(BigInteger())], [c.parameter == self.bind(BigInteger())]
        for one in (clause, *clause.also):
            low = self.bind(Double())
            high = self.bind(Double()) if one.prefix in TWO_ENDED else low
            point, wide = compared(one.prefix, c.low, c.high, low, high)
            points.append(point)
            ranges.append(wide)
        if clause.unit:
            named = self.bind(BigInteger())
            of_unit = c.unit == named if clause.unit == "unit" else or_(c.code == named, c.text == named)
            points.append(of_unit)
            ranges.append(of_unit)
        return and_(*points), and_(*ranges)

    def date_condition(self, clause: Interval) -> Condition:
        """Return the condition on date_index alone."""
        return or_(*self.date_conditions(clause))

    def date_conditions(self, clause: Interval) -> tuple[Condition, ...]:
        """Return conditions of which one must hold, each answered by an index of its own."""
        c = self.tables.dates.c
        parameter, low, high = (self.bind(BigInteger()) for _ in range(3))
        also = [interval_of(one.prefix, c.low, c.high, self.bind(BigInteger()), self.bind(BigInteger()), "")
                for one in clause.also]  # fmt: skip
        parts = ("near", "far") if clause.prefix in ("gt", "ge", "ap") else ("",)
        found = (interval_of(clause.prefix, c.low, c.high, low, high, part) for part in parts)
        return tuple(and_(c.parameter == parameter, one, *also) for one in found)

    def side(self, table: Any, condition: Condition) -> Condition:
        """Return whether the resource has a row in a side table."""
        return exists(select(literal_column("1")).where(self.own(table), condition))

    # -- logic ----------------------------------------------------------------------------------------------------

    def both(self, parts: Sequence[Clause]) -> Condition:
        """AND."""
        return and_(*(part.sql(self) for part in parts))

    def either(self, parts: Sequence[Clause]) -> Condition:
        """OR."""
        return or_(*(part.sql(self) for part in parts))

    def negation(self, part: Clause) -> Condition:
        """NOT; a date of the row may be NULL, and what is asked of it then does not hold."""
        condition = part.sql(self)
        return not_(func.coalesce(condition, false()) if _asks_row_date(part) else condition)

    # -- tokens, and what drives a statement: by dialect ------------------------------------------------------------

    @abstractmethod
    def one_token(self) -> Condition:
        """Return whether the resource has one token."""

    @abstractmethod
    def any_token(self) -> Condition:
        """Return whether the resource has one of a list of tokens."""

    def many_tokens(self) -> Condition:
        """Return whether the resource has one of a long list of tokens."""
        return self.any_token()

    @abstractmethod
    def all_tokens(self, count: int) -> Condition:
        """Return whether the resource has every one of `count` tokens."""

    @abstractmethod
    def some_ids(self) -> Condition:
        """Return whether the id is in a list."""

    @abstractmethod
    def types(self) -> Condition:
        """Return whether the type is in a list."""

    def joined(self, clause: Joined) -> Condition:
        """Return whether a resource at the other end of a reference matches."""
        return joins.exists_(self, clause)

    def joined_then(self, clause: JoinedThen) -> Condition:
        """Return whether one matched when a first page was read."""
        return joins.then(self, clause)

    def referred(self, clause: Referred) -> Condition:
        """Return whether a resource that matches refers to this one."""
        return joins.referred(self, clause)

    @abstractmethod
    def carries(self, other: Any, hash_: ColumnElement[int]) -> list[Condition]:
        """Return that a current row carries a token, which another table gives; the row is found by it."""

    def linked(self) -> Condition:
        """Return whether the resource refers to one of a list of places."""
        return self.row.c.key.in_(joins.linked(self.among(reference_index.c.target)))

    @abstractmethod
    def carrying(self, tables: Tables, *, is_long: bool) -> Select[Any]:
        """Return a SELECT of the identity of rows that carry one of a list of tokens, by their index."""

    @abstractmethod
    def among(self, column: ColumnElement[Any]) -> Condition:
        """Return whether a column holds one of a list of hashes."""

    def keys(self, clause: Clause) -> Any:
        """Return a SELECT of the keys that match, from an index alone; None where the clause has none."""
        if isinstance(clause, Joined) and clause.drives:
            return joins.keys(self, clause)
        if isinstance(clause, JoinedThen) and clause.drives:
            return joins.keys_then(self, clause)
        if isinstance(clause, Linked):
            return joins.linked(self.among(reference_index.c.target))
        if isinstance(clause, Holds) and clause.leads:
            return self.versions_of(self.holders(clause))
        if isinstance(clause, Either) and not is_range(clause) and has_keys(clause):
            return union_all(*(joins.bare(self.keys(part)) for part in clause.parts))
        if isinstance(clause, Both) and has_keys(clause):
            return self._keys_of_both(clause)
        return self.range_keys(clause)

    def _keys_of_both(self, clause: Both) -> Select[Any]:
        """Return the keys of what has types and ids, or of what the first part leads to and the others let through."""
        outer, other = (self.row, self.key, self.vid), self.tables.row.alias()
        self.row = other
        self._ask(other)
        if has_keys(clause.parts[0]):
            first, rest = self.within(self.keys(clause.parts[0])), clause.parts[1:]
            where = [first, *(part.sql(self) for part in rest)]
        else:
            where = [*place(other, typed=False), self.both(clause.parts)]
        self.row, self.key, self.vid = outer
        return select(*self.identity(other)).where(*where)

    def versions_of(self, keys: Select[Any]) -> Select[Any]:
        """Return a SELECT of the identity of those whose keys are found."""
        if not self.tables.is_past:
            return keys
        other = self.tables.row.alias()
        return select(*self.identity(other)).where(other.c.key.in_(keys))

    def found_first(self, keys: Select[Any]) -> Condition:
        """Return whether a row is among few keys, which are found before any row."""
        return self.row.c.key.in_(keys)

    @abstractmethod
    def led(self, clause: Led) -> Condition:
        """Return whether a row is one of the few that an index finds first."""

    def range_keys(self, clause: Clause) -> Any:
        """Return a SELECT of the keys that a range, or an OR of ranges, leads to, each index asked by itself.

        SQLite has an OR's rows looked for ten times as long, as it must remember which it has met (20,000 in 70 ms).
        """
        if isinstance(clause, Led):
            return self.keys(clause.part)
        if isinstance(clause, InContextOf):
            return security_context.keys(self, clause)
        if isinstance(clause, Interval) and clause.leads:
            return self._each(self.tables.dates, self.date_conditions(clause))
        if isinstance(clause, Interval) and clause.drives:
            other = self.tables.row.alias()
            with joins.at(self, other, other.c.key):
                condition = clause.sql(self)
            return select(*self.identity(other)).where(*place(other, typed=True), condition)
        if isinstance(clause, Number) and clause.leads:
            return self._each(self.tables.numbers, self.number_conditions(clause))
        if isinstance(clause, Either) and all(is_range(part) for part in clause.parts):
            return union_all(*(joins.bare(self.range_keys(part)) for part in clause.parts))
        return None

    def _each(self, table: FromClause, conditions: Sequence[Condition]) -> Any:
        found = [select(*self.identity(table)).where(condition) for condition in conditions]
        return found[0] if len(found) == 1 else union_all(*found)

    def recent(self, columns: Columns, clause: Clause, place: Sequence[Condition]) -> Select[Any]:
        """Return what `page` does, where the index of when versions ceased to be current is to give the rows."""
        return self.page(columns, clause, place)

    def in_order_of(
        self, table: FromClause, columns: Columns, clause: Clause, place: Sequence[Condition]
    ) -> Select[Any]:
        """Return what `page` does, where rows are met in the order of a side table."""
        self.is_wide = True
        return select(*columns).where(*place, *self.tables.live, *self.same(self.row, table), clause.sql(self))

    @abstractmethod
    def page(
        self, columns: Columns, clause: Clause, place: Sequence[Condition], path: AccessPath = ANY_PATH
    ) -> Select[Any]:
        """Return SELECT columns of live resources at `place` (tenant, type) that match the clause."""


def _asks_row_date(clause: Clause) -> bool:
    if isinstance(clause, Both | Either):
        return any(_asks_row_date(part) for part in clause.parts)
    if isinstance(clause, Negation):
        return _asks_row_date(clause.part)
    return isinstance(clause, Interval) and clause.where == "date"
