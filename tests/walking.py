"""All pages of a search, onwards from the first and back from the last."""

from __future__ import annotations

from collections.abc import Callable

from hie.store.resources import ResourceStore
from hie.store.search import query


def walked(
    store: ResourceStore, type_name: str | None, asked: list[tuple[str, str]],
    meanwhile: Callable[[], None] = lambda: None,
) -> list[str]:
    """Return the ids of what all pages have: each once, and from the last page back the same.

    `meanwhile` is done after the first page.
    """
    def page(cursor: str | None) -> tuple[list[str], dict[str, str]]:
        more = [("_count", "7"), ("_total", "accurate"), *([("_cursor", cursor)] if cursor else [])]
        found = store.search(query.parse(type_name, [*asked, *more], now=store.clock()))
        return [one.id for one in found.matches], dict(found.cursors)

    found, links = page(None)
    last = links.get("last")
    meanwhile()
    while "next" in links:
        ids, links = page(links["next"])
        found += ids
    assert len(set(found)) == len(found), asked
    if last is not None:
        back, links = page(last)
        while "previous" in links:
            ids, links = page(links["previous"])
            back = ids + back
        assert back == found, asked
    return found
