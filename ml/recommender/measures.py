"""Measures of an ordered list against what was hidden."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import log2

import numpy as np
from numpy.typing import NDArray

from ml.recommender.errors import RecommenderError


def recall(best: Sequence[int], hidden: Collection[int]) -> float:
    """The share of the hidden items that were found."""
    return len(set(best) & _some(hidden)) / len(hidden)


def ndcg(best: Sequence[int], hidden: Collection[int], count: int) -> float:
    """Discounted gain of the hits by place, as a share of the best possible in `count` places."""
    wanted = _some(hidden)
    gain = sum(1 / log2(place + 2) for place, item in enumerate(best) if item in wanted)
    ideal = sum(1 / log2(place + 2) for place in range(min(count, len(wanted))))
    return gain / ideal


def weighted_recall(best: Sequence[int], hidden: Collection[int], counts: NDArray[np.float64]) -> float:
    """Recall with every item weighted by one over its number of patients (Chen & Altman, PMC5009921)."""
    wanted = _some(hidden)
    found = sum(1 / counts[item] for item in set(best) & wanted)
    return float(found / sum(1 / counts[item] for item in wanted))


def _some(hidden: Collection[int]) -> set[int]:
    if not hidden:
        raise RecommenderError("Nothing is hidden, so nothing can be measured.")
    return set(hidden)
