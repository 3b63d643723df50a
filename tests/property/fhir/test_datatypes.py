"""Laws of dates and text that hold whatever the value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from hie.fhir.datatypes import Precision, format_instant, implicit_range, normalize_string, parse_date

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=zones)
alphabets = st.text(st.characters(codec="utf-8"), max_size=40)


@given(moments, st.integers(1, 9))
def test_a_date_cut_shorter_holds_the_longer_one(moment: datetime, digits: int) -> None:
    naive = moment.replace(tzinfo=None)
    fraction = f"{naive.microsecond:06}000"[:digits]
    full = f"{naive:%Y}".zfill(4) + f"{naive:-%m-%dT%H:%M:%S}.{fraction}"
    longer = parse_date(full)
    for length in (19, 16, 10, 7, 4):
        shorter = parse_date(full[:length])
        assert shorter.low <= longer.low
        assert longer.high <= shorter.high
        assert shorter.precision < longer.precision
        longer = shorter


@given(moments)
def test_a_moment_with_a_zone_is_the_same_in_utc(moment: datetime) -> None:
    zone = moment.strftime("%z")
    text = f"{moment.year:04}" + f"{moment:-%m-%dT%H:%M:%S.%f}" + f"{zone[:3]}:{zone[3:5]}"
    interval = parse_date(text)
    assert interval.precision is Precision.FRACTION
    assert interval.high == interval.low + 1
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    assert interval.low == (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    assert parse_date(format_instant(interval.low)).low == interval.low


@given(alphabets)
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalize_string(text)
    assert normalize_string(once) == once


@given(alphabets)
def test_case_and_spaces_around_make_no_difference(text: str) -> None:
    assert normalize_string(f"  {text.casefold()} ") == normalize_string(text.casefold())
    assert normalize_string(text.casefold()) == normalize_string(text)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
def test_a_number_lies_in_the_middle_of_its_range(number: object) -> None:
    low, high = implicit_range(number)  # type: ignore[arg-type]
    assert low < number < high  # type: ignore[operator]
    assert high - number == number - low  # type: ignore[operator]
