"""JPEG structure: the frame header and the scans, found without decoding. ITU-T T.81 annex B."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from fhir_adapters.base import Damaged, TooCostly, Unsupported
from fhir_adapters.imaging.limits import MAX_SCANS

_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_SCAN, _END = b"\xff\xda", b"\xff\xd9"
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})


@dataclass(frozen=True, slots=True)
class Frame:
    """What the frame header says."""

    rows: int
    columns: int
    components: int
    scans: int


def frame(data: bytes) -> Frame:
    """The frame header of a whole JPEG of 8 bits by component."""
    rows, columns, components, scan = _header(data)
    if data.rfind(_END) < scan:
        raise Damaged("The JPEG ends before its end marker.")
    # In entropy-coded data FF is followed by 00 or a restart marker, so FFDA there is always another scan.
    scans = data.count(_SCAN, scan)
    if scans > MAX_SCANS:
        raise TooCostly(f"The JPEG has {scans} scans; {MAX_SCANS} are the most that are read.")
    return Frame(rows, columns, components, scans)


def _header(data: bytes) -> tuple[int, int, int, int]:
    """Rows, columns, components, and where the first scan begins."""
    place, found = 2, None
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            raise Damaged("The JPEG has no marker where one must stand.")
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        if marker in _STANDALONE:
            place += 2
            continue
        if marker == _SCAN[1]:
            if found is None:
                raise Damaged("The JPEG has a scan before its frame header.")
            return (*found, place)
        length = struct.unpack_from(">H", data, place + 2)[0]
        if length < 2 or place + 2 + length > len(data):
            break
        if marker in _OTHER_FRAMES:
            raise Unsupported("The JPEG is neither baseline nor progressive with Huffman codes; those are read.")
        if marker in (_BASELINE, _EXTENDED, _PROGRESSIVE):
            found = _frame_header(data[place + 4 : place + 2 + length])
        place += 2 + length
    raise Damaged("The JPEG ends in its headers.")


def _frame_header(segment: bytes) -> tuple[int, int, int]:
    if len(segment) < 6:
        raise Damaged("The frame header of the JPEG is too short.")
    bits, rows, columns, components = struct.unpack_from(">BHHB", segment)
    if bits != 8:
        raise Unsupported(f"The JPEG has {bits} bits by component; 8 are read.")
    if not rows:
        raise Unsupported("The JPEG leaves its number of rows to a later marker (DNL).")
    if components not in (1, 3):
        raise Unsupported(f"The JPEG has {components} components (CMYK is not read); grey and RGB pictures are.")
    return rows, columns, components
