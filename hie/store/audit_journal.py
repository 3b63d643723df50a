"""Audit records of requests that wrote nothing: kept in a mapped file of this process before the answer leaves, and
moved to the table in batches (docs/adr/0011).

A record that is in the mapped file outlives this process, whichever way it ends: its pages belong to the system. Who
moves what the file of an ended process still holds: hie/store/audit_left.py.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import mmap
import os
import struct
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson

from hie.errors import Busy
from hie.store.audit import AuditEntry, AuditKeys, AuditStream

Row = dict[str, Any]

#: A file that is full is moved at once; one that is not, after this time.
SEGMENT_BYTES, MOVE_SECONDS = 1 << 20, 0.25
#: Records that wait for a database that does not take them; beyond, requests are refused rather than not recorded.
MOST_WAITING = 20_000
HEAD = struct.Struct("<II")  # length and CRC-32 of a record; a length of 0 ends the file
SUFFIX = ".journal"

logger = logging.getLogger(__name__)


class AuditJournal:
    """The waiting records of one process, in one chain. `move` commits rows to the table; those there already stay."""

    def __init__(self, directory: Path, keys: dict[int, AuditKeys], move: Callable[[list[Row]], None]) -> None:
        self._directory, self._move, self._stream = directory, move, AuditStream(keys)
        self._lock = threading.Lock()  # the chain and the open segment
        self._moving = threading.Lock()  # one mover at a time, so that records arrive in order
        self._segment: _Segment | None = None
        self._full: list[_Segment] = []
        self._spare: list[_Segment] = []
        self._waiting = 0
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def append(self, entry: AuditEntry) -> None:
        """Keep one record; returns when it would outlive this process. Busy where it cannot be kept."""
        with self._lock:
            if self._waiting >= MOST_WAITING:
                raise Busy("The database takes no audit records at the moment, so the request is not answered.")
            rows, end = self._stream.rows([entry])
            row = rows[0]
            frame = frame_of(row)
            segment = self._segment
            if segment is None or not segment.holds(frame):
                segment = self._next_segment(len(frame))
            segment.append(row, frame)
            self._stream.advance(end)
            self._waiting += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="audit-journal", daemon=True)
                self._thread.start()
            if len(segment.rows) == 1:  # the first since the mover took its share
                self._wake.set()

    def _next_segment(self, length: int) -> _Segment:
        if self._segment is not None:
            self._full.append(self._segment)
            self._segment = None
        self._segment = self._spare.pop() if self._spare else None
        if self._segment is None or not self._segment.fits(length):
            size = max(SEGMENT_BYTES, length + 2 * HEAD.size)
            self._segment = _Segment.create(self._directory, self._stream.name, size)
        return self._segment

    def move(self) -> None:
        """Move every record that waits in this process to the table."""
        with self._moving:
            with self._lock:
                taken = self._full + ([self._segment] if self._segment is not None else [])
                self._full, self._segment = [], None
            for number, segment in enumerate(taken):
                try:
                    if segment.rows:
                        self._move(segment.rows)
                except BaseException:
                    with self._lock:
                        self._full[:0] = taken[number:]
                    raise
                self._release(segment)

    def _release(self, segment: _Segment) -> None:
        moved = len(segment.rows)
        segment.clear()
        with self._lock:
            self._waiting -= moved
            keep = segment.size == SEGMENT_BYTES and not self._spare
            if keep:
                self._spare.append(segment)
        if not keep:
            segment.remove()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait()
            if not self._full:
                self._stop.wait(MOVE_SECONDS)
            self._wake.clear()
            try:
                self.move()
            except Exception:
                logger.exception("audit records wait: the database does not take them")
                self._stop.wait(MOVE_SECONDS)
                self._wake.set()

    def close(self) -> None:
        """Move what waits and remove this process's files; what cannot be moved stays for the next process."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with suppress(Exception):
            self.move()
        with self._lock:
            for segment in [*self._full, *([self._segment] if self._segment else []), *self._spare]:
                if segment.rows:
                    segment.leave()
                else:
                    segment.remove()
            self._full, self._spare, self._segment = [], [], None


class _Segment:
    """One mapped file of records, locked while its process lives."""

    def __init__(self, path: Path, descriptor: int, mapped: mmap.mmap) -> None:
        self._path, self._descriptor, self._mapped = path, descriptor, mapped
        self.size, self._end = len(mapped), 0
        self.rows: list[Row] = []

    @classmethod
    def create(cls, directory: Path, stream: str, size: int) -> _Segment:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = directory / f"{stream}.{os.urandom(4).hex()}{SUFFIX}"
        unlocked = path.with_suffix(".new")  # under its own name once it is locked: nobody takes it for a left one
        descriptor = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Written, not only sized: a full disk is told here and not by a signal when the page is touched.
            if os.write(descriptor, bytes(size)) < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            mapped = mmap.mmap(descriptor, size)
            unlocked.rename(path)
        except BaseException:
            os.close(descriptor)
            unlocked.unlink(missing_ok=True)
            raise
        return cls(path, descriptor, mapped)

    def fits(self, length: int) -> bool:
        return length + HEAD.size <= self.size

    def holds(self, frame: bytes) -> bool:
        """Tell whether the frame and the mark of the end behind it have room."""
        return self._end + len(frame) + HEAD.size <= self.size

    def append(self, row: Row, frame: bytes) -> None:
        start, end = self._end, self._end + len(frame)
        # The head comes last: a process that is killed in between has not kept the record.
        self._mapped[start + HEAD.size : end] = frame[HEAD.size :]
        self._mapped[start : start + HEAD.size] = frame[: HEAD.size]
        self._end = end
        self.rows.append(row)

    def clear(self) -> None:
        self._mapped[: self._end] = bytes(self._end)
        self._end, self.rows = 0, []

    def leave(self) -> None:
        """Close, and leave the file to the next process."""
        self._mapped.close()
        os.close(self._descriptor)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
        self.leave()


#: What a record has in the file, before its sealed part and its mac.
NAMES = ("stream", "seq", "tenant", "at", "client", "interaction", "status", "entity", "patient")
_VALUES = itemgetter(*NAMES)


def frame_of(row: Row) -> bytes:
    """Return a record as it stands in the file."""
    body = orjson.dumps([*_VALUES(row), row["sealed"].hex(), row["mac"].hex()])
    return HEAD.pack(len(body), zlib.crc32(body)) + body
