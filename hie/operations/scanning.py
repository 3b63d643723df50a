"""Every match of a search, page after page, with bounded memory: what operations compute over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hie.context import Context
from hie.errors import TooCostly
from hie.store.search.query import SearchQuery
from hie.store.versions import StoredVersion

PAGE = 500
#: An operation looks at so many matches at most: it answers within one request.
MOST = 100_000


def pages(query: SearchQuery, ctx: Context, hint: str) -> Iterator[list[StoredVersion]]:
    """Yield the matches; TooCostly with the hint how to ask for less where there are more than MOST."""
    query = replace(query, count=PAGE, total="none", cursor=None)
    seen = 0
    while True:
        page = ctx.store.search(query)
        seen += len(page.matches)
        if seen > MOST:
            raise TooCostly(f"More than {MOST} resources match, which is too many for one request; {hint}")
        yield page.matches
        if page.next_cursor is None:
            return
        query = replace(query, cursor=page.next_cursor)
