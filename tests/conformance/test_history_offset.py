"""`_offset` of a history, by which clients of HAPI go from page to page."""

import pytest

from tests.builders import bundle, entry, observation, patient

ADDRESSES = ["Patient/1/_history", "Patient/_history", "_history"]


@pytest.fixture
def stored(fhir):
    """Seven versions of a Patient, and what belongs to others."""
    for number in range(7):
        fhir.put("Patient/1", patient(id="1", birthDate=f"198{number}"))
    fhir.put("Patient/2", patient(id="2", meta={"tag": [{"code": "x"}]}))
    fhir.create(observation("Patient/1"))
    return fhir


def told(answer):
    assert answer.status == 200, answer.content
    return [(row["fullUrl"], row["response"]["etag"]) for row in answer.entries()]


@pytest.mark.parametrize("more", ["", "&_since=2020", "&_at=ge2020", "&_total=none", "&_summary=true"])
def test_pages_by_numbers_are_those_that_the_links_lead_to(stored, more, subtests):
    for address in ADDRESSES:
        with subtests.test(address):
            _pages_by_numbers_are_those_of_links(stored, address, more)


def _pages_by_numbers_are_those_of_links(stored, address, more):
    whole = stored.get(f"{address}?_count=100{more}")
    every = told(whole)
    for offset in range(len(every) + 2):
        page = stored.get(f"{address}?_count=3&_offset={offset}{more}")
        assert told(page) == every[offset : offset + 3], offset
        assert page.json.get("total") == whole.json.get("total")
        assert (page.link("next") is not None) == (offset + 3 < len(every)), offset
        assert (page.link("previous") is not None) == (offset > 0), offset
        assert f"_offset={offset}" in page.link("self")


@pytest.mark.parametrize("address", ADDRESSES)
def test_its_links_lead_on_and_back_over_what_was_left_out(stored, address):
    every = told(stored.get(f"{address}?_count=100"))
    page = stored.get(f"{address}?_count=2&_offset=3")
    stored.put("Patient/1", patient(id="1", birthDate="1999"))  # what comes later is on none of them
    assert "_offset" not in page.link("next") + page.link("previous") + page.link("first")
    assert told(stored.get(page.link("next"))) == every[5:7]
    assert told(stored.get(stored.get(page.link("next")).link("previous"))) == every[3:5]
    back = stored.get(page.link("previous"))
    assert told(back) == every[1:3]
    assert told(stored.get(back.link("next"))) == every[3:5]
    assert told(stored.get(back.link("previous"))) == every[:1]
    assert told(stored.get(page.link("first"))) == every[:2]
    beyond = stored.get(f"{address}?_count=2&_offset=100")
    assert told(beyond) == []
    assert told(stored.get(beyond.link("previous")))[-1] == every[-1]


def test_what_the_token_does_not_see_is_not_counted(stored, client):
    restricted = client("system/Patient.rs?_tag=x")
    assert told(restricted.get("Patient/_history?_offset=1")) == []
    assert len(told(restricted.get("Patient/_history?_offset=0"))) == 1


def test_an_entry_of_a_bundle_may_ask_for_it(stored):
    every = told(stored.get("Patient/1/_history"))
    for kind in ("batch", "transaction"):
        asked = stored.post("", bundle(entry("GET", "Patient/1/_history?_offset=2&_count=2"), type_=kind))
        (found,) = asked.resources()
        assert [row["response"]["etag"] for row in found["entry"]] == [etag for _, etag in every[2:4]], kind


@pytest.mark.parametrize(("query", "code", "text"), [
    ("_offset=-1", "invalid", "whole number"),
    ("_offset=10001", "too-costly", "10000 is the most"),
    ("_offset=1&_offset=2", "invalid", "twice"),
    ("_offset=1&_sort=_lastUpdated", "not-supported", "newest"),
])  # fmt: skip
def test_an_offset_that_means_nothing_is_refused(stored, query, code, text):
    stored.get(f"Patient/1/_history?{query}").refused(400, code, "_offset", text)


def test_no_offset_stands_beside_a_cursor(stored):
    following = stored.get("Patient/1/_history?_count=2").link("next")
    stored.get(f"{following}&_offset=2").refused(400, "invalid", "_offset", "_cursor")
