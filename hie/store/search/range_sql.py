"""What ranges ask in SQL of where an interval starts and ends, and of numbers."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, literal_column, or_

from hie.fhir.datatypes import MICROSECONDS_PER_DAY

Condition = ColumnElement[bool]
Reading = Literal["rising", "falling"]
DAY: ColumnElement[int] = literal_column(str(MICROSECONDS_PER_DAY))


def interval_of(
    prefix: str, start: Any, end: Any, low: Any, high: Any, part: str, reading: Reading | None = None
) -> Condition:
    """Say in SQL what hie.store.search.intervals says in Python.

    An index knows where intervals start. `near` are those that start in the range or up to a day before it, nearly all;
    `far` are longer ones that start earlier, from a partial index. Without a part: all of them, not by an index.
    """
    if prefix == "ne":
        return and_(start.is_not(None), or_(start < low, end > high))
    above, below = _bounds(start, reading)
    begun = starting(prefix, above, below, low, high)
    match prefix:
        case "eq":
            return and_(begun, end <= high)
        case "lt" | "sa":
            return begun
        case "le":
            return and_(begun, or_(start < low, end <= high))
        case "eb":
            return and_(begun, end <= low)
    after = high if prefix == "gt" else low
    all_of_it = {
        "gt": end > high,
        "ge": or_(start >= low, end > high),
        "ap": and_(below < high, end > low),
    }[prefix]
    if part == "near":
        return and_(begun, all_of_it)
    if part == "far":
        return and_(end - start > DAY, end > after, start < after - DAY, all_of_it)
    return and_(start.is_not(None), all_of_it)


def starting(prefix: str, above: Any, below: Any, low: Any, high: Any) -> Any:
    """Return what is asked of where an interval starts; of those that are `near`, if the range is open.

    `above` is compared with lower bounds, `below` with upper ones.
    """
    match prefix:
        case "eq":
            return and_(above >= low, below < high)
        case "lt" | "eb":
            return below < low
        case "le":
            return below < high
        case "sa":
            return above >= high
        case "ap":
            return and_(above >= low - DAY, below < high)
    return above >= (high if prefix == "gt" else low) - DAY


def _bounds(column: Any, reading: Reading | None) -> tuple[Any, Any]:
    """Return the column as it is compared with lower and with upper bounds; an expression is hidden from indexes."""
    hidden = column + literal_column("0")
    return hidden if reading == "rising" else column, hidden if reading == "falling" else column


def moment(prefix: str, column: Any, low: Any, high: Any, reading: Reading | None) -> Condition:
    above, below = _bounds(column, reading)
    match prefix:
        case "eq" | "ap":
            return and_(above >= low, below < high)
        case "ne":
            return or_(column < low, column >= high)
        case "gt" | "sa":
            return above >= high
        case "lt" | "eb":
            return below < low
        case "ge":
            return above >= low
    return below < high


def compared(prefix: str, start: Any, end: Any, low: Any, high: Any) -> tuple[Condition, Condition]:
    """Return the condition of a plain number, by its `start` alone, and that of a range."""
    match prefix:
        case "eq":
            return and_(start >= low, start < high), and_(start >= low, end < high)
        case "ne":
            return or_(start < low, start >= high), or_(start < low, end >= high)
        case "gt":
            return start > low, end > low
        case "lt":
            return start < low, start < low
        case "ge":
            return start >= low, end >= low
        case "le":
            return start <= low, start <= low
        case "sa":
            return start > low, start > low
        case "eb":
            return start < low, end < low
    return and_(start >= low, start < high), and_(start < high, end >= low)
