"""Audit records in the files of other processes: moved to the table by the next one that opens the store, and by
whoever reads the trail (docs/adr/0011).

A file is plain bytes in the data directory, so a record in it counts only as far as it follows, by its mac, from the
last one of its chain in the table: who cannot know the chain key cannot put one there.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from hie.store.audit import AuditKeys, follows
from hie.store.audit_journal import HEAD, NAMES, SUFFIX, Row

#: What is no record of an exchange is kept under this ending, for whoever finds out how it came there.
SPOILED = ".spoiled"
_KINDS = {name: str if name in ("stream", "client", "interaction") else int for name in NAMES}
_STREAM = re.compile("[0-9a-f]{16}")

alarm = logging.getLogger("hie.alarm")

#: Tells the number and the mac of the last record of a chain in the table; (0, b"") where it has none.
Last = Callable[[str], tuple[int, bytes]]


@dataclass(slots=True)
class _File:
    """What one file holds; `descriptor` where its process has ended and the lock is ours."""

    path: Path
    descriptor: int | None
    rows: list[Row]
    spoiled: bool
    stays: bool = False

    def end(self) -> None:
        """Remove a file whose records have been moved; keep aside what is no record."""
        if self.descriptor is None or self.stays:
            return
        if self.spoiled:
            with suppress(FileNotFoundError):
                self.path.rename(self.path.with_name(self.path.name + SPOILED))
        else:
            self.path.unlink(missing_ok=True)


@dataclass(slots=True)
class _Chain:
    """The waiting records of one stream, from one file or several."""

    rows: list[tuple[Row, _File]] = field(default_factory=list)

    def following(self, last: tuple[int, bytes], keys: Mapping[int, AuditKeys]) -> list[Row]:
        """Return what follows the last record of the table without a gap; files with what does not are marked."""
        seq, mac = last
        found: list[Row] = []
        for row, file in sorted(self.rows, key=lambda pair: pair[0]["seq"]):
            if row["seq"] <= seq:  # moved already, by its own process or another
                file.spoiled |= bool(found) and row["seq"] == seq and row["mac"] != mac
            elif row["seq"] == seq + 1 and follows(keys, mac, row):
                found.append(row)
                seq, mac = row["seq"], row["mac"]
            elif row["seq"] == seq + 1 or all(each.descriptor is not None for _, each in self.rows):
                file.spoiled = True
            else:
                file.stays = True  # its process wrote on while the files were read
        return found


def move_all(directory: Path, keys: Mapping[int, AuditKeys], last: Last, move: Callable[[list[Row]], None]) -> None:
    """Move what the files of all processes hold; those of processes that have ended are removed or kept aside."""
    files: list[_File] = []
    try:
        for path in sorted(directory.glob(f"*{SUFFIX}")):
            with suppress(FileNotFoundError):
                files.append(_opened(path))
        for stream, chain in _chains(files).items():
            following = chain.following(last(stream), keys)
            if following:
                move(following)
        for file in files:
            if file.spoiled:
                alarm.critical("a file of audit records holds what no exchange wrote; it is not moved to the trail",
                               extra={"file": file.path.name})
            file.end()
    finally:
        for file in files:
            if file.descriptor is not None:
                os.close(file.descriptor)


def _opened(path: Path) -> _File:
    descriptor = os.open(path, os.O_RDWR)
    is_left = _is_left(descriptor)
    try:
        rows, spoiled = _records(path.read_bytes())
    except BaseException:
        os.close(descriptor)
        raise
    if not is_left:
        os.close(descriptor)
    return _File(path, descriptor if is_left else None, rows, spoiled)


def _is_left(descriptor: int) -> bool:
    """Tell whether the process of a file has ended; its file is then ours."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _chains(files: list[_File]) -> dict[str, _Chain]:
    chains: dict[str, _Chain] = {}
    for file in files:
        for row in file.rows:
            chains.setdefault(row["stream"], _Chain()).rows.append((row, file))
    return chains


def _records(content: bytes) -> tuple[list[Row], bool]:
    """Return the whole records of a file, and whether something else follows them.

    The first that is not whole ends it: its answer never left.
    """
    rows: list[Row] = []
    place = 0
    while place + HEAD.size <= len(content):
        length, check = HEAD.unpack_from(content, place)
        body = content[place + HEAD.size : place + HEAD.size + length]
        if length == 0 or len(body) < length or zlib.crc32(body) != check:
            break
        row = _row(body)
        if row is None:
            return rows, True
        rows.append(row)
        place += HEAD.size + length
    return rows, False


def _row(body: bytes) -> Row | None:
    """Return the record; None for what somebody else put into the file under a sum that fits."""
    try:
        *values, sealed, mac = orjson.loads(body)
        row = {**dict(zip(NAMES, values, strict=True)), "sealed": bytes.fromhex(sealed), "mac": bytes.fromhex(mac)}
    except (ValueError, TypeError):
        return None
    is_one = all(type(row[name]) is kind for name, kind in _KINDS.items()) and _STREAM.fullmatch(row["stream"])
    return row if is_one else None
