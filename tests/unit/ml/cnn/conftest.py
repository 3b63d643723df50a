"""Where the data sets lie, and small ones made up; a copy of a shipped model that a test may spoil."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[4]
SHARED = Path(os.environ.get("HIE_TEST_DATA", ROOT.parent / "shared" / "data")) / "medmnist"


def _shared(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not here; HIE_TEST_DATA names the directory that has medmnist/{name}")
    return path


@pytest.fixture(scope="session")
def pneumoniamnist():
    return _shared("pneumoniamnist_rebuilt.npz")


@pytest.fixture(scope="session")
def busi():
    return _shared("busi_28.npz")


@pytest.fixture(scope="session")
def pngs():
    return _shared("png")


def blobs(count, seed):
    """Pictures with a bright spot, left for 0 and right for 1, on noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = random.integers(0, 90, (count, 28, 28))
    for image, label in zip(images, labels, strict=True):
        image[8:20, 3 + 14 * label : 11 + 14 * label] += 120
    return images.astype(np.uint8), labels[:, None].astype(np.uint8)


def made_up():
    """The arrays of a small data set."""
    made = {}
    for seed, (split, count) in enumerate((("train", 48), ("val", 20), ("test", 20))):
        made[f"{split}_images"], made[f"{split}_labels"] = blobs(count, seed)
    return made


@pytest.fixture
def arrays():
    return made_up()


@pytest.fixture(scope="session")
def lasting_small_data(tmp_path_factory):
    """The small data set for fixtures that outlive one test."""
    path = tmp_path_factory.mktemp("data") / "small.npz"
    np.savez(path, **made_up())
    return path


@pytest.fixture
def small_data(arrays, tmp_path):
    path = tmp_path / "small.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture
def copied_model(tmp_path):
    """The shipped single model in a directory where a test may spoil it."""
    from ml.cnn import SINGLE_DIRECTORY

    directory = tmp_path / "model"
    directory.mkdir()
    for file in SINGLE_DIRECTORY.iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    return directory


@pytest.fixture
def change_manifest():
    """Change a manifest's entries on disk."""

    def change(directory, **entries):
        path = directory / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | entries))

    return change


@pytest.fixture
def replace_file():
    """Replace a file of a model and enter its checksum in the manifest, as somebody who can write both would."""

    def replace(directory, name, content):
        (directory / name).write_bytes(content)
        path = directory / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        path.write_text(json.dumps(manifest))

    return replace


@pytest.fixture(scope="session")
def radiographs():
    """Synthetic radiographs, so that tests of the shipped model need no data set: (label, picture)."""
    from ml.cnn.samples import sample_radiographs

    return sample_radiographs(seed=7, per_class=10)
