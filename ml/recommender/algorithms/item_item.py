"""Item-item cosine: two items are alike when the same patients have them (Sarwar et al., WWW 2001)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.recommender.matrix import Matrix


def weights(matrix: Matrix, l2: float) -> NDArray[np.float64]:
    """The cosine of every two items' patients, zero for an item with itself; `l2` has no part in it."""
    both = matrix.gram[: matrix.items, : matrix.items]
    norms = np.sqrt(np.diag(both))
    lengths = np.outer(norms, norms)
    cosine: NDArray[np.float64] = np.divide(both, lengths, out=np.zeros_like(both), where=lengths > 0)
    np.fill_diagonal(cosine, 0.0)
    return cosine
