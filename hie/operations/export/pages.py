"""The pages of what an export searches for, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hie.context import Context
from hie.store.search.engine import SearchPage
from hie.store.search.query import SearchQuery

#: So many resources are read at a time.
AT_ONCE = 500


def pages(query: SearchQuery, ctx: Context) -> Iterator[SearchPage]:
    """Yield page after page."""
    while True:
        page = ctx.store.search(query)
        yield page
        if page.next_cursor is None:
            return
        query = replace(query, cursor=page.next_cursor)
