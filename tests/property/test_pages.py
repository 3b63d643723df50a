"""Pages forward, back, first and last are the slices of what the first page saw, whoever writes meanwhile."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import event

from hie.errors import Expired, InvalidSearch
from hie.store.resources import ResourceStore
from hie.store.search import opened_order, query, tied_order
from hie.store.search.engine import SearchPage
from hie.store.versions import StoredVersion
from tests.conftest import Clock
from tests.property.test_as_of import live_through, more_changes

Asked = list[tuple[str, str]]

#: Every kind of order: none, dates whose range leads (near and far), columns, side tables, several keys with missing
#: values, sealed ones; matches that are verified; all types; a compartment.
SEARCHES: list[tuple[str | None, Asked, str | None]] = [
    ("Observation", [("_sort", "-date")], "p1"),
    (None, [], "p1"),
    ("Observation", [], None),
    ("Encounter", [("date", "ge1980")], None),
    ("Encounter", [("date", "ge1980"), ("_sort", "-date")], None),
    ("Observation", [("_sort", "date")], None),
    ("Observation", [("_sort", "-date")], None),
    ("Observation", [("_sort", "-_lastUpdated")], None),
    ("Observation", [("_sort", "_id")], None),
    ("Observation", [("_sort", "value-quantity")], None),
    ("Observation", [("_sort", "-value-quantity,-date")], None),
    ("Encounter", [("_sort", "length,-date,-_id")], None),
    ("Observation", [("_sort", "-date,value-quantity,_lastUpdated")], None),
    ("Patient", [("_sort", "-family,birthdate")], None),
    ("Observation", [("_sort", "subject,-status")], None),
    ("Observation", [("_sort", "date,code")], None),
    ("Observation", [("_sort", "-date,-status,_id")], None),
    ("Observation", [("_sort", "-value-quantity,date,-subject")], None),
    ("Encounter", [("date", "ge1980"), ("_sort", "-date,status")], None),
    ("Observation", [("_sort", "-patient.family")], None),
    ("Observation", [("_sort", "-date,patient.organization.name,encounter.date")], None),
    ("Encounter", [("patient.gender", "male,female"), ("_sort", "subject:Patient.birthdate,-_id")], None),
    (None, [("_type", "Encounter,Observation"), ("_sort", "-patient._lastUpdated")], None),
    ("Patient", [("name:contains", "ann"), ("_sort", "-_lastUpdated,family")], None),
    (None, [("_type", "Patient,Observation"), ("_sort", "_lastUpdated,-_profile")], None),
    ("Observation", [("status", "final,amended"), ("_sort", "-_lastUpdated")], None),
    ("Observation", [("patient.gender", "male,female"), ("_sort", "-date")], None),
    ("Patient", [("name:contains", "ann")], None),
    (None, [], None),
    (None, [("_type", "Patient,Observation"), ("_sort", "-_lastUpdated")], None),
]
GRANTS = ["system/*.cruds", "system/Observation.rs?status=final system/Encounter.rs system/Organization.rs "
          "system/Patient.rs?gender=female"]  # fmt: skip


class Pages:
    """One search, page by page."""

    def __init__(self, bind: Callable[..., ResourceStore], scope: str, search: tuple[str | None, Asked, str | None]):
        self._bind, self._scope, (self._type, self._asked, patient) = bind, scope, search
        self._compartment = None if patient is None else ("Patient", patient)

    def page(self, count: int = 4, cursor: str | None = None, total: str = "accurate") -> SearchPage:
        more = [("_count", str(count)), ("_total", total)] + ([("_cursor", cursor)] if cursor else [])
        asked = query.parse(self._type, [*self._asked, *more], compartment=self._compartment)
        return self._bind(*self._scope.split()).search(asked)


def shown(found: list[StoredVersion]) -> list[tuple[str, str, int]]:
    return [(one.type, one.id, one.vid) for one in found]


def test_pages_in_any_direction_are_slices_of_what_the_first_saw(
    bind: Callable[..., ResourceStore], clock: Clock
) -> None:
    history, rng = live_through(bind, 6, 40), random.Random(3)

    def meanwhile() -> None:
        more_changes(bind, history, rng, 1)
        clock.forward(rng.choice([0, 1, 1, 4_000]))  # what is recent is asked in another way

    lengths = [walk(Pages(bind, GRANTS[0], search), rng, meanwhile) for search in SEARCHES]
    assert min(lengths) > 3
    assert max(lengths) > 100


def test_pages_in_any_direction_hold_what_a_condition_of_the_token_covers(bind: Callable[..., ResourceStore]) -> None:
    live_through(bind, 6, 40)
    rng = random.Random(3)
    ours = [one for one in SEARCHES if one[0] == "Observation" and "patient.gender" not in dict(one[1])]

    def meanwhile() -> None:
        record = {"resourceType": "Observation", "status": rng.choice(["final", "amended"]), "code": {"text": "new"}}
        bind().transact(lambda inside: inside.create("Observation", record))

    for search in ours:
        everything = Pages(bind, GRANTS[0], search).page(1000).total or 0
        assert 2 < walk(Pages(bind, GRANTS[1], search), rng, meanwhile) < everything


def test_what_a_token_ceases_to_cover_is_on_no_page_back(bind: Callable[..., ResourceStore]) -> None:
    live_through(bind, 6, 0)
    pages = Pages(bind, GRANTS[1], ("Observation", [("_sort", "-date")], None))
    first = pages.page()
    closed = first.matches[1]
    second = pages.page(cursor=first.cursors.next)
    record = {"resourceType": "Observation", "id": closed.id, "status": "entered-in-error", "code": {"text": "x"}}
    bind().transact(lambda inside: inside.update("Observation", closed.id, record))
    for leads in (second.cursors.previous, second.cursors.first):
        assert closed.id not in {one.id for one in pages.page(cursor=leads).matches}
    before = shown(pages.page(cursor=second.cursors.previous).matches)
    assert before == [one for one in shown(first.matches) if one[1] != closed.id]


def walk(pages: Pages, rng: random.Random, meanwhile: Callable[[], None]) -> int:
    """Go through all pages to the end, back to the start, and then at random; each is a slice of the whole."""
    whole = shown(pages.page(1000).matches)
    count = max(2, len(whole) // 6)
    numbers = max(1, -(-len(whole) // count))
    jumps = [rng.choice(["first", "last", "previous", "next"]) for _ in range(5)]
    ways = ["next"] * (numbers - 1) + ["previous"] * (numbers - 1) + ["last", "previous", "next", "first", *jumps]
    page, number = pages.page(count), 0
    for way in ways:
        assert shown(page.matches) == whole[number * count : (number + 1) * count], (way, number)
        assert page.total == len(whole)
        links = dict(page.cursors)
        ends = {"first", "last"} if numbers > 1 else set()
        wanted = ends | ({"next"} if number + 1 < numbers else set()) | ({"previous"} if number > 0 else set())
        assert links.keys() == wanted, (way, number)
        if way not in links:
            continue
        meanwhile()
        page = pages.page(count, links[way])
        number = {"first": 0, "last": numbers - 1, "next": number + 1, "previous": number - 1}[way]
    return len(whole)


TIED = ["date,code", "-date,-status,_id", "-value-quantity,subject", "-date,value-quantity,status",
        "_lastUpdated,-code", "combo-value-quantity,-date,code", "-date,_profile,-_id",
        "date,patient.family,-encounter.date", "-value-quantity,-patient.organization.name"]  # fmt: skip


@pytest.mark.parametrize("scope", GRANTS)
@pytest.mark.parametrize("asked", [
    [], [("status", "final,amended")], [("date", "ge1990")]])
def test_opened_among_those_alike_or_all_of_them_the_order_is_one(
    bind: Callable[..., ResourceStore], scope: str, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    live_through(bind, 6, 40)
    met = opened_order.led
    for order in TIED:
        found = []
        for known in (met, lambda one: replace(one, sort=())):
            monkeypatch.setattr(opened_order, "led", known)
            monkeypatch.setattr(tied_order, "led", known)
            pages = Pages(bind, scope, ("Observation", [*asked, ("_sort", order)], None))
            first = pages.page(5)
            each = [pages.page(1000), first, *(pages.page(5, one) for one in (first.cursors.next, first.cursors.last))]
            found.append([shown(page.matches) for page in each])
        assert found[0] == found[1], order
        assert len(found[0][0]) > 8


def test_the_way_back_does_not_depend_on_the_size_of_pages(bind: Callable[..., ResourceStore]) -> None:
    live_through(bind, 6, 40)
    pages = Pages(bind, GRANTS[0], ("Observation", [("_sort", "-value-quantity,-date")], None))
    whole = shown(pages.page(1000).matches)
    second = pages.page(total="none").cursors.next
    third = pages.page(cursor=second).cursors
    assert shown(pages.page(3, third.previous).matches) == whole[1:4]
    assert shown(pages.page(100, third.previous).matches) == whole[:4]
    last = pages.page(7, third.last)
    assert shown(last.matches) == whole[(len(whole) - 1) // 7 * 7 :]
    assert last.cursors.next is None


def test_first_and_last_are_given_where_the_total_was_asked_for(bind: Callable[..., ResourceStore]) -> None:
    live_through(bind, 6, 0)
    pages = Pages(bind, GRANTS[0], ("Observation", [], None))
    assert dict(pages.page(total="none").cursors).keys() == {"next"}
    assert dict(pages.page(1000).cursors) == {}
    assert dict(pages.page(cursor=pages.page().cursors.last, total="none").cursors).keys() == {"previous"}


def test_links_back_belong_to_their_search_and_grant_and_expire(
    bind: Callable[..., ResourceStore], clock: Clock
) -> None:
    live_through(bind, 6, 0)
    observations = ("Observation", [], None)
    second = Pages(bind, GRANTS[0], observations).page(cursor=Pages(bind, GRANTS[0], observations).page().cursors.next)
    for cursor in (second.cursors.previous, second.cursors.last, second.cursors.first, "until.", "until.until."):
        with pytest.raises(InvalidSearch, match="_cursor"):
            Pages(bind, GRANTS[1], observations).page(cursor=cursor)
        with pytest.raises(InvalidSearch, match="_cursor"):
            Pages(bind, GRANTS[0], ("Encounter", [], None)).page(cursor=cursor)
    clock.forward(24.1 * 3600)
    for cursor in (second.cursors.previous, second.cursors.last):
        with pytest.raises(Expired, match="24 hours"):
            Pages(bind, GRANTS[0], observations).page(cursor=cursor)


def test_a_history_is_walked_back_as_it_was(bind: Callable[..., ResourceStore], clock: Clock) -> None:
    history, rng = live_through(bind, 6, 40), random.Random(4)
    for type_name, id_ in ((None, None), ("Observation", None), (history.events[-1][1])):
        whole = shown(bind().history(type_name, id_, count=1000).versions)
        page, number = bind().history(type_name, id_, count=3), 0
        numbers = -(-len(whole) // 3)
        for way in ["next"] * (numbers - 1) + ["previous"] * (numbers - 1):
            assert shown(page.versions) == whole[number * 3 : number * 3 + 3]
            assert ((page.previous is not None), (page.next is not None)) == (number > 0, number + 1 < numbers)
            more_changes(bind, history, rng, 1)
            page = bind().history(type_name, id_, count=3, cursor=page.next if way == "next" else page.previous)
            number += 1 if way == "next" else -1
        assert page.previous is None
        assert shown(page.versions) == whole[:3]
    cursor = bind().history("Observation", count=3).next
    clock.forward(24.1 * 3600)
    with pytest.raises(Expired, match="24 hours"):
        bind().history("Observation", count=3, cursor=cursor)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ([("date", "ge1980"), ("_sort", "-date")], ["date_low + 0 >= ", '(resource.date_low, resource."key") >= (']),
        ([("date", "lt2100"), ("_sort", "date,-_id")], ["date_low + 0 < ", "resource.date_low <= "]),
        ([("_lastUpdated", "lt2100"), ("_sort", "_lastUpdated")],
         ["updated + 0 < ", '(resource.updated, resource."key") <= (']),
    ],
)  # fmt: skip
def test_a_page_back_is_read_from_the_cursor_on(
    bind: Callable[..., ResourceStore], asked: Asked, wanted: list[str]
) -> None:
    """Else it costs as much as all pages before it: the search's own bound there is hidden from the index."""
    live_through(bind, 6, 0)
    pages = Pages(bind, GRANTS[0], ("Observation", asked, None))
    back = pages.page(cursor=pages.page().cursors.next).cursors.previous
    seen: list[str] = []

    def listen(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    store = bind()
    event.listen(store.database.engine, "before_cursor_execute", listen)
    pages.page(cursor=back, total="none")
    event.remove(store.database.engine, "before_cursor_execute", listen)
    statement = next(one for one in seen if "FROM resource" in one)
    for one in wanted:
        assert one in statement, statement
