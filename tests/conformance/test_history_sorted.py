"""`_sort` of a history, by which a client follows what changes from the oldest version on; R5 has it."""

from itertools import product

import pytest

from tests.builders import bundle, entry, observation, patient

ADDRESSES = ["Patient/1/_history", "Patient/_history", "_history"]


@pytest.fixture
def stored(fhir):
    """Seven versions of a Patient, and what belongs to others."""
    for number in range(3):
        fhir.put("Patient/1", patient(id="1", birthDate=f"199{number}"))
    fhir.delete("Patient/1")
    for number in range(3):
        fhir.put("Patient/1", patient(id="1", birthDate=f"198{number}"))
    fhir.put("Patient/2", patient(id="2", meta={"tag": [{"code": "x"}]}))
    fhir.create(observation("Patient/1"))
    return fhir


def told(answer):
    return [(row["fullUrl"], row["response"]["etag"]) for row in answer.entries()]


def walked(fhir, url, relation="next", change=None):
    found, sizes = [], []
    while url:
        page = fhir.get(url)
        assert page.status == 200, page.content
        found += told(page)
        sizes.append(len(page.entries()))
        url = page.link(relation)
        if change is not None and len(sizes) == 1:
            change()
    return found, sizes


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_oldest_comes_first_page_by_page(stored, address, subtests):
    for count, more in product((1, 2, 3, 100), ("", "&_since=2020", "&_at=ge2020", "&_total=none", "&_summary=true")):
        with subtests.test(count=count, more=more):
            newest, _ = walked(stored, f"{address}?_count={count}{more}")
            oldest, sizes = walked(stored, f"{address}?_count={count}&_sort=_lastUpdated{more}")
            assert oldest == newest[::-1]
            assert all(size == min(count, len(newest)) for size in sizes[1:])
            assert walked(stored, f"{address}?_count={count}&_sort=-_lastUpdated{more}")[0] == newest


@pytest.mark.parametrize("address", ADDRESSES)
def test_its_pages_lead_back_and_to_both_ends(stored, address):
    first = stored.get(f"{address}?_count=2&_sort=_lastUpdated")
    assert first.link("previous") is None
    second = stored.get(first.link("next"))
    assert told(stored.get(second.link("previous"))) == told(first)
    assert told(stored.get(second.link("first"))) == told(first)
    last = stored.get(second.link("last"))
    assert last.link("next") is None
    assert told(last)[-1] == told(stored.get(f"{address}?_count=1"))[0]
    back, _ = walked(stored, second.link("last"), "previous")
    assert sorted(back) == sorted(walked(stored, f"{address}?_count=2")[0])
    assert first.json["total"] == second.json["total"] == len(back)


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_comes_while_it_is_walked_is_not_in_it(stored, address):
    before, _ = walked(stored, address)
    seen, _ = walked(stored, f"{address}?_count=2&_sort=_lastUpdated",
                     change=lambda: stored.put("Patient/1", patient(id="1", active=True)))
    assert seen == before[::-1]
    assert len(walked(stored, f"{address}?_count=2&_sort=_lastUpdated")[0]) == len(before) + 1


def test_a_token_walks_what_its_conditions_cover(stored, client):
    narrow = client("system/*.rs?_tag=x")
    assert walked(narrow, "_history?_sort=_lastUpdated&_count=1")[0] == walked(narrow, "_history")[0]
    assert len(walked(narrow, "_history?_sort=_lastUpdated")[0]) == 1
    narrow.get("Patient/1/_history?_sort=_lastUpdated").refused(404, "not-found")


@pytest.mark.parametrize("type_", ["batch", "transaction"])
def test_an_entry_may_ask_for_it(stored, type_):
    answer = stored.post("", bundle(entry("GET", "Patient/1/_history?_sort=_lastUpdated&_count=3"), type_=type_))
    inside = answer.entries()[0]["resource"]
    first = stored.get("Patient/1/_history?_sort=_lastUpdated&_count=3")
    assert [row["response"]["etag"] for row in inside["entry"]] == [etag for _, etag in told(first)]


@pytest.mark.parametrize("order", ["_id", "lastUpdated", "-", "", "--_lastUpdated", "_lastUpdated,_id"])
def test_another_order_is_refused(stored, order):
    stored.get(f"Patient/1/_history?_sort={order}").refused(400, "not-supported", "_sort", text="-_lastUpdated")
    stored.get("Patient/1/_history?_sort=_lastUpdated&_sort=-_lastUpdated").refused(400, "invalid", "_sort")
