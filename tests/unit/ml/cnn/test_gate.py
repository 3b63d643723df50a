"""The gate: fitted on made-up pictures, read and written, and at work in the shipped model."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from ml.cnn import MODEL_DIRECTORY, SINGLE_DIRECTORY, gate
from ml.cnn.data import load, load_foreign
from ml.cnn.evaluate import altered, refused
from ml.cnn.samples import sample_radiographs
from ml.result import ModelUnreadable
from ml.runtime import ModelRuntime


@pytest.fixture(scope="module")
def fitted():
    random = np.random.default_rng(0)
    labels = np.arange(400) % 2
    pictures = sample_radiographs(seed=5, per_class=200, size=28)
    images = np.stack([image for _, image in sorted(pictures, key=lambda pair: pair[0])])
    images = images.reshape(2, 200, 28, 28).swapaxes(0, 1).reshape(400, 28, 28)
    embeddings = (random.normal(size=(400, 8)) + 6 * labels[:, None]).astype(np.float32)
    train = (images[:300], embeddings[:300], labels[:300])
    return gate.fit(train, (images[300:], embeddings[300:])), images, embeddings


def test_one_in_a_hundred_of_val_lies_above_the_threshold(fitted):
    (found, threshold), images, embeddings = fitted
    assert (found.score(images[300:], embeddings[300:]) > threshold).sum() == 1


def test_an_embedding_far_from_both_classes_scores_high(fitted):
    (found, threshold), images, embeddings = fitted
    assert (found.score(images[:50], embeddings[:50] + 40) > threshold).all()


def test_pixels_unlike_training_score_high_whatever_the_embedding(fitted):
    (found, threshold), _, embeddings = fitted
    noise = np.random.default_rng(1).integers(0, 256, (50, 28, 28))
    assert (found.score(noise, embeddings[:50]) > threshold).all()


def test_exposure_hardly_counts(fitted):
    (found, _), images, embeddings = fitted
    darker = found.score(images[:50] * 0.7, embeddings[:50])
    assert np.median(np.abs(darker - found.score(images[:50], embeddings[:50]))) < 0.1


def test_a_score_does_not_depend_on_its_neighbours(fitted):
    (found, _), images, embeddings = fitted
    together = found.score(images[:9], embeddings[:9])
    alone = [found.score(images[i : i + 1], embeddings[i : i + 1])[0] for i in range(9)]
    assert together == pytest.approx(alone, abs=1e-9)


def test_what_is_written_is_read_again(fitted):
    (found, _), _, _ = fitted
    again = gate.Gate.from_bytes(found.to_bytes())
    for field in dataclasses.fields(gate.Gate):
        assert np.array_equal(getattr(again, field.name), getattr(found, field.name))


def _objects():
    buffer = io.BytesIO()
    np.savez(buffer, **{f.name: np.array([object()], dtype=object) for f in dataclasses.fields(gate.Gate)})
    return buffer.getvalue()


def _lacking():
    buffer = io.BytesIO()
    np.savez(buffer, scale=np.ones(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"no archive", _lacking(), _objects()], ids=["empty", "text", "lacking", "objects"]
)
def test_parameters_that_are_none_are_unreadable_and_never_unpickled(content):
    with pytest.raises(ModelUnreadable):
        gate.Gate.from_bytes(content)


def test_broken_parameters_with_a_matching_checksum_are_unreadable_too(copied_model, replace_file):
    replace_file(copied_model, "gate.npz", b"no archive")
    with pytest.raises(ModelUnreadable, match="gate"):
        ModelRuntime(copied_model).warm_up()


@pytest.mark.parametrize(
    "kind", ["inverted", "turned by 90 degrees", "pixels shuffled", "noise", "black", "white", "grey ramp"]
)
@pytest.mark.parametrize("directory", [MODEL_DIRECTORY, SINGLE_DIRECTORY], ids=lambda path: path.name)
def test_the_shipped_models_refuse_altered_radiographs(directory, kind, radiographs):
    images = np.stack([np.asarray(Image.fromarray(image).resize((28, 28))) for _, image in radiographs])
    assert refused(ModelRuntime(directory), altered(images)[kind]).all()


@pytest.mark.parametrize("directory", [MODEL_DIRECTORY, SINGLE_DIRECTORY], ids=lambda path: path.name)
def test_the_shipped_models_refuse_every_ultrasound_and_few_radiographs(directory, pneumoniamnist, busi):
    runtime = ModelRuntime(directory)
    assert refused(runtime, load_foreign(busi)).all()
    assert refused(runtime, load(pneumoniamnist).test.images).mean() < 0.03


def test_the_uploads_are_told_apart(pngs):
    runtime = ModelRuntime(MODEL_DIRECTORY)
    answers = {path.name: runtime.predict(np.asarray(Image.open(path))) for path in sorted(pngs.glob("*.png"))}
    ultrasound = [answer for name, answer in answers.items() if name.startswith("busi")]
    chest = {name: answer for name, answer in answers.items() if name.startswith("pneumoniamnist")}
    assert (len(ultrasound), len(chest)) == (18, 16)
    assert not any(answer.accepted for answer in ultrasound)
    assert all(answer.accepted for answer in chest.values())
    assert sum(name.endswith(f"_{answer.label}.png") for name, answer in chest.items()) == 14
