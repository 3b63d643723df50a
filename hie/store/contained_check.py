"""`hie check` of contained resources: each is found by what its container says, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from hie.store.contained import Holder, tables
from hie.store.models import FOREVER, contained, contained_date, contained_number, contained_token, resource

Rows = dict[int, set[tuple[Any, ...]]]
_COLUMNS = (
    contained.c.vid, contained.c.tenant, contained.c.updated, contained.c.until, contained.c.part, contained.c.type,
    contained.c.fragment, contained.c.date_low, contained.c.date_high, contained.c.presence,
)  # fmt: skip


def problems(
    connection: Connection, keys: Sequence[int], wanted: Sequence[Holder], *, is_past: bool, skipped: Sequence[int] = ()
) -> Iterator[str]:
    """Compare what some resources contain, or contained, with the rows there are; `skipped` are those not opened."""
    its = contained.c.until < FOREVER if is_past else contained.c.until == FOREVER
    found = connection.execute(select(contained).where(contained.c.container.in_(list(keys)), its)).all()
    kept: Rows = {}
    if found:
        index = _index(connection, found)
        for row in found:
            numbers = _numbers(row.container, row.written, row.ended)
            whole = (*(row._mapping[column] for column in _COLUMNS), *numbers, *index[row.key])
            kept.setdefault(row.container, set()).add(whole)
    should: Rows = {}
    for one in wanted:
        if one.contained:
            should.setdefault(one.container, set()).update(_whole(one))
    for key in sorted({*kept, *should}.difference(skipped)):
        if kept.get(key, set()) != should.get(key, set()):
            when = "past versions" if is_past else "the current version"
            yield f"The index of what {when} of the resource with key {key} contain does not match the content."


def _numbers(container: int, written: int | None, ended: int | None) -> tuple[int, int]:
    """Return the numbers of the transactions that wrote and ended a version; 0: of none that searches ask for.

    On SQLite a new resource is written by -key, which stands with its past version and not with what it contained.
    """
    return 0 if written in (None, -container) else written or 0, ended or 0


def _whole(holder: Holder) -> Iterator[tuple[Any, ...]]:
    numbers = _numbers(holder.container, holder.written, holder.ended)
    for one in holder.contained:
        index = one.rows
        yield (
            holder.vid, holder.tenant, holder.updated, holder.until, one.part, one.type, one.fragment, index.date_low,
            index.date_high, index.presence, *numbers, frozenset(index.tokens),
            frozenset(tuple(row) for row in index.dates), frozenset(tuple(row) for row in index.numbers),
        )  # fmt: skip


def _index(connection: Connection, found: Sequence[Any]) -> dict[int, tuple[frozenset[Any], ...]]:
    """Return the tokens, dates and numbers of contained resources."""
    keys = [row.key for row in found]
    sides = [_of(connection, table, keys) for table in (contained_date, contained_number)]
    if connection.dialect.name == "sqlite":
        tokens: Rows = {}
        for row in connection.execute(select(contained_token).where(contained_token.c.key.in_(keys))):
            tokens.setdefault(row.key, set()).add(row.hash)
    else:
        tokens = {row.key: set(row.tokens or ()) for row in found}
    return {key: tuple(frozenset(side.get(key, ())) for side in (tokens, *sides)) for key in keys}


def _of(connection: Connection, table: Any, keys: Sequence[int]) -> Rows:
    found: Rows = {}
    for row in connection.execute(select(table).where(table.c.key.in_(list(keys)))):
        found.setdefault(row.key, set()).add(tuple(row)[1:])
    return found


def strangers(connection: Connection) -> Iterator[str]:
    """Tell of rows that belong to no resource, or to nothing that is contained."""
    for table in tables(connection):
        if table is contained:
            known = select(resource.c.key).where(resource.c.key == contained.c.container)
        else:
            known = select(contained.c.key).where(contained.c.key == table.c.key)
        number = connection.execute(select(func.count()).select_from(table).where(~known.exists())).scalar_one()
        if number:
            yield f"{number} rows of {table.name} belong to nothing that a resource contains."
