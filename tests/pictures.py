"""Builders of small pictures and DICOM files: valid by default, one argument to vary."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

DX_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"


def ramp(rows: int = 32, columns: int = 24, top: int = 255, dtype: Any = np.uint8) -> np.ndarray:
    """Values from 0 to `top`, row by row."""
    return np.linspace(0, top, rows * columns).reshape(rows, columns).astype(dtype)


def encoded(pixels: np.ndarray, format_: str = "PNG", **options: Any) -> bytes:
    """Pixels as a file of a Pillow format."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format_, **options)
    return file.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows: int, columns: int, content: bytes, *, depth: int = 8, colour: int = 0, extra: bytes = b"") -> bytes:
    """A PNG whose header and data need not agree."""
    header = struct.pack(">IIBBBBB", columns, rows, depth, colour, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", content) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def data_set(pixels: np.ndarray, **elements: Any) -> Dataset:
    """A digital chest radiograph; keywords add or replace elements, None leaves one out."""
    source = Dataset()
    source.SOPClassUID = DX_FOR_PRESENTATION
    source.SOPInstanceUID = generate_uid(entropy_srcs=["picture"])
    source.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
    source.SeriesInstanceUID = generate_uid(entropy_srcs=["series"])
    source.PatientID = "P-1"
    source.PatientName = "Example^Ada"
    source.Modality = "DX"
    source.BodyPartExamined = "CHEST"
    source.ViewPosition = "PA"
    source.StudyDate = "20240501"
    source.Rows, source.Columns = pixels.shape[:2]
    source.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    source.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        source.PlanarConfiguration = 0
    source.BitsAllocated = pixels.dtype.itemsize * 8
    source.BitsStored = source.BitsAllocated
    source.HighBit = source.BitsStored - 1
    source.PixelRepresentation = int(pixels.dtype.kind == "i")
    source.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    for keyword, value in elements.items():
        if value is None:
            delattr(source, keyword)
        else:
            setattr(source, keyword, value)
    return source


def dicom(
    pixels: np.ndarray | None = None,
    *,
    syntax: str = ExplicitVRLittleEndian,
    frame: bytes | None = None,
    **elements: Any,
) -> bytes:
    """A DICOM part 10 file; `frame` is the compressed picture of an encapsulated transfer syntax."""
    source = data_set(ramp() if pixels is None else pixels, **elements)
    source.file_meta = FileMetaDataset()
    source.file_meta.TransferSyntaxUID = syntax
    source.file_meta.MediaStorageSOPClassUID = source.get("SOPClassUID", DX_FOR_PRESENTATION)
    source.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["picture"])
    if frame is not None:
        source.PixelData = encapsulate([frame])
        source["PixelData"].VR = "OB"
    file = io.BytesIO()
    source.save_as(file, enforce_file_format=True)
    return file.getvalue()
