"""Heat maps: colours by sign, on one scale, as PNG."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from ml.cnn import MODEL_DIRECTORY
from ml.cnn.heatmap import heatmap_png
from ml.result import ModelError
from ml.runtime import ModelRuntime


@pytest.fixture
def prediction(radiographs):
    return ModelRuntime(MODEL_DIRECTORY).predict(radiographs[-1][1])


def drawn(prediction, values, size=70):
    heatmap = np.broadcast_to(np.asarray(values, np.float32), (7, 7))
    content = heatmap_png(dataclasses.replace(prediction, heatmap=heatmap), size)
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def test_the_size_is_the_one_asked_for(prediction):
    image = Image.open(io.BytesIO(heatmap_png(prediction, 300)))
    assert (image.format, image.size, image.mode) == ("PNG", (300, 300), "P")
    assert prediction.version in image.text["Description"]


def test_red_speaks_for_blue_against_and_white_for_neither(prediction):
    red, blue = drawn(prediction, 6.0)[0, 0], drawn(prediction, -6.0)[0, 0]
    assert red[0] > red[2] + 50
    assert blue[2] > blue[0] + 50
    assert drawn(prediction, 0.0).min() == 255


def test_the_scale_is_fixed_and_ends_at_ten(prediction):
    assert np.array_equal(drawn(prediction, 10.0), drawn(prediction, 50.0))
    assert not np.array_equal(drawn(prediction, 5.0), drawn(prediction, 10.0))


def test_a_place_of_the_map_is_found_at_the_same_place_of_the_picture(prediction):
    values = np.zeros((7, 7))
    values[1, 5] = 10
    redness = drawn(prediction, values)[..., 0] - drawn(prediction, values)[..., 2]
    assert np.unravel_index(redness.argmax(), redness.shape) == pytest.approx((15, 55), abs=5)


def test_the_same_map_gives_the_same_bytes(prediction):
    assert heatmap_png(prediction) == heatmap_png(prediction)


def test_a_refused_image_has_no_heat_map_to_draw():
    refused = ModelRuntime(MODEL_DIRECTORY).predict(np.zeros((28, 28), np.uint8))
    with pytest.raises(ModelError, match="no heat map"):
        heatmap_png(refused)


@pytest.mark.parametrize("size", [0, -1, 6, 5000])
def test_a_size_out_of_reason_is_refused(prediction, size):
    with pytest.raises(ModelError, match="not drawn"):
        heatmap_png(prediction, size)
