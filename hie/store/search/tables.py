"""The tables that a search asks: those of what is current, or those of what is past (hie.store.past).

A search as of an instant is the same clauses over both, each with the condition that says which of its versions were
valid then; of a resource that is exactly one, or none. docs/adr/0018-record-as-of-an-instant.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, FromClause, Integer, Table, Text, and_, bindparam, literal_column

from hie.store.models import (
    DELETED,
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


def valid(tables: Tables) -> Condition:
    """Return whether a version was the current one at the instant that is bound as `as_of`."""
    at: Any = bindparam("as_of", type_=BigInteger())
    row = tables.row.c
    if tables.is_past:
        return and_(row.updated <= at, row.until > at)
    # An expression: nearly all are old enough, and an index of the time would give them in the wrong order.
    return row.updated + literal_column("0") <= at


def place(table: FromClause, typed: bool) -> list[Condition]:
    """Return the condition on the tenant and, `typed`, on the type of a row."""
    row = table.c
    within: list[Condition] = [row.tenant == bindparam("tenant", type_=Integer())]
    return [*within, row.type == bindparam("type", type_=Text())] if typed else within
