"""Conversions between types of the language: https://hl7.org/fhirpath/N1/#conversion"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ..compiler import Compiler
from ..errors import FhirPathError, FhirPathSemanticError
from ..parts import Frame, Items, Part, truth
from ..steps import box
from ..syntax import Expression
from ..units import CALENDAR_WORDS, factor
from ..values import Amount, Moment, moment
from .function import Function, on_value

_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_QUANTITY = re.compile(r"(?P<value>[+-]?[0-9]+(?:\.[0-9]+)?)\s*(?:'(?P<unit>[^']+)'|(?P<word>[a-zA-Z]+))?")


def to_boolean(value: Any) -> bool | None:
    """Read a Boolean: true, t, yes, y, 1 and their opposites."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal):
        return {1: True, 0: False}.get(int(value)) if value == int(value) else None
    if isinstance(value, str):
        text = value.lower()
        return True if text in _TRUE else False if text in _FALSE else None
    return None


def to_integer(value: Any) -> int | None:
    """Read an Integer."""
    if isinstance(value, bool | int):
        return int(value)
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) and len(value) < 20 else None


def to_decimal(value: Any) -> Decimal | None:
    """Read a Decimal."""
    if isinstance(value, bool | int | Decimal):
        return Decimal(value)
    return Decimal(value) if isinstance(value, str) and len(value) < 100 and _DECIMAL.fullmatch(value) else None


def to_text(value: Any) -> str | None:
    """Write a value as a String."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Moment):
        return value.text
    if isinstance(value, Amount):
        unit = value.unit if value.unit.isalpha() and len(value.unit) > 2 else f"'{value.unit}'"
        return f"{value.value} {unit}"
    return str(value) if isinstance(value, str | int | Decimal) else None


def to_date(value: Any) -> Moment | None:
    """Read a Date, or take the date of a DateTime."""
    text = value.text if isinstance(value, Moment) and value.kind != "Time" else value
    return moment(text.partition("T")[0], "Date") if isinstance(text, str) else None


def to_date_time(value: Any) -> Moment | None:
    """Read a DateTime; a Date is one without time."""
    return moment(value.text if isinstance(value, Moment) and value.kind != "Time" else value, "DateTime")


def to_time(value: Any) -> Moment | None:
    """Read a Time."""
    if isinstance(value, Moment):
        return value if value.kind == "Time" else None
    return moment(value.removeprefix("T"), "Time") if isinstance(value, str) else None


def to_quantity(value: Any, unit: Any = None) -> Amount | None:
    """Read a Quantity: a number, `4 'mg'` or `4 days`."""
    result = _amount(value)
    if result is None or unit is None or result.unit == unit:
        return result
    multiple = factor(result.unit, str(unit))
    return None if multiple is None else Amount(result.value * multiple, str(unit))


def _amount(value: Any) -> Amount | None:
    if isinstance(value, Amount):
        return value
    if isinstance(value, bool | int | Decimal):
        return Amount(Decimal(value), "1")
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) and len(value) < 200 else None
    if match and match["word"] and match["word"] not in CALENDAR_WORDS:
        return None  # a unit of UCUM stands in quotes
    return Amount(Decimal(match["value"]), match["unit"] or match["word"] or "1") if match else None


def _converts(name: str, convert: Callable[..., Any], most: int) -> Function:
    return on_value(name, lambda *values: convert(*values) is not None, "System.Boolean", (0, most))


def _iif(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
    inner = compiler.below(base.type)
    criterion, *branches = (inner.compile(argument) for argument in arguments)
    if compiler.strict and criterion.type is not None and criterion.type not in ("System.Boolean", "boolean"):
        raise FhirPathSemanticError(f"iif() takes a Boolean, not a {criterion.type}.")
    types = {branch.type for branch in branches}
    if len(types) > 1:
        branches = [box(branch) for branch in branches]

    def run(frame: Frame, focus: Items) -> Items:
        items = base.run(frame, focus)
        if len(items) > 1:
            raise FhirPathError(f"iif() takes one item, {len(items)} were found.")
        if truth(criterion.run(frame, items)) is True:
            return branches[0].run(frame, items)
        return branches[1].run(frame, items) if len(branches) > 1 else []

    return Part(run, types.pop() if len(types) == 1 else None)


_CONVERSIONS: tuple[tuple[str, Callable[..., Any], int], ...] = (
    ("Boolean", to_boolean, 0),
    ("Integer", to_integer, 0),
    ("Decimal", to_decimal, 0),
    ("String", to_text, 0),
    ("Date", to_date, 0),
    ("DateTime", to_date_time, 0),
    ("Time", to_time, 0),
    ("Quantity", to_quantity, 1),
)

FUNCTIONS = (
    Function("iif", (2, 3), _iif),
    *(on_value(f"to{name}", convert, f"System.{name}", (0, most)) for name, convert, most in _CONVERSIONS),
    *(_converts(f"convertsTo{name}", convert, most) for name, convert, most in _CONVERSIONS),
)
