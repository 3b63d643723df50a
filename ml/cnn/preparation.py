"""Any grey picture -> the 28 x 28 grey levels that the network looks at, as MedMNIST prepared its images.

MedMNIST (https://doi.org/10.1038/s41597-022-01721-8) cuts the central square with the short edge as its side and
shrinks it with Pillow's anti-aliased bicubic filter; a picture that has 28 x 28 pixels already stays exactly as it is.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.cnn.model import IMAGE_SIZE
from ml.result import InvalidImage

SMALLEST_EDGE = 16
MOST_PIXELS = 2**25
GREY_TOLERANCE = 2  # grey levels by which the channels of a grey JPEG may differ through rounding
WIDEST = 2.5  # longest edge to shortest; chest radiographs stay below
FLATTEST = 4.0  # standard deviation in grey levels; a radiograph has 20 and more


def digest(pixels: NDArray[np.generic]) -> str:
    """SHA-256 of the pixels with their shape and type, so that equal pictures have equal digests."""
    header = f"{pixels.dtype.newbyteorder('<').str}{pixels.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).tobytes()).hexdigest()


def check(pixels: object) -> NDArray[np.generic]:
    """The pixels as an array, if they can be a picture at all: uint8 or uint16 of full range, or floats from 0 to 1."""
    if not isinstance(pixels, np.ndarray):
        raise InvalidImage(f"Pixels must be a numpy array, not {type(pixels).__name__}.")
    if pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8):
        raise InvalidImage(f"Pixels have shape {pixels.shape}; height x width, or x 3 as uint8, is needed.")
    if min(pixels.shape[:2]) < SMALLEST_EDGE:
        raise InvalidImage(
            f"The image has {pixels.shape[1]} x {pixels.shape[0]} pixels; each edge needs {SMALLEST_EDGE} at least."
        )
    if pixels.shape[0] * pixels.shape[1] > MOST_PIXELS:
        raise InvalidImage(
            f"The image has {pixels.shape[1]} x {pixels.shape[0]} pixels; at most {MOST_PIXELS} are looked at."
        )
    if pixels.dtype not in (np.uint8, np.uint16) and pixels.dtype.kind != "f":
        raise InvalidImage(f"Pixels are {pixels.dtype}; uint8, uint16 or floats from 0 to 1 are needed.")
    if pixels.dtype.kind == "f" and not (pixels.min() >= 0 and pixels.max() <= 1):
        raise InvalidImage("Float pixels must be finite numbers from 0 to 1.")
    return pixels


def objection(pixels: NDArray[np.generic]) -> str | None:
    """Why the model must not judge these checked pixels, as far as it shows before the model runs; None: no reason."""
    height, width = pixels.shape[:2]
    if max(height, width) > WIDEST * min(height, width):
        return f"The image is {width} x {height} pixels, too long and narrow for a chest radiograph."
    if pixels.ndim == 3 and not _is_grey(pixels):
        return "The image has colours; a chest radiograph is grey."
    return None


def prepare(pixels: NDArray[np.generic]) -> NDArray[np.float32]:
    """Checked pixels as 28 x 28 grey levels from 0 to 255."""
    grey = _square(pixels[..., 0] if pixels.ndim == 3 else pixels)
    if grey.dtype == np.uint8:
        return np.asarray(_shrink(Image.fromarray(grey)), dtype=np.float32)
    scale = 255.0 if grey.dtype.kind == "f" else 255.0 / np.iinfo(np.uint16).max
    levels = np.multiply(grey, scale, dtype=np.float32)
    return np.clip(np.asarray(_shrink(Image.fromarray(levels)), dtype=np.float32), 0.0, 255.0)


def is_flat(levels: NDArray[np.float32]) -> bool:
    """Whether prepared grey levels show next to nothing."""
    return float(levels.std()) < FLATTEST


def _is_grey(pixels: NDArray[np.generic]) -> bool:
    red, green, blue = (pixels[..., channel].astype(np.int16) for channel in range(3))
    return max(int(np.abs(red - green).max()), int(np.abs(red - blue).max())) <= GREY_TOLERANCE


def _square(grey: NDArray[np.generic]) -> NDArray[np.generic]:
    edge = min(grey.shape)
    top, left = (grey.shape[0] - edge) // 2, (grey.shape[1] - edge) // 2
    return np.ascontiguousarray(grey[top : top + edge, left : left + edge])


def _shrink(image: Image.Image) -> Image.Image:
    if image.size == (IMAGE_SIZE, IMAGE_SIZE):
        return image
    return image.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)
