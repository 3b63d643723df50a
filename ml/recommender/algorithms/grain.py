"""The grain of weights: what makes a sum of them exact."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.recommender.errors import RecommenderError

GRAIN = 2.0**-20
LARGEST = 8.0


def rounded(table: NDArray[np.float64]) -> NDArray[np.float32]:
    """Weights as whole multiples of 2^-20, which 32-bit floats hold exactly up to 16.

    Sums of such numbers are exact in any order, so a score equals the sum of its contributions to the last bit.
    """
    if not np.isfinite(table).all() or np.abs(table).max(initial=0.0) > LARGEST:
        raise RecommenderError("The data give weights beyond all bounds; train with a larger l2 or more patients.")
    return (np.round(table / GRAIN) * GRAIN).astype(np.float32)
