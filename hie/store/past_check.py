"""`hie check` of the past: each superseded version is found by what its content says, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from hie.errors import IntegrityFailure
from hie.store import by_key, contained_check, past
from hie.store.contained import holder
from hie.store.lacking_tokens import lacking
from hie.store.models import date_past, number_past, past_version, resource, token_past
from hie.store.reindexing import found_by
from hie.store.search.index import IndexRows, moving_rows
from hie.store.tenants import Tenant

BATCH = 200
Place = tuple[int, int]


def problems(connection: Connection, tenant: Tenant, base_url: str) -> Iterator[str]:
    """Yield a sentence for each thing that is wrong."""
    after, tokens = 0, 0
    moved: list[IndexRows] = []

    def index_of(content: dict[str, Any]) -> IndexRows:
        moved.append(moving_rows(content, tenant.blind, base_url) or _NONE)
        return found_by(tenant, base_url, content)

    while True:
        statement = select(resource.c.key).where(*by_key.after(tenant.id, after))
        keys = connection.execute(statement.order_by(resource.c.key).limit(BATCH)).scalars().all()
        if not keys:
            break
        kept = _Kept(connection, keys)
        holders, skipped = [], []
        needed: list[tuple[past.Past, set[int]]] = []
        for row in past.superseded(connection, tenant, keys):
            try:
                wanted = past.derived(connection, tenant, row, index_of)
            except IntegrityFailure:
                kept.skip((row.key, row.vid))  # told of where versions are opened
                skipped.append(row.key)
                continue
            if wanted is not None:
                moving = moved.pop()
                tokens += len({*wanted.found_by.tokens, *moving.tokens})
                needed.append((wanted, set(wanted.found_by.tokens).difference(moving.tokens)))
                holders.append(holder(wanted))
                yield from kept.compare(wanted, moving)
        yield from kept.left()
        yield from _lacking(connection, needed)
        yield from contained_check.problems(connection, keys, holders, is_past=True, skipped=skipped)
        after = keys[-1]
    yield from _strangers(connection, tenant)
    if connection.dialect.name == "sqlite":
        mine = select(past_version.c.key).where(past_version.c.tenant == tenant.id)
        found = select(func.count()).select_from(token_past).where(token_past.c.key.in_(mine))
        if (number := connection.execute(found).scalar_one()) > tokens:
            yield f"The token index of the past holds {number - tokens} rows that no content asks for."


def _lacking(connection: Connection, versions: Sequence[tuple[past.Past, set[int]]]) -> Iterator[str]:
    """SQLite: yield a sentence for each version that lacks a token."""
    if connection.dialect.name != "sqlite":
        return
    names = {(one.key, one.vid): f"{one.type}/{one.id} version {one.vid}" for one, _ in versions}
    wanted = ((hash_, one.key, one.vid) for one, needed in versions for hash_ in needed)
    for place in sorted({(key, vid) for _, key, vid in lacking(connection, token_past, wanted)}):
        yield f"The token index of {names[place]} does not match its content."


class _Kept:
    """The rows of the past of some resources as they stand."""

    def __init__(self, connection: Connection, keys: Sequence[int]) -> None:
        self._connection = connection
        self._has_no_tokens = connection.dialect.name == "sqlite"  # they are looked up for all versions at once
        rows = connection.execute(select(past_version).where(past_version.c.key.in_(keys)))
        self._versions: dict[Place, Any] = {(row.key, row.vid): row for row in rows}
        self._dates = self._of(date_past, keys)
        self._numbers = self._of(number_past, keys)

    def _of(self, table: Any, keys: Sequence[int]) -> dict[Place, set[tuple[Any, ...]]]:
        found: dict[Place, set[tuple[Any, ...]]] = {}
        for row in self._connection.execute(select(table).where(table.c.key.in_(keys))):
            found.setdefault((row.key, row.vid), set()).add(tuple(row)[2:])
        return found

    def skip(self, place: Place) -> None:
        """Say nothing of a version."""
        for kept in (self._versions, self._dates, self._numbers):
            kept.pop(place, None)

    def compare(self, wanted: past.Past, moving: IndexRows) -> Iterator[str]:
        """Compare what is kept of a version with what should be; rows by parameters that come or go may be there."""
        name, place = f"{wanted.type}/{wanted.id} version {wanted.vid}", (wanted.key, wanted.vid)
        row, by = self._versions.pop(place, None), wanted.found_by
        dates, numbers = self._dates.pop(place, set()), self._numbers.pop(place, set())
        if row is None:
            yield f"The index of the past lacks {name}."
            return
        pairs = {
            "time": ((row.updated, row.until, row.method), (wanted.updated, wanted.until, wanted.method)),
            "transaction": ((row.written or 0, row.ended or 0), (wanted.written, wanted.ended)),
            "place": ((row.tenant, row.type, row.id), (wanted.tenant, wanted.type, wanted.id)),
            "presence": ((row.presence, row.date_low, row.date_high), (by.presence, by.date_low, by.date_high)),
            "token": _fixed(by.tokens if self._has_no_tokens else row.tokens or (), by.tokens, moving.tokens),
            "date": _fixed(dates, by.dates, moving.dates),
            "number": _fixed(numbers, by.numbers, moving.numbers),
        }
        for kind, (is_, should) in pairs.items():
            if is_ != should:
                yield f"The {kind} index of {name} does not match its content."

    def left(self) -> Iterator[str]:
        """Yield what belongs to no superseded version with content."""
        for key, vid in sorted({*self._versions, *self._dates, *self._numbers}):
            yield f"The index of the past holds version {vid} of the resource with key {key}, which is not kept."


_NONE = IndexRows([], [], [], 0, None, None)


def _fixed(is_: Iterable[Any], should: Iterable[Any], moving: Iterable[Any]) -> tuple[set[Any], set[Any]]:
    """Return what stands and what should, without what may be there or not."""
    either = set(moving)
    return set(is_).difference(either), set(should).difference(either)


def _strangers(connection: Connection, tenant: Tenant) -> Iterator[str]:
    tables = [date_past, number_past] + ([token_past] if connection.dialect.name == "sqlite" else [])
    for table in tables:
        known = select(past_version.c.key).where(past_version.c.key == table.c.key, past_version.c.vid == table.c.vid)
        number = connection.execute(select(func.count()).select_from(table).where(~known.exists())).scalar_one()
        if number:
            yield f"{number} rows of {table.name} belong to no superseded version."
