"""PNG, JPEG and DICOM bytes into grey pixels, safely: nothing is decoded before its size is known to be bearable.

`inspect` judges the structure without decompressing anything; `decode` gives the pixels. Only AdapterErrors escape.
Mapping and limits: docs/adapters/imaging.md
"""

from __future__ import annotations

from fhir_adapters.imaging.decode import decode, inspect
from fhir_adapters.imaging.formats import CONTENT_TYPES, DICOM, JPEG, PNG, content_type_of, is_image_type
from fhir_adapters.imaging.image import DicomFacts, DicomPatient, Header, Image

__all__ = [
    "CONTENT_TYPES",
    "DICOM",
    "JPEG",
    "PNG",
    "DicomFacts",
    "DicomPatient",
    "Header",
    "Image",
    "content_type_of",
    "decode",
    "inspect",
    "is_image_type",
]
