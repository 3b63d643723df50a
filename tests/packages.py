"""Packages of profiles for tests: small snapshots, and the tarballs they come in."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any, Protocol

from hie.fhir import generate_facts

Json = dict[str, Any]
BASE = "http://example.org/StructureDefinition/"


def element(identifier: str, **more: Any) -> Json:
    """Return an ElementDefinition; `types="Quantity"` is short for one type."""
    if isinstance(more.get("types"), str):
        more["type"] = [{"code": more.pop("types")}]
    return {"id": identifier, "path": identifier, "min": 0, "max": "*", **more}


def profile(name: str, type_name: str, *elements: Json, version: str = "1.0.0", **more: Any) -> Json:
    """Return a profile whose snapshot has these elements below the root."""
    kind = "complex-type" if type_name in ("Extension", "Quantity", "Identifier") else "resource"
    return {
        "resourceType": "StructureDefinition", "url": BASE + name, "version": version, "name": name, "kind": kind,
        "status": "active", "fhirVersion": "4.0.1", "abstract": False, "type": type_name, "derivation": "constraint",
        "snapshot": {"element": [element(type_name), *elements]}, **more,
    }  # fmt: skip


def slicing(*discriminators: tuple[str, str], rules: str = "open", ordered: bool = False) -> Json:
    """Return ElementDefinition.slicing."""
    rows = [{"type": kind, "path": path} for kind, path in discriminators]
    return {"discriminator": rows, "rules": rules, "ordered": ordered}


def manifest(name: str = "example.profiles", version: str = "1.0.0", **more: Any) -> Json:
    """Return a package.json."""
    return {"name": name, "version": version, "title": "Example", "fhirVersions": ["4.0.1"], **more}


def tarball(*resources: Json, package: Json | None = None, files: dict[str, bytes] | None = None) -> bytes:
    """Return a package as it is published: package.json, the resources, and further files by their whole name."""
    content = {"package/package.json": json.dumps(package or manifest()).encode()}
    for number, resource in enumerate(resources):
        content[f"package/{resource['resourceType']}-{number}.json"] = json.dumps(resource).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in (content | (files or {})).items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


class Generator(Protocol):
    """What makes an archive of R4's package, and the page that tells what it was made of."""

    PAGE_FILE: str

    def generate(self, package: bytes) -> dict[str, bytes]:
        """Return the files of the archive."""

    def digest(self, members: dict[str, bytes]) -> str:
        """Return the hash of all of them."""


def generated_again(generator: Generator, archive: Path, shared_data: Path) -> dict[str, bytes]:
    """Return an archive's files as they are generated again, which its page has to tell, and of the one committed."""
    package = (shared_data / "definitions" / "hl7.fhir.r4.core-4.0.1.tgz").read_bytes()
    page = (generate_facts.DATA / generator.PAGE_FILE).read_text(encoding="utf-8")
    members = generator.generate(package)
    assert generator.digest(members) in page
    assert hashlib.sha256(archive.read_bytes()).hexdigest() in page
    return members
