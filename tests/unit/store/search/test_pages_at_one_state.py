"""One page is read at one state of the store, by however many statements: docs/adr/0018"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from hie.store.resources import ResourceStore
from hie.store.search import pages, query, totals
from hie.store.search.engine import SearchPage
from tests.builders import observation, patient
from tests.unit.store.search.changing import Bind, Walk, change, fill, measured, shown


def test_a_value_set_is_read_at_the_state_of_the_first_page(bind: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed between its expansion and the page's own statement belongs to neither, or to both."""
    fill(bind)
    walk, read = Walk(bind, ("Observation", [("category:in", "http://example.org/reds")])), query.parse
    whole = walk.whole()

    def then_written(*arguments: Any, **more: Any) -> Any:
        found = read(*arguments, **more)
        writer = Thread(target=lambda: bind().transact(change))
        writer.start()
        writer.join()
        monkeypatch.undo()
        return found

    monkeypatch.setattr(query, "parse", then_written)
    assert [one for page in walk.on_from(walk.page()) for one in shown(page)] == whole


@pytest.fixture
def between(bind: Bind, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[ResourceStore], Any]], None]:
    """Commit a write behind the first statement of the search that follows."""

    def arranged(work: Callable[[ResourceStore], Any]) -> None:
        is_due, run = [True], pages.run

        def followed(*arguments: Any, **more: Any) -> list[Any]:
            rows = run(*arguments, **more)
            if is_due.pop():
                writer = Thread(target=lambda: bind().transact(work))
                writer.start()
                writer.join()
            is_due.append(False)
            return rows

        for module in (pages, totals):
            monkeypatch.setattr(module, "run", followed)

    return arranged


@pytest.mark.parametrize("is_first_empty", [False, True])
def test_a_page_of_two_parts_shows_what_moved_from_one_to_the_other_once(
    bind: Bind, between: Callable[[Any], None], is_first_empty: bool
) -> None:
    """Sorted by a date, resources without one come last, and are read by a statement of their own."""
    undated = {key: value for key, value in observation("Patient/p").items() if key != "effectiveDateTime"}

    def work(inside: ResourceStore) -> None:
        inside.create("Patient", patient(), id="p")
        inside.create("Observation", undated, id="a")
        if not is_first_empty:
            inside.create("Observation", observation("Patient/p"), id="b")

    bind().transact(work)
    between(lambda inside: inside.update("Observation", "a", observation("Patient/p")))
    page = Walk(bind, ("Observation", [("_sort", "date")])).page(count=10)
    assert sorted(one.id for one in page.matches) == (["a"] if is_first_empty else ["a", "b"])
    assert page.total == len(page.matches)


@pytest.mark.parametrize("database_kind", ["postgresql"])
@pytest.mark.parametrize("sort", ["date", "-date"])
def test_a_page_inside_a_transaction_is_read_at_one_state(
    bind: Bind, between: Callable[[Any], None], sort: str
) -> None:
    fill(bind)
    undated = {key: value for key, value in measured(1).items() if key != "effectiveDateTime"}
    for_later: list[SearchPage] = []
    walk = Walk(bind, ("Observation", [("_sort", sort)]))

    def work(inside: ResourceStore) -> None:
        inside.create("Observation", undated, id="own")
        inside.connection()
        between(lambda beside: beside.update("Observation", "o2", undated))
        for_later.append(walk.of(inside, [("_sort", sort), ("_total", "accurate"), ("_count", "12")]))

    bind().transact(work)
    bind().transact(change)
    found = [one for page in walk.on_from(for_later[-1]) for one in shown(page)]
    assert len(found) == for_later[-1].total == 12
    assert sorted(id_ for _, id_, _ in found) == sorted([*(f"o{number}" for number in range(11)), "own"])


@pytest.mark.parametrize("more", [[], [("_include", "Observation:subject")]], ids=["counted", "included"])
def test_what_is_counted_and_included_belongs_to_the_page(
    bind: Bind, between: Callable[[Any], None], more: list[tuple[str, str]]
) -> None:
    fill(bind)

    def work(inside: ResourceStore) -> None:
        inside.update("Patient", "p", patient("Smithson"))
        for number in range(11):
            inside.update("Observation", f"o{number}", observation(None, value=number))

    between(work)
    page = Walk(bind, ("Observation", [("subject", "Patient/p"), *more])).page(count=3 if not more else 20)
    shown_ = page.total, len(page.matches), [one.vid for one in page.included]
    assert shown_ in ((0, 0, []), (11, 11, [1]) if more else (11, 3, []))  # as it was before, or as it is
