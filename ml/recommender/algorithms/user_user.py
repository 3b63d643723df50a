"""User-user cosine: what the most similar patients have (Resnick et al., CSCW 1994).

It keeps the rows of the patients it was fitted on. A file of it would be a copy of their histories: it is for
comparison only and cannot be saved.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.recommender.algorithms.content import popularity
from ml.recommender.algorithms.grain import rounded
from ml.recommender.matrix import Matrix

NEIGHBOURS = 30


class UserUser:
    """Scores by the nearest patients, weighted by similarity."""

    def __init__(self, matrix: Matrix, neighbours: int = NEIGHBOURS) -> None:
        self.neighbours = neighbours
        self._patients = np.zeros((len(matrix.rows), matrix.items), np.float32)
        for position, row in enumerate(matrix.rows):
            self._patients[position, row.items] = 1
        self._popularity = rounded(popularity(matrix)[np.newaxis])
        self._norms = np.sqrt(self._patients.sum(axis=1, dtype=np.float64))

    def contributions(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """What each of the patient's items adds to the score of each item; popularity when no item is known.

        A neighbour's similarity is a sum over the items shared, so its vote can be split among them.
        """
        items = rows[rows < self._patients.shape[1]]
        if not len(items):
            return self._popularity
        shared = self._patients[:, items]
        lengths = self._norms * np.sqrt(len(items))
        similarity = np.divide(shared.sum(axis=1), lengths, out=np.zeros_like(lengths), where=lengths > 0)
        nearest = np.argsort(-similarity, kind="stable")[: self.neighbours]
        nearest = nearest[similarity[nearest] > 0]
        if not len(nearest):
            return np.zeros((len(items), self._patients.shape[1]), np.float32)
        votes = shared[nearest].T / (lengths[nearest] * similarity[nearest].sum())
        return rounded(votes @ self._patients[nearest])
