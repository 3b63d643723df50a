"""Clauses -> SQL on PostgreSQL: a row's token array is asked (`@>`, `&&`; GIN).

The order of work is left to the planner, but for what it cannot know. Measured reasons: docs/adr/0010.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    ColumnElement,
    FromClause,
    Select,
    Text,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import array

from hie.store.models import contained, resource
from hie.store.search import joins
from hie.store.search.clauses import REFERENCE, WIDE, AllTokens, AnyToken, Both, Clause, Either, Led, Token
from hie.store.search.range_clauses import Interval, Number
from hie.store.search.sql import ANY_PATH, AccessPath, Columns, Condition, Sql
from hie.store.search.tables import CONTAINED, CURRENT, PAST, Tables


@dataclass(slots=True)
class PostgresSql(Sql):
    """Tokens are an array in the row.

    `is_planned_once`: one plan is right whichever values are bound, the index of tokens. PostgreSQL would plan each
    execution anew, which costs more than to execute it, as it expects less of the values than of any values. Behind a
    SELECT it cannot see them: https://www.postgresql.org/docs/current/sql-prepare.html#SQL-PREPARE-NOTES

    `is_led`: keys that were found before lead, and all else is asked of their rows. It cannot see how many these are,
    and would read all of a frequent code as well.

    `is_in_order`: rows are met in an order. It takes tokens that it cannot see for so rare that it would sort all rows
    with them; of a CASE it expects half.
    """

    tokens_in_rows = True
    is_planned_once: bool = False
    is_led: bool = False
    is_in_order: bool = False

    def known(self, row: FromClause) -> Sql:
        inside = super(PostgresSql, self).known(row)
        assert isinstance(inside, PostgresSql)  # noqa: S101 - a copy of itself
        inside.is_led = True
        return inside

    def carrying(self, tables: Tables, *, is_long: bool) -> Select[Any]:
        """Look each of many up: rows compare their tokens with all of a list one by one, which takes 0.03 ms each."""
        if is_long:
            return self._keys_of_many(tables)
        other, hashes = tables.row.alias(), self.bind(ARRAY(BigInteger()))
        carried = other.c.tokens.op("&&", is_comparison=True)(hashes)
        return select(*_identity(other, tables)).where(carried)

    def carries(self, other: Any, hash_: ColumnElement[int]) -> list[Condition]:
        return [other.c.tokens.op("@>", is_comparison=True)(array([hash_]))]

    def among(self, column: ColumnElement[Any]) -> Condition:
        return column == func.any(self.bind(ARRAY(BigInteger())))

    def one_token(self) -> Condition:
        return self._contains([self.bind(BigInteger())])

    def any_token(self) -> Condition:
        return self._met(self._carried().op("&&", is_comparison=True)(self._tokens(self.bind(ARRAY(BigInteger())))))

    def many_tokens(self) -> Condition:
        """Look the tokens up once. Rows compare their tokens with all of a list one by one, which took 0.03 ms each."""
        if not self.is_wide or self.row not in (resource, contained):
            return self.any_token()
        return self.key == func.any(func.array(self._keys_of_many(self.tables).scalar_subquery()))

    def led(self, clause: Led) -> Condition:
        """Find the keys once, before any row: the planner takes a range for that of all parameters, and reads rows."""
        if self.tables.is_past:
            is_little = self.as_of is not None and (self.as_of.by_seen or self.as_of.is_recent)
            return clause.part.sql(self) if is_little else self.within(self.keys(clause))
        return self.key == func.any(func.array(self.keys(clause).scalar_subquery()))

    def keys(self, clause: Clause) -> Any:
        if isinstance(clause, AnyToken):
            return self.carrying(self.tables, is_long=clause.is_long)
        if isinstance(clause, Token | AllTokens):
            other = self.tables.row.alias()
            asked = cast(array([self.bind(BigInteger()) for _ in clause.values()]), ARRAY(BigInteger))
            has = other.c.tokens.op("@>", is_comparison=True)(asked)
            return select(*_identity(other, self.tables)).where(has)
        return super(PostgresSql, self).keys(clause)

    def found_first(self, keys: Select[Any]) -> Condition:
        """Find them as an array: of what is contained the planner knows as little as of ranges."""
        return self.row.c.key == func.any(func.array(keys.scalar_subquery()))

    def negation(self, part: Clause) -> Condition:
        if self.is_wide and self.row is resource and isinstance(part, AnyToken) and part.is_long:
            return self.key.not_in(self._keys_of_many(self.tables))
        return Sql.negation(self, part)

    def _keys_of_many(self, tables: Tables) -> Select[Any]:
        """Return the keys of rows with one of the tokens, each looked up in the index: OFFSET keeps to that."""
        each = func.unnest(self.bind(ARRAY(BigInteger()))).table_valued("hash").render_derived()
        other = tables.row.alias()
        has = other.c.tokens.op("@>", is_comparison=True)(cast(array([each.c.hash]), ARRAY(BigInteger)))
        found = select(*_identity(other, tables)).where(has).offset(literal_column("0")).lateral()
        return select(*found.c).distinct().select_from(each).join(found, true())

    def all_tokens(self, count: int) -> Condition:
        return self._contains([self.bind(BigInteger()) for _ in range(count)])

    def _contains(self, hashes: list[BindParameter[Any]]) -> Condition:
        asked = self._tokens(cast(array(hashes), ARRAY(BigInteger)))
        return self._met(self._carried().op("@>", is_comparison=True)(asked))

    def _met(self, condition: Condition) -> Condition:
        return case((condition, true()), else_=false()) if self.is_in_order else condition

    def _carried(self) -> ColumnElement[Any]:
        """Return a row's tokens, in a way that no index knows where keys lead."""
        tokens = self.row.c.tokens
        return func.coalesce(tokens, literal_column("'{}'")) if self.is_led else tokens

    def _tokens(self, asked: ColumnElement[Any]) -> ColumnElement[Any]:
        return select(asked).scalar_subquery() if self.is_planned_once else asked

    def both(self, parts: Sequence[Clause]) -> Condition:
        """AND; tokens are asked for in one array, that is in one scan of the index."""
        tokens: list[BindParameter[Any]] = []
        conditions: list[Condition] = []
        for part in parts:
            if isinstance(part, Token | AllTokens):
                tokens.extend(self.bind(BigInteger()) for _ in part.values())
            else:
                conditions.append(self._asked_of_row(part) if _is_unled(part) else part.sql(self))
        return and_(*([self._contains(tokens)] if tokens else []), *conditions)

    def either(self, parts: Sequence[Clause]) -> Condition:
        """OR; where ranges in it lead nowhere, each row is asked, as it would else find all keys of each of them."""
        return or_(*(self._asked_of_row(part) if _is_unled(part) else part.sql(self) for part in parts))

    def _asked_of_row(self, part: Clause) -> Condition:
        if isinstance(part, Number):
            table, found = self.tables.numbers, self.number_condition(part)
        else:
            assert isinstance(part, Interval)  # noqa: S101 - _is_unled said so
            table, found = self.tables.dates, self.date_condition(part)
        # OFFSET 0 keeps PostgreSQL from turning the question around.
        return exists(select(literal_column("1")).where(self.own(table), found).offset(literal_column("0")))

    def some_ids(self) -> Condition:
        return self.row.c.id == func.any(self.bind(ARRAY(Text())))

    def types(self) -> Condition:
        return self.row.c.type == func.any(self.bind(ARRAY(Text())))

    def side(self, table: Any, condition: Condition) -> Condition:
        return self.within(select(*self.identity(table)).where(condition))

    def in_order_of(
        self, table: FromClause, columns: Columns, clause: Clause, place: Sequence[Condition]
    ) -> Select[Any]:
        self.is_led = self.is_in_order = True
        return Sql.in_order_of(self, table, columns, clause, place)

    def page(
        self, columns: Columns, clause: Clause, place: Sequence[Condition], path: AccessPath = ANY_PATH
    ) -> Select[Any]:
        self.is_wide = clause.rank > REFERENCE
        self.is_planned_once = path.is_selective and path.is_by_key and _is_found_by_tokens(clause)
        self.is_led = isinstance(joins.driver_of(clause), Led)
        if self.is_led or (path.is_selective and _begins_with_tokens(clause)):
            # Of tokens that it cannot see, or that are not among the commonest, it expects so many rows that it would
            # read the index of the type as well.
            place = [_apart(condition) for condition in place]
        found = select(*columns).where(*place, *self.tables.live, joins.begun(self, clause))
        if path.is_selective and not self.is_led:
            # Ordered by an expression, rows are not looked for along the primary key. The planner likes to: it takes
            # matches for evenly spread, but a patient's lie together, and all rows before them would be read.
            self.key = self.row.c.key + literal_column("0")
        return found


def _is_found_by_tokens(clause: Clause) -> bool:
    """Tell whether tokens find the rows, and all else is asked of a row's numbers and dates (PostgreSQL)."""
    if joins.is_of_tokens(clause):
        return True
    parts = clause.parts if isinstance(clause, Both) else (clause,)
    tokens = [part for part in parts if isinstance(part, Token | AllTokens | AnyToken)]
    return parts[0] in tokens and all(part in tokens or _is_unled(part) or _is_all_unled(part) for part in parts)


def _is_all_unled(clause: Clause) -> bool:
    return isinstance(clause, Either) and all(_is_unled(part) for part in clause.parts)


def _is_unled(clause: Clause) -> bool:
    """Tell whether a side table is asked, and not where to begin, as very many match (hie.store.search.drivers)."""
    if isinstance(clause, Interval) and clause.where != "index":
        return False
    return isinstance(clause, Number | Interval) and clause.prefix != "ne" and clause.rank == WIDE


def _begins_with_tokens(clause: Clause) -> bool:
    first = clause.parts[0] if isinstance(clause, Both) else clause
    return isinstance(first, Token | AnyToken | AllTokens)


def _identity(table: FromClause, tables: Tables) -> list[ColumnElement[Any]]:
    return [table.c.key, table.c.vid] if tables.is_past else [table.c.key]


def _apart(condition: Condition) -> Condition:
    """Keep PostgreSQL from using an index for the tenant or the type."""
    left = getattr(condition, "left", None)
    for tables in (CURRENT, PAST, CONTAINED):
        columns = tables.row.c
        if left is columns.tenant:
            return (columns.tenant + literal_column("0")) == condition.right
        if left is columns.type:
            return columns.type.concat(literal_column("''")) == condition.right
    return condition
