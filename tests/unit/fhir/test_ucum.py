"""UCUM units and what they convert to, by values worked out by hand: https://ucum.org/ucum"""

from __future__ import annotations

from decimal import Decimal
from math import inf

import pytest

from hie.fhir import ucum

SAME = [  # number, unit, the same in another unit
    ("5", "g", "5000", "mg"),
    ("0.1", "g", "100", "mg"),
    ("90", "mg/dL", "0.9", "g/L"),
    ("120", "mm[Hg]", "15998.64", "Pa"),
    ("60", "/min", "1", "Hz"),
    ("72", "{beats}/min", "72", "/min"),
    ("4.5", "10*3/uL", "4.5", "10*9/L"),
    ("1.2", "U/L", "1.2", "umol/min/L"),
    ("37", "Cel", "98.6", "[degF]"),
    ("37", "Cel", "310.15", "K"),
    ("28", "[degRe]", "35", "Cel"),
    ("1", "mL/min/{1.73_m2}", "0.06", "L/h"),
    ("2", "(10.g){feces}", "20", "g"),
    ("5", "m2.kg-1", "5", "m2/kg"),
    ("1", "[lb_av]", "453.59237", "g"),
    ("10", "%", "0.1", "1"),
    ("24", "h", "1", "d"),
    ("1", "cm[H2O]", "98.0665", "Pa"),
    ("1", "meq/L", "1", "mmol/L"),
    ("3", "10*-2", "3", "%"),
    ("0.5", "4.[pt_us]", "2", "[pt_us]"),
    ("1", "2.5", "10", "1"),
]


@pytest.mark.parametrize(("number", "code", "other", "other_code"), SAME, ids=lambda text: text)
def test_two_amounts_are_one_double_in_their_canonical_unit(
    number: str, code: str, other: str, other_code: str
) -> None:
    left, right = ucum.unit(code), ucum.unit(other_code)
    assert left is not None
    assert right is not None
    assert left.canonical == right.canonical
    assert left.convert(Decimal(number)) == right.convert(Decimal(other))


@pytest.mark.parametrize(
    ("code", "other"),
    [
        ("mg", "mL"), ("mmol/L", "10*3/uL"), ("[iU]/L", "U/L"), ("[iU]", "[arb'U]"), ("[iU]", "1"), ("Cel", "s"),
        ("mol", "g"), ("kg/m2", "kg"),
    ],
)  # fmt: skip
def test_amounts_of_two_kinds_are_not_comparable(code: str, other: str) -> None:
    left, right = ucum.unit(code), ucum.unit(other)
    assert left is not None
    assert right is not None
    assert left.canonical != right.canonical


@pytest.mark.parametrize(
    "code",
    [
        "[pH]", "dB", "B[10.nV]", "B", "[hp'_X]", "mCel", "Cel/min", "mEq", "month", "ea", "hr", "mcg", "g/", "g//L",
        "(g", "g)", "()", "g m", "m0", "0", "kkg", "[in_i]{", "10*1000", "m99.m99", "", "g" * 101, "(" * 99, "é",
        "-5", "1" * 100, "k[in_i]",
    ],
    ids=lambda code: code[:20] or "empty",
)  # fmt: skip
def test_what_has_no_scale_or_is_no_ucum_is_not_converted(code: str) -> None:
    assert ucum.unit(code) is None


def test_numbers_that_no_double_holds_are_infinite_or_nothing_and_take_no_time() -> None:
    gram = ucum.unit("g")
    assert gram is not None
    assert [gram.convert(Decimal(text)) for text in ("1e999999", "-1e999999", "1e-999999", "0")] == [inf, -inf, 0, 0]
    year = ucum.unit("10*99/s")
    assert year is not None
    assert year.convert(Decimal("-1e299")) == -inf
