"""The files of a tar archive that comes from outside: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html

Python's tarfile does more than a package needs: what stands before a file, however often and however long, it reads by
functions that call themselves and by expressions whose time grows with the square. Here a header tells of its file the
name and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_BLOCK = 512
_CHECKSUM = slice(148, 156)
#: Regular files, of POSIX, of what was before it, and contiguous ones.
_FILES = frozenset({b"0", b"\0", b"7"})
#: Links, directories and devices: nothing follows their headers, whatever the size says.
_WITHOUT_CONTENT = frozenset({b"1", b"2", b"3", b"4", b"5", b"6"})
#: What stands before a file: with its name, where that is long, of POSIX and of GNU; and with something else.
_PAX, _GNU, _OTHERS = b"x", b"L", frozenset({b"g", b"K"})
#: A length in a header of POSIX has no more digits.
_MOST_DIGITS = 10


class Damaged(ValueError):
    """What is no tar archive, or ends too early; the text says where."""


class File(NamedTuple):
    """A file or anything else in an archive: where its content lies."""

    name: str
    is_regular: bool
    start: int
    size: int


def files(archive: bytes) -> Iterator[File]:
    """Yield all that an archive has, in its order."""
    at, named = 0, ""
    while any(header := archive[at : at + _BLOCK]):
        kind, told = header[156:157], _size(header, at)
        size = 0 if kind in _WITHOUT_CONTENT else told
        start, at = at + _BLOCK, at + _BLOCK + -(-size // _BLOCK) * _BLOCK
        if start + size > len(archive):
            raise Damaged(f"what begins at byte {start - _BLOCK} ends too early")
        if kind == _PAX:
            named = _path(archive[start : start + size], start) or named
        elif kind == _GNU:
            named = _text(archive[start : start + size])
        elif kind not in _OTHERS:
            yield File(named or _name(header), kind in _FILES, start, size)
            named = ""


def _size(header: bytes, at: int) -> int:
    """Read the size in a header whose checksum is right."""
    told, size = _octal(header[_CHECKSUM]), _octal(header[124:136])
    rest = header[: _CHECKSUM.start] + b" " * 8 + header[_CHECKSUM.stop :]
    if len(header) < _BLOCK or size is None or told != sum(rest):
        raise Damaged(f"no header of tar is at byte {at}")
    return size


def _octal(field: bytes) -> int | None:
    digits = field.strip(b" \0")
    return int(digits or b"0", 8) if all(48 <= one < 56 for one in digits) else None


def _name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")


def _path(records: bytes, start: int) -> str | None:
    """Return the path of records such as `30 path=package/long.json`; None where none of them is it."""
    at, found = 0, None
    while at < len(records):
        digits = records[at : at + _MOST_DIGITS].partition(b" ")[0]
        end = at + (int(digits) if digits.isdigit() else 0)
        key, sign, value = records[at + len(digits) + 1 : end].partition(b"=")
        if not at < end <= len(records) or not sign or not value.endswith(b"\n"):
            raise Damaged(f"no record of a header is at byte {start + at}")
        if key == b"path":
            found = value[:-1].decode(errors="replace")
        at = end
    return found
