"""PNG structure, and its pixels by Pillow: https://www.w3.org/TR/png-3/"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from fhir_adapters.base import Damaged, Unsupported
from fhir_adapters.imaging.formats import PNG_SIGNATURE

# All that the pixels need. Text, profiles and the like may be compressed without bound and are never handed on.
_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_COLOUR_TYPES = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


def size(data: bytes) -> tuple[int, int]:
    """Rows and columns, after every chunk was found whole; nothing is decompressed."""
    chunks = [(kind, start, length) for kind, start, length in _chunks(data)]
    kinds = [kind for kind, _, _ in chunks]
    if kinds[:1] != [b"IHDR"] or chunks[0][2] != 13:
        raise Damaged("The PNG does not begin with its header chunk.")
    if b"IDAT" not in kinds:
        raise Damaged("The PNG has no image data.")
    if b"acTL" in kinds:
        raise Unsupported("The PNG is an animation; one still image is read.")
    columns, rows, depth, colour, compression, filtering, _ = struct.unpack_from(">IIBBBBB", data, chunks[0][1])
    if depth not in _COLOUR_TYPES.get(colour, ()) or compression or filtering:
        raise Damaged(f"The PNG header names bit depth {depth} with colour type {colour}, which the standard has not.")
    return rows, columns


def without_ancillary(data: bytes) -> bytes:
    """The same picture with nothing but the chunks that its pixels need."""
    parts = [PNG_SIGNATURE]
    parts += [data[start - 8 : start + length + 4] for kind, start, length in _chunks(data) if kind in _KEPT]
    return b"".join(parts)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and length of each chunk's data, to the end chunk; each checksum is verified."""
    place = len(PNG_SIGNATURE)
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        start = place + 8
        if start + length + 4 > len(data):
            raise Damaged("The PNG ends in the middle of a chunk.")
        if zlib.crc32(data[start - 4 : start + length]) != struct.unpack_from(">I", data, start + length)[0]:
            raise Damaged("The checksum of a chunk of the PNG is wrong.")
        yield kind, start, length
        if kind == b"IEND":
            return
        place = start + length + 4
    raise Damaged("The PNG ends before its end chunk.")
