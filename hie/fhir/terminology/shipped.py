"""The terminology of the specification itself, read from the archive beside at first use: https://hl7.org/fhir/R4/terminologies-systems.html

The archive is a zip of chunks of about 100 kB of JSON and an index that says where each canonical URL lies
(data/r4-terminology.md), so that one question reads one chunk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

ARCHIVE = Path(__file__).parent.parent / "data" / "r4-terminology.zip"
_LOCK = threading.Lock()


class Entry(NamedTuple):
    """Where a resource lies, and what can be told of it without reading it."""

    version: str | None
    chunk: int
    position: int
    facts: dict[str, Any]
    """A CodeSystem's content; a ConceptMap's source, target and groups of systems."""


@cache
def index(type_name: str) -> dict[str, Entry]:
    """Give every canonical URL of CodeSystem, ValueSet or ConceptMap, with its entry."""
    return {url: Entry(*row) for url, row in _raw_index()[type_name].items()}


@cache
def systems_of_value_sets() -> dict[str, str]:
    """Name the code system whose codes all are an implicit value set, by that value set's URL."""
    found: dict[str, str] = _raw_index()["implicit"]
    return found


def resource(type_name: str, url: str) -> dict[str, Any] | None:
    """Return a resource of the specification; it is shared, so nobody may change it."""
    entry = index(type_name).get(url)
    return None if entry is None else _chunk(entry.chunk)[entry.position]


def concept_maps(source: str | None, target: str | None) -> Iterator[dict[str, Any]]:
    """Yield the concept maps with groups between two systems; None: any."""
    for url, entry in index("ConceptMap").items():
        groups = entry.facts["groups"]
        if any((source is None or source == one) and (target is None or target == other) for one, other in groups):
            found = resource("ConceptMap", url)
            if found is not None:
                yield found


@cache
def _raw_index() -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(_member("index.json"))
    return found


@lru_cache(maxsize=16)
def _chunk(number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(_member(f"{number:03}.json"))
    return found


def _member(name: str) -> bytes:
    import zipfile  # not before it is needed: it brings several compressors

    with _LOCK, zipfile.ZipFile(ARCHIVE) as archive:
        return archive.read(name)
