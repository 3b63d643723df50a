"""Every match of a search, page after page, with bounded memory: what operations compute over, and what they keep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hie.context import Context
from hie.errors import TooCostly
from hie.store.search.query import SearchQuery
from hie.store.versions import StoredVersion

PAGE = 500
#: An operation looks at so many matches at most: it answers within one request.
MOST = 100_000
#: And keeps so many bytes of them at most.
MOST_BYTES = 50_000_000


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


@dataclass(slots=True)
class Kept:
    """How many bytes of resources an operation keeps; `hint` says how to ask for less, `expression` by what."""

    hint: str
    expression: str
    size: int = 0

    def take(self, size: int) -> None:
        """Count what is kept, or let go; TooCostly."""
        self.size += size
        if self.size > MOST_BYTES:
            raise TooCostly(f"More than {MOST_BYTES} bytes of resources would be kept for one answer; {self.hint}",
                            expression=self.expression)
