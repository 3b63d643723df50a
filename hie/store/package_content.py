"""What is kept of a package, in one value: frames of zstd, one behind another.

First what validation needs, a list of definitions; a version that knew no more reads that alone. Then an index:
profiles without a snapshot, statements of what servers have to do, and where those lie that `$snapshot` reads with all
that they say, each in its own frame.
"""

from __future__ import annotations

from typing import Any

import zstandard

from hie.fhir import json_format
from hie.fhir.profiles import Package

Json = dict[str, Any]


def packed(found: Package) -> bytes:
    """Write what is kept of a package."""
    ready = [one for one in found.resources if "differential" not in one]
    frames, at, start = [], [], 0
    for one in found.published:
        frames.append(_frame(one))
        at.append([one["url"], str(one.get("version", "")), start, len(frames[-1])])
        start += len(frames[-1])
    index = {
        "differentials": [one for one in found.resources if "differential" in one], "published": at,
        "statements": found.statements,
    }  # fmt: skip
    return b"".join((_frame(ready), _frame(index), *frames))


def resources(content: bytes) -> tuple[Json, ...]:
    """Read the definitions that validation needs."""
    ready, rest = _first(content)
    differentials = json_format.parse(_first(rest)[0])["differentials"] if rest else ()
    return (*json_format.parse(ready), *differentials)


def is_whole(content: bytes) -> bool:
    """Tell whether what is kept has definitions as they were published, and statements: earlier versions kept none."""
    return "statements" in _index(content)


def statements(content: bytes) -> tuple[Json, ...]:
    """Return what servers have to do; nothing where an earlier version installed the package."""
    return tuple(_index(content).get("statements", ()))


def published(content: bytes, url: str, version: str) -> Json | None:
    """Return a profile or extension with all that it says; None where an earlier version installed the package."""
    _, rest = _first(content)
    if not rest:
        return None
    index, frames = _first(rest)
    for one_url, one_version, start, length in json_format.parse(index)["published"]:
        if (one_url, one_version) == (url, version):
            found: Json = json_format.parse(_first(frames[start : start + length])[0])
            return found
    return None


def _index(content: bytes) -> Json:
    _, rest = _first(content)
    found: Json = json_format.parse(_first(rest)[0]) if rest else {}
    return found


def _frame(value: Any) -> bytes:
    return zstandard.ZstdCompressor(level=10).compress(json_format.dump(value))


def _first(content: bytes) -> tuple[bytes, bytes]:
    """Decompress the first frame, and return what is behind it."""
    reader = zstandard.ZstdDecompressor().decompressobj()
    return reader.decompress(content), reader.unused_data
