"""Joins over references in SQL: from a resource to those it refers to, and to those that refer to it.

`reference_index` has for each reference (key, parameter, target), and for each resource its own place as the target
under the parameter ITSELF. So a reference leads to a resource by equal targets, either way, without a value in clear.

Two forms: `exists_` asks of one resource whether somebody at the other end matches; `keys` begins at the other end and
gives the keys of all resources here. hie.store.search.hops decides: SQLite has no statistics, and those of PostgreSQL
know nothing of who refers to whom (it expected 41 rows where 49,500 came). https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    UnaryExpression,
    and_,
    bindparam,
    exists,
    false,
    func,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.sql import operators
from sqlalchemy.types import BigInteger, Integer

from hie.store.models import DELETED, ITSELF, reference_index, resource
from hie.store.search.clauses import AllTokens, AnyToken, Both, Clause, Led, Token
from hie.store.search.joined_clauses import Branch, Joined, JoinedThen, Referred
from hie.store.search.leading import is_range
from hie.store.search.tables import CURRENT, valid

if TYPE_CHECKING:
    from hie.store.search.sql import Sql

Condition = ColumnElement[bool]
#: So many questions about other ends stand inside each other; further ones are common table expressions (SQLite).
_DEEP = 3
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
    if by_tokens and not sql.tokens_in_rows and sql.as_of is None:
        with at(sql, sql.row, there.c.key):
            return [*conditions, branch.clause.sql(sql)]
    other = resource.alias()
    conditions.append(other.c.key == there.c.key)
    if not by_tokens:
        conditions += _live(sql, other, branch.type, hidden=not sql.tokens_in_rows)
    conditions += _seen(sql, other)
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


def _seen(sql: Sql, other: Any) -> list[Condition]:
    """Return that a row is what it was when a first page was read, where that is asked."""
    return [] if sql.as_of is None else [valid(CURRENT, sql.as_of, other)]


def _live(sql: Sql, other: Any, type_name: str | None, *, hidden: bool = False) -> list[Condition]:
    """Return what a row must be; `hidden` keeps the database from looking for it by the tenant or the type."""
    tenant, type_ = other.c.tenant, other.c.type
    if hidden and sql.tokens_in_rows:
        tenant, type_ = tenant + literal_column("0"), type_.concat(literal_column("''"))
    elif hidden:
        tenant, type_ = (UnaryExpression(one, operator=operators.custom_op("+")) for one in (tenant, type_))
    found = [tenant == bindparam("tenant", type_=Integer()), other.c.method != literal_column(str(DELETED))]
    if type_name is not None:
        # The type is one of FHIR's, checked when the search was read; as text of the statement the planner knows it.
        found.append(type_ == literal_column(f"'{type_name}'"))
    return found


# ---- one resource: does anybody refer to it? -------------------------------------------------------------------------


def referred(sql: Sql, clause: Referred) -> Condition:
    """Return whether somebody that matches refers to the row, or did then."""
    inside = _at_present(sql)
    found = [_refers(inside, clause, by) for by in (_by_link, inside.carries)]
    return or_(*found, *([sql.among(sql.key)] if clause.known else []))


def _refers(sql: Sql, clause: Referred, by: Callable[[Any, Any], list[Condition]]) -> Condition:
    here, other = reference_index.alias(), resource.alias()
    where = [here.c.key == sql.key, here.c.parameter == _ITSELF, *by(other, here.c.target)]
    where += [*_live(sql, other, clause.type, hidden=True), *_seen(sql, other)]
    with at(sql, other, other.c.key):
        where.append(clause.part.sql(sql))
    found: Select[Any] = select(literal_column("1")).where(*where)
    return exists(found.offset(literal_column("0")) if sql.tokens_in_rows else found)


def _by_link(other: Any, target: Any) -> list[Condition]:
    link = reference_index.alias()
    return [link.c.target == target, link.c.parameter != _ITSELF, other.c.key == link.c.key]


# ---- all resources at whose other end somebody matches --------------------------------------------------------------


def _keys_of_rows(sql: Sql, branch: Branch, reverse: bool) -> Select[Any]:
    """Join plainly (PostgreSQL)."""
    here, there, other = reference_index.alias(), reference_index.alias(), resource.alias()
    outgoing, place = (there, here) if reverse else (here, there)
    conditions = [_by(sql, outgoing, branch), place.c.parameter == _ITSELF, there.c.target == here.c.target]
    conditions.append(other.c.key == there.c.key)
    if not is_of_tokens(branch.clause):
        conditions += _live(sql, other, branch.type)
    conditions += _seen(sql, other)
    with at(sql, other, other.c.key):
        conditions.append(_begun_there(sql, branch.clause))
    return select(here.c.key).where(*conditions)


def begun(sql: Sql, clause: Clause) -> Condition:
    """Return the condition of a clause that is asked of all rows, so that a join in it may be where to begin."""
    first = driver_of(clause)
    if not isinstance(first, Joined | JoinedThen) or not first.drives or sql.tables.is_past:
        return clause.sql(sql)
    found: Condition
    if isinstance(first, Joined):
        found = sql.row.c.key.in_(keys(sql, first))
    else:  # found once: of unions inside each other the planner would look for each row anew
        found = sql.row.c.key == func.any(func.array(bare(keys_then(sql, first)).scalar_subquery()))
    return and_(found, *([sql.both(rest)] if (rest := _parts(clause)[1:]) else []))


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
    """Select the keys of live resources of a type that match, beginning with the most selective part."""
    parts = _parts(clause)
    driver = sql.keys(parts[0])
    if driver is not None and len(parts) == 1 and is_of_tokens(clause) and sql.as_of is None:
        return driver
    other = resource.alias()
    with at(sql, other, other.c.key):
        rest = [part.sql(sql) for part in (parts if driver is None else parts[1:])]
    found = select(other.c.key).where(
        *_live(sql, other, type_name, hidden=driver is not None and not sql.tokens_in_rows), *_seen(sql, other), *rest)
    if driver is None:
        return found
    first = driver.cte()
    return found.where(other.c.key.in_(select(first.c.key)))


# ---- as a first page saw it ------------------------------------------------------------------------------------------


def then(sql: Sql, clause: JoinedThen) -> Condition:
    """Return whether somebody at the other end of the row matched then."""
    if sql.depth >= _DEEP and not sql.tokens_in_rows:
        return sql.key.in_(select(keys_then(sql, clause).cte().c.key))
    inside = _at_present(sql)
    inside.depth += 1
    found = [_exists(inside, one, clause.now.reverse) for one in clause.now.branches]
    inside.depth -= 1
    held = [sql.holds_one(one) for one in clause.now.held]
    gone = [sql.key.in_(_referring(sql, clause))] if clause.gone else []
    known = [sql.among(sql.key)] if clause.known else []
    if not _is_indexed(sql, clause):
        found, gone = [], []
    return or_(false(), *found, *held, *gone, *known)


def keys_then(sql: Sql, clause: JoinedThen) -> Any:
    """Return a SELECT of the rows at whose other end somebody matched then."""
    inside, other = _at_present(sql), sql.tables.row.alias()
    select_keys = _keys_of_rows if sql.tokens_in_rows else _keys_of_tables
    found = [select_keys(inside, one, clause.now.reverse) for one in clause.now.branches]
    held = [sql.holders(one) for one in clause.now.held]
    gone = [_referring(sql, clause)] if clause.gone else []
    known = [select(other.c.key).where(sql.among(other.c.key))] if clause.known else []
    if not _is_indexed(sql, clause):
        found, gone = [], []
    parts = [*found, *held, *gone, *known] or [select(other.c.key).where(false())]
    keys_ = parts[0] if len(parts) == 1 else union_all(*parts)
    if not sql.tables.is_past:
        return keys_
    row = sql.tables.row.alias()
    return select(*sql.identity(row)).where(row.c.key.in_(keys_))


def _at_present(sql: Sql) -> Sql:
    """Return what asks of the other ends that are what they were: they are among what is current."""
    if not sql.tables.is_past:
        return sql
    inside = replace(sql, tables=CURRENT)  # binds are shared: their names go on
    inside.key = sql.key
    return inside


def _is_indexed(sql: Sql, clause: JoinedThen) -> bool:
    """Tell whether the index has the references that are asked: what a version of the past referred to it has not."""
    return clause.now.reverse or not sql.tables.is_past


def _referring(sql: Sql, clause: JoinedThen) -> Select[Any]:
    """Return a SELECT of the keys of what refers to places whose resources are no more what they were."""
    outgoing = reference_index.alias()
    by = _by(sql, outgoing, clause.now.branches[0])
    return select(outgoing.c.key).where(by, sql.among(outgoing.c.target))


def bare(found: Any) -> Any:
    """Return a SELECT that can stand in a UNION, or for one value; SQLite takes no UNION in another."""
    if not isinstance(found, CompoundSelect):
        return found
    inner = found.subquery()
    return select(*inner.c)


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
