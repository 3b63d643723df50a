"""The few unit conversions comparisons need: time, and metric multiples of one unit: https://hl7.org/fhirpath/N1/#quantity

Not a UCUM processor: two units it does not know to be of one kind are not comparable, and the answer is then empty.
"""

from __future__ import annotations

from decimal import Decimal

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

_SECONDS = {
    "s": Decimal(1),
    "ms": Decimal("0.001"),
    "us": Decimal("0.000001"),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
    "wk": Decimal(604800),
}
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


def _table() -> dict[str, tuple[Decimal, str]]:
    table = {unit: (seconds, "s") for unit, seconds in _SECONDS.items()}
    table |= {"month": (Decimal(1), "month"), "year": (Decimal(12), "month")}
    for base_unit in _METRIC:
        kind = "L" if base_unit == "l" else base_unit
        for prefix, power in _PREFIXES.items():
            table.setdefault(prefix + base_unit, (Decimal(1).scaleb(power), kind))
    table["%"] = (Decimal("0.01"), "1")
    table["1"] = (Decimal(1), "1")
    return table


_UNITS = _table()


def base(value: Decimal, unit: str) -> tuple[Decimal, str]:
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


def calendar(unit: str) -> str | None:
    """Give the calendar unit a word or UCUM code stands for in date arithmetic; None for other units."""
    name = unit.removesuffix("s") if unit not in ("s", "ms") else unit
    if name in _CALENDAR:
        return name
    return {"s": "second", "ms": "millisecond", "min": "minute", "h": "hour", "d": "day", "wk": "week"}.get(unit)


def _multiple(unit: str) -> tuple[Decimal, str]:
    name = _CALENDAR.get(unit, unit)
    if "/" in name:
        above, _, below = name.partition("/")
        up, kind = _multiple(above)
        down, kind_below = _multiple(below)
        return up / down, f"{kind}/{kind_below}"
    return _UNITS.get(name, (Decimal(1), name))
