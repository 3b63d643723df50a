"""EASE: every item explained by all others, in closed form (Steck, WWW 2019, https://arxiv.org/abs/1905.03375)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.recommender.matrix import Matrix


def weights(matrix: Matrix, l2: float) -> NDArray[np.float64]:
    """EASE over the items alone."""
    return _closed_form(matrix.gram[: matrix.items, : matrix.items], l2)


def weights_with_traits(matrix: Matrix, l2: float) -> NDArray[np.float64]:
    """EASE with sex and age band as further columns, which explain items but are not explained."""
    return _closed_form(matrix.gram, l2)[:, : matrix.items]


def _closed_form(gram: NDArray[np.float64], l2: float) -> NDArray[np.float64]:
    inverse = np.linalg.inv(gram + l2 * np.eye(len(gram)))
    solution: NDArray[np.float64] = -inverse / np.diag(inverse)
    np.fill_diagonal(solution, 0.0)
    return solution
