"""Synthetic radiographs: repeatable, judged by the model, and nobody's."""

import hashlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.cnn import MODEL_DIRECTORY, SINGLE_DIRECTORY
from ml.cnn.data import load, root_mean_square_differences
from ml.cnn.samples import STATISTICS, sample_png, sample_radiographs, statistics_of
from ml.runtime import ModelRuntime


def test_a_seed_gives_the_same_pictures_and_another_seed_others():
    first, again, other = (sample_radiographs(seed, per_class=2) for seed in (1, 1, 2))
    assert [label for label, _ in first] == ["normal", "normal", "pneumonia", "pneumonia"]
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a[1], b[1]) for a, b in zip(first, other, strict=True))
    assert {(image.shape, image.dtype) for _, image in first} == {((224, 224), np.dtype(np.uint8))}


@pytest.mark.parametrize("directory", [MODEL_DIRECTORY, SINGLE_DIRECTORY], ids=lambda path: path.name)
def test_the_model_accepts_them_and_mostly_agrees(directory):
    runtime = ModelRuntime(directory)
    judged = [(label, runtime.predict(image)) for label, image in sample_radiographs(seed=11, per_class=50)]
    assert sum(prediction.accepted for _, prediction in judged) >= 97
    assert sum(prediction.label == label for label, prediction in judged) >= 93


def test_none_repeats_a_real_image(pneumoniamnist):
    data = load(pneumoniamnist)
    drawn = np.stack([image for _, image in sample_radiographs(seed=1, per_class=200, size=28)])
    for split in (data.train, data.val, data.test):
        # Two different images of the data set differ by 8.3 grey levels at least.
        assert root_mean_square_differences(drawn, split.images).min() > 8.3


def test_the_statistics_are_those_of_the_training_split(pneumoniamnist):
    with np.load(io.BytesIO(statistics_of(pneumoniamnist))) as made, np.load(STATISTICS) as shipped:
        assert made.files == shipped.files
        for name in ("normal_mean", "pneumonia_mean", "normal_deviations", "pneumonia_deviations"):
            assert made[name] == pytest.approx(shipped[name], rel=1e-3)


def test_the_readme_names_the_checksum():
    readme = (Path(STATISTICS).parents[1] / "README.md").read_text()
    assert re.findall(r"`([0-9a-f]{64})`", readme) == [hashlib.sha256(STATISTICS.read_bytes()).hexdigest()]


def test_the_png_says_that_it_is_synthetic():
    image = sample_radiographs(seed=1, per_class=1)[0][1]
    read = Image.open(io.BytesIO(sample_png(image)))
    assert np.array_equal(np.asarray(read), image)
    assert "Synthetic" in read.text["Description"]
