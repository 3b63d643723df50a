"""Dates, numbers, quantities and text as search compares them: https://hl7.org/fhir/R4/search.html

A date is the half-open interval of time it may mean, in integer microseconds since 1970-01-01T00:00:00Z. A date or
time without a zone is read as UTC, so that every server and every day finds the same records.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple

MICROSECONDS_PER_SECOND = 1_000_000
MICROSECONDS_PER_DAY = 86_400 * MICROSECONDS_PER_SECOND

# A zone may move a moment of year 1 or 9999 up to 14 hours out of it: the open ends lie a day further.
OPEN_LOW = (date.min.toordinal() - date(1970, 1, 1).toordinal() - 1) * MICROSECONDS_PER_DAY
"""The low end of an interval that has none, such as a Period without start."""
OPEN_HIGH = (date.max.toordinal() - date(1970, 1, 1).toordinal() + 2) * MICROSECONDS_PER_DAY
"""The high end of an interval that has none, such as a Period without end."""


class DatatypeError(ValueError):
    """A text or element that is no value of the data type asked for."""


class InvalidDate(DatatypeError):
    """A text that is no FHIR date, dateTime or instant."""


class InvalidTime(DatatypeError):
    """A text that is no FHIR time."""


class InvalidPeriod(DatatypeError):
    """A Period or Timing whose parts are no dates, or whose end lies before its start."""


class InvalidNumber(DatatypeError):
    """A text or value that is no FHIR decimal."""


class InvalidQuantity(DatatypeError):
    """A Quantity, Money or Range that holds no number where one must be."""


class Precision(IntEnum):
    """The smallest unit a date was given in."""

    YEAR = 1
    MONTH = 2
    DAY = 3
    MINUTE = 4
    SECOND = 5
    FRACTION = 6


class DateInterval(NamedTuple):
    """The time a date may mean: low <= moment < high, in microseconds since 1970-01-01T00:00:00Z."""

    low: int
    high: int
    precision: Precision


# ---- dates -----------------------------------------------------------------------------------------------------------

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DATE = re.compile(
    r"([0-9]{4})(?:-(0[1-9]|1[0-2])(?:-(0[1-9]|[12][0-9]|3[01])"
    r"(?:T([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]|60)(?:\.([0-9]+))?)?"
    r"(Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)?)?)?)?"
)
_TO_THE_SECOND = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
    r"(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)?"
)
_EPOCH_NAIVE = datetime(1970, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]|60)(?:\.([0-9]+))?)?")


def parse_date(text: str) -> DateInterval:
    """Read a date, dateTime, instant or a search value, which may stop at minutes: search.html#date"""
    if not isinstance(text, str):
        raise InvalidDate(f"{text!r:.80} is no date.")
    return _remembered(text) if len(text) <= _LONGEST else read_date(text)


def read_date(text: str) -> DateInterval:
    """Do the same with a date that will not come again."""
    if _TO_THE_SECOND.fullmatch(text):
        try:
            return _read_date_time(text)
        except ValueError:  # a leap second, or no date at all: both are told apart below
            pass
    match = _DATE.fullmatch(text)
    if match is None:
        raise InvalidDate(f"{text!r:.80} is no date: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss+zz:zz.")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        if day is None:
            return _year_or_month(int(year), month)
        low = (date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY) * MICROSECONDS_PER_DAY
    except ValueError:
        raise InvalidDate(f"{text!r} is not in the calendar.") from None
    if hour is None:
        return DateInterval(low, low + MICROSECONDS_PER_DAY, Precision.DAY)
    low += _microseconds(hour, minute, second)
    if zone is not None and zone != "Z":
        low -= _zone(zone)
    return _widened(low, second, fraction)


#: The resources of one visit share their dates; longer texts have fractions of a second without an end.
_remembered, _LONGEST = lru_cache(maxsize=4096)(read_date), 40


def _read_date_time(text: str) -> DateInterval:
    """Read the commonest form by datetime's own reader, three times as fast as taking it apart here."""
    moment = datetime.fromisoformat(text)
    since = moment - (_EPOCH_NAIVE if moment.tzinfo is None else _EPOCH)
    low = (since.days * 86_400 + since.seconds) * MICROSECONDS_PER_SECOND + since.microseconds
    if len(text) < 20 or text[19] != ".":
        return DateInterval(low, low + MICROSECONDS_PER_SECOND, Precision.SECOND)
    digits = len(text.rstrip("Z")[20:].partition("+")[0].partition("-")[0])
    return DateInterval(low, low + 10 ** max(6 - digits, 0), Precision.FRACTION)


def date_bounds(text: str) -> tuple[int, int]:
    """Give low and high of a date, dateTime or instant; InvalidDate for anything else."""
    low, high, _ = parse_date(text)
    return low, high


def parse_time(text: str) -> DateInterval:
    """Read a time of day; the interval counts from midnight: datatypes.html#time"""
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise InvalidTime(f"{text!r:.80} is no time of the form hh:mm:ss.")
    hour, minute, second, fraction = match.groups()
    return _widened(_microseconds(hour, minute, second), second, fraction)


def period_bounds(period: dict[str, Any]) -> tuple[int, int] | None:
    """Give low and high of a Period, open where a side is missing; None if both are: datatypes.html#Period"""
    start, end = period.get("start"), period.get("end")
    if start is None and end is None:
        return None
    low = OPEN_LOW if start is None else parse_date(start).low
    high = OPEN_HIGH if end is None else parse_date(end).high
    if high <= low:
        raise InvalidPeriod(f"A Period cannot end ({end}) before it starts ({start}).")
    return low, high


def timing_bounds(timing: dict[str, Any]) -> tuple[int, int] | None:
    """Give the outer limits of a Timing, which is all that search looks at; None if it has none: search.html#date"""
    bounds = [date_bounds(event) for event in timing.get("event") or () if event is not None]
    period = (timing.get("repeat") or {}).get("boundsPeriod")
    limits = period_bounds(period) if period else None
    if limits is not None:
        bounds.append(limits)
    if not bounds:
        return None
    return min(low for low, _ in bounds), max(high for _, high in bounds)


def format_instant(microseconds: int) -> str:
    """Write a moment as an instant in UTC; parse_date reads back the same moment: datatypes.html#instant"""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    text = moment.isoformat(timespec="microseconds" if microseconds % MICROSECONDS_PER_SECOND else "seconds")
    return text.replace("+00:00", "Z")


def _year_or_month(year: int, month: str | None) -> DateInterval:
    first = date(year, int(month or 1), 1).toordinal()
    if month is None:
        after, precision = date(year, 12, 31).toordinal() + 1, Precision.YEAR
    else:
        last_known = date(year, int(month), 28).toordinal()
        # December 9999 has no next month in the calendar of datetime; its length is known.
        after = last_known + 4 if month == "12" else date(year, int(month) + 1, 1).toordinal()
        precision = Precision.MONTH
    return DateInterval(
        (first - _EPOCH_DAY) * MICROSECONDS_PER_DAY, (after - _EPOCH_DAY) * MICROSECONDS_PER_DAY, precision
    )


def _microseconds(hour: str, minute: str, second: str | None) -> int:
    # A leap second shares the interval of second 59: so it stays within its minute and its day.
    seconds = min(int(second), 59) if second else 0
    return (int(hour) * 3600 + int(minute) * 60 + seconds) * MICROSECONDS_PER_SECOND


def _zone(zone: str) -> int:
    offset = (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60) * MICROSECONDS_PER_SECOND
    return -offset if zone[0] == "-" else offset


def _widened(low: int, second: str | None, fraction: str | None) -> DateInterval:
    if second is None:
        return DateInterval(low, low + 60 * MICROSECONDS_PER_SECOND, Precision.MINUTE)
    if fraction is None:
        return DateInterval(low, low + MICROSECONDS_PER_SECOND, Precision.SECOND)
    kept = fraction[:6]
    unit = 10 ** (6 - len(kept))
    low += int(kept) * unit
    return DateInterval(low, low + unit, Precision.FRACTION)


# ---- numbers and quantities ------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")


def parse_number(text: str) -> Decimal:
    """Read a number of a search value, every digit kept: search.html#number"""
    if not isinstance(text, str) or len(text) > 1000 or not _NUMBER.fullmatch(text):
        raise InvalidNumber(f"{text!r:.80} is no number.")
    return Decimal(text)


def implicit_range(number: Decimal | int) -> tuple[Decimal, Decimal]:
    """Give the half-open range that a number's significant digits stand for: 100 means [99.5, 100.5)."""
    value = Decimal(number)
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise InvalidNumber(f"{number} is not finite.")
    if exponent > 0 and len(digits) == 1:
        exponent -= 1  # the specification's own example reads 1e2 as [95, 105), that is as 1.0e2
    half = Decimal((0, (5,), exponent - 1))
    return _exact_sum(value, -half), _exact_sum(value, half)


def quantity_bounds(quantity: dict[str, Any]) -> tuple[Decimal | None, Decimal | None] | None:
    """Give the exact lowest and highest value of a Quantity by its comparator; None ends are open; None: no value."""
    value = quantity.get("value")
    if value is None:
        return None
    number = _number(value)
    comparator = quantity.get("comparator")
    if comparator is None:
        return number, number
    if comparator == "<":
        return None, number.next_minus()
    if comparator == "<=":
        return None, number
    if comparator == ">":
        return number.next_plus(), None
    if comparator == ">=":
        return number, None
    raise InvalidQuantity(f"{comparator!r:.20} is no comparator; one of <, <=, >=, > is meant.")


def range_bounds(element: dict[str, Any]) -> tuple[Decimal | None, Decimal | None] | None:
    """Give low and high of a Range; None ends are open; None if it has neither: datatypes.html#Range"""
    low, high = (element.get(side) or {} for side in ("low", "high"))
    if low.get("value") is None and high.get("value") is None:
        return None
    return tuple(None if end.get("value") is None else _number(end["value"]) for end in (low, high))  # type: ignore[return-value]


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise InvalidQuantity(f"{value!r:.80} is no number.")
    number = Decimal(value)
    if not number.is_finite():
        raise InvalidQuantity(f"{value} is not finite.")
    return number


def _exact_sum(left: Decimal, right: Decimal) -> Decimal:
    """Add without rounding, whatever the current decimal context."""
    exponent = min(int(left.as_tuple().exponent), int(right.as_tuple().exponent))
    try:
        total = _scaled(left, exponent) + _scaled(right, exponent)
    except InvalidOperation:  # pragma: no cover - finite decimals cannot fail here
        raise InvalidNumber(f"{left} cannot be compared.") from None
    return Decimal((int(total < 0), tuple(map(int, str(abs(total)))), exponent))


def _scaled(number: Decimal, exponent: int) -> int:
    sign, digits, own = number.as_tuple()
    magnitude = int("".join(map(str, digits))) * 10 ** (int(own) - exponent)
    return -magnitude if sign else magnitude


# ---- text ------------------------------------------------------------------------------------------------------------

# Letters that no Unicode decomposition takes apart, yet people type without their stroke; and marks with many signs.
_PLAIN = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th"}
    | dict.fromkeys("‘’ʼ′`´", "'")
    | dict.fromkeys("‐‑‒–—−", "-")
)
_ABOVE_AND_BELOW = 200
_HEBREW_AND_ARABIC_POINTS = range(10, 36)


def normalize_string(text: str) -> str:
    """Write a text without case, accents and needless space, as string search compares it: search.html#string

    Signs that make another letter rather than an accent stay: kana voicing, nukta, virama, Thai and Lao vowels.
    """
    if text.isascii():
        return " ".join(text.lower().replace("`", "'").split())
    previous = None
    while text != previous:  # folding can bring forth new letters with accents; two or three turns settle it
        previous = text
        decomposed = unicodedata.normalize("NFKD", text.casefold()).casefold().translate(_PLAIN)
        text = unicodedata.normalize("NFC", "".join(sign for sign in decomposed if not _is_accent(sign)))
    return " ".join(text.split())


def _is_accent(sign: str) -> bool:
    kind = unicodedata.combining(sign)
    return kind >= _ABOVE_AND_BELOW or kind in _HEBREW_AND_ARABIC_POINTS
