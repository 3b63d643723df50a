"""What may be asked of training, checked before any process is started."""

import pytest

from ml.cnn import train
from ml.result import TrainingFailed


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"architecture": "transformer"}, "baseline, residual"),
        ({"epochs": 0}, "1 is the least"),
        ({"epochs": -3}, "1 is the least"),
        ({"width": 0}, "multiple of 16"),
        ({"width": 12}, "multiple of 16"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_starts(asked, told, tmp_path):
    with pytest.raises(TrainingFailed, match=told):
        train.run(tmp_path / "data.npz", tmp_path / "out", **asked)


def test_the_settled_recipes_are_those_of_the_shipped_models():
    baseline, residual = train.recipe("baseline"), train.recipe("residual")
    assert (baseline.epochs, baseline.batch_size, baseline.augmentation) == (10, 32, train.Augmentation())
    assert (residual.width, residual.epochs, residual.balance_classes) == (16, 20, True)


def test_epochs_and_width_can_be_chosen():
    chosen = train.recipe("residual", width=32, epochs=3)
    assert (chosen.width, chosen.epochs) == (32, 3)
