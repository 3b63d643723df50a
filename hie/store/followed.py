"""Which versions of another server the versions are here that came by its history: docs/adr/0026"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Integer, Text, bindparam, insert, select

from hie.store.models import followed_version
from hie.store.prepared import Listed
from hie.store.resources import ResourceStore

_TABLE = followed_version.c
#: (type, id) of a resource.
Place = tuple[str, str]

_KNOWN = Listed(
    lambda ids: select(_TABLE.type, _TABLE.id, _TABLE.number, _TABLE.vid).where(
        _TABLE.tenant == bindparam("tenant", type_=Integer()), _TABLE.type == bindparam("type", type_=Text()),
        _TABLE.id.in_(ids)),
    Text(), ("type", "id", "number", "vid"))


def known(store: ResourceStore, places: Iterable[Place]) -> dict[Place, dict[str, int]]:
    """Return of each resource what the other server calls the versions that it sent, and their numbers here."""
    found: dict[Place, dict[str, int]] = {}
    by_type: dict[str, list[str]] = {}
    for type_name, id_ in places:
        by_type.setdefault(type_name, []).append(id_)
    for type_name, ids in by_type.items():
        for rows in _KNOWN.all(store.connection(), ids, {"tenant": store.tenant, "type": type_name}):
            for row in rows:
                found.setdefault((row.type, row.id), {})[row.number] = row.vid
    return found


def add(store: ResourceStore, versions: Iterable[tuple[Place, str, int]]) -> None:
    """Remember (type and id, what the other server calls it, its number here) in the open transaction."""
    rows = [{"tenant": store.tenant, "type": place[0], "id": place[1], "number": number, "vid": vid}
            for place, number, vid in versions]
    if rows:
        if store.unit is None:
            raise RuntimeError("Writing needs a transaction: call inside ResourceStore.transact.")
        store.unit.wrote = True
        store.unit.writing().execute(insert(followed_version), rows)
