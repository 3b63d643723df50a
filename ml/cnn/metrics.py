"""Measures of a binary classifier, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
BINS = 15

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]
Measure = Callable[[Floats, Labels, float], float]


class Interval(TypedDict):
    """A measure and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def auc(probability: Floats, labels: Labels, _threshold: float = 0.5) -> float:
    """Area under the receiver operating characteristic; ties count half."""
    positive, negative = probability[labels == 1], np.sort(probability[labels == 0])
    below, not_above = (np.searchsorted(negative, positive, side).sum() for side in ("left", "right"))
    return float((below + not_above) / 2 / (len(positive) * len(negative)))


def accuracy(probability: Floats, labels: Labels, threshold: float) -> float:
    """Share of images judged rightly."""
    return float(((probability >= threshold) == labels).mean())


def sensitivity(probability: Floats, labels: Labels, threshold: float) -> float:
    """Share of positive images judged positive."""
    return float((probability[labels == 1] >= threshold).mean())


def specificity(probability: Floats, labels: Labels, threshold: float) -> float:
    """Share of negative images judged negative."""
    return float((probability[labels == 0] < threshold).mean())


def f1(probability: Floats, labels: Labels, threshold: float) -> float:
    """Harmonic mean of precision and sensitivity."""
    called = probability >= threshold
    return float(2 * (called & (labels == 1)).sum() / (called.sum() + labels.sum()))


def brier(probability: Floats, labels: Labels, _threshold: float = 0.5) -> float:
    """Mean squared difference between probability and truth."""
    return float(((probability - labels) ** 2).mean())


def calibration_error(probability: Floats, labels: Labels, _threshold: float = 0.5) -> float:
    """Expected calibration error over 15 equal bins of the positive class's probability."""
    bins = np.minimum((probability * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=probability - labels, minlength=BINS)
    return float(np.abs(gaps).sum() / len(labels))


MEASURES: dict[str, Measure] = {
    "auc": auc,
    "accuracy": accuracy,
    "sensitivity": sensitivity,
    "specificity": specificity,
    "f1": f1,
    "brier": brier,
    "ece": calibration_error,
}


def measure(probability: Floats, labels: Labels, threshold: float) -> dict[str, Interval]:
    """Every measure with its 95 % interval over resamples that keep the number of images of each class."""
    random = np.random.default_rng(0)
    by_class = [np.flatnonzero(labels == label) for label in (0, 1)]
    drawn: dict[str, list[float]] = {name: [] for name in MEASURES}
    for _ in range(RESAMPLES):
        rows = np.concatenate([random.choice(members, len(members)) for members in by_class])
        of_these = probability[rows], labels[rows], threshold
        for name, function in MEASURES.items():
            drawn[name].append(function(*of_these))
    return {
        name: _interval(function(probability, labels, threshold), np.array(drawn[name]))
        for name, function in MEASURES.items()
    }


def _interval(value: float, drawn: Floats) -> Interval:
    """The 95 % percentile interval, moved by the bootstrap's own bias: resampling inflates a calibration error."""
    low, high = np.clip(np.quantile(drawn, (0.025, 0.975)) - (drawn.mean() - value), 0.0, 1.0)
    return Interval(value=round(value, 4), low=round(float(low), 4), high=round(float(high), 4))
