"""From bytes to pixels: sniff, check the header against the limits, decode here or in a process apart."""

from __future__ import annotations

from fhir_adapters.base import Damaged, TooCostly
from fhir_adapters.imaging import apart, dicom, formats, jpeg, pixels, png
from fhir_adapters.imaging.image import Header, Image
from fhir_adapters.imaging.limits import BYTES_IN_PROCESS, MAX_PIXELS, MAX_SIDE, PIXELS_IN_PROCESS


def inspect(data: bytes, declared: str | None = None) -> Header:
    """Format, size and facts of an image that can be decoded as far as its structure shows; AdapterError otherwise."""
    content_type = formats.sniff(data, declared)
    header = _HEADERS[content_type](data)
    if not header.rows or not header.columns:
        raise Damaged(f"The image has {header.rows} rows and {header.columns} columns.")
    if max(header.rows, header.columns) > MAX_SIDE or header.rows * header.columns > MAX_PIXELS:
        raise TooCostly(
            f"The image has {header.rows} x {header.columns} pixels; {MAX_PIXELS} in all and {MAX_SIDE} on a side are "
            "the most that are read."
        )
    return header


def decode(data: bytes, declared: str | None = None) -> Image:
    """The grey pixels of an image; AdapterError where there are none to be had."""
    header = inspect(data, declared)
    grey, colourful = (apart.decode if header.apart else pixels.decode)(data, header.content_type)
    if grey.shape != (header.rows, header.columns) and grey.shape != (header.columns, header.rows):
        raise Damaged("The image decodes to another size than its header says.")
    return Image(grey, header, colourful)


def _png(data: bytes) -> Header:
    rows, columns = png.size(data)
    return Header(formats.PNG, rows, columns, _is_large(data, rows * columns))


def _jpeg(data: bytes) -> Header:
    frame = jpeg.frame(data)
    work = frame.rows * frame.columns * max(1, frame.scans // 4)
    return Header(formats.JPEG, frame.rows, frame.columns, _is_large(data, work))


def _is_large(data: bytes, work: int) -> bool:
    return len(data) > BYTES_IN_PROCESS or work > PIXELS_IN_PROCESS


_HEADERS = {formats.PNG: _png, formats.JPEG: _jpeg, formats.DICOM: dicom.header}
