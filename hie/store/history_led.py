"""Histories under a grant that lets few resources through: these are found first, and then their versions.

Else the versions of a type, or of the store, are met newest first until a page is full: of a million, five seconds for
the hundred of one patient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import CTE, ColumnElement, FromClause, Text, and_, literal_column, select, union_all

from hie.store.models import resource
from hie.store.search import counting
from hie.store.search.clauses import WIDE
from hie.store.search.grants import Stated
from hie.store.search.sql import AccessPath
from hie.store.search.sqlite_sql import InOrder, unindexed
from hie.store.search.statements import sql_for
from hie.store.search.tables import place

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: So many resources are few: all of their versions are found, and sorted.
FEW = 2_000


def is_led(store: ResourceStore, conditions: Mapping[str, Stated | None]) -> bool:
    """Tell whether the types, each with what the grant asks of its resources, have few that it lets through."""
    left = FEW
    for name, stated in conditions.items():
        if stated is None or stated.tells or store.at is not None or stated.asked.clause.rank >= WIDE:
            return False
        left -= counting.counted(store, stated.asked.clause, name, FEW)
        if left <= 0:
            return False
    return True


def prefix(number: int) -> str:
    """Return how the names begin of what is bound for one of the types."""
    return f"led{number}_"


def allowed(dialect: str, bound: Sequence[tuple[str, Stated]]) -> CTE:
    """Return the keys, types and ids of the resources that are let through."""
    found = []
    for number, (name, stated) in enumerate(bound):
        type_: ColumnElement[str] = literal_column(f"'{name}'", type_=Text())  # the shape of a statement tells of it
        sql = sql_for(dialect, prefix=prefix(number))
        columns = (resource.c.key, type_.label("type"), resource.c.id)
        here = [*place(resource, typed=False), resource.c.type == type_]
        found.append(sql.page(columns, stated.asked.clause, here, AccessPath(is_selective=True)))
    return (found[0] if len(found) == 1 else union_all(*found)).cte("allowed")


def current(dialect: str, here: Sequence[ColumnElement[bool]], few: CTE) -> list[ColumnElement[bool]]:
    """Return the place (tenant, type) of current versions, and that they are among the few."""
    return [*(map(unindexed, here) if dialect == "sqlite" else here), resource.c.key.in_(select(few.c.key))]


def versions(dialect: str, table: FromClause, few: CTE) -> FromClause:
    """Return the table of what was before, its rows found by those few."""
    same = and_(table.c.type == few.c.type, table.c.id == few.c.id)
    return InOrder(few, table, same) if dialect == "sqlite" else few.join(table, same)
