"""Number search with implicit precision and prefixes. https://hl7.org/fhir/R4/search.html#number

A stored number is [low, high] with both ends the same, unless a comparator or Range makes it wider. Numbers are
compared as IEEE 754 doubles: 15 significant digits, and beyond some 1.8e308 no more than that they are so large. -0 is
0: they are equal as numbers, which is what is compared; the resource keeps how it was written.
https://hl7.org/fhir/R4/datatypes.html#decimal
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from math import inf, nextafter
from sys import float_info

from hie.errors import InvalidSearch
from hie.fhir import datatypes
from hie.fhir.search_values import NumberValue as Stored
from hie.store.search.blinding import Hash
from hie.store.search.clauses import Clause
from hie.store.search.range_clauses import Number
from hie.store.search.syntax import prefixed

#: datatypes.quantity_bounds writes "less than 5" as the largest decimal below 5, "less than 0" as one next to nothing;
#: no double lies between the two.
_DIGITS_OF_AN_OPEN_END, _EXPONENT_OF_AN_OPEN_END = 20, -400

#: What equals, or does not, a number beyond all doubles, which no range [low, high) of doubles holds: it is stored as
#: infinite, so that these are one. A range that is open above, such as "more than 5", is none of them.
_BEYOND = {"eq": ("sa", float_info.max), "ne": ("le", float_info.max), "ap": ("ge", inf)}


@dataclass(frozen=True, slots=True)
class NumberValue:
    """One alternative: the number, and the range [low, high) that eq, ne and ap look at."""

    prefix: str
    value: float
    low: float
    high: float


def bounds(
    low: Decimal | None, high: Decimal | None, scale: Callable[[Decimal], float] = float
) -> tuple[float, float]:
    """Return a stored number's ends as doubles, on another scale if one is given; an open end is infinite."""
    if low is not None and high is not None:
        start = scale(low)
        return start, start if high is low else scale(high)
    return (
        -inf if low is None else _end(low, inf, scale),
        inf if high is None else _end(high, -inf, scale),
    )


def _end(end: Decimal, inside: float, scale: Callable[[Decimal], float]) -> float:
    is_open = len(end.as_tuple().digits) > _DIGITS_OF_AN_OPEN_END or (
        end != 0 and end.adjusted() < _EXPONENT_OF_AN_OPEN_END
    )
    return nextafter(scale(end), inside) if is_open else scale(end)


def index(value: Stored) -> tuple[float, float]:
    """Return low and high of one number."""
    return bounds(value[1], value[2])


def parse(text: str, name: str) -> NumberValue:
    """Read one alternative."""
    return scaled(*read(text, name))


def read(text: str, name: str) -> tuple[str, Decimal]:
    """Read prefix and number of one alternative."""
    prefix, rest = prefixed(text.strip(), name)
    try:
        return prefix, datatypes.parse_number(rest)
    except datatypes.DatatypeError:
        raise InvalidSearch(
            f"{name}={text[:80]}: no number; a number is such as 5, 5.40 or 1e-3, after an optional prefix such as gt."
        ) from None


def scaled(prefix: str, number: Decimal, scale: Callable[[Decimal], float] = float) -> NumberValue:
    """Return what is asked for: the range is that of the number as it was written, whatever scale it is put on."""
    if prefix == "ap":  # within a tenth: search.html#prefix
        width = abs(number) / 10
        low, high = scale(number - width), nextafter(scale(number + width), inf)
    else:
        low, high = (scale(end) for end in datatypes.implicit_range(number))
    value = scale(number)
    if value == inf:
        return NumberValue(*_BEYOND.get(prefix, (prefix, inf)), inf, inf)
    if high <= value:  # more digits than a double tells apart: the range must still hold the number itself
        high = nextafter(value, inf)
    return NumberValue(prefix, value, low, high)


def where(value: NumberValue, hash_: Hash) -> Clause:
    """Return the resources with such a number."""
    return Number(hash_(), hash_("range"), value.prefix, value.value, value.low, value.high)


def matches(value: NumberValue, stored: Stored) -> bool:
    """Tell whether one number of the resource is asked for."""
    if value.prefix == "co":
        return _is_meant(value.value, stored)
    return stands(value, *index(stored))


def _is_meant(asked: float, stored: Stored) -> bool:
    """Tell whether the digits of a stored number may mean the one asked for, as a filter's `co` wants it."""
    low, high = (None if end is None else datatypes.implicit_range(end) for end in stored[1:])
    return (low is None or float(low[0]) <= asked) and (high is None or asked < float(high[1]))


def stands(value: NumberValue, low: float, high: float) -> bool:
    """Tell whether the stored number stands to the search value as its prefix says: search.html#number"""
    match value.prefix:
        case "eq":
            return value.low <= low and high < value.high
        case "ne":
            return not (value.low <= low and high < value.high)
        case "gt":
            return high > value.value
        case "lt":
            return low < value.value
        case "ge":
            return high >= value.value
        case "le":
            return low <= value.value
        case "sa":
            return low > value.value
        case "eb":
            return high < value.value
        case _:  # ap
            return low < value.high and high >= value.low
