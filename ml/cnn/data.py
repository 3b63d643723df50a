"""The data set: official splits from one npz file, its checksum, and images that leaked from one split to another.

Layout of the file (https://medmnist.com): `{train,val,test}_images` (n, 28, 28) uint8, `{…}_labels` (n, 1) 0 or 1.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.cnn.model import IMAGE_SIZE
from ml.cnn.npz import read_arrays
from ml.result import DataUnreadable

SPLITS = ("train", "val", "test")
# Root mean square difference in grey levels. Between different images of PneumoniaMNIST it is 8.3 at least.
NEAR_DUPLICATE = 6.0


@dataclass(frozen=True, eq=False)
class Split:
    """Images (n, 28, 28) uint8 and their labels (n,), 0 or 1."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, keep: NDArray[np.bool_]) -> Split:
        """The part of this split that is to be kept."""
        return Split(self.images[keep], self.labels[keep])


@dataclass(frozen=True, eq=False)
class DataSet:
    """The three official splits and the SHA-256 of the file they came from."""

    train: Split
    val: Split
    test: Split
    sha256: str


@dataclass(frozen=True)
class Leakage:
    """How many training images repeat an image of another split or of training itself, and what was left out."""

    train_in_val: int
    train_in_test: int
    repeated_in_train: int
    val_in_test: int
    repeated_in_val: int
    repeated_in_test: int
    dropped_from_train: int


def load(path: Path) -> DataSet:
    """Read the official splits from the npz at `path`."""
    content, arrays = _read(path)
    return DataSet(**{name: _split(arrays, name) for name in SPLITS}, sha256=hashlib.sha256(content).hexdigest())


def load_foreign(path: Path) -> NDArray[np.uint8]:
    """All pictures of an npz of other images than chest radiographs, whatever its splits."""
    found = [array for name, array in _read(path)[1].items() if name.endswith("_images")]
    if not found or any(images.dtype != np.uint8 or images.shape[1:] != (IMAGE_SIZE,) * 2 for images in found):
        raise DataUnreadable(f"{path.name} must hold arrays named …_images, uint8 (n, {IMAGE_SIZE}, {IMAGE_SIZE}).")
    return np.concatenate(found)


def without_leaks(data: DataSet) -> tuple[DataSet, Leakage]:
    """The data with a training split that shares no (near-)duplicate with val, test or itself; val and test stay."""
    in_val = _near(data.train.images, data.val.images)
    in_test = _near(data.train.images, data.test.images)
    again = _repeats(data.train.images)
    drop = in_val | in_test | again
    leakage = Leakage(
        train_in_val=int(in_val.sum()),
        train_in_test=int(in_test.sum()),
        repeated_in_train=int(again.sum()),
        val_in_test=int(_near(data.val.images, data.test.images).sum()),
        repeated_in_val=int(_repeats(data.val.images).sum()),
        repeated_in_test=int(_repeats(data.test.images).sum()),
        dropped_from_train=int(drop.sum()),
    )
    return DataSet(data.train.where(~drop), data.val, data.test, data.sha256), leakage


def _read(path: Path) -> tuple[bytes, dict[str, NDArray[Any]]]:
    try:
        content = path.read_bytes()
        return content, read_arrays(content)
    except (OSError, ValueError) as error:
        raise DataUnreadable(f"{path.name} cannot be read: {error}.") from error


def _split(arrays: dict[str, NDArray[Any]], name: str) -> Split:
    try:
        images, labels = arrays[f"{name}_images"], arrays[f"{name}_labels"]
    except KeyError as error:
        raise DataUnreadable(f"The data lack the array {error.args[0]}.") from None
    if images.dtype != np.uint8 or images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE) or not len(images):
        raise DataUnreadable(
            f"{name}_images is {images.dtype}{images.shape}; uint8 (n, {IMAGE_SIZE}, {IMAGE_SIZE}) is needed."
        )
    if labels.size != len(images) or not np.isin(labels, (0, 1)).all():
        raise DataUnreadable(f"{name}_labels must be one 0 or 1 for each of {len(images)} images.")
    return Split(images, labels.reshape(-1).astype(np.uint8))


def root_mean_square_differences(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float32]:
    """For every pair of `images` and `others`, how many grey levels they differ by; exact to a tenth."""
    a = images.reshape(len(images), -1).astype(np.float32) - 128
    b = others.reshape(len(others), -1).astype(np.float32) - 128
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.sqrt(np.maximum(squares, 0) / a.shape[1])


def _near(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.any(root_mean_square_differences(images, others) < NEAR_DUPLICATE, axis=1)


def _repeats(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Every image that is like an earlier one."""
    near = root_mean_square_differences(images, images) < NEAR_DUPLICATE
    return np.any(np.tril(near, k=-1), axis=1)
