"""Dates, numbers and text as search compares them: https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from hie.fhir import datatypes
from hie.fhir.datatypes import OPEN_HIGH, OPEN_LOW, Precision


def at(*parts: int) -> int:
    moment = datetime(*parts, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)  # type: ignore[arg-type, misc]
    return (moment.days * 86_400 + moment.seconds) * 1_000_000 + moment.microseconds


@pytest.mark.parametrize(
    ("text", "low", "high", "precision"),
    [
        ("2013", at(2013, 1, 1), at(2014, 1, 1), Precision.YEAR),
        ("2013-01", at(2013, 1, 1), at(2013, 2, 1), Precision.MONTH),
        ("2013-12", at(2013, 12, 1), at(2014, 1, 1), Precision.MONTH),
        ("2024-02", at(2024, 2, 1), at(2024, 3, 1), Precision.MONTH),
        ("2013-01-14", at(2013, 1, 14), at(2013, 1, 15), Precision.DAY),
        ("2013-01-14T10:00", at(2013, 1, 14, 10), at(2013, 1, 14, 10, 1), Precision.MINUTE),
        ("2013-01-14T10:00:00", at(2013, 1, 14, 10), at(2013, 1, 14, 10, 0, 1), Precision.SECOND),
        ("2013-01-14T10:00:00Z", at(2013, 1, 14, 10), at(2013, 1, 14, 10, 0, 1), Precision.SECOND),
        ("2013-01-14T10:00:00+02:00", at(2013, 1, 14, 8), at(2013, 1, 14, 8, 0, 1), Precision.SECOND),
        ("2013-01-14T10:00-05:30", at(2013, 1, 14, 15, 30), at(2013, 1, 14, 15, 31), Precision.MINUTE),
        ("2013-01-01T00:30:00+14:00", at(2012, 12, 31, 10, 30), at(2012, 12, 31, 10, 30, 1), Precision.SECOND),
        ("2015-02-07T13:28:17.2Z", at(2015, 2, 7, 13, 28, 17, 200_000), at(2015, 2, 7, 13, 28, 17, 300_000), 6),
        ("2015-02-07T13:28:17.239Z", at(2015, 2, 7, 13, 28, 17, 239_000), at(2015, 2, 7, 13, 28, 17, 240_000), 6),
        (
            "2015-02-07T13:28:17.123456789-05:00",
            at(2015, 2, 7, 18, 28, 17, 123_456),
            at(2015, 2, 7, 18, 28, 17, 123_457),
            6,
        ),
        ("0001", at(1, 1, 1), at(2, 1, 1), Precision.YEAR),
        ("9999-12-30", at(9999, 12, 30), at(9999, 12, 31), Precision.DAY),
    ],
)
def test_a_date_is_the_interval_it_may_mean(text: str, low: int, high: int, precision: Precision) -> None:
    assert datatypes.parse_date(text) == (low, high, precision)


def test_the_last_year_ends_where_the_calendar_does() -> None:
    assert datatypes.parse_date("9999").high == datatypes.parse_date("9999-12-31").high
    assert datatypes.parse_date("9999-12").high == datatypes.parse_date("9999-12-31").high
    assert datatypes.parse_date("9999-12-31T23:59:59-14:00").high < OPEN_HIGH
    assert datatypes.parse_date("0001-01-01T00:00:00+14:00").low > OPEN_LOW


@pytest.mark.parametrize("zone", ["", "Z", "+01:00"])
def test_a_leap_second_stays_within_its_minute(zone: str) -> None:
    leap, before = f"2016-12-31T23:59:60{zone}", f"2016-12-31T23:59:59{zone}"
    assert datatypes.parse_date(leap)[:2] == datatypes.parse_date(before)[:2]
    assert datatypes.parse_date(f"2016-12-31T23:59:60.5{zone}").low == datatypes.parse_date(before).low + 500_000


@pytest.mark.parametrize(
    "text",
    ["", "13", "2013-1", "2013-13", "2013-00", "2013-02-30", "2023-02-29", "0000", "2013-01-14T", "2013-01-14T10",
     "2013-01-14T25:00", "2013-01-14T10:60", "2013-01-14T10:00:61Z", "2013-01-14T10:00:00+15:00", "2013-01-14 10:00",
     "2013-01-14T10:00:00,5Z", "20130114", "2013-W02-1", "2013-01-14T10:00:00z", "2013-01-14T24:00:00Z", "today",
     "-2013", "2013-01-14T10:00:00.Z", "２０１３", "2013\n", None, 2013, ["2013"]],
)  # fmt: skip
def test_what_is_no_date_is_refused(text: object) -> None:
    with pytest.raises(datatypes.InvalidDate):
        datatypes.parse_date(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("period", "low", "high"),
    [
        ({"start": "2012-01-01", "end": "2012-01-03"}, at(2012, 1, 1), at(2012, 1, 4)),
        ({"start": "2012"}, at(2012, 1, 1), OPEN_HIGH),
        ({"end": "2012"}, OPEN_LOW, at(2013, 1, 1)),
        ({"start": "2012-05", "end": "2012"}, at(2012, 5, 1), at(2013, 1, 1)),
    ],
)
def test_a_period_reaches_from_its_start_through_its_end(period: dict[str, str], low: int, high: int) -> None:
    assert datatypes.period_bounds(period) == (low, high)


def test_a_period_without_dates_has_no_bounds() -> None:
    assert datatypes.period_bounds({"extension": [{"url": "x"}]}) is None


@pytest.mark.parametrize("period", [{"start": "2013", "end": "2012"}, {"start": "x"}, {"end": 5}])
def test_a_period_that_cannot_be_is_refused(period: dict[str, object]) -> None:
    with pytest.raises(datatypes.DatatypeError):
        datatypes.period_bounds(period)


@pytest.mark.parametrize(
    ("timing", "bounds"),
    [
        ({"event": ["2012-01-08", "2012-01-02"]}, (at(2012, 1, 2), at(2012, 1, 9))),
        (
            {"repeat": {"boundsPeriod": {"start": "2013-01-31", "end": "2013-03-24"}}},
            (at(2013, 1, 31), at(2013, 3, 25)),
        ),
        ({"event": ["2012"], "repeat": {"boundsPeriod": {"start": "2013-01-31"}}}, (at(2012, 1, 1), OPEN_HIGH)),
        ({"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}}, None),
        ({"event": [None, "2012"], "_event": [{"id": "a"}]}, (at(2012, 1, 1), at(2013, 1, 1))),
        ({}, None),
    ],
)
def test_of_a_timing_only_the_outer_limits_matter(timing: dict[str, object], bounds: tuple[int, int] | None) -> None:
    assert datatypes.timing_bounds(timing) == bounds


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        # The table of search.html#number.
        ("100", "99.5", "100.5"),
        ("100.00", "99.995", "100.005"),
        ("1e2", "95", "105"),
        # What follows from it.
        ("1.0e2", "95", "105"),
        ("12e2", "1150", "1250"),
        ("5.4", "5.35", "5.45"),
        ("5.40e-3", "0.005395", "0.005405"),
        ("0", "-0.5", "0.5"),
        ("-100", "-100.5", "-99.5"),
        ("0.8", "0.75", "0.85"),
        (
            "123456789012345678901234567890.12",
            "123456789012345678901234567890.115",
            "123456789012345678901234567890.125",
        ),
    ],
)
def test_a_number_stands_for_what_rounds_to_it(text: str, low: str, high: str) -> None:
    assert datatypes.implicit_range(datatypes.parse_number(text)) == (Decimal(low), Decimal(high))


@pytest.mark.parametrize(
    "text", ["", "x", "1,5", "1.", ".5", "01", "1e", "1e9999", "NaN", "Infinity", "1_000", "１", " 1"]
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(datatypes.InvalidNumber):
        datatypes.parse_number(text)


def test_a_comparator_opens_a_quantity_on_one_side() -> None:
    value = Decimal("5.4")
    assert datatypes.quantity_bounds({"value": value}) == (value, value)
    assert datatypes.quantity_bounds({"value": value, "comparator": "<="}) == (None, value)
    assert datatypes.quantity_bounds({"value": value, "comparator": ">="}) == (value, None)
    low, high = datatypes.quantity_bounds({"value": value, "comparator": "<"}) or ()
    assert low is None
    assert high < value
    low, high = datatypes.quantity_bounds({"value": value, "comparator": ">"}) or ()
    assert low > value
    assert high is None


def test_a_quantity_without_value_has_no_bounds() -> None:
    assert datatypes.quantity_bounds({"unit": "mg"}) is None


@pytest.mark.parametrize(
    "quantity", [{"value": "5"}, {"value": True}, {"value": Decimal("NaN")}, {"value": 1, "comparator": "~"}]
)
def test_a_quantity_that_is_none_is_refused(quantity: dict[str, object]) -> None:
    with pytest.raises(datatypes.InvalidQuantity):
        datatypes.quantity_bounds(quantity)


def test_a_range_may_be_open_on_a_side() -> None:
    assert datatypes.range_bounds({"low": {"value": 1}, "high": {"value": 2}}) == (1, 2)
    assert datatypes.range_bounds({"high": {"value": 2}}) == (None, 2)
    assert datatypes.range_bounds({"low": {"unit": "a"}}) is None


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Smith", "smith"),
        ("  Van   der\tBerg ", "van der berg"),
        ("José GARCÍA", "jose garcia"),
        ("Straße", "strasse"),
        ("Łukasz Øre", "lukasz ore"),
        ("İstanbul Iğdır", "istanbul igdir"),
        ("ﬁancé", "fiance"),
        ("Ωμέγα ΣΑΣ", "ωμεγα σασ"),
        ("Ёлкин Фёдор", "елкин федор"),
        ("O’Brien–Smith", "o'brien-smith"),
        ("がか", "がか"),
        ("カﾞ", "ガ"),
        ("김민수", "김민수"),
        ("नीलम", "नीलम"),
        ("مُحَمَّد", "محمد"),
        ("שָׁלוֹם", "שלום"),
        ("王小明", "王小明"),
    ],
)
def test_text_is_compared_without_case_and_accents(text: str, normal: str) -> None:
    assert datatypes.normalize_string(text) == normal


@pytest.mark.parametrize("text", ["1970-01-01T00:00:00Z", "2015-02-07T13:28:17.239000Z", "0001-01-01T00:00:00Z"])
def test_an_instant_is_written_as_it_is_read(text: str) -> None:
    assert datatypes.format_instant(datatypes.parse_date(text).low) == text


def test_a_time_counts_from_midnight() -> None:
    assert datatypes.parse_time("01:00:00")[:2] == (3_600_000_000, 3_601_000_000)
    with pytest.raises(datatypes.InvalidTime):
        datatypes.parse_time("24:00:00")
