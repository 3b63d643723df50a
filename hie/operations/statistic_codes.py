"""The statistics of $stats, as numbers: https://hl7.org/fhir/R4/valueset-observation-statistics.html

Standard deviation and variance are those of a sample (n - 1), skew and kurtosis the standardized third and fourth
moment (a normal distribution has kurtosis 3), percentiles interpolate between neighbours (R's type 7).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from math import fsum, sqrt

SYSTEM = "http://terminology.hl7.org/CodeSystem/observation-statistics"

Function = Callable[[Sequence[float]], float | None]
"""Sorted numbers -> the statistic; None where so few have none."""


def _at(fraction: float) -> Function:
    def percentile(numbers: Sequence[float]) -> float | None:
        if not numbers:
            return None
        place = fraction * (len(numbers) - 1)
        below = int(place)
        above = min(below + 1, len(numbers) - 1)
        return numbers[below] + (numbers[above] - numbers[below]) * (place - below)

    return percentile


def _some(function: Callable[[Sequence[float]], float], least: int = 1) -> Function:
    return lambda numbers: function(numbers) if len(numbers) >= least else None


def _quartile_deviation(numbers: Sequence[float]) -> float | None:
    low, high = _at(0.25)(numbers), _at(0.75)(numbers)
    return None if low is None or high is None else (high - low) / 2


def _moment(power: int) -> Function:
    def standardized(numbers: Sequence[float]) -> float | None:
        if len(numbers) < 2:
            return None
        mean = statistics.fmean(numbers)
        spread = sqrt(fsum((number - mean) ** 2 for number in numbers) / len(numbers))
        if spread == 0:
            return None
        return fsum(((number - mean) / spread) ** power for number in numbers) / len(numbers)

    return standardized


#: code -> display, function, and what its unit is: "unit", "square" of it, or "one"
CODES: dict[str, tuple[str, Function, str]] = {
    "average": ("Average", _some(statistics.fmean), "unit"),
    "maximum": ("Maximum", _some(max), "unit"),
    "minimum": ("Minimum", _some(min), "unit"),
    "count": ("Count", lambda numbers: len(numbers), "one"),
    "median": ("Median", _some(statistics.median), "unit"),
    "std-dev": ("Standard Deviation", _some(statistics.stdev, 2), "unit"),
    "sum": ("Sum", _some(fsum), "unit"),
    "variance": ("Variance", _some(statistics.variance, 2), "square"),
    "20-percent": ("20th Percentile", _at(0.2), "unit"),
    "80-percent": ("80th Percentile", _at(0.8), "unit"),
    "4-lower": ("Lower Quartile", _at(0.25), "unit"),
    "4-upper": ("Upper Quartile", _at(0.75), "unit"),
    "4-dev": ("Quartile Deviation", _quartile_deviation, "unit"),
    "5-1": ("1st Quintile", _at(0.2), "unit"),
    "5-2": ("2nd Quintile", _at(0.4), "unit"),
    "5-3": ("3rd Quintile", _at(0.6), "unit"),
    "5-4": ("4th Quintile", _at(0.8), "unit"),
    "skew": ("Skew", _moment(3), "one"),
    "kurtosis": ("Kurtosis", _moment(4), "one"),
}
#: These need more than the numbers: all measurements, or the times.
TOTAL_COUNT, REGRESSION = "total-count", "regression"
DISPLAYS = {code: row[0] for code, row in CODES.items()} | {TOTAL_COUNT: "Total Count", REGRESSION: "Regression"}
#: As the operation's definition writes two of them.
ALIASES = {"max": "maximum", "min": "minimum"}


def computed(code: str, numbers: Sequence[float]) -> float | None:
    """Return one statistic of sorted numbers; None where it is not defined for them, or no double holds it."""
    try:
        return CODES[code][1](numbers)
    except OverflowError:
        return None


def regression(points: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """Return gradient and intercept of the line of least squares; None where the points do not give one."""
    if len({x for x, _ in points}) < 2:
        return None
    gradient, intercept = statistics.linear_regression([x for x, _ in points], [y for _, y in points])
    return gradient, intercept
