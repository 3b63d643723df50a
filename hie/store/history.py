"""History of an instance, a type or the whole system: https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hie.errors import Expired, InvalidSearch
from hie.fhir.paging import LINK_HOURS, UNTIL
from hie.store import history_led
from hie.store.contents import MOST_BYTES
from hie.store.crypto import SealBroken
from hie.store.history_statements import Place, Shape, count_of, count_statement, page_of, page_statement
from hie.store.listed import Listed, items
from hie.store.models import FOREVER
from hie.store.opening import up_to
from hie.store.prepared import dialect_of
from hie.store.search import cursor_text, grants, seen
from hie.store.search.cursors import last_page_size
from hie.store.search.reading import one_state, seen_by_page
from hie.store.search.seen import Seen
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: Cursors of servers that did not tie them to what was asked, or did not know what a page had seen, had so many parts.
_BEFORE_MARKS = (7, 9, 10)


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Versions, newest first; `next` continues after the last of them, `previous` ends before the first.

    `first` and `last` are there where there are several pages.
    """

    versions: list[StoredVersion]
    total: int | None
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
    total: int | None = None
    """What it counted; None: it did not."""
    backward: bool = False
    """Whether the page that ends here is wanted, rather than the one behind."""

    @property
    def is_edge(self) -> bool:
        """Tell whether it is that of no version: the first page begins there, and the last ends there."""
        return not self.type


def history_page(
    store: ResourceStore, type_name: str | None, id_: str | None, *, since: int | None, count: int, cursor: str | None,
    during: tuple[int, int] | None = None, listed: str | None = None, counts: bool = True,
    types: frozenset[str] | None = None, offset: int = 0,
) -> HistoryPage:
    """Return one page of versions and, if it `counts`, the number of all; `listed`: the List that names them.

    `types`: those of the system's history, None for all; one alone is met by its own index. The first page leaves out
    `offset` of them.
    """
    if types is not None and len(types) == 1:
        type_name, types = next(iter(grants.allowed_types(store, "s", types))), None
    asked = (type_name, id_, since, during, listed) if types is None else (sorted(types), since, during, listed)
    mark = cursor_text.mark(store.blind, store.grant, ["history", *map(str, asked)])
    position = _open_cursor(store, cursor, mark)

    def page(inside: ResourceStore) -> HistoryPage:
        behind = position
        if behind is None and inside.at is not None and inside.seen is not None:  # within a transaction
            behind = _Position(FOREVER, "", "", 0, FOREVER, inside.at, inside.seen)
        named = None
        if listed is not None:  # further pages ask what it named when the first was read
            named = items(inside if position is None else inside.as_of(position.at), listed)
        shape = _shape(inside, type_name, id_, since, during, behind, types, is_bare=offset > 0)
        values = _values(inside, shape, behind)
        values |= {name: one for name, one in (("type", type_name), ("id", id_), ("since", since)) if one is not None}
        if during is not None:
            values["low"], values["high"] = during
        return _read(inside, _Asked(shape, values, named, counts, mark, offset), count, cursor, behind)

    is_one = position is not None or store.seen is not None  # what a page saw, it shows again
    return page(store) if is_one else one_state(store, page)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which versions are asked for: their shape, the values of that, and the List that names them."""

    shape: Shape
    values: dict[str, Any]
    listed: Listed | None
    counts: bool
    mark: int
    """What ties the links to it."""
    offset: int


def _shape(
    store: ResourceStore, type_name: str | None, id_: str | None, since: int | None, during: tuple[int, int] | None,
    position: _Position | None, types: frozenset[str] | None, *, is_bare: bool,
) -> Shape:
    letter = "r" if id_ is not None else "s"
    names = grants.allowed_types(store, letter, types) if type_name is None else {type_name}
    conditions = {name: grants.stated(store, name, letter) for name in sorted(names)}
    is_led = id_ is None and history_led.is_led(store, conditions)
    return Shape(
        store.database.dialect, is_typed=type_name is not None, is_of_one=id_ is not None, is_since=since is not None,
        is_during=during is not None, is_seen=position is not None and position.seen is not None,
        free=tuple(name for name, one in conditions.items() if one is None),
        bound=tuple((name, one) for name, one in conditions.items() if one is not None), is_led=is_led,
        is_bare=is_bare,
    )  # fmt: skip


def _values(store: ResourceStore, shape: Shape, position: _Position | None) -> dict[str, Any]:
    values = {"tenant": store.tenant, **shape.granted()}
    if position is not None:
        values |= {} if position.seen is None else position.seen.bounds(position.at)
        values |= {"at_updated": position.updated, "at_type": position.type, "at_id": position.id,
                   "at_vid": position.vid, "newest": position.newest}  # fmt: skip
    return values


def _read(
    store: ResourceStore, asked: _Asked, count: int, cursor: str | None, position: _Position | None
) -> HistoryPage:
    total = None if position is None else position.total
    if count and position is not None and position.is_edge and position.backward:
        total = _total(store, asked) if total is None else total
        count = last_page_size(total, count)
    found = _found(store, asked, position, asked.offset + count + 1) if count else []
    left_out, found = found[: asked.offset], found[asked.offset :]
    if total is None and (asked.counts or not count):
        total = _total(store, asked)
    versions, _ = up_to(store.each_opened(found[:count]), MOST_BYTES)
    more, count = len(found) > len(versions), len(versions)
    if not left_out and (not versions or (position is None and not more)):
        return HistoryPage(versions, total, None)
    if position is None:
        newest = left_out[0].updated if left_out else versions[0].updated
        since = newest, max(store.clock(), newest), seen_by_page(store), total
    else:
        since = position.newest, position.at, position.seen, total
    first = _seal_cursor(store, asked.mark, ("", "", 0), since[0], *since)
    came = None if cursor is None or position is None or position.is_edge else cursor.removeprefix(UNTIL)
    if left_out:
        came = _seal_cursor(store, asked.mark, _place(left_out[-1]), left_out[-1].updated, *since)
    further = found[count if position is not None and position.backward else count - 1] if more else None
    onwards = None
    if further is not None:
        onwards = _seal_cursor(store, asked.mark, _place(further), further.updated, *since)
    if position is not None and position.backward:
        versions.reverse()
        return HistoryPage(versions, total, came, onwards and UNTIL + onwards, first, UNTIL + first)
    return HistoryPage(versions, total, onwards, came and UNTIL + came, first, UNTIL + first)


def _place(row: Any) -> tuple[str, str, int]:
    return row.type, row.id, row.vid


def _found(store: ResourceStore, asked: _Asked, position: _Position | None, limit: int) -> Sequence[Any]:
    """Return the rows of a page; it is read first of all, in one statement, and the counts compare with what it saw."""
    reading = store.reading
    tells = reading is not None and reading.asks()
    place = Place.FIRST if position is None else Place.EDGE if position.is_edge else Place.BEHIND
    how = (asked.shape, place, position is not None and position.backward, tells)
    values = {**asked.values, "row_limit": limit}
    if asked.listed is not None:
        found: Sequence[Any] = store.connection().execute(page_of(*how, asked.listed), values).all()
    else:
        found = page_statement(dialect_of(store.connection()), *how).all(store.connection(), values)
    if reading is not None and tells and found:
        reading.take(found[0].seen)
    return found


def _total(store: ResourceStore, asked: _Asked) -> int:
    """Count the versions that the first page saw, at once: what is replaced meanwhile goes from one arm to another."""
    tells = store.reading is not None
    if asked.listed is not None:
        row = store.connection().execute(count_of(asked.shape, tells, asked.listed), asked.values).one()
    else:
        connection = store.connection()
        (row,) = count_statement(dialect_of(connection), asked.shape, tells).all(connection, asked.values)
    if store.reading is not None:
        store.reading.take(row.seen)
    return int(row.total)


def _seal_cursor(
    store: ResourceStore, mark: int, place: tuple[str, str, int], updated: int, newest: int, at: int, saw: Seen | None,
    total: int | None,
) -> str:
    told = None if saw is None else saw.to_json()
    parts = ["history", mark, updated, *place, newest, at, told, store.clock(), total]
    # Within a transaction, what others write meanwhile decides whether the newest version is named, or what was seen.
    return cursor_text.seal(store, parts, [updated, newest, told])


def _open_cursor(store: ResourceStore, cursor: str | None, mark: int) -> _Position | None:
    if cursor is None:
        return None
    try:
        opened = json.loads(store.open_text(cursor.removeprefix(UNTIL)))
        if isinstance(opened, list) and opened[:1] == ["history"] and len(opened) in _BEFORE_MARKS:
            raise Expired("This link was made before the server was upgraded; begin again at the first page.",
                          expression="_cursor")
        kind, tied, updated, type_, id_, vid, newest, at, told, made, total = opened
        if kind != "history" or tied != mark:
            raise ValueError
    except (SealBroken, ValueError, TypeError) as error:
        raise InvalidSearch("_cursor is none that this server gave for this history; begin again at its first page.",
                            expression="_cursor") from error
    if store.clock() - made > LINK_HOURS * 3_600_000_000:
        raise Expired(f"Links to pages are good for {LINK_HOURS} hours; begin again at the first page.",
                      expression="_cursor")
    saw = None if told is None else seen.from_json(told, at_instant=False)
    return _Position(updated, type_, id_, vid, newest, at, saw, total, cursor.startswith(UNTIL))
