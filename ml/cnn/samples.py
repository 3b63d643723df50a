"""Synthetic radiographs for demonstrations: nobody's image.

Drawn from the mean and the principal components of each class of the training split, a statistic over thousands of
images, which lies in `weights/samples` with its source. `python -m ml.cnn.samples DATA` makes it again.
"""

from __future__ import annotations

import io
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ml.cnn.components import principal_components
from ml.cnn.data import load, without_leaks
from ml.cnn.model import CLASSES, IMAGE_SIZE
from ml.cnn.npz import read_arrays
from ml.result import DataUnreadable

STATISTICS = Path(__file__).parent / "weights" / "samples" / "components.npz"
COMPONENTS = 40
SPREAD = 0.7  # of the training images' own deviation along each component: typical cases, no extremes
EDGE = 224
NOTICE = "Synthetic radiograph drawn from principal components of PneumoniaMNIST (CC BY 4.0); shows no person."


def sample_radiographs(seed: int, per_class: int, size: int = EDGE) -> list[tuple[str, NDArray[np.uint8]]]:
    """For each class `per_class` synthetic radiographs with its label, the same ones for the same seed."""
    random = np.random.default_rng(seed)
    found = []
    for label, (mean, components, deviations) in zip(CLASSES, _statistics(), strict=True):
        for _ in range(per_class):
            along = random.standard_normal(COMPONENTS) * deviations * SPREAD
            levels = np.clip(mean + along @ components, 0, 255).reshape(IMAGE_SIZE, IMAGE_SIZE)
            found.append((label, _enlarged(levels.astype(np.float32), size)))
    return found


def sample_png(image: NDArray[np.uint8]) -> bytes:
    """A synthetic radiograph as PNG that says in its text what it is."""
    text = PngInfo()
    text.add_text("Description", NOTICE)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


def statistics_of(data: Path) -> bytes:
    """Mean, principal components and deviations of each class of the training split, as npz of plain arrays."""
    train = without_leaks(load(data))[0].train
    arrays: dict[str, Any] = {}
    for label, name in enumerate(CLASSES):
        flat = train.images[train.labels == label].reshape(-1, IMAGE_SIZE**2).astype(np.float64)
        mean, components, variances = principal_components(flat, COMPONENTS)
        arrays[f"{name}_mean"] = mean.astype(np.float16)
        arrays[f"{name}_components"] = components.astype(np.float16)
        arrays[f"{name}_deviations"] = np.sqrt(variances).astype(np.float32)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _enlarged(levels: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    image = Image.fromarray(levels)
    if size != IMAGE_SIZE:
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.clip(np.rint(np.asarray(image)), 0, 255).astype(np.uint8)


@cache
def _statistics() -> list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
    try:
        arrays = read_arrays(STATISTICS.read_bytes())
        return [
            (
                arrays[f"{name}_mean"].astype(np.float64),
                arrays[f"{name}_components"].astype(np.float64),
                arrays[f"{name}_deviations"].astype(np.float64),
            )
            for name in CLASSES
        ]
    except (KeyError, ValueError, OSError) as error:
        raise DataUnreadable(f"The statistics of synthetic radiographs cannot be read: {error}.") from error


if __name__ == "__main__":
    STATISTICS.parent.mkdir(parents=True, exist_ok=True)
    STATISTICS.write_bytes(statistics_of(Path(sys.argv[1])))
