"""DICOM pixels as a reader sees them: modality LUT, then VOI LUT, then the photometric sense. PS3.4 annex N.2"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fhir_adapters.base import Damaged
from fhir_adapters.imaging import dicom
from fhir_adapters.imaging import dicom_words as words
from fhir_adapters.imaging.raster import is_colourful

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Values = NDArray[np.float64]
_LUMA = np.array((0.299, 0.587, 0.114), np.float32)  # ITU-R BT.601, which Pillow uses too


def decode(data: bytes) -> tuple[NDArray[np.uint8], bool]:
    """Grey pixels, and whether the picture is a coloured one. The caller has checked the header."""
    return dicom.guarded(lambda: _decode(data))


def _decode(data: bytes) -> tuple[NDArray[np.uint8], bool]:
    from pydicom.pixels import pixel_array

    source = dicom.dataset(data)
    shape = (words.whole(source, "Rows"), words.whole(source, "Columns"))
    stored = pixel_array(source)
    if stored.shape[:2] != shape:
        raise Damaged(f"The DICOM image decodes to {stored.shape[:2]}, its header says {shape}.")
    if stored.ndim == 3:
        if stored.dtype != np.uint8:
            stored = (stored >> (stored.dtype.itemsize * 8 - 8)).astype(np.uint8)
        return np.rint(stored @ _LUMA).astype(np.uint8), is_colourful(stored)
    return _shown(source, stored), False


def _shown(source: Dataset, stored: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Each possible stored value is worked out once: at most 65,536 of them, however large the picture."""
    low, high = int(stored.min()), int(stored.max())
    possible = np.arange(low, high + 1, dtype=np.int64)
    padding = _padding(source, possible)
    output = _rescaled(source, possible)
    used = output
    if padding.any() and not padding.all():
        counted = np.bincount((stored - low).ravel(), minlength=len(possible)) > 0
        used = output[counted & ~padding] if (counted & ~padding).any() else output
    full = _full_range(source) if np.array_equal(output, possible) else None
    shown = _windowed(source, output, *(full or (float(used.min()), float(used.max()))))
    if words.text(source, "PhotometricInterpretation") == "MONOCHROME1":
        shown = 1 - shown
    shown[padding] = 0
    table = np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)
    return table[stored.astype(np.int32) - low]


def _padding(source: Dataset, possible: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which stored values mark pixels outside of the picture: PS3.3 C.7.5.1.1.2"""
    first = _sample(source, "PixelPaddingValue")
    if first is None:
        return np.zeros(possible.shape, bool)
    last = _sample(source, "PixelPaddingRangeLimit")
    low, high = sorted((first, first if last is None else last))
    return (possible >= low) & (possible <= high)


def _sample(source: Dataset, keyword: str) -> int | None:
    """A value of the samples' own kind; files are met that write a negative one without its sign."""
    found = words.whole(source, keyword)
    if found is not None and words.whole(source, "PixelRepresentation", 0) == 1 and found > 0x7FFF:
        return found - 0x10000
    return found


def _rescaled(source: Dataset, possible: NDArray[np.int64]) -> Values:
    """PS3.3 C.11.1: the modality LUT, or slope and intercept, or neither."""
    from pydicom.pixels import apply_modality_lut

    output = np.asarray(apply_modality_lut(possible, source), np.float64)
    if output.shape != possible.shape or not np.isfinite(output).all():
        raise Damaged("The rescale values of the DICOM image are not numbers that its pixels can be scaled by.")
    return output


def _full_range(source: Dataset) -> tuple[float, float] | None:
    """All values that up to 8 stored bits can have: without a VOI LUT they are shown as they are, PS3.3 C.11.2.

    None for more bits, and for signed ones: these may hold fewer than their header says.
    """
    bits = words.whole(source, "BitsStored", 16) or 16
    return (0.0, 2.0**bits - 1) if bits <= 8 and words.whole(source, "PixelRepresentation", 0) != 1 else None


def _windowed(source: Dataset, output: Values, low: float, high: float) -> Values:
    """0 to 1 by the first window, else by the first VOI LUT, else from `low` to `high`."""
    center, width = _number(source, "WindowCenter"), _number(source, "WindowWidth")
    function = words.text(source, "VOILUTFunction") or "LINEAR"
    if center is not None and width is not None and (width >= 1 or (function != "LINEAR" and width > 0)):
        return _window(output, center, width, function)
    if words.value(source, "VOILUTSequence") is not None:
        return _looked_up(source, output)
    return (output - low) / (high - low) if high > low else np.zeros(output.shape)


def _window(output: Values, center: float, width: float, function: str) -> Values:
    """PS3.3 C.11.2.1.2.1 and C.11.2.1.3"""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (output - center) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return (output - center) / width + 0.5
    if width == 1:
        return (output > center - 0.5).astype(np.float64)
    return (output - (center - 0.5)) / (width - 1) + 0.5


def _looked_up(source: Dataset, output: Values) -> Values:
    from pydicom.pixels import apply_voi

    bits = int(source.VOILUTSequence[0].LUTDescriptor[2])
    shown = apply_voi(np.rint(output).astype(np.int64), source, index=0)
    return np.asarray(shown, np.float64) / (2**bits - 1)


def _number(source: Dataset, keyword: str) -> float | None:
    found = words.value(source, keyword)
    try:
        number = float(found) if found is not None else None
    except (TypeError, ValueError):
        return None
    return number if number is not None and np.isfinite(number) else None
