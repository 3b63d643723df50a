"""Numbers: https://hl7.org/fhirpath/N1/#math-1"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from typing import Any

from ..arithmetic import bounded
from ..errors import FhirPathError
from ..values import Amount
from .function import Function, on_value

MAX_DIGITS = 38


def _number(value: Any, name: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise FhirPathError(f"{name}() takes a number.")
    number = Decimal(value)
    if number.adjusted() > MAX_DIGITS:
        raise FhirPathError(f"{name}() takes numbers of at most {MAX_DIGITS} digits.")
    return number


def _abs(value: Any) -> Any:
    if isinstance(value, Amount):
        return Amount(abs(value.value), value.unit)
    number = abs(_number(value, "abs"))
    return int(number) if isinstance(value, int) else number


def _round(value: Any, places: Any = 0) -> Decimal | int | None:
    digits = int(_number(places, "round"))
    if not 0 <= digits <= 100:
        raise FhirPathError("round() takes 0 to 100 places.")
    result = _number(value, "round").quantize(Decimal((0, (1,), -digits)), rounding=ROUND_HALF_UP)
    return int(result) if digits == 0 else result


def _power(value: Any, exponent: Any) -> Decimal | int | None:
    base, power = _number(value, "power"), _number(exponent, "power")
    if power == 0:
        return 1
    if (base < 0 and power != int(power)) or (base == 0 and power < 0):
        return None  # what cannot be represented
    result = base**power
    if result.adjusted() > MAX_DIGITS:
        raise FhirPathError(f"power() would give a number of more than {MAX_DIGITS} digits.")
    return int(result) if isinstance(value, int) and isinstance(exponent, int) and exponent >= 0 else result


def _logarithm(value: Any, base: Any) -> Decimal | None:
    number, to = _number(value, "log"), _number(base, "log")
    return number.ln() / to.ln() if number > 0 and to > 0 and to != 1 else None


def _guarded(name: str, apply: Callable[..., Any], type_name: str | None, arguments: tuple[int, int]) -> Function:
    def safe(*values: Any) -> Any:
        try:
            with localcontext(prec=40):
                return bounded(apply(*values))
        except (InvalidOperation, OverflowError, ValueError, ArithmeticError) as error:
            raise FhirPathError(f"{name}() has no result here: {type(error).__name__}.") from None

    return on_value(name, safe, type_name, arguments)


FUNCTIONS = (
    _guarded("abs", _abs, None, (0, 0)),
    _guarded("ceiling", lambda value: math.ceil(_number(value, "ceiling")), "System.Integer", (0, 0)),
    _guarded("floor", lambda value: math.floor(_number(value, "floor")), "System.Integer", (0, 0)),
    _guarded("truncate", lambda value: math.trunc(_number(value, "truncate")), "System.Integer", (0, 0)),
    _guarded("round", _round, None, (0, 1)),
    _guarded("power", _power, None, (1, 1)),
    _guarded("sqrt", lambda v: None if _number(v, "sqrt") < 0 else _number(v, "sqrt").sqrt(), "System.Decimal", (0, 0)),
    _guarded("exp", lambda value: _number(value, "exp").exp(), "System.Decimal", (0, 0)),
    _guarded("ln", lambda v: _number(v, "ln").ln() if _number(v, "ln") > 0 else None, "System.Decimal", (0, 0)),
    _guarded("log", _logarithm, "System.Decimal", (1, 1)),
)
