"""The cursors of the pages around one page of a search: https://hl7.org/fhir/R4/http.html#paging

A cursor stands between two rows. The one that leads on from a page leads back to it as well, so the way back costs
nothing where one came from there. The first and the last page are one cursor too: that of no row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hie.fhir.paging import UNTIL
from hie.store.search import instant, ordering
from hie.store.search.ordering import Position
from hie.store.search.query import SearchQuery
from hie.store.search.seen import Seen
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: The arm, the sort values and the key of a row.
Place = tuple[int, tuple[Any, ...], int]


@dataclass(frozen=True, slots=True)
class Cursors:
    """Those of one page; None where there is no such page, or it was not asked for (`first`, `last`)."""

    first: str | None = None
    previous: str | None = None
    next: str | None = None
    last: str | None = None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield the relation and the cursor of each link."""
        for relation in ("first", "previous", "next", "last"):
            cursor = getattr(self, relation)
            if cursor is not None:
                yield relation, cursor


NONE = Cursors()


def around(
    store: ResourceStore,
    query: SearchQuery,
    position: Position | None,
    further: Place | None,
    page: Sequence[StoredVersion],
    total: int | None,
    seen: Seen | None,
    orders: tuple[str, ...] = (),
    before: Place | None = None,
) -> Cursors:
    """Return the cursors of a page that was reached by `position`, or is the first, which saw `seen`.

    `further` is the row at which reading on in the same direction begins; None: there is nothing there. `orders` is
    what this page is ordered by, where no _sort says it. `before` is the last row that `_offset` left out.
    """
    if position is None and further is None and before is None:
        return NONE
    at = instant.of_pages(store, page) if position is None else position.at
    saw = seen if position is None else position.seen
    is_estimate = query.total == "estimate"
    if position is not None and position.total is not None:
        is_estimate = position.is_estimate and query.total != "accurate"

    def sealed(place: Place) -> str:
        return ordering.seal(store, query, Position(*place, total, at, saw, is_estimate=is_estimate, orders=orders))

    onwards = None if further is None else sealed(further)
    first = last = None
    if query.total == "accurate":
        first = ordering.seal(store, query, Position(None, (), 0, total, at, saw, orders=orders))
        last = UNTIL + first
    if position is None:
        return Cursors(first, None if before is None else UNTIL + sealed(before), onwards, last)
    back = None if position.phase is None else (query.cursor or "").removeprefix(UNTIL)
    if position.backward:
        return Cursors(first, onwards and UNTIL + onwards, back, last)
    return Cursors(first, back and UNTIL + back, onwards, last)


def last_page_size(total: int, count: int) -> int:
    """Return how many rows the last page has, so that the pages before it are those that lead to it."""
    return (total - 1) % count + 1 if total else 0
