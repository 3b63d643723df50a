"""What a page of $everything is read at: one state of the store, which its further pages show as well.

docs/adr/0018-record-as-of-an-instant.md
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from hie.context import Context
from hie.store.search import instant, ordering
from hie.store.search.query import SearchQuery
from hie.store.search.reading import Held, seen_by_page
from hie.store.search.seen import Seen
from hie.store.versions import StoredVersion

#: The moment of a first page, and what it saw; None: by that moment, all that had been written.
Moment = tuple[int, Seen | None]


class PageState(NamedTuple):
    """The contexts of one page: `searching` for a search whose cursor says what it is of, `then` for all else."""

    searching: Context
    then: Context
    first: Moment | None
    """None: this is the first page."""

    def moment(self, matches: Sequence[StoredVersion]) -> Moment:
        """Return when the first page was read, and what it saw, for the links of this one."""
        store = self.then.store
        return self.first or (instant.of_pages(store, matches), seen_by_page(store))


@contextmanager
def page_state(ctx: Context, first: Moment | None) -> Iterator[PageState]:
    """Yield what a page is read in: a first one at one state, a further one as of that."""
    if first is not None:
        yield PageState(ctx, ctx.within(ctx.store.as_of(*first)), first)
        return
    with Held(ctx.store) as held:
        now = ctx.within(held.store)
        yield PageState(now, now, None)


def led_on(ctx: Context, query: SearchQuery) -> Moment | None:
    """Return the moment of the first page where the query is that of a further one. InvalidSearch, Expired."""
    position = ordering.open_(ctx.store, query)
    return None if position is None or position.at is None else (position.at, position.seen)
