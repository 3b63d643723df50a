"""Building, training, exporting with TensorFlow, where it is installed; small data, one epoch."""

import json
import shutil
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from ml.cnn import evaluate, export, release, train
from ml.cnn.model import build, build_served
from ml.result import DataUnreadable
from ml.runtime import ModelRuntime
from ml.training import run_in_child
from tests.trainings import fit_each

pytestmark = [
    # Found, not imported: every process of a run would load TensorFlow to collect these tests.
    pytest.mark.skipif(find_spec("tensorflow") is None, reason="training needs TensorFlow, the extra [train]"),
    # TensorFlow and its converter warn about their own parts.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch):
    """Modules that TensorFlow generates are temporary files; what Python compiles them to would stay."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


def weights_of(directory):
    import keras

    return keras.models.load_model(directory / train.MODEL_FILE, compile=False).get_weights()


def built(seed):
    """A network whose normalisation layers have moved as in training, so that nothing hides behind ones and zeros."""
    import keras

    keras.utils.set_random_seed(seed)
    network = build("residual", 16)
    random = np.random.default_rng(seed)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            count = layer.gamma.shape[0]
            layer.set_weights(
                [random.uniform(*limits, count) for limits in ((0.8, 1.2), (-0.2, 0.2), (-0.3, 0.3), (1, 3))]
            )
    return network


@pytest.fixture(scope="module")
def by_seed(lasting_small_data, tmp_path_factory):
    """Networks after one epoch of training on the small data, by their seeds 1 and 2."""
    work = tmp_path_factory.mktemp("trained")
    outs = {seed: work / f"network-{seed}" for seed in (1, 2)}
    run_in_child(fit_each, lasting_small_data, train.recipe("residual", 16, epochs=1), outs)
    return outs


@pytest.fixture(scope="module")
def trained(by_seed):
    return by_seed[1]


@pytest.fixture(scope="module")
def other(by_seed):
    return by_seed[2]


@pytest.fixture(scope="module")
def ran(lasting_small_data, tmp_path_factory):
    """The same with seed 1 as the command does it, with what it tells."""
    out = tmp_path_factory.mktemp("ran") / "out"
    return out, train.run(lasting_small_data, out, seed=1, epochs=1, width=16, architecture="residual")


@pytest.fixture(scope="module")
def released(trained, other, lasting_small_data, tmp_path_factory):
    """A release of both and of the baseline, which it trains: its directory of work, what it wrote, the manifest."""
    work, out = (tmp_path_factory.mktemp("released") / name for name in ("work", "out"))
    recipe = train.recipe
    for seed, network in ((1, trained), (2, other)):  # the baseline is missing
        shutil.copytree(network, work / f"residual-{seed}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release, "SEEDS", (1, 2))
        patch.setattr(release, "recipe", lambda architecture: recipe(architecture, epochs=12))
        return work, out, release.run(lasting_small_data, work, out, foreign=lasting_small_data)


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (40, 28, 28)).astype(np.float32)


def served(networks, target):
    """What Keras and what ONNX Runtime make of the same networks."""
    import onnxruntime

    from ml.cnn.export import to_onnx

    model = build_served(networks)
    names = to_onnx(model, target)
    return model, names, onnxruntime.InferenceSession(target.read_bytes(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("count", [1, 3])
def test_onnx_runtime_agrees_with_keras_on_all_outputs(count, pixels, tmp_path):
    networks = [built(seed) for seed in range(count)]
    model, names, session = served(networks, tmp_path / "model.onnx")
    assert names == ["logit", "activation_map", "embedding"]
    expected = model(pixels[..., None], training=False)
    found = dict(zip(names, session.run(names, {"pixels": pixels[..., None]}), strict=True))
    assert found["embedding"].shape == (40, 64 * count)
    for name in names:
        scale = max(1.0, float(np.abs(expected[name]).max()))
        assert np.abs(found[name] - expected[name].numpy()).max() / scale < 1e-5, name
    assert found["activation_map"].mean(axis=(1, 2)) == pytest.approx(found["logit"].ravel(), abs=1e-5, rel=1e-5)


def test_the_same_networks_give_the_same_file(released, tmp_path):
    work, out, _ = released
    # Here, after other networks, and not in the process that converted them for the release: their order is another.
    export.convert([([work / "residual-1", work / "residual-2"], tmp_path / "again.onnx")])
    assert (tmp_path / "again.onnx").read_bytes() == (out / "chest-xray" / export.MODEL_FILE).read_bytes()


def test_several_networks_are_averaged(pixels, tmp_path):
    networks = [built(seed) for seed in range(2)]
    _, _, session = served(networks, tmp_path / "model.onnx")
    (logit,) = session.run(["logit"], {"pixels": pixels[..., None]})
    alone = [network(pixels[..., None], training=False).numpy() for network in networks]
    assert logit == pytest.approx(np.mean(alone, axis=0), abs=1e-4, rel=1e-5)


def test_the_baseline_is_the_described_one_and_has_no_map(pixels, tmp_path):
    from keras import layers

    baseline = build("baseline", 32)
    assert [layer.filters for layer in baseline.layers if isinstance(layer, layers.Conv2D)] == [32, 64, 128]
    assert baseline.get_layer("embedding").units == 512
    assert baseline.count_params() == 159_233
    model, names, session = served([baseline], tmp_path / "model.onnx")
    assert names == ["logit", "embedding"]
    (logit,) = session.run(["logit"], {"pixels": pixels[..., None]})
    assert logit == pytest.approx(model(pixels[..., None])["logit"].numpy(), abs=1e-5)


@pytest.mark.parametrize("width", [0, -16, 12, 24])
def test_a_width_that_tensorflow_cannot_train_is_refused(width):
    with pytest.raises(ValueError, match="multiple of 16"):
        build("residual", width)


def test_a_seed_repeats_a_training_and_another_seed_does_not(trained, ran, other):
    first, again, different = (weights_of(directory) for directory in (trained, ran[0], other))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, different, strict=True))


def test_a_run_leaves_a_model_that_can_be_served(ran, small_data):
    out, told = ran
    runtime = ModelRuntime(out)
    assert json.loads(json.dumps(told)) == runtime.manifest
    assert runtime.manifest["training"][0]["seed"] == 1
    assert runtime.manifest["training"][0]["recipe"]["epochs"] == 1
    assert runtime.judge(np.zeros((2, 28, 28))).maps.shape == (2, 7, 7)
    assert evaluate.run(out, small_data) == runtime.manifest["metrics"]


def test_a_baseline_learns_and_is_served_without_a_heat_map(released, arrays):
    work, _, told = released
    assert told["baseline"]["epochs"] == 12
    assert told["baseline"]["test"]["auc"]["value"] == 1.0
    prediction = ModelRuntime(work / "served-baseline").predict(arrays["val_images"][1])
    assert prediction.accepted
    assert prediction.label == "pneumonia"
    assert prediction.heatmap is None


def test_training_on_broken_data_is_refused(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    with pytest.raises(DataUnreadable):
        train.run(tmp_path / "broken.npz", tmp_path / "out", seed=1, epochs=1)
    assert not (tmp_path / "out").exists()


def test_a_release_holds_ensemble_single_model_and_comparison(released):
    work, out, manifest = released
    assert [member["seed"] for member in manifest["members"]] == [1, 2]
    assert manifest["baseline"]["architecture"] == "baseline"
    ensemble, single = (ModelRuntime(out / name) for name in ("chest-xray", "chest-xray-single"))
    image = np.zeros((1, 28, 28))
    alone = [ModelRuntime(work / f"served-residual-{seed}").judge(image).logits[0] for seed in (1, 2)]
    assert ensemble.judge(image).logits[0] == pytest.approx(np.mean(alone), abs=1e-5)
    assert single.judge(image).logits[0] in alone
