"""History of an instance, a type or the whole system: https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, and_, func, literal_column, not_, or_, select, union_all

from hie.errors import Expired, Forbidden, InvalidSearch
from hie.fhir.paging import LINK_HOURS, UNTIL
from hie.store.crypto import SealBroken
from hie.store.listed import items
from hie.store.models import ERASED, FOREVER, resource, resource_history
from hie.store.search import grants, seen
from hie.store.search.cursors import last_page_size
from hie.store.search.reading import one_state, seen_by_page
from hie.store.search.seen import Seen
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: Cursors of servers that did not know what a page had seen had so many parts.
_BEFORE_SEEN = 7
_NAMES = ("type", "id", "vid", "method", "updated", "data_key", "sealed")


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Versions, newest first; `next` continues after the last of them, `previous` ends before the first.

    `first` and `last` are there where there are several pages.
    """

    versions: list[StoredVersion]
    total: int
    next: str | None
    previous: str | None = None
    first: str | None = None
    last: str | None = None


@dataclass(frozen=True, slots=True)
class _Position:
    """The last version of a page, and when the newest of the first page was made: what is newer came later."""

    updated: int
    type: str
    id: str
    vid: int
    newest: int
    at: int
    """The moment at which the first page was read."""
    seen: Seen | None
    """What it saw; None: what is no newer than its newest version."""
    backward: bool = False
    """Whether the page that ends here is wanted, rather than the one behind."""

    @property
    def is_edge(self) -> bool:
        """Tell whether it is that of no version: the first page begins there, and the last ends there."""
        return not self.type


def history_page(
    store: ResourceStore, type_name: str | None, id_: str | None, *, since: int | None, count: int, cursor: str | None,
    during: tuple[int, int] | None = None, listed: str | None = None,
) -> HistoryPage:
    """Return one page of versions and the number of all of them; `listed`: the List that names them."""
    position = _open_cursor(store, cursor)

    def page(inside: ResourceStore) -> HistoryPage:
        behind = position
        if behind is None and inside.at is not None and inside.seen is not None:  # within a transaction
            behind = _Position(FOREVER, "", "", 0, FOREVER, inside.at, inside.seen)
        arms = [_arm(inside, table, type_name, id_, since, during, behind) for table in (resource, resource_history)]
        if listed is not None:  # further pages ask what it named when the first was read
            named = items(inside if position is None else inside.as_of(position.at), listed)
            arms = [arm.where(named.where(arm.selected_columns)) for arm in arms]
        return _read(inside, arms, count, cursor, behind)

    return page(store) if position is not None else one_state(store, page)


def _read(
    store: ResourceStore, arms: list[Select[Any]], count: int, cursor: str | None, position: _Position | None
) -> HistoryPage:
    total = None
    if count and position is not None and position.is_edge and position.backward:
        total = _total(store, arms, position)
        count = last_page_size(total, count)
    found = _found(store, arms, position, count + 1) if count else []
    if total is None:
        total = _total(store, arms, position)
    versions = store.open(found[:count])
    more = len(found) > count
    if not versions or (position is None and not more):
        return HistoryPage(versions, total, None)
    if position is None:
        newest = versions[0].updated
        since = newest, max(store.clock(), newest), seen_by_page(store)
    else:
        since = position.newest, position.at, position.seen
    first = _seal_cursor(store, ("", "", 0), since[0], *since)
    came = None if cursor is None or position is None or position.is_edge else cursor.removeprefix(UNTIL)
    further = found[count if position is not None and position.backward else count - 1] if more else None
    onwards = None
    if further is not None:
        onwards = _seal_cursor(store, (further.type, further.id, further.vid), further.updated, *since)
    if position is not None and position.backward:
        versions.reverse()
        return HistoryPage(versions, total, came, onwards and UNTIL + onwards, first, UNTIL + first)
    return HistoryPage(versions, total, onwards, came and UNTIL + came, first, UNTIL + first)


def _found(store: ResourceStore, arms: list[Select[Any]], position: _Position | None, limit: int) -> Sequence[Any]:
    """Return the rows of a page; it is read first of all, in one statement, and the counts compare with what it saw."""
    page, reading = _page(arms, position, limit), store.reading
    tells = reading is not None and reading.asks()
    if tells:
        page = page.add_columns(seen.TOLD)
    found = store.connection().execute(page, _bounds(position)).all()
    if reading is not None and tells and found:
        reading.take(found[0].seen)
    return found


def _total(store: ResourceStore, arms: list[Select[Any]], position: _Position | None) -> int:
    """Count the versions that the first page saw, at once: what is replaced meanwhile goes from one arm to another."""
    counts = [select(func.count()).select_from(arm.subquery()).scalar_subquery() for arm in arms]
    columns: list[Any] = [counts[0] + counts[1], *([] if store.reading is None else [seen.TOLD])]
    total, *told = store.connection().execute(select(*columns), _bounds(position)).one()
    if store.reading is not None:
        store.reading.take(told[0])
    return int(total)


def _bounds(position: _Position | None) -> dict[str, Any]:
    return {} if position is None or position.seen is None else position.seen.bounds(position.at)


def _arm(
    store: ResourceStore, table: Any, type_name: str | None, id_: str | None, since: int | None,
    during: tuple[int, int] | None, position: _Position | None,
) -> Select[Any]:
    where: list[ColumnElement[bool]] = [table.c.tenant == store.tenant]
    where += _was_seen(store, table, position)
    if table is resource_history:
        where.append(table.c.method != ERASED)
    if since is not None:
        where.append(table.c.updated >= since)
    if during is not None:
        where += _current(store, table, position, *during)
    if type_name is not None:
        where.append(table.c.type == type_name)
        if id_ is not None:
            where.append(table.c.id == id_)
        where += _restricted(store, table, type_name, "r" if id_ is not None else "s")
    else:
        where.append(_system(store, table))
    return select(*(table.c[name] for name in _NAMES)).where(*where)


def _was_seen(store: ResourceStore, table: Any, position: _Position | None) -> list[ColumnElement[bool]]:
    """A version was there when the first page was read."""
    if position is None or position.seen is None:
        return []
    dialect = store.database.dialect
    of_new = -table.c.key if dialect == "sqlite" and "key" in table.c else 0
    # An expression, as an index of the time would be read from its beginning.
    hidden = table.c.updated + literal_column("0")
    return [or_(hidden <= seen.LOW, seen.is_seen(func.coalesce(table.c.written, of_new), dialect))]


def _current(
    store: ResourceStore, table: Any, position: _Position | None, low: int, high: int
) -> list[ColumnElement[bool]]:
    """A version was current in [low, high) if it began before the end and none had followed it by the beginning."""
    where: list[ColumnElement[bool]] = [table.c.updated < high]
    if table is resource:
        return where
    for following in (resource.alias(), resource_history.alias()):
        same = [following.c[name] == table.c[name] for name in ("tenant", "type", "id")]
        next_ = select(following.c.vid).where(*same, following.c.vid == table.c.vid + 1, following.c.updated <= low)
        where.append(~next_.where(*_was_seen(store, following, position)).exists())
    return where


def _restricted(store: ResourceStore, table: Any, type_name: str, letter: str) -> list[ColumnElement[bool]]:
    """A version is shown where the grant covers what it was, and the resource as it stands."""
    restriction = grants.restriction(store, type_name, letter)
    if restriction is None:
        return []
    if table is resource:
        return [restriction]
    allowed = select(resource.c.id).where(
        resource.c.tenant == store.tenant, resource.c.type == type_name, restriction
    )
    then = grants.restriction_then(store, type_name, letter)
    return [table.c.id.in_(allowed), *([] if then is None else [then])]


def _system(store: ResourceStore, table: Any) -> ColumnElement[bool]:
    names = store.grant.types("s")
    if not names:
        raise Forbidden("The token has no scope to search any type: system/*.s is needed.")
    free = sorted(name for name in names if store.grant.covers_all(name, "s"))
    bound = sorted(names.difference(free))
    return or_(
        table.c.type.in_(free),
        *(and_(table.c.type == name, *_restricted(store, table, name, "s")) for name in bound),
    )


def _page(arms: list[Select[Any]], position: _Position | None, limit: int) -> Select[Any]:
    backward = position is not None and position.backward
    limited = []
    for arm in arms:
        if position is not None:
            if not position.is_edge:
                arm = arm.where(_before(arm, position) if position.backward else not_(_before(arm, position)))
            arm = arm.where(arm.selected_columns.updated <= (position.newest if backward else position.updated))
        # the arm's own order and limit let an index stop early
        limited.append(arm.order_by(*_order(arm.selected_columns, backward=backward)).limit(limit).subquery())
    both = union_all(*(select(arm) for arm in limited)).subquery()
    return select(both).order_by(*_order(both.c, backward=backward)).limit(limit)


def _order(columns: Any, *, backward: bool) -> list[Any]:
    newest_first = (columns.updated.desc(), columns.type, columns.id, columns.vid.desc())
    oldest_first = (columns.updated, columns.type.desc(), columns.id.desc(), columns.vid)
    return list(oldest_first if backward else newest_first)


def _before(arm: Select[Any], position: _Position) -> ColumnElement[bool]:
    """Return whether a version comes before a position, or is there."""
    updated, type_, id_, vid = (arm.selected_columns[name] for name in ("updated", "type", "id", "vid"))
    return or_(
        updated > position.updated,
        and_(updated == position.updated, type_ < position.type),
        and_(updated == position.updated, type_ == position.type, id_ < position.id),
        and_(updated == position.updated, type_ == position.type, id_ == position.id, vid >= position.vid),
    )


def _seal_cursor(
    store: ResourceStore, place: tuple[str, str, int], updated: int, newest: int, at: int, saw: Seen | None
) -> str:
    told = None if saw is None else saw.to_json()
    return store.seal_text(json.dumps(["history", updated, *place, newest, at, told, store.clock()]))


def _open_cursor(store: ResourceStore, cursor: str | None) -> _Position | None:
    if cursor is None:
        return None
    try:
        opened = json.loads(store.open_text(cursor.removeprefix(UNTIL)))
        if isinstance(opened, list) and opened[:1] == ["history"] and len(opened) == _BEFORE_SEEN:
            raise Expired("This link was made before the server was upgraded; begin again at the first page.",
                          expression="_cursor")
        kind, updated, type_, id_, vid, newest, at, told, made = opened
        if kind != "history":
            raise ValueError
    except (SealBroken, ValueError, TypeError) as error:
        raise InvalidSearch("This page link is not one of this server's; begin again at the first page.") from error
    if store.clock() - made > LINK_HOURS * 3_600_000_000:
        raise Expired(f"Links to pages are good for {LINK_HOURS} hours; begin again at the first page.",
                      expression="_cursor")
    saw = None if told is None else seen.from_json(told, at_instant=False)
    return _Position(updated, type_, id_, vid, newest, at, saw, cursor.startswith(UNTIL))
