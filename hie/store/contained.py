"""The index of contained resources: written with the version that contains them. docs/adr/0020-contained-resources.md

Rows stay when a version is replaced, as do those of past versions (hie.store.past): until when they are found is one
column. A deletion contains nothing; an erased version loses its rows. What contains nothing has no row here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, bindparam, delete, select, update

from hie.store.models import (
    FOREVER,
    contained,
    contained_date,
    contained_number,
    contained_token,
    resource,
)
from hie.store.past import Past
from hie.store.prepared import driver_of

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


def concerns(written: Written) -> bool:
    """Tell whether a version contains something, or replaces one that does."""
    replaced = written.replaced_index
    return bool(written.index.contained) or (replaced is not None and bool(replaced.contained))


def write(connection: Connection, tenant: int, written: Sequence[Written]) -> None:
    """Write what new versions contain, and end what those that they replace contained."""
    ended = [
        {"of": one.replaced.key, "at": one.version.updated} for one in written
        if one.replaced is not None and one.replaced_index is not None and one.replaced_index.contained
    ]  # fmt: skip
    if ended:
        connection.execute(_END, ended)
    keep(connection, [_holder(connection, tenant, one) for one in written if one.index.contained])


_END = (
    update(contained)
    .where(contained.c.container == bindparam("of"), contained.c.until == FOREVER)
    .values(until=bindparam("at"))
)
_KEY = select(resource.c.key).where(
    resource.c.tenant == bindparam("tenant"), resource.c.type == bindparam("type"), resource.c.id == bindparam("id")
)


def _holder(connection: Connection, tenant: int, one: Written) -> Holder:
    version = one.version
    if one.replaced is not None:
        key = one.replaced.key
    else:
        place = {"tenant": tenant, "type": version.type, "id": version.id}
        key = connection.execute(_KEY, place).scalar_one()
    return Holder(key, version.vid, tenant, version.updated, FOREVER, one.index.contained)


def keep(connection: Connection, holders: Sequence[Holder]) -> None:
    """Write the index rows of what versions contain."""
    pairs = [(holder, one) for holder in holders for one in holder.contained]
    if not pairs:
        return
    on_sqlite = connection.dialect.name == "sqlite"
    keyed = list(zip(_keys(connection, len(pairs)), pairs, strict=True))
    rows = [
        (key, h.container, h.vid, one.part, h.tenant, one.type, one.fragment, h.updated, h.until, one.rows.date_low,
         one.rows.date_high, one.rows.presence, None if on_sqlite else one.rows.tokens)
        for key, (h, one) in keyed
    ]  # fmt: skip
    _insert(connection, contained, rows)
    if on_sqlite:
        tokens = sorted((hash_, key) for key, (_, one) in keyed for hash_ in one.rows.tokens)
        _insert(connection, contained_token, tokens)
    _insert(connection, contained_date, [(key, *row) for key, (_, one) in keyed for row in one.rows.dates])
    _insert(connection, contained_number, [(key, *row) for key, (_, one) in keyed for row in one.rows.numbers])


_LAST_KEY = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'contained'"
_NEXT_KEYS = "SELECT nextval('contained_key_seq') FROM generate_series(1, %s)"


def _keys(connection: Connection, number: int) -> Iterable[int]:
    """Return new keys: those of SQLite go on behind the last one, as there is one writer."""
    driver = driver_of(connection)
    if connection.dialect.name == "sqlite":
        last = int(driver.execute(_LAST_KEY).fetchone()[0])
        return range(last + 1, last + 1 + number)
    return [row[0] for row in driver.execute(_NEXT_KEYS, (number,)).fetchall()]


def _insert(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    if not rows:
        return
    on_sqlite = connection.dialect.name == "sqlite"
    columns = [column.name for column in table.columns]
    marks = ",".join(["?" if on_sqlite else "%s"] * len(columns))
    statement = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})"
    if on_sqlite:
        driver_of(connection).executemany(statement, rows)
        return
    with driver_of(connection).cursor() as cursor:
        cursor.executemany(statement, rows)


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
    _forget(connection, contained.c.container.in_(keys), contained.c.until == FOREVER)
    wanted = {key: rows.contained for key, rows in indexed if rows.contained}
    columns = (resource.c.key, resource.c.vid, resource.c.tenant, resource.c.updated)
    found = connection.execute(select(*columns).where(resource.c.key.in_(list(wanted)))) if wanted else ()
    keep(connection, [Holder(*row, FOREVER, wanted[row.key]) for row in found])


def write_past_anew(connection: Connection, keys: Sequence[int], versions: Iterable[Past]) -> None:
    """Write what superseded versions of some resources contained in place of the rows there are."""
    _forget(connection, contained.c.container.in_(keys), contained.c.until < FOREVER)
    keep(connection, [holder(one) for one in versions])


def holder(past: Past) -> Holder:
    """Return a superseded version as what contained something."""
    return Holder(past.key, past.vid, past.tenant, past.updated, past.until, past.found_by.contained)


def _forget(connection: Connection, *which: ColumnElement[bool]) -> None:
    keys = connection.execute(select(contained.c.key).where(*which)).scalars().all()
    for start in range(0, len(keys), 500):
        some = keys[start : start + 500]
        for table in tables(connection):
            connection.execute(delete(table).where(table.c.key.in_(some)))


def tables(connection: Connection) -> list[Table]:
    """Return the tables of the index that a dialect has."""
    found = [contained, contained_date, contained_number]
    return [*found, contained_token] if connection.dialect.name == "sqlite" else found
