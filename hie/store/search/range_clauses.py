"""What a search asks of dates, numbers and quantities: nodes of the tree of hie.store.search.clauses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement

from hie.fhir.datatypes import MICROSECONDS_PER_DAY
from hie.store.search.clauses import RANGE, WIDE, Clause, Shape

if TYPE_CHECKING:
    from hie.store.search.sql import Sql


#: Prefixes of what may begin before it and still reach into it.
OPEN_ENDED = frozenset({"gt", "ge", "ap"})
#: Prefixes that compare a number with both ends of what is asked.
TWO_ENDED = frozenset({"eq", "ne", "ap"})


@dataclass(frozen=True, slots=True)
class Interval(Clause):
    """A date of the resource stands to [low, high) as the prefix says.

    `where`: "updated" and "date" are columns of the resource row, "index" is the side table, under `parameter`.
    `part` asks for "near" or "far" intervals only, which together are all (hie.store.search.sql); "beside" for all, by
    no index.
    `drives`: its rows are few and come first (hie.store.search.drivers).
    `by_start`: of the row's own date only where it starts is asked, which an index knows: at least all that match.
    """

    where: str
    prefix: str
    low: int
    high: int
    parameter: int = 0
    part: str = ""
    drives: bool = False
    by_start: bool = False
    rank: int = RANGE
    also: tuple[Interval, ...] = ()
    """Under the same parameter, which has one value at most: that value stands to these too (hie.store.search.merged).
    Of the row's own date these are asked by an index only beside a `part` that is not "far".
    """

    @property
    def leads(self) -> bool:
        """Whether a side table is where to begin: not where very many rows match (hie.store.search.drivers)."""
        return self.where == "index" and self.prefix != "ne" and self.rank != WIDE

    @property
    def starts(self) -> Interval:
        """What the index of the row's own date knows of it: at least all that match."""
        own = self.where == "date" and self.drives and self.part != "far"
        return replace(self, by_start=True) if own else self

    @property
    def far_until(self) -> int:
        """Where those begin that are `near`: a day before the range, up to which most intervals reach into it."""
        return (self.high if self.prefix == "gt" else self.low) - MICROSECONDS_PER_DAY

    def shape(self) -> Shape:
        also = tuple(one.prefix for one in self.also)
        return ("interval", self.where, self.prefix, self.part, self.drives, self.by_start, self.leads, also)

    def values(self) -> Iterator[Any]:
        if self.where == "index":
            yield self.parameter
        for one in (self, *self.also):
            yield one.low
            yield one.high

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.interval(self)


@dataclass(frozen=True, slots=True)
class CareDate(Clause):
    """The row's own date overlaps [low, high), or it has none."""

    low: int
    high: int
    rank: int = WIDE

    def shape(self) -> Shape:
        return ("care",)

    def values(self) -> Iterator[Any]:
        yield self.low
        yield self.high

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.care_date()


@dataclass(frozen=True, slots=True)
class Number(Clause):
    """A number or quantity stands to [low, high) (for eq, ne, ap) or `value` as the prefix says.

    Under `parameter` are plain numbers, under `ranges` those with two different ends.
    `unit` names the column that must equal `unit_hash`: "unit" (system and code), "code" (code or text), or "" (any).
    """

    parameter: int
    ranges: int
    prefix: str
    value: float
    low: float
    high: float
    unit: str = ""
    unit_hash: int = 0
    rank: int = RANGE
    also: tuple[Number, ...] = ()
    """As of an interval."""

    @property
    def leads(self) -> bool:
        """Whether the side table is where to begin, as for a date's."""
        return self.prefix != "ne" and self.rank != WIDE

    def shape(self) -> Shape:
        return ("number", self.prefix, self.unit, self.leads, tuple(one.prefix for one in self.also))

    def values(self) -> Iterator[Any]:
        yield self.parameter
        yield self.ranges
        for one in (self, *self.also):
            if one.prefix in TWO_ENDED:
                yield one.low
                yield one.high
            else:
                yield one.value
        if self.unit:
            yield self.unit_hash

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.number(self)
