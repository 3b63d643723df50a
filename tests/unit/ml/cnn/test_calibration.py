"""Temperature and threshold, against what can be worked out by hand."""

import numpy as np
import pytest

from ml.cnn.calibration import choose_threshold, fit_temperature, probability, youden_threshold


@pytest.fixture
def drawn():
    """Labels drawn with the very probabilities that the logits say."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2.5, 20_000)
    return logits, (random.random(20_000) < probability(logits, 1.0)).astype(np.uint8)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_the_temperature_undoes_a_factor(drawn, factor):
    logits, labels = drawn
    assert fit_temperature(logits * factor, labels) == pytest.approx(factor, rel=0.05)


def test_a_probability_of_huge_logits_is_finite():
    found = probability(np.array([-1e6, 0.0, 1e6]), 0.5)
    assert found == pytest.approx([0, 0.5, 1])


def test_one_half_stays_where_nothing_is_significantly_better():
    labels = np.array([0] * 20 + [1] * 20, np.uint8)
    scores = np.concatenate([np.linspace(0.1, 0.45, 20), np.linspace(0.47, 0.9, 20)])
    assert youden_threshold(scores, labels) == pytest.approx(0.46)
    assert choose_threshold(scores, labels) == 0.5


def test_the_best_threshold_replaces_one_half_where_it_is_clearly_better():
    labels = np.array([0] * 200 + [1] * 200, np.uint8)
    scores = np.concatenate([np.linspace(0.5, 0.7, 200), np.linspace(0.72, 0.9, 200)])
    assert choose_threshold(scores, labels) == pytest.approx(0.71, abs=0.001)
