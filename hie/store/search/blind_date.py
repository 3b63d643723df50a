"""Birth and death dates, searched by every prefix while only keyed hashes of them are stored (D6).

Such a date tells a person apart, so neither it nor its order may stand in the index. Time is a tree: digits of the
year, year, month, day, hour, minute, second, digits of the fraction. A date is one node of it; stored are the hashes of
all nodes above it, and of the node itself as the date's own precision. A search becomes the few nodes that together
hold exactly the dates it asks for. https://hl7.org/fhir/R4/search.html#date
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import lru_cache

from hie.fhir.datatypes import MICROSECONDS_PER_DAY
from hie.store.search.intervals import Truth, compare

_SECOND = 1_000_000
_EPOCH = date(1970, 1, 1).toordinal()
#: Follows a node's name where the node is the date itself and not only above it.
ITSELF = "$"


def nodes(low: int, high: int) -> list[str]:
    """Name the nodes above [low, high), and the interval itself; empty where it is no date of the calendar."""
    names = []
    for name, start, end in _path(low):
        if end < high:
            break
        names.append(name)
        if (start, end) == (low, high):
            names.append(name + ITSELF)
            return names
    return []


def cover(prefix: str, low: int, high: int) -> list[str]:
    """Name the nodes that together hold exactly the dates standing to [low, high) as the prefix says."""
    return list(_cover(prefix, low, high))


@lru_cache(maxsize=128)
def _cover(prefix: str, low: int, high: int) -> tuple[str, ...]:
    return tuple(_chosen(prefix, low, high, "", *_whole()))


def _chosen(prefix: str, low: int, high: int, name: str, start: int, end: int) -> Iterator[str]:
    """Walk down from a node only where some of its dates match and others do not."""
    for child, child_start, child_end in _children(name, start):
        below = compare(prefix, low, high, Truth.within(child_start, child_end))
        if below is True:
            yield child
        elif below is None:
            if compare(prefix, low, high, Truth.exactly(child_start, child_end)) is True and _is_date(child):
                yield child + ITSELF
            yield from _chosen(prefix, low, high, child, child_start, child_end)


# ---- the tree --------------------------------------------------------------------------------------------------------
#
# Names are the beginnings of a date's text in UTC: 1, 19, 198, 1980, 1980-05, 1980-05-12, 1980-05-12T13, …:42, …:07,
# …:07.1 to …:07.123456.

_LAST = 26  # length of a name with six digits of a fraction


def _is_date(name: str) -> bool:
    """Tell whether a date can be as precise as this node: not the digits of a year, not an hour."""
    return len(name) >= 4 and len(name) != 13


def _whole() -> tuple[int, int]:
    return _year(1), _year(10_000)


def _year(year: int) -> int:
    if year > 9999:
        return (date(9999, 12, 31).toordinal() + 1 - _EPOCH) * MICROSECONDS_PER_DAY
    return (date(max(year, 1), 1, 1).toordinal() - _EPOCH) * MICROSECONDS_PER_DAY


def _month(year: int, month: int) -> int:
    return _year(year + 1) if month > 12 else (date(year, month, 1).toordinal() - _EPOCH) * MICROSECONDS_PER_DAY


def _children(name: str, start: int) -> Iterator[tuple[str, int, int]]:
    """Yield name, start and end of the nodes below one, in order."""
    length = len(name)
    if length < 4:
        width = 10 ** (3 - length)
        for digit in range(10):
            first = int(f"{name}{digit}" or "0") * width
            if first + width > 1:  # there is no year 0
                yield f"{name}{digit}", _year(first), _year(first + width)
    elif length == 4:
        for month in range(1, 13):
            yield f"{name}-{month:02}", _month(int(name), month), _month(int(name), month + 1)
    elif length == 7:
        days = (_month(int(name[:4]), int(name[5:]) + 1) - start) // MICROSECONDS_PER_DAY
        yield from _equal(name, start, "-", range(1, days + 1), MICROSECONDS_PER_DAY)
    elif length == 10:
        yield from _equal(name, start, "T", range(24), 3600 * _SECOND)
    elif length == 13:
        yield from _equal(name, start, ":", range(60), 60 * _SECOND)
    elif length == 16:
        yield from _equal(name, start, ":", range(60), _SECOND)
    elif length < _LAST:
        width = 10 ** (5 - max(length - 20, 0))
        point = "." if length == 19 else ""
        for digit in range(10):
            yield f"{name}{point}{digit}", start + digit * width, start + (digit + 1) * width


def _equal(name: str, start: int, separator: str, numbers: range, width: int) -> Iterator[tuple[str, int, int]]:
    for position, number in enumerate(numbers):
        yield f"{name}{separator}{number:02}", start + position * width, start + (position + 1) * width


def _path(moment: int) -> Iterator[tuple[str, int, int]]:
    """Yield name, start and end of every node above a moment, from the first digit of its year down."""
    first, last = _whole()
    if not first <= moment < last:
        return
    days, within = divmod(moment, MICROSECONDS_PER_DAY)
    day = date.fromordinal(days + _EPOCH)
    text = day.isoformat()
    for length in (1, 2, 3, 4):
        width = 10 ** (4 - length)
        year = int(text[:length]) * width
        yield text[:length], _year(year), _year(year + width)
    yield text[:7], _month(day.year, day.month), _month(day.year, day.month + 1)
    yield text, days * MICROSECONDS_PER_DAY, (days + 1) * MICROSECONDS_PER_DAY
    seconds, fraction = divmod(within, _SECOND)
    clock = f"{text}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:06}"
    start = days * MICROSECONDS_PER_DAY
    for length, width in ((13, 3600 * _SECOND), (16, 60 * _SECOND), (19, _SECOND)):
        begin = start + within // width * width
        yield clock[:length], begin, begin + width
    for digits in range(1, 7):
        width = 10 ** (6 - digits)
        begin = start + within // width * width
        yield clock[: 20 + digits], begin, begin + width


__all__ = ["ITSELF", "cover", "nodes"]
