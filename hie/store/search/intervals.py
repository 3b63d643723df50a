"""How two intervals of time or number stand to each other, prefix by prefix: https://hl7.org/fhir/R4/search.html#prefix

The one place that says what a prefix means. Asked of an exact interval the answer is yes or no; asked of all intervals
inside a bound it is yes (all), no (none) or None (some).
"""

from __future__ import annotations

from typing import NamedTuple

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")


class Truth(NamedTuple):
    """What is known of a stored interval [low, high): each end lies between two bounds."""

    low_from: int
    low_to: int
    high_from: int
    high_to: int

    @classmethod
    def exactly(cls, low: int, high: int) -> Truth:
        """Return the knowledge of one interval."""
        return cls(low, low, high, high)

    @classmethod
    def within(cls, low: int, high: int) -> Truth:
        """Return the knowledge that an interval lies somewhere inside [low, high) and is not empty."""
        return cls(low, high - 1, low + 1, high)


def matches(prefix: str, low: int, high: int, stored_low: int, stored_high: int) -> bool:
    """Tell whether the stored interval stands to the search value's [low, high) as the prefix says."""
    return compare(prefix, low, high, Truth.exactly(stored_low, stored_high)) is True


def compare(prefix: str, low: int, high: int, stored: Truth) -> bool | None:
    """Answer for every interval that `stored` allows: all, none, or None where they differ.

    The search value's range for ap is widened by the caller.
    """
    if prefix == "eq":
        return _and(_at_least(stored.low_from, stored.low_to, low), _at_most(stored.high_from, stored.high_to, high))
    if prefix == "ne":
        return _not(compare("eq", low, high, stored))
    if prefix == "gt":
        return _at_least(stored.high_from, stored.high_to, high + 1)
    if prefix == "lt":
        return _at_most(stored.low_from, stored.low_to, low - 1)
    if prefix == "ge":  # gt, or eq; an interval that starts in time and is not eq ends late, so is gt
        return _or(compare("gt", low, high, stored), _at_least(stored.low_from, stored.low_to, low))
    if prefix == "le":
        return _or(compare("lt", low, high, stored), _at_most(stored.high_from, stored.high_to, high))
    if prefix == "sa":
        return _at_least(stored.low_from, stored.low_to, high)
    if prefix == "eb":
        return _at_most(stored.high_from, stored.high_to, low)
    if prefix == "ap":
        return _and(
            _at_most(stored.low_from, stored.low_to, high - 1), _at_least(stored.high_from, stored.high_to, low + 1)
        )
    if prefix == "co":  # of a filter: the stored interval holds the search value's
        return _and(
            _at_most(stored.low_from, stored.low_to, low), _at_least(stored.high_from, stored.high_to, high)
        )
    raise ValueError(f"{prefix!r} is no prefix.")


def _at_least(start: int, end: int, bound: int) -> bool | None:
    return True if start >= bound else False if end < bound else None


def _at_most(start: int, end: int, bound: int) -> bool | None:
    return True if end <= bound else False if start > bound else None


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _and(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return True if left and right else None


def _or(left: bool | None, right: bool | None) -> bool | None:
    if left is True or right is True:
        return True
    return False if left is False and right is False else None
