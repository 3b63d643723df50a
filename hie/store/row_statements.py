"""Versions read by their ids, under the grant: the statements, made once for each shape of what a grant asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, BindParameter, Connection, Text, bindparam, select

from hie.store import contents
from hie.store.models import resource, resource_history
from hie.store.prepared import Listed, Prepared
from hie.store.search import grants
from hie.store.search.clauses import Clause, Shaped
from hie.store.search.grants import Stated
from hie.store.search.seen import TOLD
from hie.store.search.statements import sql_for
from hie.store.search.tables import place

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

_NAMES = ("type", "id", "vid", "method", "updated", "data_key", "sealed")
#: What the grant asks is bound by names that begin so.
_GRANT = "g"
#: Shapes of the same tokens come again.
KEPT = 256


def many(store: ResourceStore, type_name: str, ids: Sequence[str]) -> Iterator[Any]:
    """Read those resources of a type that exist and that the grant lets through. Forbidden."""
    stated = grants.stated(store, type_name, "r")
    statement = _many(store.database.dialect, stated, store.reading is not None)
    values = {"tenant": store.tenant, "type": type_name} | ({} if stated is None else stated.values(_GRANT))
    return statement.all(store.connection(), ids, values)


@lru_cache(maxsize=KEPT)
def _many(dialect: str, stated: Stated | None, tells: bool) -> Listed:
    names = (*_NAMES, "seen") if tells else _NAMES

    def of(ids: Sequence[BindParameter[Any]]) -> Any:
        columns = (*(resource.c[name] for name in _NAMES[:-1]), contents.small(resource))
        found = select(*columns, *([TOLD] if tells else []))
        found = found.where(*place(resource, typed=True), resource.c.id.in_(ids), resource.c.sealed.is_not(None))
        return found if stated is None else found.where(stated.now(dialect, _GRANT))

    return Listed(of, Text(), names)


def matching(
    store: ResourceStore, connection: Connection, type_name: str, ids: Sequence[str], asked: Clause
) -> set[str]:
    """Return the ids of those resources of a type that exist and match."""
    values = {f"{_GRANT}{number}": value for number, value in enumerate(asked.values())}
    statement = _matching(store.database.dialect, Shaped(asked))
    parts = statement.all(connection, ids, {"tenant": store.tenant, "type": type_name} | values)
    return {row.id for part in parts for row in part}


@lru_cache(maxsize=KEPT)
def _matching(dialect: str, asked: Shaped) -> Listed:
    def of(ids: Sequence[BindParameter[Any]]) -> Any:
        found = select(resource.c.id).where(*place(resource, typed=True), resource.c.id.in_(ids))
        return found.where(resource.c.sealed.is_not(None), asked.clause.sql(sql_for(dialect, prefix=_GRANT)))

    return Listed(of, Text(), ("id",))


def old(store: ResourceStore, type_name: str, id_: str, vid: int) -> Any | None:
    """Read a version that is no longer current, if the grant covers what it was. Forbidden."""
    stated = grants.stated(store, type_name, "r")
    values = {"tenant": store.tenant, "type": type_name, "id": id_, "vid": vid}
    values |= {} if stated is None else stated.values_then(_GRANT)
    return _old(store.database.dialect, stated).first(store.connection(), values)


@lru_cache(maxsize=KEPT)
def _old(dialect: str, stated: Stated | None) -> Prepared:
    c = resource_history.c
    found = select(*(c[name] for name in _NAMES)).where(
        *place(resource_history, typed=True), c.id == bindparam("id", type_=Text()),
        c.vid == bindparam("vid", type_=BigInteger()),
    )  # fmt: skip
    return Prepared(found if stated is None else found.where(stated.then(dialect, _GRANT)), _NAMES)
