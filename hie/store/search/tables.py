"""The tables that a search asks: of what is current, of what is past (hie.store.past), of what is contained.

A search as of an instant is the same clauses over both, each with the condition that says which of its versions were
valid then; of a resource that is exactly one, or none. docs/adr/0018-record-as-of-an-instant.md

Contained resources (hie.store.contained) have tables of their own, asked by the same clauses once more, or by a clause
that asks of a resource what it contains. docs/adr/0020-contained-resources.md
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Table,
    Text,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
)

from hie.store import contents
from hie.store.models import (
    DELETED,
    FOREVER,
    contained,
    contained_date,
    contained_number,
    contained_token,
    date_index,
    date_past,
    number_index,
    number_past,
    past_version,
    resource,
    resource_history,
    token,
    token_past,
)
from hie.store.search.seen import LOW, is_seen, is_unseen

Condition = ColumnElement[bool]


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """Where versions and what they are found by are kept."""

    row: Table
    token: Table
    dates: Table
    numbers: Table
    columns: tuple[ColumnElement[Any], ...]
    """Those of a row that opens: hie.store.rows.Current."""
    live: tuple[Condition, ...]
    """That a row is a resource to be found, and that the columns belong together."""
    is_past: bool
    container: Tables | None = None
    """Of what is contained: the tables of the version that contains it."""


_NAMES = ("key", "type", "id", "vid", "method", "updated")

CURRENT = Tables(
    resource, token, date_index, number_index,
    (*(resource.c[name] for name in _NAMES), resource.c.data_key, contents.small(resource)),
    (resource.c.method != literal_column(str(DELETED)),),
    False,
)  # fmt: skip
PAST = Tables(
    past_version, token_past, date_past, number_past,
    (*(past_version.c[name] for name in _NAMES), resource_history.c.data_key, contents.small(resource_history)),
    (and_(*(past_version.c[name] == resource_history.c[name] for name in ("tenant", "type", "id", "vid"))),),
    True,
)  # fmt: skip
COLUMNS = CURRENT.columns

_IS_CURRENT = contained.c.until == literal_column(str(FOREVER))
_PLACE = (contained.c.part, contained.c.container)


def _within(table: Table, container: Tables, *live: Condition) -> Tables:
    """Return the tables of contained resources beside the row (of `table`) that opens their container."""
    opening = (resource.c.type, resource.c.id, contained.c.vid, table.c.method, table.c.updated)
    columns = (contained.c.key, *opening, table.c.data_key, contents.small(table), *_PLACE)
    return Tables(contained, contained_token, contained_date, contained_number, columns, live, False, container)


#: Contained resources of current versions, each with its container's row, its place and its container's key.
CONTAINED = _within(resource, CURRENT, and_(resource.c.key == contained.c.container, _IS_CURRENT))
CONTAINED_PAST = _within(
    resource_history,
    PAST,
    and_(
        resource.c.key == contained.c.container,
        *(resource.c[name] == resource_history.c[name] for name in ("tenant", "type", "id")),
        resource_history.c.vid == contained.c.vid,
    ),
)


class How(NamedTuple):
    """How the past is asked: of a dialect, by an instant, by what a first page saw, or by both."""

    dialect: str
    by_instant: bool
    by_seen: bool
    is_recent: bool
    """What was replaced since is little: a search begins with that."""


def valid(tables: Tables, how: How, table: FromClause | None = None) -> Condition:
    """Return whether a version was the current one then: at the instant that is bound as `as_of`, or as was seen.

    `table`: an alias of the tables' row.
    """
    at: Any = bindparam("as_of", type_=BigInteger())
    row = (tables.row if table is None else table).c
    # Expressions: nearly all are old enough, and an index of the time would give them in the wrong order.
    hidden, found = row.updated + literal_column("0"), []
    lasts = tables.is_past or tables.container is not None
    if how.by_instant:
        found.append((row.updated if lasts else hidden) <= at)
    if how.by_seen:
        found.append(or_(hidden <= LOW, is_seen(_number(tables, row, how.dialect), how.dialect)))
    if not lasts:
        return and_(*found)
    if not how.by_seen:
        return and_(*found, row.until > at)
    ended = and_(row.until + literal_column("0") > LOW, is_unseen(row.ended, how.dialect))
    if how.by_instant:
        ended = or_(row.until > at, ended)
    elif not tables.is_past:
        ended = or_(row.until == literal_column(str(FOREVER)), ended)
    return and_(*found, ended)


def _number(tables: Tables, row: Any, dialect: str) -> ColumnElement[int]:
    """Return the number of the transaction that wrote a version; what is old has none and was seen."""
    of_new: ColumnElement[int] = literal_column("0")
    if dialect == "sqlite" and not tables.is_past:
        of_new = -(row.container if tables.container is not None else row.key)
    return func.coalesce(row.written, of_new)


#: Contained resources alone, for a clause that asks of a resource what it contains: now, or as of then.
INSIDE = Tables(contained, contained_token, contained_date, contained_number, (), (_IS_CURRENT,), False, CURRENT)


@lru_cache
def inside_then(how: How) -> Tables:
    """Return the same as of then."""
    return replace(INSIDE, live=(valid(INSIDE, how),))


def place(table: FromClause, typed: bool) -> list[Condition]:
    """Return the condition on the tenant and, `typed`, on the type of a row."""
    row = table.c
    within: list[Condition] = [row.tenant == bindparam("tenant", type_=Integer())]
    return [*within, row.type == bindparam("type", type_=Text())] if typed else within
