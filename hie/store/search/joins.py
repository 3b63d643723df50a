"""Joins over references in SQL: from a resource to those it refers to, and to those that refer to it.

`reference_index` has for each reference (key, parameter, target), and for each resource its own place as the target
under the parameter ITSELF. So a reference leads to a resource by equal targets, either way, without a value in clear.

Two forms: `exists_` asks of one resource whether somebody at the other end matches; `keys` begins at the other end and
gives the keys of all resources here. hie.store.search.hops decides: SQLite has no statistics, and those of PostgreSQL
know nothing of who refers to whom (it expected 41 rows where 49,500 came). https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ColumnElement,
    Select,
    UnaryExpression,
    and_,
    bindparam,
    exists,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.sql import operators
from sqlalchemy.types import BigInteger, Integer

from hie.store.models import DELETED, ITSELF, reference_index, resource
from hie.store.search.clauses import AllTokens, AnyToken, Both, Branch, Clause, Joined, Led, Token, is_range

if TYPE_CHECKING:
    from hie.store.search.sql import Sql

Condition = ColumnElement[bool]
_ITSELF: ColumnElement[int] = literal_column(str(ITSELF))


def exists_(sql: Sql, clause: Joined) -> Condition:
    """Return whether somebody at the other end of `sql.key` matches."""
    joined = [_exists(sql, one, clause.reverse) for one in clause.branches]
    return or_(*joined, *(sql.holds_one(one) for one in clause.held))


def keys(sql: Sql, clause: Joined) -> Any:
    """Return a SELECT of the keys of all resources at whose other end somebody matches."""
    select_keys = _keys_of_rows if sql.tokens_in_rows else _keys_of_tables
    found = [select_keys(sql, one, clause.reverse) for one in clause.branches]
    found += [sql.holders(one) for one in clause.held]
    return found[0] if len(found) == 1 else union_all(*found)


def linked(among: Condition) -> Select[Any]:
    """Return a SELECT of the keys of all resources whose references lead to some places."""
    c = reference_index.c
    return select(c.key).where(among, c.parameter != _ITSELF)


# ---- one resource: does somebody at its other end match? -------------------------------------------------------------


def _exists(sql: Sql, branch: Branch, reverse: bool) -> Condition:
    found: Select[Any] = select(literal_column("1")).where(*_walk(sql, branch, reverse))
    # OFFSET 0 keeps PostgreSQL from turning the question around.
    return exists(found.offset(literal_column("0")) if sql.tokens_in_rows else found)


def _walk(sql: Sql, branch: Branch, reverse: bool) -> list[Condition]:
    """Walk from a resource's rows of the index to those with the same target, and ask of these.

    Further hops join the same SELECT: SQLite's parser takes only few of them inside each other.
    """
    here, there = reference_index.alias(), reference_index.alias()
    outgoing, place = (there, here) if reverse else (here, there)
    conditions = [
        here.c.key == sql.key, there.c.target == here.c.target, _by(sql, outgoing, branch), place.c.parameter == _ITSELF
    ]  # fmt: skip
    by_tokens = is_of_tokens(branch.clause)
    if by_tokens and not sql.tokens_in_rows:
        with at(sql, sql.row, there.c.key):
            return [*conditions, branch.clause.sql(sql)]
    other = resource.alias()
    conditions.append(other.c.key == there.c.key)
    if not by_tokens:
        conditions += _live(other, branch.type, hidden=not sql.tokens_in_rows)
    with at(sql, other, other.c.key):
        for part in _parts(branch.clause):
            if isinstance(part, Joined) and len(part.branches) == 1 and not part.held:
                conditions += _walk(sql, part.branches[0], part.reverse)
            else:
                conditions.append(part.sql(sql))
    return conditions


def _by(sql: Sql, outgoing: Any, branch: Branch) -> Condition:
    binds = [sql.bind(BigInteger()) for _ in branch.parameters]
    condition: Condition = outgoing.c.parameter == binds[0] if len(binds) == 1 else outgoing.c.parameter.in_(binds)
    return condition


def _live(other: Any, type_name: str, *, hidden: bool = False) -> list[Condition]:
    """Return what a row must be; `hidden` keeps SQLite from looking for it by these (a unary plus)."""
    place: tuple[Any, ...] = (other.c.tenant, other.c.type)
    if hidden:
        place = tuple(UnaryExpression(column, operator=operators.custom_op("+")) for column in place)
    # The type is one of FHIR's, checked when the search was read; as text of the statement the planner knows it.
    return [
        place[0] == bindparam("tenant", type_=Integer()),
        place[1] == literal_column(f"'{type_name}'"),
        other.c.method != literal_column(str(DELETED)),
    ]


# ---- all resources at whose other end somebody matches --------------------------------------------------------------


def _keys_of_rows(sql: Sql, branch: Branch, reverse: bool) -> Select[Any]:
    """Join plainly (PostgreSQL)."""
    here, there, other = reference_index.alias(), reference_index.alias(), resource.alias()
    outgoing, place = (there, here) if reverse else (here, there)
    conditions = [_by(sql, outgoing, branch), place.c.parameter == _ITSELF, there.c.target == here.c.target]
    conditions.append(other.c.key == there.c.key)
    if not is_of_tokens(branch.clause):
        conditions += _live(other, branch.type)
    with at(sql, other, other.c.key):
        conditions.append(_begun_there(sql, branch.clause))
    return select(here.c.key).where(*conditions)


def begun(sql: Sql, clause: Clause) -> Condition:
    """Return the condition of a clause that is asked of all rows, so that a join in it may be where to begin."""
    first = driver_of(clause)
    if not isinstance(first, Joined) or not first.drives:
        return clause.sql(sql)
    return and_(sql.row.c.key.in_(keys(sql, first)), *([sql.both(rest)] if (rest := _parts(clause)[1:]) else []))


def _begun_there(sql: Sql, clause: Clause) -> Condition:
    """Return the same of the other end of a join that finds few: a range finds its keys first (PostgreSQL)."""
    first = driver_of(clause)
    if not is_range(first):
        return begun(sql, clause)
    rest = _parts(clause)[1:]
    return and_(Led(first).sql(sql), *([sql.both(rest)] if rest else []))


def _keys_of_tables(sql: Sql, branch: Branch, reverse: bool) -> Select[Any]:
    """Select the matches there, then their targets (or places), then the rows here that have these (SQLite).

    Each step is a common table expression, as SQLite's parser takes only few SELECTs inside each other.
    """
    here, there = reference_index.alias(), reference_index.alias()
    outgoing, place = (there, here) if reverse else (here, there)
    by, itself = _by(sql, outgoing, branch), place.c.parameter == _ITSELF
    found = matches(sql, branch.type, branch.clause).cte()
    targets = select(there.c.target).where(by if reverse else itself, there.c.key.in_(select(found.c.key))).cte()
    return select(here.c.key).where(here.c.target.in_(select(targets.c.target)), itself if reverse else by)


def matches(sql: Sql, type_name: str, clause: Clause) -> Any:
    """Select the keys of live resources of a type that match, beginning with the most selective part (SQLite)."""
    parts = _parts(clause)
    driver = sql.keys(parts[0])
    if driver is not None and len(parts) == 1 and is_of_tokens(clause):
        return driver
    other = resource.alias()
    with at(sql, other, other.c.key):
        rest = [part.sql(sql) for part in (parts if driver is None else parts[1:])]
    found = select(other.c.key).where(*_live(other, type_name, hidden=driver is not None), *rest)
    if driver is None:
        return found
    first = driver.cte()
    return found.where(other.c.key.in_(select(first.c.key)))


@contextmanager
def at(sql: Sql, row: Any, key: Any) -> Iterator[None]:
    """Let clauses ask of the resource at the other end."""
    before = sql.row, sql.key
    sql.row, sql.key = row, key
    try:
        yield
    finally:
        sql.row, sql.key = before


def driver_of(clause: Clause) -> Clause:
    """Return the part of a clause that a search at the other end begins with."""
    return _parts(clause)[0]


def is_of_tokens(clause: Clause) -> bool:
    """Tell whether tokens alone decide that a resource matches: then they say too that it is live and of its type."""
    return all(isinstance(part, Token | AllTokens | AnyToken) for part in _parts(clause))


def _parts(clause: Clause) -> tuple[Clause, ...]:
    return clause.parts if isinstance(clause, Both) else (clause,)
