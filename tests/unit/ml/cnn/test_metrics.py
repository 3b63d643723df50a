"""Measures against values worked out by hand, and intervals that hold their value."""

import numpy as np
import pytest

from ml.cnn import metrics

LABELS = np.array([0, 0, 0, 1, 1], np.uint8)
SCORES = np.array([0.1, 0.4, 0.6, 0.6, 0.9])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("auc", 5.5 / 6),  # the tie counts half
        ("accuracy", 4 / 5),
        ("sensitivity", 1.0),
        ("specificity", 2 / 3),
        ("f1", 4 / 5),
        ("brier", (0.01 + 0.16 + 0.36 + 0.16 + 0.01) / 5),
        ("ece", (0.1 + 0.4 + 0.2 + 0.1) / 5),  # the two of .6 share a bin: |1.2 - 1|
    ],
)
def test_a_measure_is_what_its_definition_says(name, expected):
    assert metrics.MEASURES[name](SCORES, LABELS, 0.5) == pytest.approx(expected)


def test_auc_equals_the_share_of_pairs_in_order():
    random = np.random.default_rng(0)
    labels, scores = random.integers(0, 2, 200).astype(np.uint8), random.integers(0, 30, 200) / 30
    positive, negative = scores[labels == 1][:, None], scores[labels == 0][None]
    assert metrics.auc(scores, labels) == pytest.approx(((positive > negative) + (positive == negative) / 2).mean())


def test_every_interval_holds_its_value_and_narrows_with_more_images():
    random = np.random.default_rng(0)
    widths = []
    for count in (100, 1600):
        labels = random.integers(0, 2, count).astype(np.uint8)
        scores = np.clip(random.normal(0.35 + 0.3 * labels, 0.2), 0, 1)
        found = metrics.measure(scores, labels, 0.5)
        assert found.keys() == metrics.MEASURES.keys()
        for interval in found.values():
            assert interval["low"] <= interval["value"] <= interval["high"]
        widths.append(found["auc"]["high"] - found["auc"]["low"])
    assert widths[1] < widths[0] / 3
