"""Which format bytes really have, told from their first bytes, and whether that agrees with what was declared."""

from __future__ import annotations

from fhir_adapters.base import Damaged, TooCostly, WrongFormat
from fhir_adapters.imaging.limits import MAX_BYTES

PNG, JPEG, DICOM = "image/png", "image/jpeg", "application/dicom"
CONTENT_TYPES = frozenset({PNG, JPEG, DICOM})

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
DICOM_PREAMBLE = 128

_SYNONYMS = {"image/jpg": JPEG, "image/pjpeg": JPEG, "image/x-png": PNG, "image/dicom": DICOM, "application/dcm": DICOM}
_OTHERS = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"%PDF", "a PDF document"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"RIFF", "a RIFF file (WebP, WAV or AVI)"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 file outside of DICOM"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 codestream outside of DICOM"),
    (b"<", "markup text"),
    (b"{", "JSON text"),
)


def content_type_of(declared: str) -> str:
    """The declared content type in its usual spelling, without parameters: `image/JPG; q=1` is image/jpeg."""
    bare = declared.partition(";")[0].strip().lower()
    return _SYNONYMS.get(bare, bare)


def is_image_type(declared: str | None) -> bool:
    """Tell whether a declared content type is one of those that are decoded here."""
    return declared is not None and content_type_of(declared) in CONTENT_TYPES


def sniff(data: bytes, declared: str | None) -> str:
    """The content type of `data` by its first bytes; it must be the declared one where one is declared."""
    if not data:
        raise Damaged("The image is empty.")
    if len(data) > MAX_BYTES:
        raise TooCostly(f"The image has {len(data)} bytes; {MAX_BYTES} are the most that are read.")
    found = _found(data)
    wanted = content_type_of(declared) if declared else None
    if found is None:
        raise WrongFormat(f"{_description(data)}; PNG, JPEG and DICOM (part 10) are read.")
    if wanted is not None and wanted != found:
        raise WrongFormat(f"The content is declared as {wanted[:60]!r}, but its first bytes are those of {found}.")
    return found


def _found(data: bytes) -> str | None:
    if data.startswith(PNG_SIGNATURE):
        return PNG
    if data.startswith(b"\xff\xd8\xff"):
        return JPEG
    if data[DICOM_PREAMBLE : DICOM_PREAMBLE + 4] == b"DICM":
        return DICOM
    return None


def _description(data: bytes) -> str:
    for start, name in _OTHERS:
        if data.startswith(start):
            return f"The content is {name}"
    # A group number of 0002 or 0008 in front is how a DICOM data set begins that was stored without its header.
    if data[:2] in (b"\x08\0", b"\x02\0"):
        return "The content looks like a DICOM data set without preamble and file meta information"
    return "The content is in no format that is known here"
