"""Pixels of PNG and JPEG by Pillow, as grey values."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from fhir_adapters.base import AdapterError, Damaged, TooCostly
from fhir_adapters.imaging import png
from fhir_adapters.imaging.formats import PNG

_COLOUR_DISTANCE = 24
"""Between the largest and the smallest of red, green and blue; less is a tint, or the trace of JPEG compression."""
_COLOUR_SHARE = 0.05
"""Of the pixels; less is a label or a ruler on a grey picture."""


def decode(data: bytes, content_type: str) -> tuple[NDArray[np.uint8], bool]:
    """Grey pixels, and whether the picture is a coloured one. The caller has checked size and structure."""
    from PIL import Image, ImageOps

    try:
        if content_type == PNG:
            picture = Image.open(io.BytesIO(png.without_ancillary(data)), formats=("PNG",))
        else:
            picture = Image.open(io.BytesIO(data), formats=("JPEG",))
        picture.load()
        return _grey(ImageOps.exif_transpose(picture))
    except AdapterError:
        raise
    except MemoryError:
        raise TooCostly("Decoding the image takes too much memory.") from None
    except Exception as error:  # Pillow raises many types, SyntaxError and struct.error among them
        raise Damaged(f"The pixels cannot be decoded ({type(error).__name__}).") from error


def _grey(picture: object) -> tuple[NDArray[np.uint8], bool]:
    from PIL import Image

    assert isinstance(picture, Image.Image)  # noqa: S101 - for the type checker
    if picture.mode.startswith("I") or picture.mode == "F":
        return stretched(np.asarray(picture)), False
    if picture.mode in ("1", "L") and "transparency" not in picture.info:
        return np.asarray(picture.convert("L")), False
    # Transparent parts show what lies behind a picture; behind a radiograph it is dark.
    pixels = picture.convert("RGBA")
    shown = Image.alpha_composite(Image.new("RGBA", pixels.size, (0, 0, 0, 255)), pixels).convert("RGB")
    return np.asarray(shown.convert("L")), is_colourful(np.asarray(shown))


def is_colourful(pixels: NDArray[np.uint8]) -> bool:
    """Tell whether red, green and blue (the last axis) differ by so much that grey values hide what is shown."""
    distance = pixels.max(axis=2) - pixels.min(axis=2)
    return bool((distance > _COLOUR_DISTANCE).mean() > _COLOUR_SHARE)


def stretched(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Values of any depth as 0 to 255, the smallest black and the largest white: 16 bits may hold 12 or 10."""
    values = pixels.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    return np.rint((values - low) * (255 / (high - low))).astype(np.uint8)
