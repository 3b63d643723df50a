"""Units of quantities: which are of one kind, and how many of one make the other: https://hl7.org/fhirpath/N1/#quantity

The metric units of medicine with their prefixes, customary ones of the tables of UCUM, and their products, quotients
and powers. A unit that is not known is a kind of its own: two such units are not comparable, and the answer is empty.
"""

from __future__ import annotations

import re
from decimal import Decimal

from hie.fhir.short_texts import remembered_if_short

_CALENDAR = {
    "millisecond": "ms",
    "second": "s",
    "minute": "min",
    "hour": "h",
    "day": "d",
    "week": "wk",
    # A calendar month or year has no fixed length, so it is a kind of its own.
    "month": "month",
    "year": "year",
}
_CALENDAR |= {f"{name}s": unit for name, unit in _CALENDAR.items()}
CALENDAR_WORDS = frozenset(_CALENDAR)

_SECONDS = {
    "s": Decimal(1),
    "ms": Decimal("0.001"),
    "us": Decimal("0.000001"),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
    "wk": Decimal(604800),
    "mo": Decimal(2629800),
    "a": Decimal(31557600),
}
# Durations of fixed length that those of a calendar are equivalent to, though not equal.
_DEFINITE = {"year": "a", "month": "mo"}
_PREFIXES = {
    "": 0,
    "k": 3,
    "h": 2,
    "d": -1,
    "c": -2,
    "m": -3,
    "u": -6,
    "n": -9,
    "p": -12,
    "f": -15,
}
_METRIC = ("g", "m", "L", "l", "mol", "Pa", "J", "W", "V", "Hz", "eq", "[iU]", "kat", "cal")
# https://ucum.org/ucum, the tables of customary units: international, avoirdupois and US volumes.
_CUSTOMARY = {
    "[lb_av]": ("453.59237", "g"),
    "[oz_av]": ("28.349523125", "g"),
    "[gr]": ("0.06479891", "g"),
    "[in_i]": ("0.0254", "m"),
    "[ft_i]": ("0.3048", "m"),
    "[yd_i]": ("0.9144", "m"),
    "[mi_i]": ("1609.344", "m"),
    "[gal_us]": ("3.785411784", "L"),
    "[qt_us]": ("0.946352946", "L"),
    "[pt_us]": ("0.473176473", "L"),
    "[foz_us]": ("0.0295735295625", "L"),
}

Kind = tuple[tuple[str, int], ...]
"""Base units with their powers, in order; the empty one is a plain number."""


def _table() -> dict[str, tuple[Decimal, Kind]]:
    table: dict[str, tuple[Decimal, Kind]] = {unit: (seconds, (("s", 1),)) for unit, seconds in _SECONDS.items()}
    table |= {"month": (Decimal(1), (("month", 1),)), "year": (Decimal(12), (("month", 1),))}
    for base_unit in _METRIC:
        kind = "L" if base_unit == "l" else base_unit
        for prefix, power in _PREFIXES.items():
            table.setdefault(prefix + base_unit, (Decimal(1).scaleb(power), ((kind, 1),)))
    for unit, (number, base_unit) in _CUSTOMARY.items():
        table[unit] = (Decimal(number), ((base_unit, 1),))
    table["%"] = (Decimal("0.01"), ())
    table["1"] = (Decimal(1), ())
    return table


_UNITS = _table()


def base(value: Decimal, unit: str) -> tuple[Decimal, Kind]:
    """Write an amount in the base unit of its kind; as it is if the unit is not known."""
    multiple, kind = _multiple(unit)
    return value * multiple, kind


def factor(unit: str, into: str) -> Decimal | None:
    """Give what a number of one unit is multiplied by to be of another; None if they are not of one known kind."""
    if unit == into:
        return Decimal(1)
    multiple, kind = _multiple(unit)
    other, other_kind = _multiple(into)
    return multiple / other if kind == other_kind else None


def of_data(unit: str) -> str:
    """Give the unit that R4 reads one of a FHIR Quantity as: https://hl7.org/fhir/R4/fhirpath.html#quantity"""
    return {code: word for word, code in _DEFINITE.items()}.get(unit, unit)


def equivalent_factor(unit: str, into: str) -> Decimal | None:
    """As `factor`, where a year and a month of the calendar are as long as UCUM's: N1/#quantity-equivalence."""
    one, other = (_CALENDAR.get(name, name) for name in (unit, into))
    return factor(_DEFINITE.get(one, one), _DEFINITE.get(other, other))


def calendar(unit: str) -> str | None:
    """Give the calendar unit a word or UCUM code stands for in date arithmetic; None for other units."""
    name = unit.removesuffix("s") if unit not in ("s", "ms") else unit
    if name in _CALENDAR:
        return name
    return {"s": "second", "ms": "millisecond", "min": "minute", "h": "hour", "d": "day", "wk": "week"}.get(unit)


def product(left: str, right: str) -> str:
    """Write the unit of a product as UCUM does."""
    return right if left == "1" else left if right == "1" else f"{left}.{right}"


def quotient(above: str, below: str) -> str:
    """Write the unit of a quotient as UCUM does."""
    return above if below == "1" else f"{above}/{below}"


_TERM = re.compile(r"([./]?)((?:[A-Za-z%*']|\[[^\]]*\]|\{[^}]*\})+|1)(-?[0-9])?")


@remembered_if_short(1024)
def _multiple(unit: str) -> tuple[Decimal, Kind]:
    unit = _CALENDAR.get(unit, unit)
    if unit in _UNITS:
        return _UNITS[unit]
    multiple, powers, position = Decimal(1), dict[str, int](), 0
    while position < len(unit):
        match = _TERM.match(unit, position)
        if match is None or (position > 0 and not match[1]):
            return Decimal(1), ((unit, 1),)
        position = match.end()
        name = _CALENDAR.get(match[2], match[2])
        number, kind = _UNITS.get(name, (Decimal(1), ((name, 1),)))
        power = int(match[3] or 1) * (-1 if match[1] == "/" else 1)
        multiple *= number**power
        for one, own in kind:
            powers[one] = powers.get(one, 0) + own * power
    return multiple, tuple(sorted((one, power) for one, power in powers.items() if power))
