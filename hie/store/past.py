"""The index of past versions, for searches as of an instant: docs/adr/0018-record-as-of-an-instant.md

A version that is replaced or deleted takes its index rows with it, from the tables of what is current into those of
what is past, with the time at which it ceased to be current. PostgreSQL copies them; SQLite finds tokens by their hash
alone, so they are given. A deletion has no index rows; an erased version loses its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, and_, delete, select

from hie.errors import IntegrityFailure
from hie.store import by_key, sqlite_rows
from hie.store.keys import MetKeys
from hie.store.models import DELETED, ERASED, date_past, number_past, past_version, resource, resource_history
from hie.store.opening import open_versions, parsed
from hie.store.prepared import driver_of

if TYPE_CHECKING:
    from hie.store.search.index import IndexRows
    from hie.store.tenants import Tenant

Index = Callable[[dict[str, Any]], "IndexRows"]
#: Versions that are erased at a time.
BATCH = 500


class Past(NamedTuple):
    """A version that is no longer current: what it was, until when, and what it was found by."""

    key: int
    tenant: int
    type: str
    id: str
    vid: int
    method: int
    updated: int
    until: int
    found_by: IndexRows
    written: int | None = None
    """Number of the transaction that wrote it; None: as its row of `resource` says, which it leaves just now."""
    ended: int | None = None
    """Number of the one that replaced it."""


#: PostgreSQL: the number of the transaction.
NUMBER = "pg_current_xact_id()::text::bigint"
_COLUMNS = "key, vid, tenant, type, id, method, updated, until, date_low, date_high, presence"
_DATES = "key, vid, parameter, low, high"
_NUMBERS = "key, vid, parameter, low, high, unit, code, text"


def leave(connection: Connection, replaced: Sequence[tuple[int, int]]) -> None:
    """PostgreSQL: keep what current versions are found by that are about to be replaced, by key and until when."""
    keys, until = [key for key, _ in replaced], [at for _, at in replaced]
    driver = driver_of(connection)
    driver.execute(_LEAVE_VERSIONS, [keys, until])
    driver.execute(_LEAVE_DATES, [keys])
    driver.execute(_LEAVE_NUMBERS, [keys])


#: Of a deletion there are no index rows.
_LEAVE_VERSIONS = (
    f"INSERT INTO past_version ({_COLUMNS}, tokens, written, ended) "
    "SELECT key, vid, tenant, type, id, method, updated, given.until, date_low, date_high, presence, tokens, written, "
    f"{NUMBER} FROM resource JOIN unnest(%s::int8[], %s::int8[]) AS given (key, until) USING (key) "
    f"WHERE method <> {DELETED}"
)
_LEAVE_DATES = (
    f"INSERT INTO date_past ({_DATES}) SELECT key, vid, parameter, low, high FROM date_index JOIN resource USING (key) "
    "WHERE key = ANY(%s)"
)
_LEAVE_NUMBERS = (
    f"INSERT INTO number_past ({_NUMBERS}) SELECT key, vid, parameter, low, high, unit, code, text FROM number_index "
    "JOIN resource USING (key) WHERE key = ANY(%s)"
)


def keep(connection: Connection, versions: Sequence[Past], *, again: bool = False) -> None:
    """Write the index rows of versions that are or were replaced; `again`: tokens of SQLite may be there already."""
    live = [one for one in versions if one.method not in (DELETED, ERASED)]
    if not live:
        return
    dates = [(one.key, one.vid, *row) for one in live for row in one.found_by.dates]
    numbers = [(one.key, one.vid, *row) for one in live for row in one.found_by.numbers]
    if connection.dialect.name == "sqlite":
        _keep_sqlite(connection, live, dates, numbers, "OR IGNORE" if again else "")
    else:
        _keep_postgres(connection, live, dates, numbers)


def _values(one: Past) -> tuple[Any, ...]:
    index = one.found_by
    return (
        one.key, one.vid, one.tenant, one.type, one.id, one.method, one.updated, one.until, index.date_low,
        index.date_high, index.presence,
    )  # fmt: skip


def _keep_sqlite(
    connection: Connection, live: list[Past], dates: list[Any], numbers: list[Any], conflict: str
) -> None:
    run = driver_of(connection).executemany
    run(_KEEP_SQLITE, [(*_values(one), one.written, one.key, one.ended) for one in live])
    tokens = [(hash_, one.key, one.vid) for one in live for hash_ in one.found_by.tokens]
    tokens.sort()
    if conflict:
        run(f"INSERT {conflict} INTO token_past (hash, key, vid) VALUES (?,?,?)", tokens)
    else:
        sqlite_rows.insert(driver_of(connection), "token_past (hash, key, vid)", tokens)  # few statements for many rows
    if dates:
        run(_insert("date_past", _DATES, "?"), dates)
    if numbers:
        run(_insert("number_past", _NUMBERS, "?"), numbers)


def _keep_postgres(connection: Connection, live: list[Past], dates: list[Any], numbers: list[Any]) -> None:
    driver = driver_of(connection)
    with driver.cursor() as cursor:
        cursor.executemany(
            _KEEP_POSTGRES, [(*_values(one), one.found_by.tokens, one.written, one.ended) for one in live]
        )
        if dates:
            cursor.execute(_INSERT_DATES, [*map(list, zip(*dates, strict=True))])
        if numbers:
            cursor.execute(_INSERT_NUMBERS, [*map(list, zip(*numbers, strict=True))])


def _insert(table: str, columns: str, mark: str) -> str:
    return f"INSERT INTO {table} ({columns}) VALUES ({_marks(columns, mark)})"


def _marks(columns: str, mark: str) -> str:
    return ",".join([mark] * len(columns.split(",")))


_KEEP_SQLITE = (
    f"INSERT INTO past_version ({_COLUMNS}, written, ended) VALUES ({_marks(_COLUMNS, '?')}, "
    "coalesce(?, (SELECT coalesce(written, -key) FROM resource WHERE key = ?)), ?)"
)
_KEEP_POSTGRES = _insert("past_version", f"{_COLUMNS}, tokens, written, ended", "%s")


#: One statement for any number of rows.
_INSERT_DATES = (
    f"INSERT INTO date_past ({_DATES}) SELECT * FROM unnest(%s::int8[], %s::int4[], %s::int8[], %s::int8[], %s::int8[])"
)
_INSERT_NUMBERS = (
    f"INSERT INTO number_past ({_NUMBERS}) SELECT * FROM unnest(%s::int8[], %s::int4[], %s::int8[], %s::float8[], "
    "%s::float8[], %s::int8[], %s::int8[], %s::int8[])"
)


# -- taking away, and writing anew ---------------------------------------------------------------------------------


def forget(
    connection: Connection, tenant: Tenant, type_name: str, id_: str, vid: int | None, index_of: Index
) -> None:
    """Take away what a version that is about to be erased was found by, or all versions of a resource."""
    here = (past_version.c.tenant == tenant.id, past_version.c.type == type_name, past_version.c.id == id_)
    which = here if vid is None else (*here, past_version.c.vid == vid)
    places = connection.execute(select(past_version.c.key, past_version.c.vid).where(*which)).all()
    for start in range(0, len(places), BATCH):
        some = [tuple(place) for place in places[start : start + BATCH]]
        if connection.dialect.name == "sqlite":
            _forget_tokens(connection, tenant, (type_name, id_), some, index_of)
        keys, numbers = {key for key, _ in some}, [number for _, number in some]
        for table in (past_version, date_past, number_past):
            connection.execute(delete(table).where(table.c.key.in_(keys), table.c.vid.in_(numbers)))


def _forget_tokens(
    connection: Connection, tenant: Tenant, of: tuple[str, str], places: list[tuple[int, int]], index_of: Index
) -> None:
    """Delete tokens by what the versions say, as their table is sorted by hash; it is read for what does not open."""
    old = resource_history.c
    here = (old.tenant == tenant.id, old.type == of[0], old.id == of[1], old.vid.in_([number for _, number in places]))
    versions = {row.vid: row for row in connection.execute(select(resource_history).where(*here))}
    tokens: list[tuple[int, int, int]] = []
    closed: list[tuple[int, int]] = []
    met = MetKeys()
    for key, number in places:
        try:
            (version,) = open_versions(connection, tenant, [versions[number]], met)
            tokens += [(hash_, key, number) for hash_ in index_of(parsed(version)).tokens]
        except (IntegrityFailure, KeyError):
            closed.append((key, number))
    driver = driver_of(connection)
    driver.executemany("DELETE FROM token_past WHERE hash = ? AND key = ? AND vid = ?", sorted(tokens))
    driver.executemany("DELETE FROM token_past WHERE key = ? AND vid = ?", closed)


def take_out(connection: Connection, tokens: Sequence[tuple[int, int, int]]) -> None:
    """Delete tokens, by hash, key and version, of SQLite; PostgreSQL has them in the version's own row."""
    if tokens and connection.dialect.name == "sqlite":
        run = driver_of(connection).executemany
        run("DELETE FROM token_past WHERE hash = ? AND key = ? AND vid = ?", sorted(tokens))


def write_anew(connection: Connection, tenant: Tenant, keys: Sequence[int], index_of: Index) -> list[Past]:
    """Write the rows of all superseded versions of some resources again, and return these versions.

    Tokens of SQLite are added to those there.
    """
    for table in (past_version, date_past, number_past):
        connection.execute(delete(table).where(table.c.key.in_(keys)))
    found, met = [], MetKeys()
    for row in superseded(connection, tenant, keys):
        try:
            one = derived(connection, tenant, row, index_of, met)
        except IntegrityFailure:
            continue  # the alarm was raised; such a row must not keep all others from being found
        if one is not None:
            found.append(one)
    keep(connection, found, again=True)
    return found


class Superseded(NamedTuple):
    """A row of resource_history with its resource's key, and when its version ceased to be current."""

    key: int
    tenant: int
    type: str
    id: str
    vid: int
    method: int
    updated: int
    data_key: int
    sealed: bytes | None
    written: int
    """0: before versions had numbers."""
    until: int
    ended: int


def superseded(connection: Connection, tenant: Tenant, keys: Sequence[int]) -> list[Superseded]:
    """Return the superseded versions of resources, in order."""
    old, now = resource_history.c, resource.c
    here = (by_key.of_tenant(tenant.id), now.key.in_(keys))
    joined = resource.join(resource_history, and_(old.tenant == now.tenant, old.type == now.type, old.id == now.id))
    statement = select(now.key, *resource_history.c).select_from(joined).where(*here).order_by(now.key, old.vid)
    found = connection.execute(statement).all()
    current = connection.execute(select(now.key, now.vid, now.updated, now.written).where(*here))
    # What follows a version is a change: below zero it has no number of its own.
    began = {(row.key, row.vid): (row.updated, max(row.written or 0, 0)) for row in (*found, *current)}
    return [
        Superseded._make((*row[:-1], row.written or 0, *began[row.key, row.vid + 1]))
        for row in found
        if (row.key, row.vid + 1) in began
    ]


def derived(
    connection: Connection, tenant: Tenant, row: Superseded, index_of: Index, met: MetKeys | None = None
) -> Past | None:
    """Return what should be kept of a superseded version; None of one without content. IntegrityFailure."""
    if row.sealed is None:
        return None
    (version,) = open_versions(connection, tenant, [row], met)
    content = parsed(version)
    found_by = index_of(content)
    return Past(row.key, row.tenant, row.type, row.id, row.vid, row.method, row.updated, row.until, found_by,
                row.written, row.ended)

