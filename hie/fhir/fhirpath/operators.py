"""The binary operators: https://hl7.org/fhirpath/N1/#operations"""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import date
from decimal import Decimal, DivisionByZero, InvalidOperation, localcontext
from typing import Any

from hie.fhir.datatypes import MICROSECONDS_PER_DAY, format_instant

from . import units
from .compiler import EMPTY, FALSE, TRUE, Frame, Items, Part, Run, boolean, box, singleton, truth
from .errors import FhirPathError, FhirPathUnsupported
from .values import (
    Amount,
    Moment,
    compare,
    equal,
    equivalent_collections,
    key,
    moment,
    to_system,
    unboxed,
)

# Elements of these types mean just what their JSON string says, so that they compare without further ado.
_TEXTS = frozenset(
    {"System.String", "string", "code", "id", "uri", "url", "canonical", "oid", "uuid", "markdown", "base64Binary"}
)


def operation(operator: str, left: Part, right: Part) -> Part:
    """Compile one binary operator."""
    if operator == "|":
        return union(left, right)
    if operator in ("+", "-") and "System.String" not in (left.type, right.type):
        return Part(_on_values(operator, left, right, _ADDITIVE[operator]), None)
    make = _OPERATORS.get(operator)
    if make is None:
        raise FhirPathUnsupported(f"The operator {operator} is not supported.")
    run, type_name = make(operator, left, right)
    return Part(run, type_name)


# ---- Booleans: https://hl7.org/fhirpath/N1/#boolean-logic ------------------------------------------------------------


def _and(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    first, second = left.run, right.run

    def run(frame: Frame, focus: Items) -> Items:
        one = truth(first(frame, focus))
        if one is False:
            return FALSE
        other = truth(second(frame, focus))
        if other is False:
            return FALSE
        return EMPTY if one is None or other is None else TRUE

    return run, "System.Boolean"


def _or(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    first, second = left.run, right.run

    def run(frame: Frame, focus: Items) -> Items:
        one = truth(first(frame, focus))
        if one is True:
            return TRUE
        other = truth(second(frame, focus))
        if other is True:
            return TRUE
        return EMPTY if one is None or other is None else FALSE

    return run, "System.Boolean"


def _xor(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    def run(frame: Frame, focus: Items) -> Items:
        one, other = truth(left.run(frame, focus)), truth(right.run(frame, focus))
        return EMPTY if one is None or other is None else boolean(one != other)

    return run, "System.Boolean"


def _implies(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    def run(frame: Frame, focus: Items) -> Items:
        one = truth(left.run(frame, focus))
        if one is False:
            return TRUE
        other = truth(right.run(frame, focus))
        if other is True:
            return TRUE
        return EMPTY if one is None or other is None else FALSE

    return run, "System.Boolean"


# ---- equality: https://hl7.org/fhirpath/N1/#equality -----------------------------------------------------------------


def _equals(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    negated = operator == "!="
    first, second = left.run, right.run
    as_texts = left.type in _TEXTS and right.type in _TEXTS
    same, other = (FALSE, TRUE) if negated else (TRUE, FALSE)

    def run(frame: Frame, focus: Items) -> Items:
        one = first(frame, focus)
        if not one:
            return EMPTY
        two = second(frame, focus)
        if not two:
            return EMPTY
        if as_texts and len(one) == 1 and len(two) == 1:
            return same if unboxed(one[0]) == unboxed(two[0]) else other
        answer = _equal_collections(one, left.type, two, right.type)
        return EMPTY if answer is None else same if answer else other

    return run, "System.Boolean"


def _equal_collections(left: Items, left_type: str | None, right: Items, right_type: str | None) -> bool | None:
    if len(left) != len(right):
        return False
    unknown = False
    for one, other in zip(left, right, strict=True):
        answer = equal(to_system(one, left_type), to_system(other, right_type))
        if answer is False:
            return False
        unknown = unknown or answer is None
    return None if unknown else True


def _equivalent(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    negated = operator == "!~"

    def run(frame: Frame, focus: Items) -> Items:
        one = [to_system(item, left.type) for item in left.run(frame, focus)]
        other = [to_system(item, right.type) for item in right.run(frame, focus)]
        same = len(one) == len(other) and equivalent_collections(one, other)
        return boolean(same != negated)

    return run, "System.Boolean"


# ---- comparison: https://hl7.org/fhirpath/N1/#comparison -------------------------------------------------------------

_ORDERS: dict[str, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    ">": lambda order: order > 0,
    "<=": lambda order: order <= 0,
    ">=": lambda order: order >= 0,
}


def _compared(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    holds = _ORDERS[operator]

    def run(frame: Frame, focus: Items) -> Items:
        one = singleton(left.run(frame, focus), left, operator)
        other = singleton(right.run(frame, focus), right, operator)
        if one is None or other is None:
            return EMPTY
        order = compare(one, other)
        return EMPTY if order is None else boolean(holds(order))

    return run, "System.Boolean"


# ---- collections: https://hl7.org/fhirpath/N1/#collections-2 ---------------------------------------------------------


def union(left: Part, right: Part) -> Part:
    """Compile `|`: both collections without repetitions."""
    if left.type != right.type:
        left, right = box(left), box(right)
    type_name = left.type if left.type == right.type else None

    def run(frame: Frame, focus: Items) -> Items:
        return distinct(left.run(frame, focus) + right.run(frame, focus), type_name)

    return Part(run, type_name)


def distinct(items: Items, type_name: str | None) -> Items:
    """Keep the first of items that are equal."""
    if len(items) < 2:
        return items
    seen = set()
    kept = []
    for item in items:
        mark = key(to_system(item, type_name))
        if mark not in seen:
            seen.add(mark)
            kept.append(item)
    return kept


def contains_item(items: Items, item: Any) -> bool:
    """Tell whether a collection of language values holds one equal to the item."""
    return any(equal(one, item) is True for one in items)


def _in(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    item, collection = (left, right) if operator == "in" else (right, left)

    def run(frame: Frame, focus: Items) -> Items:
        one = singleton(item.run(frame, focus), item, operator)
        if one is None:
            return EMPTY
        items = collection.run(frame, focus)
        return boolean(contains_item([to_system(other, collection.type) for other in items], one))

    return run, "System.Boolean"


# ---- mathematics and text: https://hl7.org/fhirpath/N1/#math ---------------------------------------------------------


def _on_values(operator: str, left: Part, right: Part, apply: Callable[[Any, Any], Any]) -> Run:
    def run(frame: Frame, focus: Items) -> Items:
        one = singleton(left.run(frame, focus), left, operator)
        other = singleton(right.run(frame, focus), right, operator)
        if one is None or other is None:
            return EMPTY
        try:
            with localcontext(prec=40):
                result = apply(one, other)
        except (InvalidOperation, OverflowError, ValueError) as error:
            raise FhirPathError(f"{operator} has no result here: {type(error).__name__}.") from None
        return EMPTY if result is None else [result]

    return run


def _numeric(operator: str, left: Part, right: Part) -> tuple[Run, None]:
    return _on_values(operator, left, right, _NUMERIC[operator]), None


def _plus_text(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    return _on_values(operator, left, right, _add), "System.String"


def _ampersand(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    def run(frame: Frame, focus: Items) -> Items:
        one = singleton(left.run(frame, focus), left, "&")
        other = singleton(right.run(frame, focus), right, "&")
        if not isinstance(one, str | None) or not isinstance(other, str | None):
            one, other = (value.text if isinstance(value, Moment) else value for value in (one, other))
            if not isinstance(one, str | None) or not isinstance(other, str | None):
                raise FhirPathError("& joins strings.")
        return [(one or "") + (other or "")]

    return run, "System.String"


def _number(value: Any, operator: str) -> Decimal | int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise FhirPathError(f"{operator} takes numbers.")
    return value


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    if isinstance(left, Moment) and isinstance(right, Amount):
        return shifted(left, right, 1)
    if isinstance(left, Amount) and isinstance(right, Amount):
        return _amounts_added(left, right, 1)
    return _number(left, "+") + _number(right, "+")


def _subtract(left: Any, right: Any) -> Any:
    if isinstance(left, Moment) and isinstance(right, Amount):
        return shifted(left, right, -1)
    if isinstance(left, Amount) and isinstance(right, Amount):
        return _amounts_added(left, right, -1)
    return _number(left, "-") - _number(right, "-")


def _amounts_added(left: Amount, right: Amount, sign: int) -> Amount | None:
    factor = units.factor(right.unit, left.unit)
    return None if factor is None else Amount(left.value + sign * right.value * factor, left.unit)


def _multiply(left: Any, right: Any) -> Any:
    if isinstance(left, Amount) and not isinstance(right, Amount):
        return Amount(left.value * _number(right, "*"), left.unit)
    if isinstance(right, Amount) and not isinstance(left, Amount):
        return Amount(right.value * _number(left, "*"), right.unit)
    return _number(left, "*") * _number(right, "*")


def _divide(left: Any, right: Any) -> Any:
    if isinstance(left, Amount) and not isinstance(right, Amount):
        divisor = _number(right, "/")
        return None if divisor == 0 else Amount(left.value / divisor, left.unit)
    if isinstance(left, Amount) and isinstance(right, Amount):
        factor = units.factor(right.unit, left.unit)
        return None if factor is None or right.value == 0 else Amount(left.value / (right.value * factor), "1")
    divisor = _number(right, "/")
    return None if divisor == 0 else Decimal(_number(left, "/")) / Decimal(divisor)


def _whole(left: Any, right: Any) -> Any:
    divisor = Decimal(_number(right, "div"))
    if divisor == 0:
        return None
    try:
        return int(Decimal(_number(left, "div")) // divisor)
    except (InvalidOperation, DivisionByZero):
        return None


def _remainder(left: Any, right: Any) -> Any:
    dividend, divisor = _number(left, "mod"), _number(right, "mod")
    if divisor == 0:
        return None
    result = Decimal(dividend) % Decimal(divisor)
    return int(result) if isinstance(dividend, int) and isinstance(divisor, int) else result


_ADDITIVE = {"+": _add, "-": _subtract}
_NUMERIC = {"*": _multiply, "/": _divide, "div": _whole, "mod": _remainder}

_OPERATORS: dict[str, Callable[[str, Part, Part], tuple[Run, str | None]]] = {
    "and": _and,
    "or": _or,
    "xor": _xor,
    "implies": _implies,
    "=": _equals,
    "!=": _equals,
    "~": _equivalent,
    "!~": _equivalent,
    "in": _in,
    "contains": _in,
    "&": _ampersand,
    "+": _plus_text,
    **dict.fromkeys(_ORDERS, _compared),
    **dict.fromkeys(_NUMERIC, _numeric),
}


# ---- dates and durations: https://hl7.org/fhirpath/N1/#datetime-arithmetic -------------------------------------------

_MICROSECONDS = {
    "week": 7 * MICROSECONDS_PER_DAY,
    "day": MICROSECONDS_PER_DAY,
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "millisecond": 1_000,
}


def shifted(start: Moment, duration: Amount, sign: int) -> Moment | None:
    """Add a duration to a date: whole calendar units, the result as precise as the date was."""
    unit = units.calendar(duration.unit)
    if unit is None:
        raise FhirPathError(f"A duration in {duration.unit!r} cannot be added to a date.")
    number = duration.value if unit == "second" else int(duration.value)
    if unit in ("year", "month"):
        if start.kind == "Time":
            raise FhirPathError(f"A time of day has no {unit}s.")
        low = _months_later(start.low, sign * int(number) * (12 if unit == "year" else 1))
    else:
        low = start.low + sign * int(number * _MICROSECONDS[unit])
    if start.kind == "Time":
        low %= MICROSECONDS_PER_DAY
    return moment(_written(low, start), start.kind)


def _months_later(low: int, months: int) -> int:
    day, clock = divmod(low, MICROSECONDS_PER_DAY)
    first = date.fromordinal(day + date(1970, 1, 1).toordinal())
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1] if 1 <= year <= 9999 else 0
    moved = date(year, month + 1, min(first.day, last)).toordinal() - date(1970, 1, 1).toordinal()
    return moved * MICROSECONDS_PER_DAY + clock


def _written(low: int, like: Moment) -> str:
    """Write a moment with as many parts as another one has."""
    if like.kind == "Time":
        return format_instant(low)[11 : 11 + len(like.text)].rstrip("Z")
    text = format_instant(low)
    clock = like.text.partition("T")[2]
    if not clock:
        return text[: len(like.text)]
    length = len(like.text.partition("Z")[0].partition("+")[0]) if "-" not in clock else like.text.rindex("-")
    body = text.rstrip("Z")
    if length > 19 and "." not in body:
        body += ".000000"
    return body[:length] + ("Z" if like.has_zone else "")
