"""From what is known of a patient to an order of items: the one path for serving and for evaluation."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ml.recommender import algorithms, columns
from ml.recommender.algorithms.user_user import UserUser
from ml.recommender.matrix import Matrix, Row

HISTORY, CONTENT, POPULARITY = "history", "content", "popularity"
"""What a recommendation rests on: the patient's items, only sex and age, or nothing about the patient."""

_COLUMN = {name: position for position, name in enumerate(columns.COLUMNS)}


class Scorer(Protocol):
    """Anything that scores additively."""

    def contributions(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """What each active row adds to the score of each item."""


@dataclass(frozen=True, slots=True)
class Table:
    """A linear scorer: a row of weights for everything that can be known."""

    weights: NDArray[np.float32]

    def contributions(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """The rows themselves."""
        added: NDArray[np.float32] = self.weights[rows]
        return added


@dataclass(frozen=True, slots=True)
class Ranked:
    """The best items, best first, with the active rows and what each added."""

    basis: str
    rows: NDArray[np.intp]
    best: NDArray[np.intp]
    scores: NDArray[np.float64]
    contributions: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Ranker:
    """A scorer and the algorithm that says which of a patient's data it reads."""

    algorithm: str
    scorer: Scorer
    items: int

    def active(self, row: Row) -> tuple[str, NDArray[np.intp]]:
        """The basis and the rows that hold for a patient."""
        reads = algorithms.READS[self.algorithm]
        group = columns.group(row.sex, row.age)
        if reads.items and row.items:
            names = columns.traits(row.sex, row.age) if reads.traits else []
            return HISTORY, np.array([*row.items, *self._positions(names)], np.intp)
        if reads.group and group:
            return CONTENT, np.array(self._positions([group]), np.intp)
        return POPULARITY, np.array(self._positions([columns.POPULARITY]), np.intp)

    def _positions(self, names: Collection[str]) -> list[int]:
        return [self.items + _COLUMN[name] for name in names]

    def rank(self, row: Row, allowed: NDArray[np.bool_], count: int) -> Ranked:
        """The best of the allowed items; equal scores keep the order of the items; a score of 0 or less is none."""
        basis, rows = self.active(row)
        contributions = self.scorer.contributions(rows)
        scores = contributions.sum(axis=0, dtype=np.float64)
        candidates = np.flatnonzero(allowed & (scores > 0))
        best = candidates[np.argsort(-scores[candidates], kind="stable")[:count]]
        return Ranked(basis, rows, best, scores[best], contributions[:, best])


def fit(algorithm: str, matrix: Matrix, *, l2: float, min_patients: int) -> Ranker:
    """A ranker that has learnt from a matrix."""
    if algorithm == "user-user":
        return Ranker(algorithm, UserUser(matrix), matrix.items)
    table = algorithms.weights(algorithm, matrix, l2, min_patients)
    table.setflags(write=False)
    return Ranker(algorithm, Table(table), matrix.items)
