"""Draw a prediction's class-activation map as a picture of its own, on a colour scale that never changes.

Blue speaks against the positive class, white for neither, red for it. The scale runs from -10 to +10 (of the logit),
so that two pictures can be compared; stronger values keep the end colours.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ml.result import ModelError, Prediction

SCALE = 10.0
COLD = np.array((33, 102, 172), np.float32)
NEUTRAL = np.array((255, 255, 255), np.float32)
WARM = np.array((178, 24, 43), np.float32)
LARGEST = 4096
STEPS = 127  # colours on each side of neutral


def heatmap_png(prediction: Prediction, size: int = 224) -> bytes:
    """The map as a square PNG of `size` pixels, smoothly enlarged; it covers the central square of the image."""
    if prediction.heatmap is None:
        raise ModelError("The prediction has no heat map: the image was refused, or the model draws none.")
    if not 7 <= size <= LARGEST:
        raise ModelError(f"A heat map of {size} pixels is not drawn; from 7 to {LARGEST} are.")
    enlarged = Image.fromarray(prediction.heatmap.astype(np.float32)).resize((size, size), Image.Resampling.BILINEAR)
    strength = np.clip(np.asarray(enlarged) / SCALE, -1.0, 1.0)
    # One byte a pixel and a palette of the scale: a thirtieth of the time that RGB takes to compress.
    picture = Image.fromarray(np.rint((strength + 1) * STEPS).astype(np.uint8))
    picture.putpalette(_palette())
    text = PngInfo()
    text.add_text("Description", f"Class-activation map of {prediction.model} {prediction.version}, -10 to +10")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


def _palette() -> bytes:
    """The colours from the coldest to the warmest; the middle one is neutral."""
    strength = (np.arange(2 * STEPS + 1, dtype=np.float32) / STEPS - 1)[:, None]
    colours = NEUTRAL + np.abs(strength) * (np.where(strength < 0, COLD, WARM) - NEUTRAL)
    return np.rint(colours).astype(np.uint8).tobytes()
