"""Clauses -> SQL, for each dialect in its fastest form; a statement is built once for each shape of search.

PostgreSQL asks a row's token array (`@>`, `&&`; GIN) and leaves the order of work to its planner. SQLite has the table
`token` and no statistics: the most selective criterion drives the statement and the others are checked row by row.
Measured reasons: docs/adr/0010.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Connection,
    Double,
    FromClause,
    Join,
    Select,
    Subquery,
    Text,
    and_,
    bindparam,
    cast,
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
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeEngine

from hie.fhir.datatypes import MICROSECONDS_PER_DAY
from hie.store.models import DELETED, FOREVER, contained, reference_index, resource
from hie.store.prepared import Prepared
from hie.store.search import joins
from hie.store.search.clauses import (
    REFERENCE,
    WIDE,
    AllTokens,
    AnyToken,
    Both,
    Clause,
    Either,
    Holds,
    Interval,
    Joined,
    Led,
    Linked,
    Negation,
    Number,
    Token,
    is_range,
)
from hie.store.search.tables import CONTAINED, CURRENT, INSIDE, INSIDE_THEN, PAST, Tables, place, valid

Condition = ColumnElement[bool]
Columns = Sequence[ColumnElement[Any]]
Reading = Literal["rising", "falling"]

_DAY: ColumnElement[int] = literal_column(str(MICROSECONDS_PER_DAY))


class JsonList(sqltypes.TypeDecorator[list[Any]]):
    """A list bound as one JSON text, which SQLite reads with json_each: one statement for lists of any length."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: list[Any] | None, dialect: Any) -> str:
        """Return the JSON text."""
        return json.dumps(value)


@dataclass(slots=True)
class Sql:
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
    #: Whether the rows of a whole type may have to be looked at: no part of the search leaves but a few.
    is_wide: bool = False
    #: Whether it is asked as of an instant.
    as_of: bool = False
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
        return self.row.c.key.in_(self.holders(clause)) if clause.leads else self.holds_one(clause)

    def holds_one(self, clause: Holds) -> Condition:
        """Return the same, asked of one resource after another."""
        inside, where = self._inside(clause)
        here = contained.c.container == self.row.c.key
        return exists(select(literal_column("1")).where(here, *where, *inside.tables.live, clause.part.sql(inside)))

    def holders(self, clause: Holds) -> Select[Any]:
        """Return a SELECT of the keys of those that contain one that matches."""
        inside, where = self._inside(clause)
        return inside.page([contained.c.container], clause.part, where)

    def _inside(self, clause: Holds) -> tuple[Sql, list[Condition]]:
        inside = replace(self, tables=INSIDE_THEN if self.as_of else INSIDE)
        its: ColumnElement[str] = literal_column(f"'{clause.type}'")  # one of FHIR's, checked when it was read
        return inside, [*place(contained, typed=False), contained.c.type == its]

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

    def interval(self, where: str, prefix: str, part: str) -> Condition:
        """Return whether a date stands to [low, high) as the prefix says."""
        if where == "index":
            return self.side(self.tables.dates, self.date_condition(prefix))
        low, high = self.bind(BigInteger()), self.bind(BigInteger())
        if where == "updated":
            return _moment(prefix, self.row.c.updated, low, high, self._reading("updated"))
        return self.date_of_row(prefix, low, high, part)

    def date_of_row(self, prefix: str, low: Any, high: Any, part: str) -> Condition:
        """Return the condition on the row's own date."""
        start, end = self.row.c.date_low, self.row.c.date_high
        if part != "far":
            return _interval(prefix, start, end, low, high, part, self._reading("date"))
        # An expression, so that it does not choose the index: of long periods that would be the one of all dates, read
        # from its beginning, rather than the partial index of the long ones.
        return and_(end - start > _DAY, _interval(prefix, start + literal_column("0"), end, low, high, part))

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

    def number(self, prefix: str, unit: str) -> Condition:
        """Return whether a number or quantity stands to the value as the prefix says."""
        return self.side(self.tables.numbers, self.number_condition(prefix, unit))

    def number_condition(self, prefix: str, unit: str) -> Condition:
        """Return the condition on number_index alone."""
        return or_(*self.number_conditions(prefix, unit))

    def number_conditions(self, prefix: str, unit: str) -> tuple[Condition, Condition]:
        """Return the condition of plain numbers, and that of ranges."""
        c = self.tables.numbers.c
        points, ranges = self.bind(BigInteger()), self.bind(BigInteger())
        low = self.bind(Double())
        high = self.bind(Double()) if prefix in ("eq", "ne", "ap") else low
        point, wide = _number(prefix, c.low, c.high, low, high)
        found = and_(c.parameter == points, point), and_(c.parameter == ranges, wide)
        if not unit:
            return found
        named = self.bind(BigInteger())
        of_unit = c.unit == named if unit == "unit" else or_(c.code == named, c.text == named)
        return and_(found[0], of_unit), and_(found[1], of_unit)

    def date_condition(self, prefix: str) -> Condition:
        """Return the condition on date_index alone."""
        return or_(*self.date_conditions(prefix))

    def date_conditions(self, prefix: str) -> tuple[Condition, ...]:
        """Return conditions of which one must hold, each answered by an index of its own."""
        c = self.tables.dates.c
        parameter, low, high = (self.bind(BigInteger()) for _ in range(3))
        if prefix not in ("gt", "ge", "ap"):
            return (and_(c.parameter == parameter, _interval(prefix, c.low, c.high, low, high, "")),)
        near, far = (_interval(prefix, c.low, c.high, low, high, part) for part in ("near", "far"))
        return and_(c.parameter == parameter, near), and_(c.parameter == parameter, far)

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

    def one_token(self) -> Condition:
        """Return whether the resource has one token."""
        raise NotImplementedError

    def any_token(self) -> Condition:
        """Return whether the resource has one of a list of tokens."""
        raise NotImplementedError

    def many_tokens(self) -> Condition:
        """Return whether the resource has one of a long list of tokens."""
        return self.any_token()

    def all_tokens(self, count: int) -> Condition:
        """Return whether the resource has every one of `count` tokens."""
        raise NotImplementedError

    def some_ids(self) -> Condition:
        """Return whether the id is in a list."""
        raise NotImplementedError

    def types(self) -> Condition:
        """Return whether the type is in a list."""
        raise NotImplementedError

    def joined(self, clause: Joined) -> Condition:
        """Return whether a resource at the other end of a reference matches."""
        return joins.exists_(self, clause)

    def linked(self) -> Condition:
        """Return whether the resource refers to one of a list of places."""
        return self.row.c.key.in_(joins.linked(self.among(reference_index.c.target)))

    def among(self, column: ColumnElement[Any]) -> Condition:
        """Return whether a column holds one of a list of hashes."""
        raise NotImplementedError

    def keys(self, clause: Clause) -> Any:
        """Return a SELECT of the keys that match, from an index alone; None where the clause has none."""
        if isinstance(clause, Joined) and clause.drives:
            return joins.keys(self, clause)
        return self.range_keys(clause)

    def led(self, clause: Led) -> Condition:
        """Return whether a row is one of the few that an index finds first."""
        raise NotImplementedError

    def range_keys(self, clause: Clause) -> Any:
        """Return a SELECT of the keys that a range, or an OR of ranges, leads to, each index asked by itself.

        SQLite has an OR's rows looked for ten times as long, as it must remember which it has met (20,000 in 70 ms).
        """
        if isinstance(clause, Led):
            return self.range_keys(clause.part)
        if isinstance(clause, Interval) and clause.leads:
            return self._each(self.tables.dates, self.date_conditions(clause.prefix))
        if isinstance(clause, Interval) and clause.drives:
            other = self.tables.row.alias()
            with joins.at(self, other, other.c.key):
                condition = clause.sql(self)
            return select(*self.identity(other)).where(*place(other, typed=True), condition)
        if isinstance(clause, Number) and clause.leads:
            return self._each(self.tables.numbers, self.number_conditions(clause.prefix, clause.unit))
        if isinstance(clause, Either) and all(is_range(part) for part in clause.parts):
            return union_all(*(_bare(self.range_keys(part)) for part in clause.parts))
        return None

    def _each(self, table: FromClause, conditions: Sequence[Condition]) -> Any:
        found = [select(*self.identity(table)).where(condition) for condition in conditions]
        return found[0] if len(found) == 1 else union_all(*found)

    def token_rows(self, clause: Clause) -> Select[Any]:
        """Return one row for each resource that matches a clause of tokens alone, from the index of tokens alone."""
        raise NotImplementedError

    def recent(self, columns: Columns, clause: Clause, place: Sequence[Condition]) -> Select[Any]:
        """Return what `page` does, where the index of when versions ceased to be current is to give the rows."""
        return self.page(columns, clause, place)

    def page(
        self,
        columns: Columns,
        clause: Clause,
        place: Sequence[Condition],
        *,
        in_order: bool = False,
        is_selective: bool = False,
        is_by_key: bool = False,
    ) -> Select[Any]:
        """Return SELECT columns of live resources at `place` (tenant, type) that match the clause.

        `in_order`: the index of the sort key is to give the rows, as very many match (a matter of SQLite);
        `is_selective`: those that match are to be found first and then sorted; `is_by_key`: by nothing but their keys
        (matters of PostgreSQL).
        """
        raise NotImplementedError


@dataclass(slots=True)
class PostgresSql(Sql):
    """Tokens are an array in the row.

    `is_planned_once`: one plan is right whichever values are bound, the index of tokens. PostgreSQL would plan each
    execution anew, which costs more than to execute it, as it expects less of the values than of any values. Behind a
    SELECT it cannot see them: https://www.postgresql.org/docs/current/sql-prepare.html#SQL-PREPARE-NOTES

    `is_led`: keys that were found before lead, and all else is asked of their rows. It cannot see how many these are,
    and would read all of a frequent code as well.
    """

    tokens_in_rows = True
    is_planned_once: bool = False
    is_led: bool = False

    def among(self, column: ColumnElement[Any]) -> Condition:
        return column == func.any(self.bind(ARRAY(BigInteger())))

    def one_token(self) -> Condition:
        return self._contains([self.bind(BigInteger())])

    def any_token(self) -> Condition:
        return self._carried().op("&&", is_comparison=True)(self._tokens(self.bind(ARRAY(BigInteger()))))

    def many_tokens(self) -> Condition:
        """Look the tokens up once. Rows compare their tokens with all of a list one by one, which took 0.03 ms each."""
        if not self.is_wide or self.row is not resource:
            return self.any_token()
        return self.key == func.any(func.array(self._keys_of_many().scalar_subquery()))

    def led(self, clause: Led) -> Condition:
        """Find the keys once, before any row: the planner takes a range for that of all parameters, and reads rows."""
        if self.tables.is_past:
            return self.within(self.range_keys(clause))
        return self.key == func.any(func.array(self.range_keys(clause).scalar_subquery()))

    def negation(self, part: Clause) -> Condition:
        if self.is_wide and self.row is resource and isinstance(part, AnyToken) and part.is_long:
            return self.key.not_in(self._keys_of_many())
        return Sql.negation(self, part)

    def _keys_of_many(self) -> Select[Any]:
        """Return the keys of rows with one of the tokens, each looked up in the index: OFFSET keeps to that."""
        each = func.unnest(self.bind(ARRAY(BigInteger()))).table_valued("hash").render_derived()
        other = resource.alias()
        has = other.c.tokens.op("@>", is_comparison=True)(cast(array([each.c.hash]), ARRAY(BigInteger)))
        found = select(other.c.key).where(has).offset(literal_column("0")).lateral()
        return select(found.c.key).distinct().select_from(each).join(found, true())

    def all_tokens(self, count: int) -> Condition:
        return self._contains([self.bind(BigInteger()) for _ in range(count)])

    def _contains(self, hashes: list[BindParameter[Any]]) -> Condition:
        return self._carried().op("@>", is_comparison=True)(self._tokens(cast(array(hashes), ARRAY(BigInteger))))

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
            table, found = self.tables.numbers, self.number_condition(part.prefix, part.unit)
        else:
            assert isinstance(part, Interval)  # noqa: S101 - _is_unled said so
            table, found = self.tables.dates, self.date_condition(part.prefix)
        # OFFSET 0 keeps PostgreSQL from turning the question around.
        return exists(select(literal_column("1")).where(self.own(table), found).offset(literal_column("0")))

    def some_ids(self) -> Condition:
        return self.row.c.id == func.any(self.bind(ARRAY(Text())))

    def types(self) -> Condition:
        return self.row.c.type == func.any(self.bind(ARRAY(Text())))

    def side(self, table: Any, condition: Condition) -> Condition:
        return self.within(select(*self.identity(table)).where(condition))

    def page(
        self,
        columns: Columns,
        clause: Clause,
        place: Sequence[Condition],
        *,
        in_order: bool = False,
        is_selective: bool = False,
        is_by_key: bool = False,
    ) -> Select[Any]:
        self.is_wide = clause.rank > REFERENCE
        self.is_planned_once = is_selective and is_by_key and _is_found_by_tokens(clause)
        self.is_led = isinstance(joins.driver_of(clause), Led)
        if self.is_led or (is_selective and _begins_with_tokens(clause)):
            # Of tokens that it cannot see, or that are not among the commonest, it expects so many rows that it would
            # read the index of the type as well.
            place = [_apart(condition) for condition in place]
        found = select(*columns).where(*place, *self.tables.live, joins.begun(self, clause))
        if is_selective and not self.is_led:
            # Ordered by an expression, rows are not looked for along the primary key. The planner likes to: it takes
            # matches for evenly spread, but a patient's lie together, and all rows before them would be read.
            self.key = self.row.c.key + literal_column("0")
        return found


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
        self,
        columns: Columns,
        clause: Clause,
        place: Sequence[Condition],
        *,
        in_order: bool = False,
        is_selective: bool = False,
        is_by_key: bool = False,
    ) -> Select[Any]:
        self.is_wide = clause.rank > REFERENCE
        parts = clause.parts if isinstance(clause, Both) else (clause,)
        first, rest = parts[0], parts[1:]
        if isinstance(first, Token | AllTokens) and not in_order:
            return self._by_token(columns, first, rest, place)
        driver = None if in_order else self.keys(first)
        if driver is None:
            return select(*columns).where(*place, *self.tables.live, *(part.sql(self) for part in parts))
        others = [part.sql(self) for part in rest]
        return select(*columns).where(self.within(driver), *map(unindexed, place), *self.tables.live, *others)

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
        more = len(first.hashes) - 1 if isinstance(first, AllTokens) else 0
        for part in (*[None] * more, *rest):
            if part is None or isinstance(part, Token):
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
        if isinstance(clause, Joined) and clause.drives:
            return joins.keys(self, clause)
        if isinstance(clause, Linked):
            return joins.linked(self.among(reference_index.c.target))
        if isinstance(clause, Holds) and clause.leads:
            return self._versions_of(self.holders(clause))
        if isinstance(clause, Either) and has_keys(clause):
            return union_all(*(_bare(self.keys(part)) for part in clause.parts))
        return self.range_keys(clause)

    def _versions_of(self, keys: Select[Any]) -> Select[Any]:
        if not self.tables.is_past:
            return keys
        other = self.tables.row.alias()
        return select(*self.identity(other)).where(other.c.key.in_(keys))


def has_keys(clause: Clause) -> bool:
    """Tell whether `keys` gives a SELECT."""
    if isinstance(clause, Joined):
        return clause.drives
    if isinstance(clause, Holds):
        return clause.leads
    if isinstance(clause, Either):
        return all(has_keys(part) for part in clause.parts)
    return is_range(clause) or isinstance(clause, Token | AnyToken | AllTokens | Linked)


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


def unindexed(condition: Condition) -> Condition:
    """Keep SQLite from using an index for this comparison: it would drive the statement by the type."""
    left = getattr(condition, "left", None)
    for tables in (CURRENT, PAST, CONTAINED):
        if left is tables.row.c.tenant or left is tables.row.c.type:
            return literal_column(f"+{tables.row.name}.{left.name}", left.type) == condition.right
    return condition


def _bare(keys: Any) -> Any:
    """Return a SELECT that can stand in a UNION; SQLite takes no UNION in another."""
    if not isinstance(keys, CompoundSelect):
        return keys
    inner = keys.subquery()
    return select(*inner.c)


def _asks_row_date(clause: Clause) -> bool:
    if isinstance(clause, Both | Either):
        return any(_asks_row_date(part) for part in clause.parts)
    if isinstance(clause, Negation):
        return _asks_row_date(clause.part)
    return isinstance(clause, Interval) and clause.where == "date"


def sql_for(dialect: str, **options: Any) -> Sql:
    """Return the SQL of a dialect."""
    return SqliteSql(**options) if dialect == "sqlite" else PostgresSql(**options)


def at_instant(
    dialect: str, arm: Callable[[Sql], Select[Any]], both: Sequence[Tables] = (CURRENT, PAST)
) -> tuple[Subquery, tuple[str, ...]]:
    """Return the rows of an arm over what is current and over what is past, those valid then (hie.store.search.tables).

    Both ask the same clauses, so the names of their bound values, which come second, are those of one.
    """
    asked = [sql_for(dialect, tables=tables, as_of=True) for tables in both]
    arms = [select(arm(sql).where(valid(sql.tables)).subquery()) for sql in asked]
    return union_all(*arms).subquery(), tuple(bind.key for bind in asked[0].binds)


def run(connection: Connection, statement: Prepared, values: dict[str, Any], *, is_selective: bool) -> list[Any]:
    """Execute a statement and return its rows.

    PostgreSQL plans a prepared statement once for all values after a while: well where few rows match whatever the
    value, badly (2 to 5 times slower at 20,000 resources, and growing) where one value has ten and another a million.
    """
    return statement.all(connection, values, prepare=None if is_selective else False)


def prepared(statement: Select[Any]) -> Prepared:
    """Return a statement that is compiled once; its rows are named by its columns."""
    names = [str(column.key) for column in statement.selected_columns]  # "None": a function without a name
    return Prepared(statement, [f"column{n}" if name == "None" else name for n, name in enumerate(names)])


# ---- intervals and numbers -------------------------------------------------------------------------------------------


def _interval(
    prefix: str, start: Any, end: Any, low: Any, high: Any, part: str, reading: Reading | None = None
) -> Condition:
    """Say in SQL what hie.store.search.intervals says in Python.

    An index knows where intervals start. `near` are those that start in the range or up to a day before it, nearly all;
    `far` are longer ones that start earlier, from a partial index. Without a part: all of them, not by an index.
    """
    above, below = _bounds(start, reading)
    match prefix:
        case "eq":
            return and_(above >= low, below < high, end <= high)
        case "ne":
            return and_(start.is_not(None), or_(start < low, end > high))
        case "lt":
            return below < low
        case "le":
            return and_(below < high, or_(start < low, end <= high))
        case "sa":
            return above >= high
        case "eb":
            return and_(below < low, end <= low)
    after = high if prefix == "gt" else low
    all_of_it = {
        "gt": end > high,
        "ge": or_(start >= low, end > high),
        "ap": and_(below < high, end > low),
    }[prefix]
    if part == "near":
        bounded = and_(above >= after - _DAY, below < high) if prefix == "ap" else above >= after - _DAY
        return and_(bounded, all_of_it)
    if part == "far":
        return and_(end - start > _DAY, end > after, start < after - _DAY, all_of_it)
    return and_(start.is_not(None), all_of_it)


def _bounds(column: Any, reading: Reading | None) -> tuple[Any, Any]:
    """Return the column as it is compared with lower and with upper bounds; an expression is hidden from indexes."""
    hidden = column + literal_column("0")
    return hidden if reading == "rising" else column, hidden if reading == "falling" else column


def _moment(prefix: str, column: Any, low: Any, high: Any, reading: Reading | None) -> Condition:
    above, below = _bounds(column, reading)
    match prefix:
        case "eq" | "ap":
            return and_(above >= low, below < high)
        case "ne":
            return or_(column < low, column >= high)
        case "gt" | "sa":
            return above >= high
        case "lt" | "eb":
            return below < low
        case "ge":
            return above >= low
    return below < high


def _number(prefix: str, start: Any, end: Any, low: Any, high: Any) -> tuple[Condition, Condition]:
    """Return the condition of a plain number, by its `start` alone, and that of a range."""
    match prefix:
        case "eq":
            return and_(start >= low, start < high), and_(start >= low, end < high)
        case "ne":
            return or_(start < low, start >= high), or_(start < low, end >= high)
        case "gt":
            return start > low, end > low
        case "lt":
            return start < low, start < low
        case "ge":
            return start >= low, end >= low
        case "le":
            return start <= low, start <= low
        case "sa":
            return start > low, start > low
        case "eb":
            return start < low, end < low
    return and_(start >= low, start < high), and_(start < high, end >= low)
