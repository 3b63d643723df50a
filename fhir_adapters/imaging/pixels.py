"""Decode a checked image in this process."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fhir_adapters.imaging import dicom_pixels, raster
from fhir_adapters.imaging.formats import DICOM


def decode(data: bytes, content_type: str) -> tuple[NDArray[np.uint8], bool]:
    """Grey pixels, and whether the picture is a coloured one."""
    return dicom_pixels.decode(data) if content_type == DICOM else raster.decode(data, content_type)
