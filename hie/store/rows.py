"""The statements that write resources and their index rows, for each dialect in its fastest form (D7, D7a)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sqlalchemy import ARRAY, BigInteger, Connection, Text, bindparam, collate, func, select, text

from hie.store import contained, past, sqlite_rows
from hie.store.conflicts import Again
from hie.store.locks import id_locks, lock_numbers
from hie.store.models import data_key, resource
from hie.store.prepared import Prepared, copy_in, driver_of, insert_or_ignore
from hie.store.reference_targets import FEW, Target
from hie.store.search.kinds import EVERY, Kinds
from hie.store.sqlite_rows import DATES, LINKS, NUMBERS, RESOURCE_COLUMNS, TOKEN, NewRows, resource_values
from hie.store.tenants import Tenant

if TYPE_CHECKING:
    from hie.store.keys import NewKey
    from hie.store.search.index import IndexRows
    from hie.store.unit_of_work import Written

T = TypeVar("T")

class Current(NamedTuple):
    """The row of a resource as it stands."""

    key: int
    type: str
    id: str
    vid: int
    method: int
    updated: int
    data_key: int
    sealed: bytes | None
    presence: int = -1
    """As in `resource`, for what is to be changed; else all bits: it may have anything."""


_COLUMNS = (
    resource.c.key, resource.c.type, resource.c.id, resource.c.vid, resource.c.method, resource.c.updated,
    resource.c.data_key, resource.c.sealed, resource.c.presence,
)  # fmt: skip
_CURRENT = select(*_COLUMNS).where(
    resource.c.tenant == bindparam("tenant"), resource.c.type == bindparam("type"), resource.c.id == bindparam("id")
)
_NAMES = tuple(column.name for column in _COLUMNS)
_READ_CURRENT = Prepared(_CURRENT, _NAMES, Current)
_LOCK_CURRENT = Prepared(_CURRENT.with_for_update(), _NAMES, Current)


def current(connection: Connection, tenant: int, type_name: str, id_: str, *, lock: bool = False) -> Current | None:
    """Return the row of Type/id, deleted or not; with `lock` nobody else changes it until the transaction ends."""
    statement = _LOCK_CURRENT if lock and connection.dialect.name == "postgresql" else _READ_CURRENT
    found: Current | None = statement.first(connection, {"tenant": tenant, "type": type_name, "id": id_})
    return found


#: The order is that of Python, in which all lock rows, whatever the database's own.
_HOLD = Prepared(
    select(resource.c.id, resource.c.vid)
    .where(resource.c.tenant == bindparam("tenant"), resource.c.type == bindparam("type"),
           resource.c.id == func.any(bindparam("ids", type_=ARRAY(Text))))
    .order_by(collate(resource.c.id, "C")).with_for_update(),
    ("id", "vid"),
)  # fmt: skip
#: Each is looked for by its key, however small the table; nothing that is asked says how much will be found.
_SEVERAL = """
    SELECT found.* FROM (SELECT CAST(:types AS text[]) AS types, CAST(:ids AS text[]) AS ids OFFSET 0) AS given
    CROSS JOIN LATERAL unnest(given.types, given.ids) AS wanted (type, id)
    CROSS JOIN LATERAL (
        SELECT {columns} FROM resource
        WHERE tenant = :tenant AND type = wanted.type AND id = wanted.id OFFSET 0) AS found
"""
_READ_SEVERAL = Prepared(text(_SEVERAL.format(columns=", ".join(_NAMES))), _NAMES, Current)
_KNOWN = Prepared(text(_SEVERAL.format(columns="type, id")), ("type", "id"))


def several(connection: Connection, tenant: int, places: Sequence[Target]) -> dict[Target, Current]:
    """PostgreSQL: return the rows of `places`, deleted or not, by one question."""
    return {(row.type, row.id): row for row in _asked(_READ_SEVERAL, connection, tenant, places)}


def _asked(statement: Prepared, connection: Connection, tenant: int, places: Sequence[Target]) -> list[Any]:
    types, ids = columns(2, places)
    return statement.all(connection, {"tenant": tenant, "types": types, "ids": ids})


def hold(connection: Connection, tenant: Tenant, places: Iterable[Target]) -> dict[Target, int]:
    """PostgreSQL: let nobody else change or make any of `places` until the transaction ends.

    Return the versions of those that are there. All who change several take them in the same order, first the ids that
    are nowhere, then rows, so that nobody waits in a circle.
    """
    wanted = sorted(places)
    known = {(row.type, row.id) for row in _asked(_KNOWN, connection, tenant.id, wanted)}
    if len(known) < len(wanted):
        lock_numbers(connection, id_locks(tenant, (place for place in wanted if place not in known)))
    held: dict[Target, int] = {}
    for type_name, group in groupby(wanted, key=lambda place: place[0]):
        parameters = {"tenant": tenant.id, "type": type_name, "ids": [id_ for _, id_ in group]}
        held.update(((type_name, row.id), row.vid) for row in _HOLD.all(connection, parameters))
    return held


# -- writing -------------------------------------------------------------------------------------------------------


def insert_keys(connection: Connection, keys: Sequence[NewKey]) -> None:
    """Store new data keys; Again when a neighbour made one for the same patient first."""
    if not keys:
        return
    if connection.dialect.name == "sqlite":
        values = [tuple(key.row[name] for name in _KEY) for key in keys]
        if driver_of(connection).executemany(_INSERT_KEYS_SQLITE, values).rowcount != len(keys):
            raise Again("Another request made the patient's data key.")
        return
    connection.execute(insert_or_ignore(connection, data_key), [key.row for key in keys])
    ids = [key.id for key in keys]
    stored = 0
    for start in range(0, len(ids), 500):
        stored += connection.execute(_COUNT_KEYS, {"ids": ids[start : start + 500]}).scalar_one()
    if stored != len(ids):
        raise Again("Another request made the patient's data key.")


_KEY = tuple(data_key.c.keys())
_INSERT_KEYS_SQLITE = f"INSERT OR IGNORE INTO data_key ({', '.join(_KEY)}) VALUES ({', '.join('?' for _ in _KEY)})"
_COUNT_KEYS = select(func.count()).where(data_key.c.id.in_(bindparam("ids", expanding=True)))


def ready(dialect: str, tenant: int, written: Iterable[Written]) -> NewRows | None:
    """Return the rows of what is new, made before the transaction begins; None where that saves nothing."""
    new = [w for w in written if w.replaced is None]
    return NewRows(tenant, new) if new and dialect == "sqlite" else None


def store(
    connection: Connection, tenant: int, written: Sequence[Written], prepared: NewRows | None = None
) -> None:
    """Write new versions, the versions they replace, and their index rows; `prepared`: those that are `ready`."""
    new = [w for w in written if w.replaced is None]
    changed = [(w, w.replaced) for w in written if w.replaced is not None]
    on_sqlite = connection.dialect.name == "sqlite"
    number = None  # PostgreSQL's own
    if changed and on_sqlite:
        _keep_history_sqlite(driver_of(connection), [row for _, row in changed])
        number = sqlite_rows.next_number(driver_of(connection))
        past.keep(connection, [_past(tenant, w, row, number) for w, row in changed])
    elif changed:
        past.leave(connection, [(row.key, w.version.updated) for w, row in changed])
    if on_sqlite:
        _store_sqlite(connection, tenant, prepared or ready("sqlite", tenant, new), changed, number)
    else:
        _store_postgres(connection, tenant, new, changed)
    holding = [w for w in written if contained.concerns(w)]
    if holding:
        contained.write(connection, tenant, holding, number)


def _past(tenant: int, w: Written, row: Current, number: int) -> past.Past:
    assert w.past_index is not None  # noqa: S101 - whoever replaces a version says what was found by it
    until, was = w.version.updated, w.past_index
    return past.Past(row.key, tenant, row.type, row.id, row.vid, row.method, row.updated, until, was, None, number)


_HISTORY_COLUMNS = "tenant, type, id, vid, method, updated, data_key, sealed"


_KEEP_HISTORY_SQLITE = (
    f"INSERT INTO resource_history ({_HISTORY_COLUMNS}, written) "
    f"SELECT {_HISTORY_COLUMNS}, coalesce(written, -key) FROM resource WHERE key = ? AND vid = ?"
)


def _store_sqlite(
    connection: Connection, tenant: int, new: NewRows | None, changed: list[tuple[Written, Current]],
    number: int | None,
) -> None:
    driver = driver_of(connection)
    if new is not None:
        new.insert(driver)
    if changed:
        _change_sqlite(driver, tenant, changed, number)


def _keep_history_sqlite(driver: Any, replaced: Sequence[Current]) -> None:
    """Keep the versions that are about to be replaced; Again where one of them is not the current one any more."""
    cursor = driver.executemany(_KEEP_HISTORY_SQLITE, [(row.key, row.vid) for row in replaced])
    kept = cursor.rowcount
    # What is raised keeps this frame: whichever thread lets go of the cursor later would reset its statement, which all
    # cursors share, while somebody else executes it (SQLITE_MISUSE).
    cursor.close()
    if kept != len(replaced):
        raise Again("A resource was changed meanwhile.")


def _change_sqlite(driver: Any, tenant: int, changed: list[tuple[Written, Current]], number: int | None) -> None:
    run = driver.executemany
    run(
        "UPDATE resource SET vid=?, method=?, updated=?, date_low=?, date_high=?, presence=?, data_key=?, sealed=?, "
        "written=? WHERE key=?",
        [(*resource_values(tenant, row.key, w)[4:], number, row.key) for w, row in changed],
    )
    tokens: list[tuple[int, int]] = []
    for w, row in changed:
        before = set(w.replaced_index.tokens) if w.replaced_index else set()
        gone = sorted(before.difference(w.index.tokens))
        if len(gone) > FEW:
            driver.execute(_TAKE_TOKENS, (json.dumps(gone), row.key))
        else:
            run("DELETE FROM token WHERE hash = ? AND key = ?", [(hash_, row.key) for hash_ in gone])
        tokens += [(row.key, hash_) for hash_ in set(w.index.tokens).difference(before)]
    sqlite_rows.insert(driver, TOKEN, tokens)
    sqlite_rows.exchange(driver, DATES, [(row.key, w.index.dates) for w, row in changed])
    sqlite_rows.exchange(driver, NUMBERS, [(row.key, w.index.numbers) for w, row in changed])
    sqlite_rows.exchange(driver, LINKS, [(row.key, w.index.links) for w, row in changed])


#: One step for many tokens of a resource: the driver gives up Python's lock at each.
_TAKE_TOKENS = "DELETE FROM token WHERE hash IN (SELECT value FROM json_each(?)) AND key = ?"


def _insert_side_rows(driver: Any, indexed: Sequence[tuple[int, IndexRows]]) -> None:
    sqlite_rows.insert(driver, DATES, [(key, *row) for key, index in indexed for row in index.dates])
    sqlite_rows.insert(driver, NUMBERS, [(key, *row) for key, index in indexed for row in index.numbers])
    sqlite_rows.insert(driver, LINKS, [(key, *row) for key, index in indexed for row in index.links])


OF_DATES, OF_NUMBERS, OF_TARGETS = ("dp", "dl", "dh"), ("np", "nl", "nh", "nu", "nc", "nt"), ("tt", "ti")
#: What one new resource is stored from, with PostgreSQL's types: lists are columns of its index rows.
ONE = {
    "tenant": "int4", "type": "text", "id": "text", "vid": "int4", "method": "int2", "updated": "int8",
    "date_low": "int8", "date_high": "int8", "presence": "int8", "data_key": "int8", "sealed": "bytea",
    "tokens": "int8[]", "dp": "int8[]", "dl": "int8[]", "dh": "int8[]", "np": "int8[]", "nl": "float8[]",
    "nh": "float8[]", "nu": "int8[]", "nc": "int8[]", "nt": "int8[]", "lp": "int8[]", "lt": "int8[]",
    "tt": "text[]", "ti": "text[]",
}  # fmt: skip
#: The targets of its references, and which are there. OFFSET: each is looked for by its key, however small the table.
TARGETS = """
        SELECT type, id, EXISTS (
            SELECT FROM resource WHERE tenant = {tenant} AND type = target.type AND id = target.id
            AND sealed IS NOT NULL OFFSET 0) AS there
        FROM unnest({tt}, {ti}) AS target (type, id)
"""
_ROW = """r AS (
        INSERT INTO resource (tenant, type, id, vid, method, updated, date_low, date_high, presence, data_key, sealed,
                              tokens)
        VALUES ({tenant}, {type}, {id}, {vid}, {method}, {updated}, {date_low}, {date_high}, {presence}, {data_key},
                {sealed}, {tokens})
        RETURNING key
    )"""
_DATES = """d AS (
        INSERT INTO date_index (key, parameter, low, high)
        SELECT r.key, u.* FROM r, unnest({dp}, {dl}, {dh}) u
    )"""
_NUMBERS = """n AS (
        INSERT INTO number_index (key, parameter, low, high, unit, code, text)
        SELECT r.key, u.* FROM r, unnest({np}, {nl}, {nh}, {nu}, {nc}, {nt}) u
    )"""
_LINKS = """
        INSERT INTO reference_index (key, parameter, target)
        SELECT r.key, u.* FROM r, unnest({lp}, {lt}) u
"""


def store_one(kinds: Kinds = EVERY) -> str:
    """Return the parts of a statement that stores a resource with index rows of some kinds."""
    return f"{_stored(kinds)}, l AS ({_LINKS})"


def store_also(kinds: Kinds) -> str:
    """Return the whole statement, where nothing follows."""
    return f"{_stored(kinds)} {_LINKS}"


def _stored(kinds: Kinds) -> str:
    return f"WITH {', '.join([_ROW, *of_kinds(kinds, _DATES, _NUMBERS)])}"


def of_kinds(kinds: Kinds, dates: T, numbers: T) -> Iterator[T]:
    """Yield what is for the kinds that there are."""
    if kinds.dates:
        yield dates
    if kinds.numbers:
        yield numbers


def types_of(kinds: Kinds, *, refers: bool = False) -> dict[str, str]:
    """Return what such a resource is stored from, with PostgreSQL's types; `refers`: and its targets found."""
    none = {*(() if kinds.dates else OF_DATES), *(() if kinds.numbers else OF_NUMBERS), *(() if refers else OF_TARGETS)}
    return {name: type_ for name, type_ in ONE.items() if name not in none}


#: One resource in one round trip, which also tells which of its references' targets are there.
_INSERT_ONE = (
    f"{store_one()}, found AS ({TARGETS})".format(**{name: f"%({name})s::{type_}" for name, type_ in ONE.items()})
    + " SELECT type, id FROM found WHERE there"
)


def _store_postgres(
    connection: Connection, tenant: int, new: list[Written], changed: list[tuple[Written, Current]]
) -> None:
    if len(new) == 1:
        insert_one(connection, tenant, new[0], ())
    elif new:
        _copy_many(connection, tenant, new)
    if changed:
        _change_postgres(connection, tenant, changed)


def insert_one(connection: Connection, tenant: int, w: Written, targets: Sequence[Target]) -> set[Target]:
    """PostgreSQL: store one new resource and return those of `targets` that exist and are not deleted."""
    values = {**one_values(tenant, w, ()), **_columns(OF_TARGETS, targets)}
    found = driver_of(connection).execute(_INSERT_ONE, values, prepare=True)
    return {(type_name, id_) for type_name, id_ in found.fetchall()}


def one_values(
    tenant: int, w: Written, targets: Sequence[Target], kinds: Kinds = EVERY
) -> dict[str, Any]:
    """Return what a new resource is stored from, by the names of `types_of` and in their order."""
    v, index = w.version, w.index
    return {
        "tenant": tenant, "type": v.type, "id": v.id, "vid": v.vid, "method": v.method, "updated": v.updated,
        "date_low": index.date_low, "date_high": index.date_high, "presence": index.presence, "data_key": w.key_id,
        "sealed": w.sealed, "tokens": index.tokens,
        **(_columns(OF_DATES, index.dates) if kinds.dates else {}),
        **(_columns(OF_NUMBERS, index.numbers) if kinds.numbers else {}),
        **_columns(("lp", "lt"), index.links), **(_columns(OF_TARGETS, targets) if targets else {}),
    }  # fmt: skip


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    return dict(zip(names, columns(len(names), rows), strict=True))


def columns(number: int, rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """Return the columns of rows of so many values."""
    return [*map(list, zip(*rows, strict=True))] if rows else [[] for _ in range(number)]


def _copy_many(connection: Connection, tenant: int, new: list[Written]) -> None:
    keys = connection.execute(_KEYS, {"n": len(new)}).scalars().all()
    pairs = list(zip(keys, new, strict=True))
    types = ["int8", "int4", "text", "text", "int4", "int2", "int8", "int8", "int8", "int8", "int8", "bytea"]
    copy_in(
        connection, f"resource ({RESOURCE_COLUMNS}, tokens)", [*types, "int8[]"],
        ((*resource_values(tenant, key, w), w.index.tokens) for key, w in pairs),
    )  # fmt: skip
    _copy_index(connection, [(key, w.index) for key, w in pairs])


_KEYS = text("SELECT nextval('resource_key_seq') FROM generate_series(1, :n)")


def _copy_index(connection: Connection, pairs: Sequence[tuple[int, IndexRows]]) -> None:
    dates = [(key, *row) for key, index in pairs for row in index.dates]
    numbers = [(key, *row) for key, index in pairs for row in index.numbers]
    links = [(key, *row) for key, index in pairs for row in index.links]
    if dates:
        copy_in(connection, DATES, ["int8"] * 4, dates)
    if numbers:
        types = ["int8", "int8", "float8", "float8", "int8", "int8", "int8"]
        copy_in(connection, NUMBERS, types, numbers)
    if links:
        copy_in(connection, LINKS, ["int8"] * 3, links)


_UPDATE_POSTGRES = text(
    "UPDATE resource SET vid=:vid, method=:method, updated=:updated, date_low=:date_low, date_high=:date_high, "
    "presence=:presence, data_key=:data_key, sealed=:sealed, tokens=:tokens, written=DEFAULT WHERE key=:key"
).bindparams(bindparam("tokens", type_=ARRAY(BigInteger)))
_INSERT_HISTORY = text(
    f"INSERT INTO resource_history ({_HISTORY_COLUMNS}, written) "
    f"SELECT {_HISTORY_COLUMNS}, written FROM resource WHERE key = ANY(:keys)"
)
_DELETE_DATES = text("DELETE FROM date_index WHERE key = ANY(:keys)")
_DELETE_NUMBERS = text("DELETE FROM number_index WHERE key = ANY(:keys)")
_DELETE_LINKS = text("DELETE FROM reference_index WHERE key = ANY(:keys)")


def _change_postgres(connection: Connection, tenant: int, changed: list[tuple[Written, Current]]) -> None:
    keys = [row.key for _, row in changed]
    connection.execute(_INSERT_HISTORY, {"keys": keys})
    names = RESOURCE_COLUMNS.split(", ")
    updates = []
    for w, row in changed:
        values = dict(zip(names, resource_values(tenant, row.key, w), strict=True))
        updates.append({**values, "tokens": w.index.tokens if w.sealed is not None else None})
    connection.execute(_UPDATE_POSTGRES, updates)
    connection.execute(_DELETE_DATES, {"keys": keys})
    connection.execute(_DELETE_NUMBERS, {"keys": keys})
    connection.execute(_DELETE_LINKS, {"keys": keys})
    _copy_index(connection, [(row.key, w.index) for w, row in changed])


# -- indexing anew -------------------------------------------------------------------------------------------------


def replace_index(
    connection: Connection, indexed: Sequence[tuple[int, IndexRows]], gone: Sequence[tuple[int, int]] = ()
) -> None:
    """Write all index rows of resources, whose content stays, in place of those they have (hie.store.reindexing).

    On SQLite tokens are added; `gone` names those that must go, by hash and key.
    """
    if not indexed:
        return
    values = [
        {"key": key, "presence": i.presence, "date_low": i.date_low, "date_high": i.date_high, "tokens": i.tokens}
        for key, i in indexed
    ]
    sets = "presence=:presence, date_low=:date_low, date_high=:date_high"
    on_sqlite = connection.dialect.name == "sqlite"
    for table in ("date_index", "number_index", "reference_index"):
        connection.execute(text(f"DELETE FROM {table} WHERE key=:key"), values)
    contained.write_anew(connection, indexed)
    if not on_sqlite:
        statement = text(f"UPDATE resource SET {sets}, tokens=:tokens WHERE key=:key")
        connection.execute(statement.bindparams(bindparam("tokens", type_=ARRAY(BigInteger))), values)
        _copy_index(connection, indexed)
        return
    connection.execute(text(f"UPDATE resource SET {sets} WHERE key=:key"), values)
    run = driver_of(connection).executemany
    run("DELETE FROM token WHERE hash=? AND key=?", gone)
    tokens = sorted((hash_, key) for key, i in indexed for hash_ in i.tokens)
    run("INSERT OR IGNORE INTO token (hash, key) VALUES (?,?)", tokens)
    _insert_side_rows(driver_of(connection), indexed)
