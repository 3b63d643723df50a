"""What a cursor carries of the state that the first page saw: docs/adr/0018"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hie.errors import Expired
from hie.store import history
from hie.store.models import FOREVER
from hie.store.search import ordering, query, seen
from hie.store.search.seen import MOST_UNSEEN, Seen, from_json, told
from tests.unit.store.search.changing import Bind, Walk, change, fill, shown


def test_a_link_of_a_server_from_before_is_refused_in_words(bind: Bind) -> None:
    fill(bind)
    bound, asked = bind(), query.parse("Observation", [("_count", "1")])
    position = ordering.Position(0, (), 1, None, bound.clock())
    parts = json.loads(bound.open_text(ordering.seal(bound, asked, position)))
    cursor = bound.seal_text(json.dumps([*parts[:7], *parts[8:-1]]))
    with pytest.raises(Expired, match="upgraded; begin again"):
        bound.search(query.parse("Observation", [("_count", "1"), ("_cursor", cursor)]))
    place, made = [1, "Observation", "o1", 1, 1], bound.clock()
    for more in ([made], [made, [1, 1], made], [made, [1, 1], made, 5]):
        old = bound.seal_text(json.dumps(["history", *place, *more]))
        with pytest.raises(Expired, match="upgraded; begin again"):
            bound.history("Observation", cursor=old)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("saw", [
    Seen(10**15, (), 10**15), Seen(900, (7, 8, 11, 400, 899)), None], ids=["many", "under way", "not told"])
def test_the_length_of_a_link_tells_nothing_of_how_much_others_write(bind: Bind, saw: Seen | None) -> None:
    bound, asked = bind(), query.parse("Observation", [("_sort", "-date")])
    few = ordering.Position(0, (5,), 1, 3, bound.clock(), Seen(2))
    many = replace(few, key=10**15, seen=saw)
    assert len(ordering.seal(bound, asked, few)) == len(ordering.seal(bound, asked, many))
    # A history that is read within a transaction beside others' writes does not name its newest version.
    at = bound.clock()
    links = [history._seal_cursor(bound, 1, ("", "", 0), newest, newest, at, seen, 3)
             for newest, seen in ((at, Seen(2)), (FOREVER, saw))]
    assert len(links[0]) == len(links[1])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7:12:7,8,11", Seen(12, (7, 8, 11))),
        ("7:7:", Seen(7)),
        (f"1:{10 * MOST_UNSEEN}:{','.join(map(str, range(1, MOST_UNSEEN + 2)))}", None),
    ],
    ids=["under way", "all", "too many"],
)
def test_what_a_statement_saw_is_carried_by_a_cursor(value: str, expected: Seen | None) -> None:
    assert told(value) == expected
    if expected is not None:
        assert from_json(json.loads(json.dumps(expected.to_json())), at_instant=False) == expected


@pytest.mark.parametrize(
    ("later", "misses"),
    [("7:12:7,8,11", False), ("7:13:7,8,11,12", False), ("7:13:7,8,11", True), ("8:12:8,11", True), ("9:9000:", True)],
)
def test_a_state_is_another_where_something_was_committed_since(later: str, misses: bool) -> None:
    first, second = told("7:12:7,8,11"), told(later)
    assert first is not None
    assert second is not None
    assert first.misses(second) == misses


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_beside_more_writes_than_a_cursor_names_pages_go_by_the_moment_of_the_first(
    bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "MOST_UNSEEN", -1)
    fill(bind)
    walk = Walk(bind, ("Observation", [("_include", "Observation:subject")]))
    first = walk.page()
    bind().transact(change)
    further = [one for page in list(walk.on_from(first))[1:] for one in shown(page)]
    assert further == [("Observation", f"o{number}", 2 if number == 8 else 1) for number in range(3, 11)]
