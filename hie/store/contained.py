"""The index of contained resources: written with the version that contains them. docs/adr/0020-contained-resources.md

Rows stay when a version is replaced, as do those of past versions (hie.store.past): until when they are found is one
column. A deletion contains nothing; an erased version loses its rows. What contains nothing has no row here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, bindparam, delete, literal_column, select, update

from hie.store import sqlite_rows
from hie.store.models import (
    FOREVER,
    contained,
    contained_date,
    contained_number,
    contained_token,
    resource,
)
from hie.store.past import NUMBER, Past
from hie.store.prepared import copy_in, driver_of

if TYPE_CHECKING:
    from hie.store.search.index import Contained, IndexRows
    from hie.store.unit_of_work import Written


class Holder(NamedTuple):
    """A version that contains something: the key of its resource, its number, from when until when it was current."""

    container: int
    vid: int
    tenant: int
    updated: int
    until: int
    contained: tuple[Contained, ...]
    written: int | None = None
    """Number of the transaction that wrote the version, as in `resource`; `ended`: of the one that replaced it."""
    ended: int | None = None


def concerns(written: Written) -> bool:
    """Tell whether a version contains something, or replaces one that does."""
    replaced = written.replaced_index
    return bool(written.index.contained) or (replaced is not None and bool(replaced.contained))


def write(connection: Connection, tenant: int, written: Sequence[Written], number: int | None) -> None:
    """Write what new versions contain, and end what those that they replace contained.

    `number` is that of changes on SQLite; PostgreSQL has its own.
    """
    ended = [
        {"of": one.replaced.key, "at": one.version.updated} for one in written
        if one.replaced is not None and one.replaced_index is not None and one.replaced_index.contained
    ]  # fmt: skip
    if ended:
        its: ColumnElement[int] = literal_column(NUMBER if number is None else str(number))
        connection.execute(_END.values(until=bindparam("at"), ended=its), ended)
    keep(connection, _holders(connection, tenant, [one for one in written if one.index.contained], number), new=True)


_END = update(contained).where(contained.c.container == bindparam("of"), contained.c.until == FOREVER)
_KEY = select(resource.c.key).where(
    resource.c.tenant == bindparam("tenant"), resource.c.type == bindparam("type"), resource.c.id == bindparam("id")
)
_KEYS = select(resource.c.id, resource.c.key).where(
    resource.c.tenant == bindparam("tenant"), resource.c.type == bindparam("type"),
    resource.c.id.in_(bindparam("ids", expanding=True)),
)  # fmt: skip


def _holders(
    connection: Connection, tenant: int, holding: Sequence[Written], number: int | None
) -> list[Holder]:
    """Return the versions with the keys of their resources; one question for 500 new ones of a type."""
    by_type: dict[str, list[str]] = {}
    for one in holding:
        if one.replaced is None:
            by_type.setdefault(one.version.type, []).append(one.version.id)
    keys: dict[tuple[str, str], int] = {}
    for type_name, ids in by_type.items():
        for start in range(0, len(ids), 500):
            asked = {"tenant": tenant, "type": type_name, "ids": ids[start : start + 500]}
            keys.update({(type_name, row.id): row.key for row in connection.execute(_KEYS, asked)})
    found = []
    for one in holding:
        v = one.version
        key = keys[v.type, v.id] if one.replaced is None else one.replaced.key
        its = None if one.replaced is None else number
        found.append(Holder(key, v.vid, tenant, v.updated, FOREVER, one.index.contained, its))
    return found


#: The container's key, its version, and the place there.
Place = tuple[int, int, int]


def keep(
    connection: Connection, holders: Sequence[Holder], *, new: bool = False, known: Mapping[Place, int] | None = None
) -> None:
    """Write the index rows of what versions contain; `new`: PostgreSQL numbers them by this transaction.

    `known`: keys of rows that are written anew, by which pages go on behind them.
    """
    pairs = [(holder, one) for holder in holders for one in holder.contained]
    if not pairs:
        return
    on_sqlite = connection.dialect.name == "sqlite"
    known = known or {}
    before = [known.get((holder.container, holder.vid, one.part)) for holder, one in pairs]
    keys, number = _keys(connection, before.count(None))
    fresh = iter(keys)
    keyed = [(next(fresh) if key is None else key, pair) for key, pair in zip(before, pairs, strict=True)]
    rows = [
        (key, h.container, h.vid, one.part, h.tenant, one.type, one.fragment, h.updated, h.until, one.rows.date_low,
         one.rows.date_high, one.rows.presence, None if on_sqlite else one.rows.tokens,
         number if new and not on_sqlite else h.written, h.ended)
        for key, (h, one) in keyed
    ]  # fmt: skip
    dates = [(key, *row) for key, (_, one) in keyed for row in one.rows.dates]
    numbers = [(key, *row) for key, (_, one) in keyed for row in one.rows.numbers]
    if on_sqlite:
        driver = driver_of(connection)
        sqlite_rows.insert(driver, _target(contained), rows)
        tokens = sorted((hash_, key) for key, (_, one) in keyed for hash_ in one.rows.tokens)
        sqlite_rows.insert(driver, "contained_token (key, hash)", [(key, hash_) for hash_, key in tokens])
        sqlite_rows.insert(driver, _target(contained_date), dates)
        sqlite_rows.insert(driver, _target(contained_number), numbers)
        return
    copy_in(connection, _target(contained), _CONTAINED_TYPES, rows)
    if dates:
        copy_in(connection, _target(contained_date), ["int8"] * 4, dates)
    if numbers:
        types = ["int8", "int8", "float8", "float8", "int8", "int8", "int8"]
        copy_in(connection, _target(contained_number), types, numbers)


def _target(table: Table) -> str:
    return f"{table.name} ({', '.join(column.name for column in table.columns)})"


_CONTAINED_TYPES = [
    "int8", "int8", "int4", "int4", "int4", "text", "int8", "int8", "int8", "int8", "int8", "int8", "int8[]",
    "int8", "int8",
]  # fmt: skip
_LAST_KEY = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'contained'"
_NEXT_KEYS = f"SELECT nextval('contained_key_seq'), {NUMBER} FROM generate_series(1, %s)"


def _keys(connection: Connection, number: int) -> tuple[Sequence[int], int | None]:
    """Return new keys, and the transaction's number on PostgreSQL.

    Those of SQLite go on behind the last one, as there is one writer.
    """
    driver = driver_of(connection)
    if connection.dialect.name == "sqlite":
        last = int(driver.execute(_LAST_KEY).fetchone()[0])
        return range(last + 1, last + 1 + number), None
    rows = driver.execute(_NEXT_KEYS, (number,)).fetchall() if number else []
    if not rows:
        return [], None
    return [row[0] for row in rows], rows[0][1]


# -- taking away, and writing anew ---------------------------------------------------------------------------------


def forget(connection: Connection, tenant: int, type_name: str, id_: str, vid: int | None = None) -> None:
    """Take away what a superseded version that is erased contained, or all superseded ones of a resource."""
    place = {"tenant": tenant, "type": type_name, "id": id_}
    key = connection.execute(_KEY, place).scalar()
    if key is not None:
        _forget(connection, contained.c.container == key, contained.c.until < FOREVER,
                *(() if vid is None else (contained.c.vid == vid,)))


def write_anew(connection: Connection, indexed: Sequence[tuple[int, IndexRows]]) -> None:
    """Write what current versions contain in place of the rows there are; by key of the resource."""
    keys = [key for key, _ in indexed]
    known = _forget(connection, contained.c.container.in_(keys), contained.c.until == FOREVER)
    wanted = {key: rows.contained for key, rows in indexed if rows.contained}
    columns = (resource.c.key, resource.c.vid, resource.c.tenant, resource.c.updated, resource.c.written)
    found = connection.execute(select(*columns).where(resource.c.key.in_(list(wanted)))) if wanted else ()
    keep(connection, [Holder(*row[:4], FOREVER, wanted[row.key], row.written) for row in found], known=known)


def write_past_anew(connection: Connection, keys: Sequence[int], versions: Iterable[Past]) -> None:
    """Write what superseded versions of some resources contained in place of the rows there are."""
    known = _forget(connection, contained.c.container.in_(keys), contained.c.until < FOREVER)
    keep(connection, [holder(one) for one in versions], known=known)


def holder(past: Past) -> Holder:
    """Return a superseded version as what contained something."""
    its = past.found_by.contained
    return Holder(past.key, past.vid, past.tenant, past.updated, past.until, its, past.written, past.ended)


def _forget(connection: Connection, *which: ColumnElement[bool]) -> dict[Place, int]:
    """Delete rows, and return what keys they had."""
    row = contained.c
    found = connection.execute(select(row.key, row.container, row.vid, row.part).where(*which)).all()
    keys = [one.key for one in found]
    for start in range(0, len(keys), 500):
        some = keys[start : start + 500]
        for table in tables(connection):
            connection.execute(delete(table).where(table.c.key.in_(some)))
    return {(container, vid, part): key for key, container, vid, part in found}


def tables(connection: Connection) -> list[Table]:
    """Return the tables of the index that a dialect has."""
    found = [contained, contained_date, contained_number]
    return [*found, contained_token] if connection.dialect.name == "sqlite" else found
