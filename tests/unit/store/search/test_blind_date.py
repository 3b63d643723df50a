"""Hashed dates answer every prefix exactly, and need few hashes for it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hie.fhir.datatypes import parse_date
from hie.store.search.blind_date import cover, nodes
from hie.store.search.intervals import PREFIXES

DAYS = st.dates(date(1, 1, 1), date(9999, 12, 30))
NEAR = st.dates(date(1978, 1, 1), date(1982, 12, 31))


@st.composite
def texts(draw: st.DrawFn, days: st.SearchStrategy[date] = NEAR) -> str:
    text = draw(days).isoformat()
    form = draw(st.sampled_from([4, 7, 10, 10, 19, 20, 22, 26]))
    if form <= 10:
        return text[:form]
    clock = f"T{draw(st.integers(0, 23)):02}:{draw(st.integers(0, 59)):02}:{draw(st.integers(0, 59)):02}"
    fraction = f".{draw(st.integers(0, 999_999)):06}"[: form - 19] if form > 20 else ""
    return f"{text}{clock}{fraction}{draw(st.sampled_from(['Z', '', '+02:00', '-11:30']))}"


def naive(prefix: str, asked: str, stored: str) -> bool:
    """The specification's sentences, on intervals: https://hl7.org/fhir/R4/search.html#prefix"""
    low, high, _ = parse_date(asked)
    start, end, _ = parse_date(stored)
    contains = low <= start and end <= high
    return {
        "eq": contains, "ne": not contains, "gt": end > high, "lt": start < low, "ge": end > high or contains,
        "le": start < low or contains, "sa": start >= high, "eb": end <= low, "ap": start < high and end > low,
    }[prefix]  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(texts(), texts(), st.sampled_from(PREFIXES))
def test_a_date_is_found_by_its_hashes_exactly_when_it_stands_so(asked: str, stored: str, prefix: str) -> None:
    low, high, _ = parse_date(asked)
    start, end, _ = parse_date(stored)
    found = not set(cover(prefix, low, high)).isdisjoint(nodes(start, end))
    assert found == naive(prefix, asked, stored)


@settings(max_examples=300, deadline=None)
@given(texts(DAYS), texts(DAYS), st.sampled_from(PREFIXES))
def test_it_holds_over_all_the_calendar(asked: str, stored: str, prefix: str) -> None:
    start, end, _ = parse_date(stored)
    low, high, _ = parse_date(asked)
    assert (not set(cover(prefix, low, high)).isdisjoint(nodes(start, end))) == naive(prefix, asked, stored)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("text", ["1950", "1999-12", "1981-01", "2004-02-29", "1980-06-15", "1899-12-31", "0001"])
def test_a_search_for_a_day_month_or_year_needs_less_than_a_hundred_hashes(prefix: str, text: str) -> None:
    low, high, _ = parse_date(text)
    assert len(cover(prefix, low, high)) < 100


def test_a_day_has_seven_hashes() -> None:
    low, high, _ = parse_date("1980-05-12")
    assert nodes(low, high) == ["1", "19", "198", "1980", "1980-05", "1980-05-12", "1980-05-12$"]


def test_the_days_of_a_month_partition_it() -> None:
    """No hash of a cover lies below another, so none is needless."""
    day = date(1980, 1, 1)
    while day < date(1981, 1, 1):
        low, high, _ = parse_date(day.isoformat())
        chosen = cover("ge", low, high)
        assert not any(a != b and b.startswith(a) and not b.endswith("$") for a in chosen for b in chosen)
        day += timedelta(days=17)
