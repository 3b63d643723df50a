"""Preparation: the same as MedMNIST's, for every kind of pixels."""

import numpy as np
import pytest
from PIL import Image

from ml.cnn.preparation import prepare


@pytest.fixture
def scan():
    """A smooth picture, wider than high, of odd edges."""
    y, x = np.mgrid[0:301, 0:417]
    return (120 + 60 * np.sin(x / 31) + 50 * np.cos(y / 23)).astype(np.uint8)


def test_28_pixels_stay_as_they_are():
    image = np.arange(784, dtype=np.uint8).reshape(28, 28)
    assert np.array_equal(prepare(image), image)


def test_the_central_square_is_shrunk_as_pillow_does_it(scan):
    expected = Image.fromarray(scan).crop((58, 0, 359, 301)).resize((28, 28), Image.Resampling.BICUBIC)
    assert np.array_equal(prepare(scan), np.asarray(expected))


@pytest.mark.parametrize("dtype", ["uint16", ">u2", "float16", "float32", "float64"])
def test_other_types_give_the_same_grey_levels(scan, dtype):
    pixels = scan.astype(dtype) * 257 if dtype.endswith(("16", "u2")) and "float" not in dtype else scan / 255
    assert prepare(pixels.astype(dtype)) == pytest.approx(prepare(scan), abs=0.8)


def test_a_small_picture_is_enlarged():
    assert prepare(np.full((16, 20), 77, np.uint8)) == pytest.approx(np.full((28, 28), 77))


def test_grey_levels_stay_in_range():
    edges = np.zeros((200, 200))
    edges[:, 100:] = 1
    prepared = prepare(edges)
    assert prepared.min() == 0
    assert prepared.max() == 255
    assert prepared.dtype == np.float32
