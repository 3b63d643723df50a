"""A further date that a resource has once gives the order by its index: equal and missing ones too, page by page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hie.store.resources import ResourceStore
from hie.store.search import query
from hie.store.search.engine import SearchPage

Bind = Callable[..., ResourceStore]


def condition(number: int, day: int | None = None) -> dict[str, Any]:
    day = number * 7 % 9 if day is None else day
    dated = {"recordedDate": f"2024-03-{day + 1:02}"} if number % 5 else {}
    return {"resourceType": "Condition", "id": f"c{number:02}", "subject": {"display": "x"},
            "code": {"coding": [{"code": "even" if number % 2 == 0 else "odd"}]}, **dated}


@pytest.fixture
def store(bind: Bind) -> ResourceStore:
    def unit(inside: ResourceStore) -> None:
        for number in range(30):
            inside.create("Condition", condition(number), id=f"c{number:02}")

    bind().transact(unit)
    bind().transact(lambda inside: inside.delete("Condition", "c07"))
    return bind()


def page(store: ResourceStore, asked: list[tuple[str, str]], cursor: str | None) -> SearchPage:
    more = [("_cursor", cursor)] if cursor else []
    return store.search(query.parse("Condition", [*asked, ("_count", "4"), *more]))


@pytest.mark.parametrize("sort", ["recorded-date", "-recorded-date"])
@pytest.mark.parametrize("asked", [
    [], [("code:not", "even")], [("code", "even")], [("abatement-date:missing", "true")],
])  # fmt: skip
def test_pages_by_a_further_date_are_in_its_order_whatever_changes(
    store: ResourceStore, bind: Bind, sort: str, asked: list[tuple[str, str]]
) -> None:
    wanted = [n for n in range(30) if n != 7 and ("code" not in dict(asked) or n % 2 == 0)
              and ("code:not" not in dict(asked) or n % 2)]  # fmt: skip
    with_date = sorted((n for n in wanted if n % 5), key=lambda n: (n * 7 % 9, n), reverse=sort.startswith("-"))
    expected = [f"c{n:02}" for n in [*with_date, *(n for n in wanted if n % 5 == 0)]]
    found, backward, cursor = [], [], None
    while True:
        here = page(store, [*asked, ("_sort", sort)], cursor)
        found += [one.id for one in here.matches]
        backward.append(here.cursors.previous)
        cursor = here.next_cursor
        if cursor is None:
            break
        changed = len(found) - 1
        bind().transact(lambda inside, n=changed: inside.update("Condition", f"c{n:02}", condition(n, (n + 3) % 9)))
    assert found == expected
    before = page(store, [*asked, ("_sort", sort)], backward[-1])
    assert [one.id for one in before.matches] == expected[-len(here.matches) - 4 : -len(here.matches)]
