"""The StructureDefinitions of the specification itself, with all that they say: https://hl7.org/fhir/R4/profilelist.html

What validation needs of them stands in hie.fhir.facts; these are read where somebody asks for a definition as it was
published (data/r4-structures.md).
"""

from __future__ import annotations

import threading
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import zstandard

from hie.fhir import json_format

ARCHIVE = Path(__file__).parent / "data" / "r4-structures.zip"
VERSION = "4.0.1"
_LOCK = threading.Lock()


def find(url: str, version: str | None = None) -> dict[str, Any] | None:
    """Return a definition by its canonical URL; it is shared, so nobody may change it."""
    return _definition(url) if version in (None, VERSION) and url in index() else None


@cache
def index() -> dict[str, list[int]]:
    """Give every canonical URL, with where its definition lies."""
    found: dict[str, list[int]] = json_format.parse(_member("index"))
    return found


@lru_cache(maxsize=48)
def _definition(url: str) -> dict[str, Any]:
    number, start, length = index()[url]
    found: dict[str, Any] = json_format.parse(_chunk(number)[start : start + length])
    return found


@lru_cache(maxsize=4)
def _chunk(number: int) -> bytes:
    return _member(f"{number:03}")


def _member(name: str) -> bytes:
    import zipfile  # not before it is needed: it brings several compressors

    with _LOCK, zipfile.ZipFile(ARCHIVE) as archive:
        return zstandard.ZstdDecompressor().decompress(archive.read(name))
