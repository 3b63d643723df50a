"""DICOM part 10 files: what their header says, read under a budget. https://dicom.nema.org/medical/dicom/current/"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fhir_adapters.base import AdapterError, Damaged, NoImage, TooCostly, Unsupported
from fhir_adapters.imaging import dicom_words as words
from fhir_adapters.imaging import jpeg
from fhir_adapters.imaging.formats import DICOM, DICOM_PREAMBLE
from fhir_adapters.imaging.image import Header
from fhir_adapters.imaging.limits import BYTES_IN_PROCESS, MAX_BYTES, MAX_READS, MAX_SEQUENCE_READS

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_NATIVE = frozenset({"1.2.840.10008.1.2", _EXPLICIT_LITTLE, "1.2.840.10008.1.2.2"})
_JPEG = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
_LONG_VALUE_REPRESENTATIONS = frozenset({b"OB", b"OW", b"SQ", b"UN", b"UT"})

_PIXEL_DATA = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_SEQUENCES = (0x00082218, 0x00283000, 0x00283010, 0x00540220)
"""Anatomic Region, Modality LUT, VOI LUT, View Code."""
_TAGS = [
    *(0x00080016, 0x00080018, 0x00080020, 0x00080022, 0x0008002A, 0x00080030, 0x00080032, 0x00080060, 0x00080070),
    *(0x00080201, 0x00081090, 0x00100020, 0x00100021, 0x00100030, 0x00100040, 0x00180015, 0x00185101),
    *(0x0020000D, 0x0020000E),
    *(0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011),
    *(0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00280120, 0x00280121),
    *(0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00281056),
    *_SEQUENCES,
    *_PIXEL_DATA,
]


class _Budgeted(io.BytesIO):
    """Bytes that can be read a bounded number of times, so that millions of tiny elements cost no more than that."""

    def __init__(self, data: bytes, reads: int = MAX_READS) -> None:
        super().__init__(data)
        self._reads = self._left = reads

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise TooCostly(f"The DICOM data set takes more than {self._reads} reads to walk through.")
        return super().read(size)


def guarded(read: Callable[[], Any]) -> Any:
    """Call `read`; whatever pydicom stumbles over becomes Damaged."""
    try:
        return read()
    except AdapterError:
        raise
    except MemoryError:
        raise TooCostly("Reading the DICOM file takes too much memory.") from None
    except Exception as error:  # pydicom raises what its input makes happen: KeyError, struct.error, RecursionError...
        raise Damaged(f"The DICOM file cannot be read ({type(error).__name__}).") from error


def dataset(data: bytes) -> Dataset:
    """The elements that pictures and their records need; other sequences and private elements are walked over."""
    import pydicom
    from pydicom import config

    # What breaks a rule on a value's form is checked here where it matters; a warning could quote patient data.
    config.settings.reading_validation_mode = config.IGNORE
    content = _inflated(data)
    return guarded(lambda: _opened(pydicom.dcmread(_Budgeted(content), specific_tags=list(_TAGS))))


def _opened(source: Dataset) -> Dataset:
    """The data set with its sequences read, which pydicom would do later, with as many items as their bytes hold."""
    from pydicom.charset import default_encoding
    from pydicom.dataelem import DataElement
    from pydicom.filereader import read_sequence

    for tag in _SEQUENCES:
        raw = source.get_item(tag)
        if raw is None or isinstance(raw, DataElement) or raw.VR not in (None, "SQ", "UN") or not raw.value:
            continue  # an element of undefined length is read already
        file = _Budgeted(raw.value, MAX_SEQUENCE_READS)
        items = read_sequence(
            file, raw.is_implicit_VR, raw.is_little_endian, len(raw.value), default_encoding
        )
        source[tag] = DataElement(tag, "SQ", items)
    return source


def header(data: bytes) -> Header:
    """Size and facts of the one picture in a DICOM file, after checking that its pixels can be there and be read."""
    return guarded(lambda: _header(data))


def _header(data: bytes) -> Header:
    source = dataset(data)
    syntax = transfer_syntax(source)
    _check_kind(source)
    rows, columns = words.whole(source, "Rows"), words.whole(source, "Columns")
    if not rows or not columns:
        raise Damaged("The DICOM image does not say how many rows and columns it has.")
    apart = syntax not in _NATIVE or len(data) > BYTES_IN_PROCESS
    result = Header(DICOM, rows, columns, apart, words.facts(source), words.patient(source))
    if syntax in _NATIVE:
        _check_length(source, rows, columns)
    elif syntax in _JPEG:
        _check_jpeg(source, rows, columns)
    else:
        _check_decodable(syntax)
    return result


def transfer_syntax(source: Dataset) -> str:
    """The UID of how the data set is written."""
    syntax = str(getattr(source.file_meta, "TransferSyntaxUID", ""))
    if not syntax:
        raise Damaged("The DICOM file does not name its transfer syntax.")
    return syntax


def _check_kind(source: Dataset) -> None:
    if not any(tag in source for tag in _PIXEL_DATA):
        raise NoImage(f"The DICOM file has no image: it is {words.kind_of_object(source)}.")
    if _PIXEL_DATA[2] not in source:
        raise Unsupported("The DICOM image has floating-point pixels; whole numbers of 8 or 16 bits are read.")
    frames = words.whole(source, "NumberOfFrames", 1)
    if frames != 1:
        raise Unsupported(f"The DICOM image has {frames} frames; one still image is read.")
    photometric = words.text(source, "PhotometricInterpretation")
    samples = words.whole(source, "SamplesPerPixel", 1)
    if samples != words.SAMPLES.get(photometric or ""):
        raise Unsupported(
            f"The DICOM image has photometric interpretation {photometric or 'none'!r} with {samples} samples by "
            f"pixel; {', '.join(words.SAMPLES)} are read."
        )
    allocated, stored = words.whole(source, "BitsAllocated"), words.whole(source, "BitsStored")
    if allocated not in (8, 16):
        raise Unsupported(f"The DICOM image allocates {allocated} bits for a sample; 8 and 16 are read.")
    if stored is None or not 1 <= stored <= allocated:
        raise Damaged(f"The DICOM image stores {stored} bits of {allocated} for a sample.")
    high = words.whole(source, "HighBit", stored - 1)
    if high != stored - 1:
        raise Unsupported(f"The DICOM image has its {stored} bits up to bit {high}; those up to {stored - 1} are read.")


def _check_length(source: Dataset, rows: int, columns: int) -> None:
    samples = words.whole(source, "SamplesPerPixel", 1) or 1
    expected = rows * columns * samples * (words.whole(source, "BitsAllocated") or 8) // 8
    if words.text(source, "PhotometricInterpretation") == "YBR_FULL_422":
        expected = expected * 2 // 3
    found = len(source.get_item(_PIXEL_DATA[2]).value or b"")
    if found < expected:
        raise Damaged(f"The DICOM file has {found} bytes of pixels; {rows} x {columns} of them need {expected}.")


def _check_jpeg(source: Dataset, rows: int, columns: int) -> None:
    """The frame inside decides what a decoder allocates, so it must be the one that the data set announces."""
    frame = jpeg.frame(_first_frame(source))
    if (frame.rows, frame.columns) != (rows, columns):
        raise Damaged(
            f"The JPEG inside the DICOM file has {frame.rows} x {frame.columns} pixels, its header says {rows} x "
            f"{columns}."
        )


def _first_frame(source: Dataset) -> bytes:
    from pydicom.encaps import get_frame

    return get_frame(source.get_item(_PIXEL_DATA[2]).value, 0, number_of_frames=1)


def _check_decodable(syntax: str) -> None:
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    name = UID(syntax).name
    try:
        available = get_decoder(UID(syntax)).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise Unsupported(f"The pixels of the DICOM image are compressed as {name}, for which there is no decoder.")


def _inflated(data: bytes) -> bytes:
    """The file with a deflated data set written out, as PS3.5 annex A.5 has it, within the limit of bytes."""
    syntax, end = _file_meta(data)
    if syntax != _DEFLATED:
        return data
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = inflater.decompress(data[end:], MAX_BYTES)
    except zlib.error as error:
        raise Damaged("The deflated DICOM data set cannot be inflated.") from error
    if inflater.unconsumed_tail:
        raise TooCostly(f"The deflated DICOM data set has more than {MAX_BYTES} bytes.")
    if not inflater.eof:
        raise Damaged("The deflated DICOM data set ends too early.")
    uid = _EXPLICIT_LITTLE.encode() + b"\0"
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(uid)) + uid
    return bytes(DICOM_PREAMBLE) + b"DICM" + meta + content


def _file_meta(data: bytes) -> tuple[str, int]:
    """The transfer syntax and where the file meta information ends: it is always explicit, little endian (PS3.10)."""
    place, syntax = DICOM_PREAMBLE + 4, ""
    while place + 8 <= len(data):
        group, element, representation, length = struct.unpack_from("<HH2sH", data, place)
        if group != 2:
            break
        start = place + 8
        if representation in _LONG_VALUE_REPRESENTATIONS:
            if start + 4 > len(data):
                raise Damaged("The DICOM file ends in its file meta information.")
            length = struct.unpack_from("<I", data, start)[0]
            start += 4
        if start + length > len(data):
            raise Damaged("The DICOM file ends in its file meta information.")
        if element == 0x10:
            syntax = data[start : start + length].rstrip(b"\0 ").decode("ascii", "replace")
        place = start + length
    return syntax, place
