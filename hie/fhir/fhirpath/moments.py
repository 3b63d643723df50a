"""Reckoning with dates and times: https://hl7.org/fhirpath/N1/#datetime-arithmetic

A result is written with as many parts as its start had, and in the start's own time zone.
"""

from __future__ import annotations

import calendar
import re
from datetime import date

from hie.fhir.datatypes import MICROSECONDS_PER_DAY, Precision, format_instant

from . import units
from .errors import FhirPathError
from .values import Amount, Measured, Moment, moment

_MICROSECONDS = {
    "week": 7 * MICROSECONDS_PER_DAY,
    "day": MICROSECONDS_PER_DAY,
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "millisecond": 1_000,
}
#: The last part of a moment up to some precision.
_LAST = ((2 * Precision.DAY, "day"), (2 * Precision.MINUTE - 1, "hour"), (2 * Precision.MINUTE, "minute"))
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_ZONE = re.compile(r"(Z|[+-][0-9]{2}:[0-9]{2})$")


def shifted(start: Moment, duration: Amount, sign: int) -> Moment | None:
    """Add a duration to a date: whole calendar units, the result as precise as the date was."""
    unit = units.calendar(duration.calendar_unit if isinstance(duration, Measured) else duration.unit)
    if unit is None:
        raise FhirPathError(f"A duration in {duration.unit!r} cannot be added to a date.")
    number = duration.value if unit == "second" else int(duration.value)
    offset = _offset(start)
    local = start.low + offset
    if unit in ("year", "month", "week", "day") and start.kind == "Time":
        raise FhirPathError(f"A time of day has no {unit}s.")
    if unit in ("year", "month"):
        months, rest = int(number) * (12 if unit == "year" else 1), 0
    else:
        months, rest = 0, int(number * _MICROSECONDS[unit])
    months, rest = _of_its_precision(months, rest, start)
    local = _months_later(local, sign * months) + sign * rest if months else local + sign * rest
    if start.kind == "Time":
        local %= MICROSECONDS_PER_DAY
    return moment(_written(local, start), start.kind)


def _of_its_precision(months: int, rest: int, start: Moment) -> tuple[int, int]:
    """Leave of a duration in months, or in microseconds, what a partial date can move by: whole units of its last part.

    A year has 365 days then, a month 30: https://hl7.org/fhirpath/N1/#addition-1
    """
    if start.kind != "Time" and start.precision <= 2 * Precision.MONTH:
        is_year = start.precision <= 2 * Precision.YEAR
        months += _whole(rest, MICROSECONDS_PER_DAY * (365 if is_year else 30)) * (12 if is_year else 1)
        return _whole(months, 12) * 12 if is_year else months, 0
    last = next((_MICROSECONDS[unit] for finest, unit in _LAST if start.precision <= finest), 1)
    return months, _whole(rest, last) * last


def _whole(number: int, of: int) -> int:
    """Divide towards zero."""
    return number // of if number >= 0 else -(-number // of)


def _months_later(low: int, months: int) -> int:
    day, clock = divmod(low, MICROSECONDS_PER_DAY)
    first = date.fromordinal(day + _EPOCH_DAY)
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1] if 1 <= year <= 9999 else 0
    moved = date(year, month + 1, min(first.day, last)).toordinal() - _EPOCH_DAY
    return moved * MICROSECONDS_PER_DAY + clock


def _zone(of: Moment) -> str:
    found = _ZONE.search(of.text) if of.has_zone else None
    return found[1] if found else ""


def _offset(of: Moment) -> int:
    zone = _zone(of)
    if zone in ("", "Z"):
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:6])
    return minutes * _MICROSECONDS["minute"] * (-1 if zone[0] == "-" else 1)


def _written(local: int, like: Moment) -> str:
    text = format_instant(local).rstrip("Z")
    zone = _zone(like)
    if like.kind == "Time":
        text = text[11:]
    length = len(like.text) - len(zone)
    if length > len(text) and "." not in text and ":" in text:
        text += ".000000"
    return text[:length] + zone


# ---- boundaries and precision: https://hl7.org/fhirpath/#utility-functions -------------------------------------------

_FIRST = {"Time": "00:00:00.000", "Date": "0001-01-01", "DateTime": "0001-01-01T00:00:00.000"}
_LENGTHS = {
    "Date": {4: 4, 6: 7, 8: 10},
    "DateTime": {4: 4, 6: 7, 8: 10, 10: 13, 12: 16, 14: 19, 17: 23},
    "Time": {2: 2, 4: 5, 6: 8, 9: 12},
}
_DEFAULT = {"Date": 8, "DateTime": 17, "Time": 9}


def precision(of: Moment) -> int:
    """Count the digits of a date or time: 4 for a year, 8 for a day, 17 for milliseconds."""
    zone = _zone(of)
    text = of.text[: len(of.text) - len(zone)] if zone else of.text
    return sum(sign.isdigit() for sign in text)


def boundary(of: Moment, digits: int | None, *, is_low: bool) -> Moment | None:
    """Give the earliest or latest moment a date may mean, with so many digits; None where there is no such precision.

    A time without zone may be meant anywhere: +14:00 comes first, -12:00 last.
    """
    length = _LENGTHS[of.kind].get(_DEFAULT[of.kind] if digits is None else digits)
    if length is None:
        return None
    zone = _zone(of)
    given = of.text[: len(of.text) - len(zone)].rstrip("T")
    text = given + _FIRST[of.kind][len(given) :] if is_low else _filled_up(given, of.kind)
    text = text[:length]
    if length > 10 and of.kind == "DateTime":
        text += zone or ("+14:00" if is_low else "-12:00")
    return moment(text, of.kind)


def _filled_up(given: str, kind: str) -> str:
    """Complete a date or time with the last month, day, hour, minute and millisecond."""
    day, _, clock = (given, "", "") if kind == "Date" else given.partition("T")
    if kind == "Time":
        return given + "23:59:59.999"[len(given) :]
    if len(day) == 4:
        day += "-12"
    if len(day) == 7:
        day += f"-{calendar.monthrange(int(day[:4]), int(day[5:7]))[1]:02}"
    return day if kind == "Date" else f"{day}T{clock}{'23:59:59.999'[len(clock):]}"
