"""Content: how common an item is among patients of the same sex and age band."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.recommender import columns
from ml.recommender.matrix import Matrix, Row

PRIOR = 5.0
"""So many patients of the whole population stand beside each group, which keeps small groups from saying 0 or 1."""


def popularity(matrix: Matrix) -> NDArray[np.float64]:
    """The share of all patients who have each item."""
    return matrix.counts / max(len(matrix.rows), 1)


def weights(matrix: Matrix, min_patients: int) -> NDArray[np.float64]:
    """The share of each group's patients who have each item, drawn towards that of all; a row per columns.GROUPS.

    What fewer than `min_patients` of a group have counts as absent: a group of one would be that patient's history.
    """
    position = {name: number for number, name in enumerate(columns.GROUPS)}
    having = np.zeros((len(position), matrix.items), np.float64)
    size = np.zeros((len(position), 1), np.float64)
    for row in matrix.rows:
        for name in _groups(row):
            having[position[name], list(row.items)] += 1
            size[position[name]] += 1
    having[having < min_patients] = 0
    share: NDArray[np.float64] = (having + PRIOR * popularity(matrix)) / (size + PRIOR)
    return share


def _groups(row: Row) -> set[str]:
    known = columns.traits(row.sex, row.age)
    return {*known, ", ".join(known)} - {""}
