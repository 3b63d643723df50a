"""The ways of scoring items, one file each.

Every linear one is a table (items + columns.COLUMNS, items): what each thing known of a patient adds to the score of
each item. `user_user` alone is not linear; it has no such table and is never shipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.recommender import columns
from ml.recommender.algorithms import content, ease, item_item
from ml.recommender.algorithms.grain import rounded
from ml.recommender.errors import RecommenderError
from ml.recommender.matrix import Matrix

SHIPPED = "hybrid"
L2 = 20.0
MIN_PATIENTS = 3
LINEAR = ("popularity", "content", "item-item", "ease", "hybrid")
ALGORITHMS = ("popularity", "content", "user-user", "item-item", "ease", "hybrid")


@dataclass(frozen=True, slots=True)
class Reads:
    """Which of a patient's data an algorithm looks at first."""

    items: bool
    traits: bool
    group: bool


READS = {
    "popularity": Reads(items=False, traits=False, group=False),
    "content": Reads(items=False, traits=False, group=True),
    "user-user": Reads(items=True, traits=False, group=False),
    "item-item": Reads(items=True, traits=False, group=False),
    "ease": Reads(items=True, traits=False, group=False),
    "hybrid": Reads(items=True, traits=True, group=True),
}

Own = Callable[[Matrix, float], NDArray[np.float64]]
_OWN: dict[str, Own] = {"item-item": item_item.weights, "ease": ease.weights, "hybrid": ease.weights_with_traits}


def weights(algorithm: str, matrix: Matrix, l2: float, min_patients: int) -> NDArray[np.float32]:
    """The table of a linear algorithm, with the rows that answer for patients of whom less is known."""
    if algorithm not in LINEAR:
        raise RecommenderError(f"{algorithm!r} is no linear algorithm; those are {', '.join(LINEAR)}.")
    table = np.zeros((matrix.items + len(columns.COLUMNS), matrix.items), np.float64)
    if algorithm in _OWN:
        own = _OWN[algorithm](matrix, l2)
        table[: len(own)] = own
    if READS[algorithm].group:
        first = matrix.items + len(columns.TRAITS)
        table[first : first + len(columns.GROUPS)] = content.weights(matrix, min_patients)
    table[-1] = content.popularity(matrix)
    return rounded(table)
