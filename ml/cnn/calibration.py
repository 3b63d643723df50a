"""What is settled on the validation split: the temperature of the probability and the threshold of the decision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]

THRESHOLD_RULE = (
    "0.5, the decision point of the class-balanced training loss, unless sensitivity + specificity on val is "
    "significantly lower there (paired bootstrap, 95 %) than at the best threshold on val; then that best threshold."
)


def probability(logits: NDArray[np.floating], temperature: float) -> Floats:
    """Logits as probabilities, softened (temperature above 1) or sharpened."""
    return 1 / (1 + np.exp(-np.clip(logits.astype(np.float64) / temperature, -60, 60)))


def fit_temperature(logits: NDArray[np.floating], labels: Labels) -> float:
    """The temperature with the least log loss, both classes counting alike as in training."""
    signed = logits.astype(np.float64) * (2.0 * labels - 1)
    weight = np.where(labels == 1, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))
    temperatures = np.geomspace(0.2, 5, 400)
    losses = [(weight * np.logaddexp(0, -signed / temperature)).mean() for temperature in temperatures]
    return round(float(temperatures[int(np.argmin(losses))]), 4)


def choose_threshold(probabilities: Floats, labels: Labels) -> float:
    """The decision threshold, by `THRESHOLD_RULE`.

    The best threshold of some hundred images follows their noise (a few images near the boundary decide it), so it has
    to be better beyond chance before it replaces the one that training aimed at.
    """
    best = youden_threshold(probabilities, labels)
    random = np.random.default_rng(0)
    by_class = [np.flatnonzero(labels == label) for label in (0, 1)]
    gains = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([random.choice(members, len(members)) for members in by_class])
        at_best, at_half = _youden(probabilities[rows], labels[rows], np.array([best, 0.5]))
        gains.append(at_best - at_half)
    return best if np.quantile(gains, 0.025) > 0 else 0.5


def youden_threshold(probabilities: Floats, labels: Labels) -> float:
    """The threshold with the largest sensitivity + specificity; in the middle where several share it."""
    levels = np.unique(probabilities)
    candidates = (levels[1:] + levels[:-1]) / 2
    sums = _youden(probabilities, labels, candidates)
    return round(float(candidates[sums >= sums.max() - 1e-12].mean()), 4)


def _youden(probabilities: Floats, labels: Labels, thresholds: Floats) -> Floats:
    positive, negative = np.sort(probabilities[labels == 1]), np.sort(probabilities[labels == 0])
    missed = np.searchsorted(positive, thresholds, side="left") / len(positive)
    spared = np.searchsorted(negative, thresholds, side="left") / len(negative)
    return 1 - missed + spared
