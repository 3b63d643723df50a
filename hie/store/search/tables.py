"""The tables that a search asks: of what is current, of what is past (hie.store.past), of what is contained.

A search as of an instant is the same clauses over both, each with the condition that says which of its versions were
valid then; of a resource that is exactly one, or none. docs/adr/0018-record-as-of-an-instant.md

Contained resources (hie.store.contained) have tables of their own, asked by the same clauses once more, or by a clause
that asks of a resource what it contains. docs/adr/0020-contained-resources.md
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, FromClause, Integer, Table, Text, and_, bindparam, literal_column

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
    (*(resource.c[name] for name in _NAMES), resource.c.data_key, resource.c.sealed),
    (resource.c.method != literal_column(str(DELETED)),),
    False,
)  # fmt: skip
PAST = Tables(
    past_version, token_past, date_past, number_past,
    (*(past_version.c[name] for name in _NAMES), resource_history.c.data_key, resource_history.c.sealed),
    (and_(*(past_version.c[name] == resource_history.c[name] for name in ("tenant", "type", "id", "vid"))),),
    True,
)  # fmt: skip
COLUMNS = CURRENT.columns

_IS_CURRENT = contained.c.until == literal_column(str(FOREVER))
_PLACE = (contained.c.part, contained.c.container)


def _within(table: Table, container: Tables, *live: Condition) -> Tables:
    """Return the tables of contained resources beside the row (of `table`) that opens their container."""
    opening = (resource.c.type, resource.c.id, contained.c.vid, table.c.method, table.c.updated)
    columns = (contained.c.key, *opening, table.c.data_key, table.c.sealed, *_PLACE)
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


def valid(tables: Tables) -> Condition:
    """Return whether a version was the current one at the instant that is bound as `as_of`."""
    at: Any = bindparam("as_of", type_=BigInteger())
    row = tables.row.c
    if tables.is_past or tables.container is not None:
        return and_(row.updated <= at, row.until > at)
    # An expression: nearly all are old enough, and an index of the time would give them in the wrong order.
    return row.updated + literal_column("0") <= at


#: Contained resources alone, for a clause that asks of a resource what it contains: now, or as of an instant.
INSIDE = Tables(contained, contained_token, contained_date, contained_number, (), (_IS_CURRENT,), False, CURRENT)
INSIDE_THEN = replace(INSIDE, live=(valid(INSIDE),))


def place(table: FromClause, typed: bool) -> list[Condition]:
    """Return the condition on the tenant and, `typed`, on the type of a row."""
    row = table.c
    within: list[Condition] = [row.tenant == bindparam("tenant", type_=Integer())]
    return [*within, row.type == bindparam("type", type_=Text())] if typed else within
