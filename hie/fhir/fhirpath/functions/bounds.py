"""What a number or date may stand for, and how exactly it was given: https://hl7.org/fhirpath/#utility-functions

These are newer than FHIRPath 2.0.0; invariants of newer profiles use them.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from functools import partial
from typing import Any

from .. import moments, units
from ..errors import FhirPathError
from ..values import Amount, Moment
from .function import Function, on_value

_DIGITS = 8
_MOST_DIGITS = 28


def _boundary(value: Any, digits: Any = None, *, is_low: bool) -> Any:
    if digits is not None and (isinstance(digits, bool) or not isinstance(digits, int)):
        raise FhirPathError("A number of digits was expected.")
    if isinstance(value, Moment):
        return moments.boundary(value, digits, is_low=is_low)
    if isinstance(value, Amount):
        number = _number_boundary(value.value, digits, is_low=is_low)
        return None if number is None else Amount(number, value.unit)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise FhirPathError("A number, quantity or date has boundaries.")
    return _number_boundary(Decimal(value), digits, is_low=is_low)


def _number_boundary(value: Decimal, digits: int | None, *, is_low: bool) -> Decimal | None:
    """Go half of the last given digit down or up, and round outwards, so that the bound is one."""
    wanted = _DIGITS if digits is None else digits
    exponent = value.as_tuple().exponent
    if not 0 <= wanted <= _MOST_DIGITS or not isinstance(exponent, int):
        return None
    half = Decimal((0, (5,), exponent - 1))
    with localcontext(prec=80):
        bound = value - half if is_low else value + half
        return bound.quantize(Decimal((0, (1,), -wanted)), rounding=ROUND_FLOOR if is_low else ROUND_CEILING)


def _precision(value: Any) -> int:
    if isinstance(value, Moment):
        return moments.precision(value)
    if isinstance(value, Decimal):
        return max(-int(value.as_tuple().exponent), 0)
    if isinstance(value, int) and not isinstance(value, bool):
        return 0
    raise FhirPathError("precision() takes a number or a date.")


def _comparable(left: Any, right: Any) -> bool:
    if not isinstance(left, Amount) or not isinstance(right, Amount):
        raise FhirPathError("comparable() takes quantities.")
    return units.factor(left.unit, right.unit) is not None


FUNCTIONS: tuple[Function, ...] = (
    on_value("lowBoundary", partial(_boundary, is_low=True), None, (0, 1)),
    on_value("highBoundary", partial(_boundary, is_low=False), None, (0, 1)),
    on_value("precision", _precision, "System.Integer"),
    on_value("comparable", _comparable, "System.Boolean", (1, 1)),
)
