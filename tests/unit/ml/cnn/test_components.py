"""Principal components against a singular value decomposition."""

import numpy as np
import pytest

from ml.cnn.components import principal_components


def test_components_and_variances_are_those_of_the_decomposition():
    random = np.random.default_rng(0)
    rows = random.normal(size=(300, 12)) * np.linspace(5, 0.5, 12) + 40
    mean, components, variances = principal_components(rows, 4)
    _, singular, expected = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    assert mean == pytest.approx(rows.mean(axis=0))
    assert np.abs((components * expected[:4]).sum(axis=1)) == pytest.approx(np.ones(4))
    assert variances == pytest.approx(singular[:4] ** 2 / 300)
