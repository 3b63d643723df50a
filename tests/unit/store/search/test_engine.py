"""The search engine on real databases: totals, verified searches, includes, conditions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hie.errors import InvalidSearch
from hie.store.resources import ResourceStore
from hie.store.search import conditions, inclusion
from tests.unit.store.search.searched import LAB, VITAL, Bind, filled, follow, ids, observation, search, write

__all__ = ["filled"]


# ---- totals ----------------------------------------------------------------------------------------------------------


def test_the_total_is_known_where_one_page_holds_all(filled: ResourceStore) -> None:
    assert search(filled, "Observation", ("category", VITAL)).total == 5


def test_what_belongs_to_a_patient_is_counted_beyond_the_page(filled: ResourceStore) -> None:
    assert search(filled, "Observation", ("patient", "a")).total == 40


def test_what_many_have_is_counted_only_when_asked(filled: ResourceStore) -> None:
    assert search(filled, "Observation", ("category", LAB)).total is None
    assert search(filled, "Observation", ("category", LAB), ("_total", "accurate")).total == 40
    assert search(filled, "Observation", ("category", LAB), ("_total", "estimate")).total == 40
    assert search(filled, "Observation", ("category", VITAL), ("_total", "none")).total is None


def test_no_page_is_asked_for_by_count_zero(filled: ResourceStore) -> None:
    page = search(filled, "Observation", ("category", LAB), ("_count", "0"))
    assert (page.matches, page.total, page.next_cursor) == ([], 40, None)


def test_deleted_resources_are_neither_found_nor_counted(filled: ResourceStore, bind: Bind) -> None:
    bind().transact(lambda inside: inside.delete("Observation", "o44"))
    for asked in [("category", VITAL), ("patient", "b"), ("date", "ge2020"), ("category:missing", "false")]:
        assert "o44" not in ids(search(filled, "Observation", asked, ("_count", "100")))
    assert search(filled, "Observation", ("category", VITAL), ("_total", "accurate")).total == 4
    assert search(filled, "Observation", ("_total", "accurate")).total == 44


def test_an_update_moves_a_resource_in_the_index(filled: ResourceStore, bind: Bind) -> None:
    write(bind(), observation(1, "b", VITAL))
    assert "o1" in ids(search(filled, "Observation", ("patient", "b")))
    assert "o1" not in ids(search(filled, "Observation", ("patient", "a"), ("_count", "100")))


# ---- verified searches -----------------------------------------------------------------------------------------------

LONG = "a very long title that goes on and on and on, well beyond what the index keeps of it, until "


def test_beginnings_longer_than_the_index_keeps_are_verified(bind: Bind) -> None:
    base = {"resourceType": "ValueSet", "status": "draft"}
    write(bind(), *({**base, "id": f"v{number}", "title": f"{LONG}{number}"} for number in range(30)))
    store, asked = bind(), LONG.replace(",", "\\,")
    assert ids(search(store, "ValueSet", ("title", f"{asked.upper()}7"))) == ["v7"]
    page = search(store, "ValueSet", ("title", f"{asked}1"), ("_total", "accurate"), ("_count", "3"))
    assert (len(page.matches), page.total) == (3, 11)


def test_contains_is_exact_where_trigrams_are_not(bind: Bind) -> None:
    names = {"p1": "abcabd", "p2": "abdabc", "p3": "bcabd"}
    write(bind(), *({"resourceType": "Patient", "id": id_, "name": [{"family": name}]} for id_, name in names.items()))
    assert ids(search(bind(), "Patient", ("name:contains", "abdab"))) == ["p2"]
    assert ids(search(bind(), "Patient", ("name:contains", "BCABD"))) == ["p1", "p3"]


def test_texts_beyond_the_trigrams_are_read(bind: Bind) -> None:
    write(bind(), {"resourceType": "ValueSet", "id": "v", "status": "draft", "description": "word " * 400 + "needle"})
    assert ids(search(bind(), "ValueSet", ("description:contains", "needle"))) == ["v"]
    assert ids(search(bind(), "ValueSet", ("description:contains", "noodle"))) == []


def test_a_page_is_filled_although_most_candidates_fail(bind: Bind) -> None:
    def one(number: int) -> dict[str, Any]:
        return observation(number, component=[
            {"code": {"coding": [{"code": "x"}]}, "valueQuantity": {"value": 1 if number % 50 else 9}},
            {"code": {"coding": [{"code": "y"}]}, "valueQuantity": {"value": 9}},
        ])  # fmt: skip

    write(bind(), {"resourceType": "Patient", "id": "a"}, *(one(number) for number in range(420)))
    # "x|" is no form that composites are hashed by, so every candidate is verified.
    asked = ("component-code-value-quantity", "|x$gt5")
    page = search(bind(), "Observation", asked, ("_count", "4"), ("_total", "accurate"))
    assert (len(page.matches), page.total) == (4, 9)
    assert len(follow(bind(), asked, ("_count", "4"))) == 9


# ---- includes --------------------------------------------------------------------------------------------------------


def test_a_match_is_not_included_as_well(bind: Bind) -> None:
    write(bind(), {"resourceType": "Patient", "id": "a"}, observation(1),
          observation(2, hasMember=[{"reference": "Observation/o1"}]))  # fmt: skip
    page = search(bind(), "Observation", ("_include", "Observation:has-member"), ("_include", "Observation:patient"))
    assert [(one.type, one.id) for one in page.included] == [("Patient", "a")]
    only = search(bind(), "Observation", ("_id", "o2"), ("_include", "Observation:has-member"))
    assert [one.id for one in only.included] == ["o1"]
    back = search(bind(), "Observation", ("_id", "o1"), ("_revinclude", "Observation:has-member"))
    assert [one.id for one in back.included] == ["o2"]


def test_an_include_may_name_the_target_type(filled: ResourceStore) -> None:
    assert len(search(filled, "Observation", ("_id", "o1"), ("_include", "Observation:subject:Patient")).included) == 1
    assert search(filled, "Observation", ("_id", "o1"), ("_include", "Observation:subject:Group")).included == []


def test_included_resources_are_bounded(filled: ResourceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inclusion, "MOST_INCLUDED", 7)
    page = search(filled, "Patient", ("_revinclude", "Observation:patient"))
    assert (len(page.included), page.is_cut) == (7, True)


# ---- conditions ------------------------------------------------------------------------------------------------------


def test_a_condition_gives_two_matches_at_most(filled: ResourceStore) -> None:
    assert [one.id for one in conditions.match(filled, "Observation", [("code", "c1")])] == ["o1"]
    assert len(conditions.match(filled, "Observation", [("category", LAB)])) == 2
    assert conditions.match(filled, "Observation", [("code", "none")]) == []


@pytest.mark.parametrize("parameters", [[], [("_count", "1")], [("_sort", "_id"), ("code", "c1")], [("code", "")]])
def test_a_condition_that_names_nothing_is_refused(filled: ResourceStore, parameters: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidSearch):
        conditions.match(filled, "Observation", parameters)


def test_a_condition_sees_what_its_own_transaction_wrote(filled: ResourceStore, bind: Bind) -> None:
    def unit(inside: ResourceStore) -> int:
        inside.create("Observation", observation(77), id="o77")
        return len(conditions.match(inside, "Observation", [("code", "c77")]))

    assert bind().transact(unit) == 1


def test_stored_content_is_answered_as_it_is(filled: ResourceStore) -> None:
    (one,) = search(filled, "Observation", ("_id", "o1")).matches
    assert json.loads(one.content or b"")["id"] == "o1"
