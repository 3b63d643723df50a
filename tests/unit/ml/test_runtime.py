"""The runtime: what it accepts, what it refuses, and that it serves only genuine files."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from ml.cnn import MODEL_DIRECTORY, SINGLE_DIRECTORY
from ml.cnn.samples import sample_radiographs
from ml.result import InvalidImage, ModelError, ModelUnreadable
from ml.runtime import ModelRuntime

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def runtime():
    return ModelRuntime(MODEL_DIRECTORY)


@pytest.fixture(scope="module")
def radiograph():
    return sample_radiographs(seed=1, per_class=1)[1][1]


NUMBERS = ("label", "probability", "logit", "positive", "heatmap")


@pytest.mark.parametrize(
    ("pixels", "told"),
    [
        pytest.param(np.zeros((0, 0), np.uint8), "each edge needs 16", id="empty"),
        pytest.param(np.zeros((1, 1), np.uint8), "each edge needs 16", id="one pixel"),
        pytest.param(np.zeros((15, 400), np.uint8), "each edge needs 16", id="thin"),
        pytest.param(np.zeros(784, np.uint8), "shape", id="one dimension"),
        pytest.param(np.zeros((28, 28, 1), np.uint8), "shape", id="one channel"),
        pytest.param(np.zeros((28, 28, 4), np.uint8), "shape", id="four channels"),
        pytest.param(np.zeros((28, 28, 3), np.uint16), "shape", id="colours of 16 bit"),
        pytest.param(np.zeros((1, 28, 28, 3), np.uint8), "shape", id="four dimensions"),
        pytest.param(np.broadcast_to(np.uint8(7), (20_000, 20_000)), "at most", id="huge"),
        pytest.param(np.full((28, 28), np.nan), "finite", id="not a number"),
        pytest.param(np.full((28, 28), np.inf), "finite", id="infinite"),
        pytest.param(np.full((28, 28), 1.5), "from 0 to 1", id="float above 1"),
        pytest.param(np.full((28, 28), -0.5), "from 0 to 1", id="negative float"),
        pytest.param(np.zeros((28, 28), np.int16), "int16", id="signed"),
        pytest.param(np.zeros((28, 28), bool), "bool", id="truth values"),
        pytest.param(np.zeros((28, 28), complex), "complex", id="complex"),
        pytest.param(np.full((28, 28), "x"), "<U1", id="text"),
        pytest.param(np.full((28, 28), None), "object", id="objects"),
        pytest.param([[1, 2], [3, 4]], "list", id="list"),
        pytest.param(None, "NoneType", id="nothing"),
    ],
)
def test_what_is_no_picture_is_an_invalid_image(runtime, pixels, told):
    with pytest.raises(InvalidImage, match=told):
        runtime.predict(pixels)


@pytest.mark.parametrize(
    ("pixels", "told"),
    [
        pytest.param(np.zeros((28, 28), np.uint8), "nearly one grey level", id="black"),
        pytest.param(np.full((300, 300), 65535, np.uint16), "nearly one grey level", id="white"),
        pytest.param(np.full((64, 64), 0.5), "nearly one grey level", id="grey"),
        pytest.param(np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8), "does not look like", id="noise"),
        pytest.param(np.tile(np.arange(28, dtype=np.uint8) * 9, (28, 1)), "does not look like", id="ramp"),
        pytest.param(np.tile(np.arange(300, dtype=np.uint8), (100, 1)), "too long and narrow", id="strip"),
        pytest.param(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), "colours", id="colours"),
    ],
)
def test_what_is_no_radiograph_is_refused_without_any_number(runtime, pixels, told):
    prediction = runtime.predict(pixels)
    assert not prediction.accepted
    assert told in prediction.reason
    assert [getattr(prediction, name) for name in NUMBERS] == [None] * len(NUMBERS)


def test_an_inverted_radiograph_is_refused_and_the_reason_says_so(runtime, radiograph):
    prediction = runtime.predict(255 - radiograph)
    assert not prediction.accepted
    assert "inverted" in prediction.reason
    assert prediction.gate_score > prediction.gate_threshold


def test_a_radiograph_gives_a_whole_prediction(runtime, radiograph):
    prediction = runtime.predict(radiograph)
    assert prediction.accepted
    assert prediction.reason is None
    assert prediction.label == "pneumonia"
    assert prediction.positive
    assert prediction.threshold <= prediction.probability <= 1
    assert prediction.heatmap.shape == (7, 7)
    assert prediction.heatmap.dtype == np.float32
    assert prediction.gate_score <= prediction.gate_threshold
    assert (prediction.model, prediction.version) == (runtime.manifest["name"], runtime.manifest["version"])


@pytest.mark.parametrize("directory", [MODEL_DIRECTORY, SINGLE_DIRECTORY], ids=lambda path: path.name)
def test_the_mean_of_the_heat_map_is_the_logit(directory):
    runtime = ModelRuntime(directory)
    for _, image in sample_radiographs(seed=3, per_class=5):
        prediction = runtime.predict(image)
        assert prediction.heatmap.mean(dtype=np.float64) == pytest.approx(prediction.logit, abs=1e-5)


@pytest.mark.parametrize(
    "same",
    [
        pytest.param(lambda image: image.astype(np.uint16) * 257, id="16 bit"),
        pytest.param(lambda image: image / 255, id="float64"),
        pytest.param(lambda image: (image / 255).astype(np.float32), id="float32"),
        pytest.param(lambda image: image.astype(">u2") * 257, id="big endian"),
        pytest.param(lambda image: np.repeat(image[..., None], 3, axis=2), id="grey as colours"),
        pytest.param(lambda image: np.asfortranarray(image), id="another memory layout"),
        pytest.param(lambda image: np.flip(np.flip(image, 0), 0), id="view"),
    ],
)
def test_the_same_picture_in_another_form_gets_the_same_answer(runtime, radiograph, same):
    before, after = runtime.predict(radiograph), runtime.predict(same(radiograph))
    assert after.accepted
    assert after.logit == pytest.approx(before.logit, abs=0.1)  # 8-bit pictures are rounded again when shrunk


def test_the_sides_of_a_wide_picture_are_cut_off(runtime, radiograph):
    wide = np.pad(radiograph, ((0, 0), (40, 40)), constant_values=255)
    assert runtime.predict(wide).logit == runtime.predict(radiograph).logit


def test_a_picture_of_28_pixels_reaches_the_network_unchanged(runtime):
    image = sample_radiographs(seed=1, per_class=1, size=28)[0][1]
    assert runtime.predict(image).logit == float(runtime.judge(image[None]).logits[0])


def test_equal_pictures_have_equal_digests_and_a_changed_pixel_another(runtime, radiograph):
    changed = radiograph.copy()
    changed[100, 100] ^= 1
    digest = runtime.predict(radiograph).input_digest
    assert len(digest) == 64
    assert runtime.predict(np.asfortranarray(radiograph)).input_digest == digest
    assert runtime.predict(changed).input_digest != digest
    assert runtime.predict(radiograph[:200]).input_digest != digest


def test_many_threads_load_one_engine_and_agree(radiograph, monkeypatch):
    import ml.runtime

    built = []
    engine = ml.runtime._Engine
    monkeypatch.setattr(ml.runtime, "_Engine", lambda *given: built.append(given) or engine(*given))
    runtime, answers = ModelRuntime(MODEL_DIRECTORY), []
    threads = [
        threading.Thread(target=lambda: answers.extend(runtime.predict(radiograph).logit for _ in range(5)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert len(answers) == 40
    assert len(set(answers)) == 1


@pytest.mark.parametrize("name", ["model.onnx", "gate.npz"])
def test_a_file_that_differs_from_its_manifest_is_not_loaded(copied, name):
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(ModelUnreadable, match="not the file that its manifest describes"):
        ModelRuntime(copied).warm_up()


@pytest.mark.parametrize("name", ["model.onnx", "gate.npz", "manifest.json"])
def test_a_missing_file_is_named(copied, name):
    (copied / name).unlink()
    with pytest.raises(ModelUnreadable, match=name):
        ModelRuntime(copied).warm_up()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"schema": 2}', '{"schema": 1, "name": "x"}', "\udcff"], ids=repr
)
def test_a_manifest_that_is_none_is_unreadable(copied, text):
    (copied / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ModelUnreadable):
        ModelRuntime(copied).warm_up()


def test_a_failed_load_does_not_spoil_the_next(copied, radiograph):
    content = (copied / "gate.npz").read_bytes()
    (copied / "gate.npz").write_bytes(b"")
    runtime = ModelRuntime(copied)
    with pytest.raises(ModelError):
        runtime.predict(radiograph)
    (copied / "gate.npz").write_bytes(content)
    assert runtime.predict(radiograph).accepted


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory of a process from /proc")
def test_a_process_that_predicts_stays_small_and_without_tensorflow():
    program = """
import re, sys
from ml.cnn import MODEL_DIRECTORY
from ml.cnn.heatmap import heatmap_png
from ml.cnn.samples import sample_radiographs
from ml.runtime import ModelRuntime
runtime = ModelRuntime(MODEL_DIRECTORY)
for _, image in sample_radiographs(1, 5):
    heatmap_png(runtime.predict(image))
found = [name for name in ("tensorflow", "keras", "tf2onnx", "torch") if name in sys.modules]
# Not ru_maxrss: that survives exec and would be the memory of the tests.
print(found, int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)
"""
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    found, mebibytes = answer.stdout.rsplit(maxsplit=1)
    assert found == "[]"
    assert int(mebibytes) < 200


@pytest.fixture
def copied(tmp_path):
    for file in SINGLE_DIRECTORY.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path
