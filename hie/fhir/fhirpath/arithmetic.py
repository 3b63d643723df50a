"""What the operators of mathematics make of two values: https://hl7.org/fhirpath/N1/#math"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, DivisionByZero, InvalidOperation
from operator import add, mul, sub
from typing import Any

from . import units
from .errors import FhirPathError, FhirPathLimit
from .moments import shifted
from .values import Amount, Moment

MAX_TEXT = 1_000_000
MAX_BITS = 128
MAX_UNIT = 1_000
"""Each product of units may be twice as long as the one before."""


def bounded(value: Any) -> Any:
    """Give a computed value; FhirPathError for a number beyond every use, FhirPathLimit for such a text."""
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise FhirPathLimit(f"A text of more than {MAX_TEXT} characters was made.")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise FhirPathError(f"A number of more than {MAX_BITS} bits was made.")
    if isinstance(value, Decimal) and abs(value.adjusted()) > MAX_BITS:
        if value == 0:
            return Decimal(0)
        raise FhirPathError(f"A number of more than {MAX_BITS} digits was made.")
    if isinstance(value, Amount):
        if len(value.unit) > MAX_UNIT:
            raise FhirPathLimit(f"A unit of more than {MAX_UNIT} characters was made.")
        bounded(value.value)
    return value


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
    if isinstance(left, Amount) and isinstance(right, Amount):
        return Amount(left.value * right.value, units.product(left.unit, right.unit))
    if isinstance(left, Amount):
        return Amount(left.value * _number(right, "*"), left.unit)
    if isinstance(right, Amount):
        return Amount(right.value * _number(left, "*"), right.unit)
    return _number(left, "*") * _number(right, "*")


def _divide(left: Any, right: Any) -> Any:
    if isinstance(left, Amount) and not isinstance(right, Amount):
        divisor = _number(right, "/")
        return None if divisor == 0 else Amount(left.value / divisor, left.unit)
    if isinstance(left, Amount) and isinstance(right, Amount):
        if right.value == 0:
            return None
        factor = units.factor(right.unit, left.unit)
        if factor is not None:
            return Amount(left.value / (right.value * factor), "1")
        return Amount(left.value / right.value, units.quotient(left.unit, right.unit))
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


ADDITIVE = {"+": _add, "-": _subtract}
EXACT: dict[str, Callable[[int, int], int]] = {"+": add, "-": sub, "*": mul}
NUMERIC = {"*": _multiply, "/": _divide, "div": _whole, "mod": _remainder}
