"""Clauses -> SQL on SQLite: tokens are a table, and there are no statistics.

The most selective criterion drives the statement, the others are checked row by row. Measured reasons: docs/adr/0010.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Join,
    Select,
    Text,
    and_,
    exists,
    func,
    literal_column,
    select,
)
from sqlalchemy import types as sqltypes
from sqlalchemy.ext.compiler import compiles

from hie.store.models import resource
from hie.store.search import joins
from hie.store.search.clauses import REFERENCE, WIDE, AllTokens, AnyToken, Both, Clause, Ids, Led, Token
from hie.store.search.range_clauses import Interval
from hie.store.search.sql import ANY_PATH, AccessPath, Columns, Condition, Sql
from hie.store.search.tables import CONTAINED, CURRENT, PAST, Tables
from hie.store.search.tables import place as place_of


class JsonList(sqltypes.TypeDecorator[list[Any]]):
    """A list bound as one JSON text, which SQLite reads with json_each: one statement for lists of any length."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: list[Any] | None, dialect: Any) -> str:
        """Return the JSON text."""
        return json.dumps(value)


class InOrder(Join):
    """A join that SQLite reads from left to right: https://www.sqlite.org/optoverview.html#manual_control_of_query_plans_using_cross_join"""

    inherit_cache = True


@compiles(InOrder)
def _in_order(joined: InOrder, compiler: Any, **options: Any) -> str:
    options["asfrom"] = True
    left, right = compiler.process(joined.left, **options), compiler.process(joined.right, **options)
    return f"{left} CROSS JOIN {right} ON {compiler.process(joined.onclause, **options)}"


@dataclass(slots=True)
class SqliteSql(Sql):
    """Tokens are a table of their own, sorted by (hash, key)."""

    def carrying(self, tables: Tables, *, is_long: bool) -> Select[Any]:
        other = tables.token.alias()
        return select(*_identity(other, tables)).where(other.c.hash.in_(self._listed()))

    def carries(self, other: Any, hash_: ColumnElement[int]) -> list[Condition]:
        carried = CURRENT.token.alias()
        return [carried.c.hash == hash_, other.c.key == carried.c.key]

    def among(self, column: ColumnElement[Any]) -> Condition:
        return column.in_(self._listed())

    def one_token(self) -> Condition:
        hash_ = self.bind(BigInteger())
        other = self.tables.token.alias()
        return exists(select(literal_column("1")).where(other.c.hash == hash_, self.own(other)))

    def any_token(self) -> Condition:
        other = self.tables.token.alias()
        hashes = self._listed()
        return exists(select(literal_column("1")).where(other.c.hash.in_(hashes), self.own(other)))

    def negation(self, part: Clause) -> Condition:
        """Look a long list up once; short ones are asked of each row, as a page needs but a few of these."""
        if self.is_wide and self.row is resource and isinstance(part, AnyToken) and part.is_long:
            return self.key.not_in(self.keys(part))
        return Sql.negation(self, part)

    def led(self, clause: Led) -> Condition:
        return clause.part.sql(self)

    def all_tokens(self, count: int) -> Condition:
        return and_(*(self.one_token() for _ in range(count)))

    def some_ids(self) -> Condition:
        return self.row.c.id.in_(self._listed())

    def types(self) -> Condition:
        return self.row.c.type.in_(self._listed())

    def _listed(self) -> Select[Any]:
        each = func.json_each(self.bind(JsonList())).table_valued("value")
        return select(each.c.value)

    def page(
        self, columns: Columns, clause: Clause, place: Sequence[Condition], path: AccessPath = ANY_PATH
    ) -> Select[Any]:
        self.is_wide = clause.rank > REFERENCE
        parts = clause.parts if isinstance(clause, Both) else (clause,)
        first, rest = parts[0], parts[1:]
        if isinstance(first, Token | AllTokens) and not path.in_order:
            return self._by_token(columns, first, rest, place)
        range_ = first.part if isinstance(first, Led) else None
        if isinstance(range_, Interval) and range_.drives and rest and self.row is resource and not path.in_order:
            return self._by_column(columns, range_, rest, place)
        is_of_ids = isinstance(first, Ids) and len(first.ids) > 1 and len(place) > 1 and self.tables.container is None
        driver: Any = None
        if not path.in_order:
            driver = self._of_ids(place) if is_of_ids else self.keys(first)
        if driver is None:
            if path.in_key_order and len(place) == 1 and clause.rank == WIDE and not self.tables.is_past:
                place = [*map(unindexed, place)]  # of all types: else all rows are found by their time, and sorted
            return select(*columns).where(*place, *self.tables.live, *(part.sql(self) for part in parts))
        others = [part.sql(self) for part in rest]
        return select(*columns).where(self.within(driver), *map(unindexed, place), *self.tables.live, *others)

    def _of_ids(self, place: Sequence[Condition]) -> Select[Any]:
        """Return a SELECT of the keys of several ids of one type; else the index of the order would be gone through."""
        return select(*self.identity(self.tables.row)).where(*place, self.some_ids()).correlate(None)

    def in_order_of(
        self, table: FromClause, columns: Columns, clause: Clause, place: Sequence[Condition]
    ) -> Select[Any]:
        self.is_wide = True
        joined = InOrder(table, self.row, and_(*self.same(self.row, table)))
        return select(*columns).select_from(joined).where(*map(unindexed, place), *self.tables.live, clause.sql(self))

    def recent(self, columns: Columns, clause: Clause, place: Sequence[Condition]) -> Select[Any]:
        tenant, *type_ = place
        found = [part.sql(self) for part in (clause.parts if isinstance(clause, Both) else (clause,))]
        return select(*columns).where(tenant, *map(unindexed, type_), *self.tables.live, *found)

    def _by_token(
        self, columns: Columns, first: Clause, rest: Sequence[Clause], place: Sequence[Condition]
    ) -> Select[Any]:
        found, conditions = self._of_tokens(first, rest)
        joined = InOrder(found, self.row, and_(*self.same(self.row, self.tables.token)))
        return select(*columns).select_from(joined).where(*conditions, *map(unindexed, place), *self.tables.live)

    def _by_column(
        self, columns: Columns, first: Interval, rest: Sequence[Clause], place: Sequence[Condition]
    ) -> Select[Any]:
        """Let the index of a column of the row drive: tokens are asked of its keys before any row is read."""
        led = self.row.alias()
        with joins.at(self, led, led.c.key):
            starting = first.starts.sql(self)
        ends = self.binds[-2 * (1 + len(first.also)) :]
        self._ask(led)
        found, conditions = self._joined(led, rest)
        if first.where == "date":
            conditions.append(self.date_of_row(first, [*zip(ends[::2], ends[1::2], strict=True)]))
        joined = InOrder(found, self.row, self.row.c.key == led.c.key)
        within = (*place_of(led, typed=True), starting, *map(unindexed, place))
        return select(*columns).select_from(joined).where(*within, *conditions, *self.tables.live)

    def token_rows(self, clause: Clause) -> Select[Any]:
        """Return one row for each resource that matches a clause of tokens alone; the first must be one token."""
        self.is_wide = clause.rank > REFERENCE
        parts = clause.parts if isinstance(clause, Both) else (clause,)
        found, conditions = self._of_tokens(parts[0], parts[1:])
        return select(literal_column("1")).select_from(found).where(*conditions)

    def _of_tokens(self, first: Clause, rest: Sequence[Clause]) -> tuple[FromClause, list[Condition]]:
        """Let the rows of one token drive; whatever else is asked is asked of their keys, further tokens by a join."""
        found: FromClause = self.tables.token
        self._ask(found)
        conditions = [self.tables.token.c.hash == self.bind(BigInteger())]
        for _ in first.hashes[1:] if isinstance(first, AllTokens) else ():
            found = self._joined_token(found)
        found, more = self._joined(found, rest)
        return found, [*conditions, *more]

    def _joined(self, found: FromClause, rest: Sequence[Clause]) -> tuple[FromClause, list[Condition]]:
        """Join the tokens among further parts; return also the conditions of the others, asked of the same keys."""
        conditions = []
        for part in rest:
            if isinstance(part, Token):
                found = self._joined_token(found)
            else:
                conditions.append(part.sql(self))
        return found, conditions

    def _joined_token(self, found: FromClause) -> FromClause:
        """Join one more token of the same resource: a row each at most, and a fifth cheaper than to ask EXISTS."""
        other = self.tables.token.alias()
        return InOrder(found, other, and_(other.c.hash == self.bind(BigInteger()), self.own(other)))

    def keys(self, clause: Clause) -> Any:
        """Return a SELECT of the keys that match, from an index alone; None where the clause has none."""
        first = self.tables.token.alias()
        found = select(*self.identity(first))
        if isinstance(clause, Token):
            return found.where(first.c.hash == self.bind(BigInteger()))
        if isinstance(clause, AnyToken):
            return found.where(first.c.hash.in_(self._listed()))
        if isinstance(clause, AllTokens):
            outer = self.key, self.vid
            self._ask(first)
            conditions = [first.c.hash == self.bind(BigInteger()), *(self.one_token() for _ in clause.hashes[1:])]
            self.key, self.vid = outer
            return found.where(*conditions)
        return Sql.keys(self, clause)


def _identity(table: FromClause, tables: Tables) -> list[ColumnElement[Any]]:
    return [table.c.key, table.c.vid] if tables.is_past else [table.c.key]


def unindexed(condition: Condition) -> Condition:
    """Keep SQLite from using an index for this comparison: it would drive the statement by the type."""
    left = getattr(condition, "left", None)
    for tables in (CURRENT, PAST, CONTAINED):
        if left is tables.row.c.tenant or left is tables.row.c.type:
            return literal_column(f"+{tables.row.name}.{left.name}", left.type) == condition.right
    return condition
