"""A package of definitions, an npm tarball: https://confluence.hl7.org/display/FHIR/NPM+Package+Specification

Read defensively: it comes from outside. Nothing is ever written to a path that an archive names.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hie.fhir import instantiation, json_format
from hie.fhir.validation import validate
from hie.fhir.validation.issue import Issue

from . import archive, judging
from .slimming import slim, slim_base

MAX_ARCHIVE = 64 * 1024 * 1024
MAX_UNPACKED = 256 * 1024 * 1024
MAX_FILE = 32 * 1024 * 1024
MAX_FILES = 20_000
#: What is kept of a package; examples, pages and schemas are not.
KEPT_TYPES = frozenset({"StructureDefinition", "ValueSet", "CodeSystem"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}")
_R4 = re.compile(r"4\.0(?:\.\d+)?")
#: What it defines, the server has as it was published.
_R4_CORE = "hl7.fhir.r4.core"

Json = dict[str, Any]


class PackageError(Exception):
    """A file that is no package this server can use; the text says why."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package's name, version and the definitions that are kept of it, as far as validation needs them."""

    name: str
    version: str
    title: str = ""
    canonical: str = ""
    resources: tuple[Json, ...] = field(default=(), repr=False)
    digest: str = ""
    """SHA-256 of the archive: another file under the same name and version is another package."""
    published: tuple[Json, ...] = field(default=(), repr=False)
    """The profiles and extensions with all that they say, for `StructureDefinition/$snapshot`."""
    statements: tuple[Json, ...] = field(default=(), repr=False)
    """What servers have to do (CapabilityStatements of the kind requirements), as far as that is compared."""

    @property
    def key(self) -> str:
        """`name#version`, as packages are cited."""
        return f"{self.name}#{self.version}"


def read(content: bytes) -> Package:
    """Read a package's tarball; PackageError says what is wrong with it."""
    if len(content) > MAX_ARCHIVE:
        raise PackageError(f"The file has {len(content)} bytes; a package has at most {MAX_ARCHIVE}.")
    try:
        manifest, resources = _contents(content)
    except (archive.Damaged, zlib.error) as error:
        raise PackageError(f"The file is no gzip-compressed tar archive, or is damaged: {error}") from None
    if manifest is None:
        raise PackageError("The archive has no package/package.json: it is no FHIR package.")
    return _package(manifest, resources, hashlib.sha256(content).hexdigest())


def _contents(content: bytes) -> tuple[Json | None, list[Json]]:
    """Read the JSON files directly under package/, in memory, while counting what the archive unpacks to."""
    manifest: Json | None = None
    resources: list[Json] = []
    unpacked = _unpacked(content)
    for number, file in enumerate(archive.files(unpacked)):
        if number == MAX_FILES:
            raise PackageError(f"The archive unpacks to more than {MAX_FILES} files or {MAX_UNPACKED} bytes.")
        folder, _, name = file.name.removeprefix("./").partition("/")
        if not file.is_regular or folder != "package" or "/" in name or not name.endswith(".json"):
            continue
        if file.size > MAX_FILE:
            raise PackageError(f"{file.name[:100]!r} has {file.size} bytes; a file has at most {MAX_FILE}.")
        found = _json(unpacked[file.start : file.start + file.size], file.name)
        if name == "package.json":
            manifest = found
        elif isinstance(found, dict) and (str(found.get("resourceType")) in KEPT_TYPES
                                          or instantiation.is_of_servers(found)):
            resources.append(found)
    return manifest, resources


def _unpacked(content: bytes) -> bytes:
    """Decompress as much as a package may have; one that ends too early is damaged."""
    decompressor = zlib.decompressobj(wbits=31)
    unpacked = decompressor.decompress(content, MAX_UNPACKED)
    if decompressor.unconsumed_tail:
        raise PackageError(f"The archive unpacks to more than {MAX_FILES} files or {MAX_UNPACKED} bytes.")
    if not decompressor.eof:
        raise PackageError("The file is damaged: it ends too early.")
    if decompressor.unused_data.strip(b"\0"):
        raise PackageError("The file is damaged: something stands behind the end of what is compressed.")
    return unpacked


def _json(content: bytes, name: str) -> Any:
    try:
        return json_format.parse(content)
    except json_format.JsonError as error:
        raise PackageError(f"{name[:100]!r} is no JSON: {error}") from None


def _package(manifest: Any, found: list[Json], digest: str) -> Package:
    if not isinstance(manifest, dict):
        raise PackageError("package.json is no JSON object.")
    name, version = manifest.get("name"), manifest.get("version")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PackageError(f"package.json names {str(name)[:100]!r}; a name such as hl7.fhir.us.core is meant.")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise PackageError(f"package.json gives the version {str(version)[:100]!r}; one such as 6.1.0 is meant.")
    fhir = manifest.get("fhirVersions") or manifest.get("fhir-version-list") or ["4.0.1"]
    if not isinstance(fhir, list) or not any(_R4.fullmatch(str(one)) for one in fhir):
        raise PackageError(f"The package is for FHIR {', '.join(map(str, fhir))[:100]}; this server speaks R4 (4.0.1).")
    resources = [one for one in found if one["resourceType"] in KEPT_TYPES]
    kept = [one for one in resources if isinstance(one.get("url"), str) and _is_usable(one, name)]
    for one in kept:
        _check(one)
    usable = tuple(slim_base(one) if judging.makeable(one) else slim(one) for one in kept)
    if not usable or (_defines(resources) and not _defines(usable)):
        raise PackageError("The package has no profile or extension with a snapshot or a differential.")
    title, canonical = str(manifest.get("title", ""))[:200], str(manifest.get("canonical", ""))[:500]
    published = () if name == _R4_CORE else tuple(_without_narrative(one) for one in kept if _defines([one]))
    statements = tuple(instantiation.compared(one) for one in found if one["resourceType"] not in KEPT_TYPES
                       and not any(issue.severity == "error" for issue in validate(_without_narrative(one))))
    return Package(name, version, title, canonical, usable, digest, published, statements)


def _without_narrative(resource: Json) -> Json:
    return {name: value for name, value in resource.items() if name != "text"}


def _defines(resources: Iterable[Json]) -> bool:
    """Tell a package of profiles from one of value sets and code systems alone."""
    return any(one["resourceType"] == "StructureDefinition" for one in resources)


def _is_usable(resource: Json, package: str) -> bool:
    """Keep profiles and extensions; R4's own types and codes the server knows already."""
    if resource["resourceType"] != "StructureDefinition":
        return package != _R4_CORE
    return judging.usable(resource) or judging.makeable(resource)


#: What makes a value set, code system or differential unreadable; invariants are its publisher's concern.
_UNREADABLE = frozenset({"structure", "required", "value", "code-invalid"})
#: Of a profile without a snapshot, where that matters; whether one can be made is told when it is asked for.
_MADE_OF = tuple(f"StructureDefinition.{one}"
                 for one in ("snapshot", "differential", "baseDefinition", "context", "type"))


def _check(resource: Json) -> None:
    """PackageError where a profile or extension could not be judged by, or codes could not be read."""
    if resource["resourceType"] == "StructureDefinition" and judging.usable(resource):
        found = judging.problems(resource)
    else:
        found = [f"{one.expression}: {one.diagnostics}" for one in validate(_read(resource)) if _is_unreadable(one)][:5]
    if found:
        raise PackageError(f"{resource['url'][:300]} cannot be used: {'; '.join(found)}")


def _read(resource: Json) -> Json:
    return _without_narrative(resource) if _defines([resource]) else slim(resource)


def _is_unreadable(issue: Issue) -> bool:
    is_of_profile = issue.expression.startswith("StructureDefinition")
    return issue.code in _UNREADABLE and (not is_of_profile or issue.expression.startswith(_MADE_OF))
