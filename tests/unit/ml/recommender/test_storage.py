"""A model on disk."""

import hashlib
import io
import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from ml.recommender import History, Item, Model, RecommenderError, RecommenderUnreadable
from ml.recommender import train as training
from ml.recommender.train import train
from ml.result import ModelUnreadable

NOW = date(2026, 1, 1)


def history(name, *codes):
    return History(name, "female", "1980", tuple(Item("condition", "urn:s", code, f"Ünit {code}") for code in codes))


PEOPLE = [history("1", "a", "b"), history("2", "a", "b", "c"), history("3", "b", "c"), history("4", "a", "d", "c")]


@pytest.fixture
def directory(tmp_path):
    train(PEOPLE, min_patients=1, about={"data": {"source": "made up"}}).save(tmp_path / "model")
    return tmp_path / "model"


def edited(directory, **changes):
    path = directory / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def replaced(directory, content):
    (directory / "weights.npz").write_bytes(content)
    edited(directory, weights={"file": "weights.npz", "sha256": hashlib.sha256(content).hexdigest()})


@pytest.mark.parametrize("algorithm", ["popularity", "content", "item-item", "ease", "hybrid"])
def test_a_loaded_model_answers_as_the_saved_one(tmp_path, algorithm):
    model = train(PEOPLE, min_patients=1, algorithm=algorithm)
    manifest = model.save(tmp_path)
    loaded = Model.load(tmp_path)

    assert loaded.version == model.version == manifest["version"]
    assert loaded.manifest == manifest
    for asked in (*PEOPLE, history("new", "a"), history("bare"), History("nothing")):
        assert loaded.recommend(asked, kind=None, count=9, now=NOW) == model.recommend(
            asked, kind=None, count=9, now=NOW
        )


def test_a_loaded_model_saved_again_gives_the_same_files(directory, tmp_path):
    Model.load(directory).save(tmp_path / "again")

    for name in ("manifest.json", "weights.npz"):
        assert (tmp_path / "again" / name).read_bytes() == (directory / name).read_bytes()


def test_saving_leaves_two_files_and_no_patient_in_them(directory):
    assert sorted(path.name for path in directory.iterdir()) == ["manifest.json", "weights.npz"]
    assert "1980" not in (directory / "manifest.json").read_text()


def test_the_manifest_names_the_data_and_the_hash_of_the_weights(directory):
    manifest = json.loads((directory / "manifest.json").read_text())

    assert manifest["weights"]["sha256"] == hashlib.sha256((directory / "weights.npz").read_bytes()).hexdigest()
    assert manifest["data"] == {"source": "made up"}
    assert (manifest["algorithm"], manifest["patients"], len(manifest["items"])) == ("hybrid", 4, 4)


def test_user_user_is_not_saved_because_it_would_carry_histories(tmp_path):
    with pytest.raises(RecommenderError, match="for comparison"):
        train(PEOPLE, min_patients=1, algorithm="user-user").save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_changed_byte_of_the_weights_is_refused(directory):
    content = bytearray((directory / "weights.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (directory / "weights.npz").write_bytes(bytes(content))

    with pytest.raises(RecommenderUnreadable, match="SHA-256 differs"):
        Model.load(directory)


def test_other_weights_under_a_right_hash_are_refused(directory):
    with np.load(directory / "weights.npz") as arrays:
        other = arrays["weights"] * np.float32(0.5)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, weights=other)
    replaced(directory, buffer.getvalue())

    with pytest.raises(RecommenderUnreadable, match="version is not the hash"):
        Model.load(directory)


def test_a_changed_display_is_refused(directory):
    items = json.loads((directory / "manifest.json").read_text())["items"]
    edited(directory, items=[{**items[0], "display": "something else"}, *items[1:]])

    with pytest.raises(RecommenderUnreadable, match="version is not the hash"):
        Model.load(directory)


class Touch:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickled_weights_are_never_opened(directory, tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, weights=np.array([Touch(tmp_path / "opened")], dtype=object))
    replaced(directory, buffer.getvalue())

    with pytest.raises(RecommenderUnreadable, match="holds no array"):
        Model.load(directory)
    assert not (tmp_path / "opened").exists()


def test_an_archive_that_unpacks_to_more_than_the_weights_is_refused(directory):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, weights=np.zeros((4000, 4000), np.float32))
    replaced(directory, buffer.getvalue())

    with pytest.raises(RecommenderUnreadable, match="more than the weights"):
        Model.load(directory)


@pytest.mark.parametrize(
    "weights",
    [
        {"weights": np.zeros((2, 2), np.float32)},
        {"weights": np.zeros(3, np.float64)},
        {"other": np.zeros(3, np.float32)},
        {"weights": np.full((70, 4), np.nan, np.float32)},
    ],
    ids=["shape", "type", "name", "not-a-number"],
)
def test_arrays_that_do_not_fit_are_refused(directory, weights):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **weights)
    replaced(directory, buffer.getvalue())

    with pytest.raises(RecommenderUnreadable, match=r"weights\.npz (does not fit|holds no array)"):
        Model.load(directory)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"algorithm": "user-user"},
        {"algorithm": ["hybrid"]},
        {"columns": []},
        {"items": [{"kind": "condition"}]},
        {"items": [1]},
        {"items": None},
        {"weights": None},
        {"version": "0" * 16},
        {"patients": None},
    ],
)
def test_a_manifest_that_says_nonsense_is_refused(directory, changes):
    edited(directory, **changes)

    with pytest.raises(RecommenderUnreadable):
        Model.load(directory)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_no_manifest_is_refused(directory, content):
    (directory / "manifest.json").write_bytes(content)

    with pytest.raises(RecommenderUnreadable, match=r"manifest\.json is"):
        Model.load(directory)


@pytest.mark.parametrize("name", ["manifest.json", "weights.npz"])
def test_a_missing_file_is_named(directory, name):
    (directory / name).unlink()

    with pytest.raises(ModelUnreadable, match=f"{name} cannot be read"):
        Model.load(directory)


def test_a_training_run_writes_a_model_with_its_measures(tmp_path):
    people = [history(str(n), *sorted({"abcdefgh"[(n * k) % 8] for k in range(1, 9)} | {"x", "y"})) for n in range(40)]

    manifest = training.run(iter(people), tmp_path, seed=3, source="made up", licence="CC0-1.0", command="hie train")

    assert manifest == Model.load(tmp_path).manifest
    assert manifest["data"]["licence"] == "CC0-1.0"
    assert manifest["data"]["sha256"] == training.data_hash(people)
    assert manifest["trained"]["seed"] == manifest["metrics"]["seed"] == 3
    assert {figure["algorithm"] for figure in manifest["metrics"]["figures"]} >= {"popularity", "user-user", "hybrid"}
    assert (
        training.run(people[::-1], tmp_path / "again", seed=3, source="made up", licence="CC0-1.0", command="hie train")
        == manifest
    )


def test_a_run_that_could_not_be_saved_is_refused_before_any_work(tmp_path):
    with pytest.raises(RecommenderError, match="for comparison"):
        training.run(iter(PEOPLE), tmp_path, algorithm="user-user")
