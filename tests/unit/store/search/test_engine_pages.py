"""Pages of a search: nothing comes twice or goes missing, and a cursor leads on in its own search alone."""

from __future__ import annotations

import json
from itertools import product

import pytest

from hie.errors import Expired, InvalidSearch
from hie.store.resources import ResourceStore
from hie.store.search import ordering
from hie.store.search.engine import SearchPage
from tests.unit.store.search.searched import Bind, filled, follow, ids, observation, search, write

__all__ = ["filled"]


def test_a_resource_written_between_two_pages_is_neither_doubled_nor_does_it_push_another_out(
    filled: ResourceStore, bind: Bind
) -> None:
    first = search(filled, "Observation", ("patient", "a"), ("_count", "10"))
    write(bind(), observation(0), observation(100))
    rest = follow(filled, ("patient", "a"), ("_count", "10"), cursor=first.next_cursor)
    assert not set(ids(first)) & set(rest)
    assert {f"o{number}" for number in range(40)} <= set(ids(first)) | set(rest)


@pytest.mark.parametrize("cursor", ["x", "", "AAAA" * 20, "ä", "\x00"])
def test_a_made_up_cursor_is_refused(filled: ResourceStore, cursor: str) -> None:
    with pytest.raises(InvalidSearch, match="_cursor"):
        search(filled, "Observation", ("_cursor", cursor))


def test_a_changed_cursor_is_refused(filled: ResourceStore) -> None:
    cursor = str(search(filled, "Observation", ("_count", "5")).next_cursor)
    changed = cursor[:-2] + ("A" if cursor[-2] != "A" else "B") + cursor[-1]
    with pytest.raises(InvalidSearch, match="_cursor"):
        search(filled, "Observation", ("_cursor", changed))


def test_a_cursor_of_another_search_is_refused(filled: ResourceStore) -> None:
    cursor = str(search(filled, "Observation", ("patient", "a"), ("_count", "5")).next_cursor)
    with pytest.raises(InvalidSearch, match="for this search"):
        search(filled, "Observation", ("patient", "b"), ("_cursor", cursor))
    with pytest.raises(InvalidSearch, match="for this search"):
        search(filled, "Encounter", ("patient", "a"), ("_cursor", cursor))


def test_a_cursor_of_a_history_is_refused(filled: ResourceStore) -> None:
    cursor = str(filled.history("Observation", count=1).next)
    with pytest.raises(InvalidSearch, match="_cursor"):
        search(filled, "Observation", ("_cursor", cursor))


def test_a_cursor_shows_nothing_of_the_record(filled: ResourceStore) -> None:
    page = search(filled, "Observation", ("patient", "a"), ("_count", "5"), ("_sort", "-_id"))
    import base64

    raw = base64.urlsafe_b64decode(str(page.next_cursor) + "==")
    assert b"search" not in raw
    assert f'["{page.matches[-1].id}"]'.encode() not in raw  # so long, as two random bytes are often enough o3


LASTING = {"effectiveDateTime": None, "effectivePeriod": {"start": "2023-11-01", "end": "2024-02-01"}}
LED: list[list[tuple[str, str]]] = [
    [("date", "ge2024")], [("date", "ge2024"), ("subject:Patient.gender", "female")],
    [("date", "ap2024-01-20"), ("status", "final")], [("_lastUpdated", "ge2000"), ("patient.gender", "female")],
]  # fmt: skip


@pytest.mark.parametrize("asked", LED, ids=lambda asked: "&".join("=".join(one) for one in asked))
def test_pages_go_on_in_the_first_one_s_order_whichever_criterion_leads_them(
    filled: ResourceStore, monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, str]]
) -> None:
    """A chain leads the first page and none behind it, as these ask what it saw; and counts change."""
    write(filled, *({name: value for name, value in observation(number, **LASTING).items() if value}
                    for number in range(45, 49)))
    leads = [True]
    for name in ("_driven_by_date", "_driven_by_updated"):
        real = getattr(ordering, name)
        monkeypatch.setattr(ordering, name, lambda clause, real=real: leads[0] and real(clause))

    def page(*parameters: tuple[str, str], cursor: str | None = None) -> SearchPage:
        return search(filled, "Observation", *asked, *parameters, *([("_cursor", cursor)] if cursor else []))

    for at_first, sort in product((True, False), ("", "date", "-date", "-date,_id", "_lastUpdated", "-_lastUpdated")):
        leads[0] = at_first
        wanted = [("_sort", sort)] if sort else []
        whole = ids(page(*wanted, ("_count", "100")))
        assert len(whole) > 20
        one = page(*wanted, ("_count", "7"))
        walked = [one]
        while one.next_cursor is not None:
            leads[0] = not leads[0]
            one = page(*wanted, ("_count", "7"), cursor=one.next_cursor)
            walked.append(one)
        assert [id_ for one in walked for id_ in ids(one)] == whole, (sort, at_first)
        while one.cursors.previous is not None:
            leads[0] = not leads[0]
            walked.pop()
            one = page(*wanted, ("_count", "7"), cursor=one.cursors.previous)
            assert ids(one) == ids(walked[-1]), (sort, at_first)


def test_a_link_from_before_the_order_was_told_goes_on_where_it_still_is_that(
    filled: ResourceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [("date", "ge2000"), ("_count", "10")]  # in the order of the date, as nothing else narrows
    cursor = search(filled, "Observation", *asked).next_cursor
    told = json.loads(filled.open_text(cursor or ""))
    assert told[-1] == ["date"]
    old = filled.seal_text(json.dumps([*told[:2], 1, *told[3:-1]]))
    new, was = (ids(search(filled, "Observation", *asked, ("_cursor", one))) for one in (cursor or "", old))
    assert (new, len(new)) == (was, 10)
    monkeypatch.setattr(ordering, "_driven_by_date", lambda _clause: False)
    assert len(search(filled, "Observation", *asked, ("_cursor", cursor or "")).matches) == 10
    with pytest.raises(Expired, match="has changed the order"):
        search(filled, "Observation", *asked, ("_cursor", old))
