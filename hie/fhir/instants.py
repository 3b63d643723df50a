"""Moments as FHIR and HTTP write them: https://hl7.org/fhir/R4/datatypes.html#instant, RFC 9110 section 5.6.7"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache

from hie.fhir.datatypes import InvalidDate, Precision, parse_date


def instant(microseconds: int) -> str:
    """Write a FHIR instant in milliseconds, the precision in which versions are told apart."""
    seconds, milliseconds = divmod(microseconds // 1000, 1000)
    return f"{_date_time(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=1024)
def _date_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def http_date(microseconds: int) -> str:
    """Write an HTTP date, which knows whole seconds only."""
    return _http_date(microseconds // 1_000_000)


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


def parse_http_date(text: str) -> int | None:
    """Read an HTTP date as microseconds since 1970; None where it is none (RFC 9110 section 13.1.3 ignores it then)."""
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return int(moment.timestamp()) * 1_000_000
    except (OverflowError, ValueError):
        return None


def parse_instant(text: str) -> int | None:
    """Read a FHIR instant, or a date and time to the second, as microseconds since 1970; None where it is none."""
    try:
        low, _, precision = parse_date(text)
    except InvalidDate:
        return None
    return low if precision >= Precision.SECOND else None
