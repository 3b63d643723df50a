"""UCUM units -> an exact factor to a canonical unit: https://hl7.org/fhir/R4/search.html#quantity, https://ucum.org/ucum

Arithmetic is exact, so that 0.1 g and 100 mg are one number, not nearly one. Three decisions for clinical data:

* `mol` is a base unit here. By UCUM it is a mere number (6.022E23), and a concentration would compare with a count.
* Arbitrary units ([iU], [arb'U]) compare with themselves alone, whatever UCUM's table says of their size.
* Cel, [degF] and [degRe] are converted where they stand alone. Other special units (pH, decibel, homeopathic
  potencies, diopters of a prism) have logarithmic or undefined scales and are not converted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache, lru_cache
from importlib import resources
from math import copysign, inf

from hie.fhir.short_texts import remembered_if_short

SYSTEM = "http://unitsofmeasure.org"
LONGEST_CODE = 100
_MOST_EXPONENT = 99
#: Numbers beyond are no measured amounts, and as fractions they would fill memory: they count as infinite or nothing.
_LARGEST_ADJUSTED, _SMALLEST_ADJUSTED, _NOTHING, _DIGITS = 300, -500, Decimal(0), Context(prec=100)
_OWN_BASES = {"mol": "mol"}
_TOKENS = re.compile(r"\{[^{}]*\}|[./()]|(?:\[[^\[\]]*\]|[^\[\]./(){}\s])+")
_EXPONENT = re.compile(r"(.*?[^\d+\-])([+-]?\d+)")
_SCALES = {  # unit -> the number of kelvins that one degree is, and what is added to the degrees first
    "Cel": (Fraction(1), Fraction("273.15")),
    "[degF]": (Fraction(5, 9), Fraction("459.67")),
    "[degRe]": (Fraction(5, 4), Fraction("218.52")),
}


@dataclass(frozen=True, slots=True)
class Unit:
    """What a unit is in its canonical unit: (number + offset) * factor."""

    canonical: str
    factor: Fraction
    offset: Fraction = Fraction(0)

    def convert(self, number: Decimal) -> float:
        """Return the double nearest to the number in the canonical unit; infinite for what no double holds."""
        if number:
            size = number.adjusted()
            if size > _LARGEST_ADJUSTED:
                return copysign(inf, number)
            if size < _SMALLEST_ADJUSTED:
                number = _NOTHING
        # Whole numbers divide to the nearest double, ten times as fast as fractions that are kept reduced.
        above, below = _DIGITS.plus(number).as_integer_ratio()
        factor, offset = self.factor, self.offset
        if offset:
            above, below = above * offset.denominator + offset.numerator * below, below * offset.denominator
        above *= factor.numerator
        try:
            return above / (below * factor.denominator)
        except OverflowError:
            return inf if above > 0 else -inf


class _NoUnit(Exception):
    """The text is no unit that can be converted."""


_Powers = Mapping[str, int]


@remembered_if_short(4096)
def unit(code: str) -> Unit | None:
    """Return what a UCUM code is; None for one that is unknown or has no scale to convert by."""
    if code in _SCALES:
        factor, offset = _SCALES[code]
        return Unit(_written({"K": 1}), factor, offset)
    if not code or len(code) > LONGEST_CODE:
        return None
    try:
        factor, powers = _term(code)
        float(factor)  # as large or small as a number of the index may be
    except (_NoUnit, OverflowError, RecursionError):
        return None
    return Unit(_written(powers), factor) if factor > 0 else None


def is_unit(code: str) -> bool:
    """Tell whether a code is one of UCUM, be it a special unit (pH, decibel), which no factor converts."""
    if unit(code) is not None:
        return True
    token = code.partition("{")[0] if code.endswith("}") else code
    prefixes, _, units = _table()
    for length in (0, 1, 2):
        rest = token[length:]
        is_metric = token[:length] in prefixes and rest[:1].isalpha()  # Cel, Np, B; none of those in brackets
        if rest in units and "s" in units[rest][2] and (length == 0 or is_metric):
            return True
    return False


def _written(powers: _Powers) -> str:
    return ".".join(f"{base}{power}" for base, power in sorted(powers.items()) if power) or "1"


# ---- reading: ucum.org/ucum#section-Syntax-Rules ---------------------------------------------------------------------


def _term(code: str) -> tuple[Fraction, dict[str, int]]:
    tokens = _TOKENS.findall(code)
    if "".join(tokens) != code:
        raise _NoUnit
    found = _Reader(tokens).read()
    if any(abs(power) > _MOST_EXPONENT for power in found[1].values()):
        raise _NoUnit
    return found


class _Reader:
    """Reads `/`, `.`, parentheses and annotations; what stands between is a unit with an exponent, or a number."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens, self._at = tokens, 0

    def read(self) -> tuple[Fraction, dict[str, int]]:
        found = self._product()
        if self._at != len(self._tokens):
            raise _NoUnit
        return found

    def _next(self) -> str:
        if self._at == len(self._tokens):
            raise _NoUnit
        self._at += 1
        return self._tokens[self._at - 1]

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _product(self) -> tuple[Fraction, dict[str, int]]:
        factor, powers = Fraction(1), dict[str, int]()
        sign = -1 if self._peek() == "/" else 1
        if sign < 0:
            self._next()
        while True:
            part, its = self._component()
            factor *= part**sign
            for base, power in its.items():
                powers[base] = powers.get(base, 0) + sign * power
            if self._peek() not in (".", "/"):
                return factor, powers
            sign = -1 if self._next() == "/" else 1

    def _component(self) -> tuple[Fraction, dict[str, int]]:
        part = self._next()
        if part == "(":
            inner = self._product()
            if self._next() != ")":
                raise _NoUnit
        elif part.startswith("{"):
            return Fraction(1), {}
        elif part in (".", "/", ")"):
            raise _NoUnit
        else:
            inner = _simple(part)
        if self._peek().startswith("{"):
            self._next()
        return inner


def _simple(token: str) -> tuple[Fraction, dict[str, int]]:
    if token.isascii() and token.isdigit():
        if token.strip("0") == "" or len(token) > _MOST_EXPONENT:
            raise _NoUnit
        return Fraction(int(token)), {}
    found = _symbol(token)
    if found is not None:
        return found
    match = _EXPONENT.fullmatch(token)
    if match is None or len(match[2]) > 3:
        raise _NoUnit
    found, power = _symbol(match[1]), int(match[2])
    if found is None or power == 0 or abs(power) > _MOST_EXPONENT:
        raise _NoUnit
    return found[0] ** power, {base: its * power for base, its in found[1].items()}


# ---- the table -------------------------------------------------------------------------------------------------------


@cache
def _table() -> tuple[dict[str, str], frozenset[str], dict[str, tuple[str, str, str]]]:
    read = json.loads(resources.files("hie.fhir").joinpath("data/ucum.json").read_bytes())
    return read["prefixes"], frozenset(read["bases"]), {code: tuple(row) for code, row in read["units"].items()}


def _symbol(code: str) -> tuple[Fraction, dict[str, int]] | None:
    """Return a unit of the table, with or without a metric prefix."""
    whole = _atom(code)
    if whole is not None:
        return whole
    prefixes, bases, units = _table()
    for length in (1, 2):
        prefix, rest = code[:length], code[length:]
        if prefix in prefixes and (rest in bases or (rest in units and "m" in units[rest][2])):
            found = _atom(rest)
            if found is not None:
                return Fraction(prefixes[prefix]) * found[0], found[1]
    return None


@lru_cache(maxsize=512)
def _atom(code: str) -> tuple[Fraction, dict[str, int]] | None:
    _, bases, units = _table()
    if code in bases:
        return Fraction(1), {code: 1}
    if code not in units:
        return None
    value, definition, flags = units[code]
    if "s" in flags:
        raise _NoUnit
    if "a" in flags or code in _OWN_BASES:
        return Fraction(1), {code: 1}
    factor, powers = _term(definition)
    return Fraction(value) * factor, powers
