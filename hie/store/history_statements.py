"""The statements of histories, made once for each shape: https://hl7.org/fhir/R4/http.html#history

Under a token with conditions on all types one asks 146 conditions of what is current and of what was; to make and
compile it takes a quarter of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Dialect,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
    union_all,
)

from hie.store import contents, history_led
from hie.store.listed import Listed
from hie.store.models import ERASED, resource, resource_history
from hie.store.prepared import KeptText
from hie.store.search import seen
from hie.store.search.grants import Stated
from hie.store.search.tables import place

#: Shapes of the same tokens come again.
KEPT = 64
_NAMES = ("type", "id", "vid", "method", "updated", "data_key", "sealed")


class Place(Enum):
    """Where a page begins: at the newest version, at the edge that a link to the first or last page names, or behind
    a version.
    """

    FIRST = "first"
    EDGE = "edge"
    BEHIND = "behind"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a statement is made of, its values apart."""

    dialect: str
    is_typed: bool
    is_of_one: bool
    is_since: bool
    is_during: bool
    is_seen: bool
    """Whether what the first page saw is asked again."""
    free: tuple[str, ...]
    """Types of which all versions are shown."""
    bound: tuple[tuple[str, Stated], ...]
    """Types with what their resources must match."""
    is_led: bool
    """Whether those that match are few, and found first (hie.store.history_led)."""
    is_bare: bool
    """Whether rows come without content, as where most of them are left out."""

    def granted(self) -> dict[str, Any]:
        """Return the values of what the grant asks."""
        found: dict[str, Any] = {}
        for number, (_, stated) in enumerate(self.bound):
            for prefix in [history_led.prefix(number)] if self.is_led else [f"now{number}_", f"allowed{number}_"]:
                found |= stated.values(prefix)
            found |= stated.values_then(f"then{number}_")
        return found


@lru_cache(maxsize=KEPT)
def page_statement(dialect: Dialect, shape: Shape, begins: Place, backward: bool, tells: bool) -> KeptText:
    """Return the statement of a page; `tells`: its rows tell what it saw."""
    return _kept(page_of(shape, begins, backward, tells), dialect)


@lru_cache(maxsize=KEPT)
def count_statement(dialect: Dialect, shape: Shape, tells: bool) -> KeptText:
    """Return the statement that counts the versions."""
    return _kept(count_of(shape, tells), dialect)


def _kept(statement: Select[Any], dialect: Dialect) -> KeptText:
    return KeptText(statement, [str(column.key) for column in statement.selected_columns], dialect)


def page_of(
    shape: Shape, begins: Place, backward: bool, tells: bool, listed: Listed | None = None
) -> Select[Any]:
    """Return the versions of a page, and one more."""
    most, limited = bindparam("row_limit", type_=BigInteger()), []
    for arm in _arms(shape, listed):
        if begins is Place.BEHIND:
            arm = arm.where(_before(arm) if backward else not_(_before(arm)))
        if begins is not Place.FIRST:
            arm = arm.where(arm.selected_columns.updated <= _number("newest" if backward else "at_updated"))
        # the arm's own order and limit let an index stop early
        few = shape.is_led or shape.is_of_one
        limited.append(arm.order_by(*_order(arm.selected_columns, backward, few)).limit(most).subquery())
    both = union_all(*(select(arm) for arm in limited)).subquery()
    return select(both, *([seen.TOLD] if tells else [])).order_by(*_order(both.c, backward)).limit(most)


def count_of(shape: Shape, tells: bool, listed: Listed | None = None) -> Select[Any]:
    """Return the number of versions."""
    counts = [select(func.count()).select_from(arm.subquery()).scalar_subquery() for arm in _arms(shape, listed)]
    return select((counts[0] + counts[1]).label("total"), *([seen.TOLD] if tells else []))


def _arms(shape: Shape, listed: Listed | None) -> list[Select[Any]]:
    few = history_led.allowed(shape.dialect, shape.bound) if shape.is_led else None
    arms = [_arm(shape, table, few) for table in (resource, resource_history)]
    return arms if listed is None else [arm.where(listed.where(arm.selected_columns)) for arm in arms]


def _arm(shape: Shape, table: Any, few: CTE | None) -> Select[Any]:
    where: list[ColumnElement[bool]] = place(table, shape.is_typed)
    found = table
    if few is not None and table is resource:
        where = history_led.current(shape.dialect, where, few)
    elif few is not None:
        found = history_led.versions(shape.dialect, table, few)
    where += _was_seen(shape, table)
    if table is resource_history:
        where.append(table.c.method != literal_column(str(ERASED)))
    if shape.is_since:
        where.append(table.c.updated >= _number("since"))
    if shape.is_during:
        where += _current(shape, table)
    if shape.is_of_one:
        where.append(table.c.id == bindparam("id", type_=Text()))
    where += _shown(shape, table)
    content = null().label("sealed") if shape.is_bare else contents.small(table)
    return select(*(table.c[name] for name in _NAMES[:-1]), content).select_from(found).where(*where)


def _shown(shape: Shape, table: Any) -> list[ColumnElement[bool]]:
    if shape.is_typed:
        return [one for number, bound in enumerate(shape.bound) for one in _restricted(shape, table, number, *bound)]
    free = table.c.type.in_([_name(one) for one in shape.free])
    bound = (and_(table.c.type == _name(name), *_restricted(shape, table, number, name, stated))
             for number, (name, stated) in enumerate(shape.bound))
    return [or_(*([free] if shape.free else []), *bound)]


def _restricted(
    shape: Shape, table: Any, number: int, type_name: str, stated: Stated
) -> Sequence[ColumnElement[bool]]:
    """A version is shown where the grant covers what it was, and the resource as it stands."""
    if table is resource:
        return [] if shape.is_led else [stated.now(shape.dialect, f"now{number}_")]
    then = stated.then(shape.dialect, f"then{number}_")
    if shape.is_led:
        return [then]
    stands = exists(literal_column("1")).where(
        *place(resource, typed=False), resource.c.type == _name(type_name), resource.c.id == table.c.id,
        stated.now(shape.dialect, f"allowed{number}_"),
    )  # fmt: skip
    return [stands, then]


def _was_seen(shape: Shape, table: Any) -> list[ColumnElement[bool]]:
    """A version was there when the first page was read."""
    if not shape.is_seen:
        return []
    of_new = -table.c.key if shape.dialect == "sqlite" and "key" in table.c else 0
    # An expression, as an index of the time would be read from its beginning.
    hidden = table.c.updated + literal_column("0")
    return [or_(hidden <= seen.LOW, seen.is_seen(func.coalesce(table.c.written, of_new), shape.dialect))]


def _current(shape: Shape, table: Any) -> list[ColumnElement[bool]]:
    """A version was current in [low, high) if it began before the end and none had followed it by the beginning."""
    where: list[ColumnElement[bool]] = [table.c.updated < _number("high")]
    if table is resource:
        return where
    for following in (resource.alias(), resource_history.alias()):
        same = [following.c[name] == table.c[name] for name in ("tenant", "type", "id")]
        begun = (following.c.vid == table.c.vid + literal_column("1"), following.c.updated <= _number("low"))
        where.append(~select(following.c.vid).where(*same, *begun, *_was_seen(shape, following)).exists())
    return where


def _order(columns: Any, backward: bool, few: bool = False) -> list[Any]:
    """Return the order of versions; of `few` not by the index of the time, as that would be of many."""
    if few:
        updated = columns.updated + literal_column("0")
        return [updated if backward else updated.desc(), *_order(columns, backward)[1:]]
    newest_first = (columns.updated.desc(), columns.type, columns.id, columns.vid.desc())
    oldest_first = (columns.updated, columns.type.desc(), columns.id.desc(), columns.vid)
    return list(oldest_first if backward else newest_first)


def _before(arm: Select[Any]) -> ColumnElement[bool]:
    """Return whether a version comes before the place where the page begins, or is there."""
    updated, type_, id_, vid = (arm.selected_columns[name] for name in ("updated", "type", "id", "vid"))
    at, of_type, of_id = _number("at_updated"), bindparam("at_type", type_=Text()), bindparam("at_id", type_=Text())
    return or_(
        updated > at,
        and_(updated == at, type_ < of_type),
        and_(updated == at, type_ == of_type, id_ < of_id),
        and_(updated == at, type_ == of_type, id_ == of_id, vid >= bindparam("at_vid", type_=Integer())),
    )


def _number(name: str) -> Any:
    return bindparam(name, type_=BigInteger())


def _name(type_name: str) -> ColumnElement[str]:
    """Return the name of a resource type, of which the shape tells, as it is written in SQL."""
    return literal_column(f"'{type_name}'", type_=Text())
