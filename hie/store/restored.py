"""A database that was restored into another PostgreSQL server: its transactions have numbers of the old one.

What a page saw is told by numbers of transactions (hie.store.search.seen). Those that this server has not come to yet
would be taken for writes that are under way. Only what is younger than a day is asked for its number; the rest stays.
https://www.postgresql.org/docs/current/app-pgrestore.html
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from sqlalchemy import Connection, text

from hie.store.database import Database
from hie.store.search.seen import LONGEST_WRITE

#: What a statement finds has a number below this one, unless that is of another server.
_NEXT = "pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
_YOUNG = "tenant = :tenant AND {time} > :low AND {number} >= " + _NEXT
_PLACES = (
    ("resource", "updated", "written"), ("past_version", "until", "ended"), ("past_version", "updated", "written"),
    ("resource_history", "updated", "written"), ("contained", "updated", "written"), ("contained", "until", "ended"),
)  # fmt: skip
#: Of the first two an index knows what is young.
_ARE_THERE = text("SELECT " + " OR ".join(
    f"EXISTS (SELECT FROM {table} WHERE {_YOUNG.format(time=time, number=number)})"
    for table, time, number in _PLACES[:2]
))  # fmt: skip


def forget_numbers(database: Database, tenants: Iterable[int], now: int) -> None:
    """Take the numbers of another server from what is young: whoever reads here has seen it."""
    if database.dialect != "postgresql":
        return
    for tenant in tenants:
        asked = {"tenant": tenant, "low": now - LONGEST_WRITE}
        if database.connection().execute(_ARE_THERE, asked).scalar_one():
            database.write(partial(_forget, asked))


def _forget(asked: dict[str, int], connection: Connection) -> None:
    for table, time, number in _PLACES:
        young = _YOUNG.format(time=time, number=number)
        connection.execute(text(f"UPDATE {table} SET {number} = 0 WHERE {young}"), asked)
