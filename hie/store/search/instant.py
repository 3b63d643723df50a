"""The record as of an instant: versions read as they were then.

docs/adr/0018-record-as-of-an-instant.md
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Select, Text, bindparam, literal_column, select, union_all

from hie.errors import Forbidden, Gone, NotFound
from hie.store.models import DELETED, ERASED, resource, resource_history
from hie.store.prepared import Prepared
from hie.store.search import grants
from hie.store.search.tables import CURRENT, PAST, How, Tables, place, valid

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore
    from hie.store.versions import StoredVersion

Target = tuple[str, str]

# ---- how it is read -------------------------------------------------------------------------------------------------

#: What was replaced within so much time is little: a search as of an instant within it begins with that.
_RECENT = 3_600_000_000


def how(store: ResourceStore) -> How | None:
    """Tell how the past is asked; None: it is the present."""
    if store.at is None:
        return None
    by_instant, by_seen = store.seen is None or store.seen.at_instant, store.seen is not None
    return How(store.database.dialect, by_instant, by_seen, store.clock() - store.at < _RECENT)


def bounds(store: ResourceStore) -> dict[str, Any]:
    """Return the values of the conditions that say which versions were valid then; none for the present."""
    if store.at is None:
        return {}
    if store.seen is None:
        return {"as_of": store.at}
    found = store.seen.bounds(store.at)
    if store.seen.at_instant:
        found["as_of"] = store.at
    return found


def of_pages(store: ResourceStore, page: Sequence[StoredVersion]) -> int:
    """Return the moment of a first page: further ones show what it saw, or what had been written by then."""
    if store.at is not None:
        return store.at
    return max([store.clock(), *(one.updated for one in page)])


# ---- reading ---------------------------------------------------------------------------------------------------------

#: Rows of one type are read in the order of their ids, now and as of then.
id_of = attrgetter("id")
_NAMES = ("type", "id", "vid", "method", "updated", "data_key", "sealed")


def _until(table: Any) -> Select[Any]:
    mine = (*place(table, typed=True), table.c.id == bindparam("id", type_=Text()))
    by_then = table.c.updated <= bindparam("as_of", type_=BigInteger())
    return select(*(table.c[name] for name in _NAMES)).where(*mine, by_then)


_EACH = union_all(_until(resource), _until(resource_history)).subquery()
_LATEST = Prepared(select(_EACH).order_by(_EACH.c.vid.desc()).limit(literal_column("1")), _NAMES)


def row_of(store: ResourceStore, type_name: str, id_: str) -> Any:
    """Return the version that was current then, if the grant covers it. NotFound, Gone, Forbidden."""
    bound = {"tenant": store.tenant, "type": type_name, "as_of": store.at}
    if grants.clause(store, type_name, "r") is None and store.seen is None:
        row = _LATEST.first(store.connection(), {**bound, "id": id_})
    else:
        row = next(iter(_rows(store, type_name, [id_])), None)
    if row is None:
        raise NotFound(f"{type_name}/{id_} was not known here at that time.", expression=type_name)
    if row.method == ERASED:
        raise Gone(f"Version {row.vid} of {type_name}/{id_}, of that time, was erased for good.", expression=type_name)
    if row.method == DELETED:
        raise Gone(f"{type_name}/{id_} was deleted at that time.", expression=type_name)
    return row


def rows_of(store: ResourceStore, targets: Iterable[Target]) -> list[Any]:
    """Return the versions of those that were there then and that the grant lets through."""
    by_type: dict[str, list[str]] = {}
    for type_name, id_ in targets:
        by_type.setdefault(type_name, []).append(id_)
    found: list[Any] = []
    if store.reading is not None:
        store.reading.included(())
    for type_name, ids in by_type.items():
        try:
            parts = (ids[start : start + 500] for start in range(0, len(ids), 500))
            read = [row for part in parts for row in _rows(store, type_name, part)]
        except Forbidden:
            continue
        found += sorted(read, key=id_of)
    return found


def _rows(store: ResourceStore, type_name: str, ids: Sequence[str]) -> list[Any]:
    bound = {"tenant": store.tenant, "type": type_name, "ids": ids, **bounds(store)}
    statement = union_all(*(_among(store, type_name, tables) for tables in (CURRENT, PAST)))
    return list(store.connection().execute(statement, bound))


def _among(store: ResourceStore, type_name: str, tables: Tables) -> Select[Any]:
    restriction = grants.restriction(store, type_name, "r", tables)
    asked = how(store)
    assert asked is not None  # noqa: S101 - the past is asked
    wanted = (*tables.live, *place(tables.row, typed=True), valid(tables, asked))
    among = tables.row.c.id.in_(bindparam("ids", expanding=True))
    found = select(*tables.columns).where(*wanted, among)
    return found if restriction is None else found.where(restriction)
