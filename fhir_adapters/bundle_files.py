"""Files of JSON documents, plain or compressed, as a stream."""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

from ml.result import DataUnreadable

LARGEST_DOCUMENT = 256 * 1024 * 1024
_OPENERS: dict[str, Callable[[Path], Any]] = {".gz": gzip.GzipFile, ".xz": lzma.LZMAFile}
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError)


class FileError(DataUnreadable):
    """A file of records cannot be read; the message names the place."""


def documents(path: Path) -> Iterator[tuple[str, bytes]]:
    """The place and the bytes of each JSON document of a file or directory, one in memory at a time.

    Reads `.json` (one document), `.ndjson` (one a line), either also with `.gz` or `.xz`; the `.json` members of a
    `.tar`, also compressed; directories of such files, in order of name, where anything else is passed over.
    """
    if path.is_dir():
        for each in sorted(path.iterdir()):
            if each.is_file() and _form(each) is not None:
                yield from documents(each)
        return
    form = _form(path)
    if form is None:
        raise FileError(f"{path.name}: neither .json, .ndjson nor .tar (with or without .gz or .xz).")
    try:
        yield from form(path)
    except _DAMAGED as error:
        raise FileError(f"{path.name}: cannot be read: {error}.") from None


def _form(path: Path) -> Callable[[Path], Iterator[tuple[str, bytes]]] | None:
    suffixes = [suffix for suffix in path.suffixes if suffix not in _OPENERS][-1:]
    forms = {".json": _one, ".ndjson": _lines, ".jsonl": _lines, ".tar": _members}
    return _members if path.suffix in {".tgz", ".txz"} else forms.get("".join(suffixes))


def _open(path: Path) -> AbstractContextManager[IO[bytes]]:
    opened: AbstractContextManager[IO[bytes]] = _OPENERS.get(path.suffix, _plain)(path)
    return opened


def _plain(path: Path) -> IO[bytes]:
    return path.open("rb")


def _one(path: Path) -> Iterator[tuple[str, bytes]]:
    with _open(path) as file:
        yield path.name, _bounded(path.name, file.read(LARGEST_DOCUMENT + 1))


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    with _open(path) as file:
        number = 0
        while line := file.readline(LARGEST_DOCUMENT + 1):
            number += 1
            place = f"{path.name}, line {number}"
            if _bounded(place, line).strip():
                yield place, line


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    # Streamed and never extracted: names inside an archive reach no file system.
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() and member.name.endswith(".json") else None
            if file is not None:
                place = f"{path.name}, {member.name}"
                yield place, _bounded(place, file.read(LARGEST_DOCUMENT + 1))


def _bounded(place: str, content: bytes) -> bytes:
    if len(content) > LARGEST_DOCUMENT:
        raise FileError(f"{place}: longer than {LARGEST_DOCUMENT} bytes.")
    return content
