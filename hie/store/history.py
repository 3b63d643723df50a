"""History of an instance, a type or the whole system: https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, union_all

from hie.errors import Forbidden, InvalidSearch
from hie.store.crypto import SealBroken
from hie.store.models import ERASED, resource, resource_history
from hie.store.search import engine as search_engine
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

_NAMES = ("type", "id", "vid", "method", "updated", "data_key", "sealed")


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Versions, newest first; `next` continues after the last of them."""

    versions: list[StoredVersion]
    total: int
    next: str | None


def history_page(
    store: ResourceStore, type_name: str | None, id_: str | None, *, since: int | None, count: int, cursor: str | None,
    during: tuple[int, int] | None = None,
) -> HistoryPage:
    """Return one page of versions and the number of all of them."""
    arms = [_arm(store, table, type_name, id_, since, during) for table in (resource, resource_history)]
    counts = (select(func.count()).select_from(arm.subquery()) for arm in arms)
    total = sum(store.connection().execute(count_).scalar_one() for count_ in counts)
    position = _open_cursor(store, cursor)
    found = store.connection().execute(_page(arms, position, count + 1)).all() if count else []
    versions = store.open(found[:count])
    more = len(found) > count and versions
    return HistoryPage(versions, total, _seal_cursor(store, versions[-1]) if more else None)


def _arm(
    store: ResourceStore, table: Any, type_name: str | None, id_: str | None, since: int | None,
    during: tuple[int, int] | None,
) -> Select[Any]:
    where: list[ColumnElement[bool]] = [table.c.tenant == store.tenant]
    if table is resource_history:
        where.append(table.c.method != ERASED)
    if since is not None:
        where.append(table.c.updated >= since)
    if during is not None:
        where += _current(table, *during)
    if type_name is not None:
        where.append(table.c.type == type_name)
        if id_ is not None:
            where.append(table.c.id == id_)
        where += _restricted(store, table, type_name, "r" if id_ is not None else "s")
    else:
        where.append(_system(store, table))
    return select(*(table.c[name] for name in _NAMES)).where(*where)


def _current(table: Any, low: int, high: int) -> list[ColumnElement[bool]]:
    """A version was current in [low, high) if it began before the end and none had followed it by the beginning."""
    where: list[ColumnElement[bool]] = [table.c.updated < high]
    if table is resource:
        return where
    for following in (resource.alias(), resource_history.alias()):
        same = [following.c[name] == table.c[name] for name in ("tenant", "type", "id")]
        next_ = select(following.c.vid).where(*same, following.c.vid == table.c.vid + 1, following.c.updated <= low)
        where.append(~next_.exists())
    return where


def _restricted(store: ResourceStore, table: Any, type_name: str, letter: str) -> list[ColumnElement[bool]]:
    """A version is shown where the grant covers the resource as it stands."""
    restriction = search_engine.restriction(store, type_name, letter)
    if restriction is None:
        return []
    if table is resource:
        return [restriction]
    allowed = select(resource.c.id).where(
        resource.c.tenant == store.tenant, resource.c.type == type_name, restriction
    )
    return [table.c.id.in_(allowed)]


def _system(store: ResourceStore, table: Any) -> ColumnElement[bool]:
    names = store.grant.types("s")
    if not names:
        raise Forbidden("The token has no scope to search any type: system/*.s is needed.")
    free = sorted(name for name in names if store.grant.queries(name, "s") is None)
    bound = sorted(names.difference(free))
    return or_(
        table.c.type.in_(free),
        *(and_(table.c.type == name, *_restricted(store, table, name, "s")) for name in bound),
    )


def _page(arms: list[Select[Any]], position: tuple[Any, ...] | None, limit: int) -> Select[Any]:
    limited = []
    for arm in arms:
        updated, type_, id_, vid = (arm.selected_columns[name] for name in ("updated", "type", "id", "vid"))
        if position is not None:
            p_updated, p_type, p_id, p_vid = position
            arm = arm.where(
                or_(
                    updated < p_updated,
                    and_(updated == p_updated, type_ > p_type),
                    and_(updated == p_updated, type_ == p_type, id_ > p_id),
                    and_(updated == p_updated, type_ == p_type, id_ == p_id, vid < p_vid),
                )
            )
        # the arm's own order and limit let an index stop early
        limited.append(arm.order_by(updated.desc(), type_, id_, vid.desc()).limit(limit).subquery())
    both = union_all(*(select(arm) for arm in limited)).subquery()
    return select(both).order_by(both.c.updated.desc(), both.c.type, both.c.id, both.c.vid.desc()).limit(limit)


def _seal_cursor(store: ResourceStore, last: StoredVersion) -> str:
    return store.seal_text(json.dumps(["history", last.updated, last.type, last.id, last.vid]))


def _open_cursor(store: ResourceStore, cursor: str | None) -> tuple[Any, ...] | None:
    if cursor is None:
        return None
    try:
        kind, *position = json.loads(store.open_text(cursor))
        if kind != "history" or len(position) != 4:
            raise ValueError
    except (SealBroken, ValueError) as error:
        raise InvalidSearch("This page link is not one of this server's; begin again at the first page.") from error
    return tuple(position)
