"""Cut files into units: what the server takes or refuses as one, and what a second run may leave out.

A transaction Bundle is one unit, every entry of a batch Bundle and every resource of an NDJSON file one of its own
(https://hl7.org/fhir/R4/http.html#transaction), a DICOM file one. Files are streamed: one unit is in memory at a time.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import orjson

from hie.fhir import json_format

#: Far above what a server takes in one request; a decompression bomb ends here.
MAX_UNIT_BYTES = 256_000_000
SUFFIXES = (".json", ".ndjson", ".jsonl", ".dcm")
_COMPRESSED: dict[str, Callable[[Any], Any]] = {".gz": lambda raw: gzip.GzipFile(fileobj=raw), ".xz": lzma.LZMAFile}
_DAMAGED = (OSError, EOFError, lzma.LZMAError, zlib.error, tarfile.TarError, zipfile.BadZipFile, NotImplementedError)


@dataclass(frozen=True, slots=True)
class Unit:
    """One piece of work.

    `entries` names type and method of each entry. `repeatable`: sending it twice makes the same records as sending it
    once. `identity`: type and identifier by which a search can tell whether it is stored; None where it has none.
    `first`: an entry of a batch Bundle, which transactions may point at.
    """

    source: str
    kind: Literal["transaction", "entry", "binary"]
    body: bytes
    digest: str
    entries: tuple[tuple[str, str], ...]
    repeatable: bool
    identity: tuple[str, str] | None
    first: bool = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A piece of a file that cannot become a unit, and why."""

    source: str
    reason: str


class Counter:
    """How many bytes of the files on disk have been read."""

    def __init__(self) -> None:
        self.read = 0


class _Counted:
    """A raw file that counts what is read from it."""

    def __init__(self, raw: IO[bytes], counter: Counter) -> None:
        self._raw, self._counter = raw, counter

    def read(self, size: int = -1) -> bytes:
        content = self._raw.read(size)
        self._counter.read += len(content)
        return content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def is_loadable(path: Path) -> bool:
    """Tell whether the name says a format that can be read."""
    return _is_archive(path.name) or _plain_name(path.name).endswith(SUFFIXES)


def units(path: Path, counter: Counter) -> Iterator[Unit | Unreadable]:
    """Yield what one file holds, in its order."""
    size = 0
    try:
        size = path.stat().st_size
        start = counter.read
        with path.open("rb") as raw:
            yield from _file_units(path.name, raw, counter)
        counter.read = start + size
    except _DAMAGED as error:
        yield Unreadable(path.name, f"cannot be read: {error or type(error).__name__}")


def opened_lines(path: Path, most: int) -> Iterator[bytes]:
    """Yield the lines of a file as far as it can be read, each cut at so many bytes."""
    try:
        with path.open("rb") as raw:
            stream = _opened(path.name, raw)
            while line := stream.readline(most):
                yield line
    except _DAMAGED:
        return  # which is told when it is sent


def _file_units(name: str, raw: IO[bytes], counter: Counter) -> Iterator[Unit | Unreadable]:
    if name.lower().endswith(".zip"):
        with zipfile.ZipFile(raw) as archive:
            for info in archive.infolist():
                counter.read += info.compress_size
                if not info.is_dir():
                    with archive.open(info) as member:
                        yield from _stream_units(f"{name}!{info.filename}", info.filename, member)
        return
    stream: Any = _Counted(raw, counter)
    if _is_archive(name):
        with tarfile.open(fileobj=_opened(name, stream), mode="r|") as tar:
            for item in tar:
                member_stream = tar.extractfile(item) if item.isfile() else None
                if member_stream is not None:
                    yield from _stream_units(f"{name}!{item.name}", item.name, member_stream)
        return
    yield from _stream_units(name, name, stream)


def _stream_units(source: str, name: str, raw: Any) -> Iterator[Unit | Unreadable]:
    plain, stream = _plain_name(name), _opened(name, raw)
    if plain.endswith((".ndjson", ".jsonl")):
        yield from _lines(source, stream)
    elif plain.endswith((".json", ".dcm")):
        content = stream.read(MAX_UNIT_BYTES + 1)
        if len(content) > MAX_UNIT_BYTES:
            yield Unreadable(source, f"is larger than {MAX_UNIT_BYTES // 1_000_000} MB.")
        elif plain.endswith(".dcm"):
            yield Unit(source, "binary", content, _digest(content), (("Binary", "POST"),), False, None)
        else:
            yield from _json_units(source, content)
    else:
        yield Unreadable(source, f"left out: its name ends with none of {', '.join(SUFFIXES)}.")


def _lines(source: str, stream: IO[bytes]) -> Iterator[Unit | Unreadable]:
    number = 0
    while line := stream.readline(MAX_UNIT_BYTES + 1):
        number += 1
        if len(line) > MAX_UNIT_BYTES:
            yield Unreadable(f"{source}:{number}", f"is longer than {MAX_UNIT_BYTES // 1_000_000} MB.")
            return
        if line.strip():
            yield from _json_units(f"{source}:{number}", line.strip())


def _json_units(source: str, content: bytes) -> Iterator[Unit | Unreadable]:
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        resource = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        yield Unreadable(source, f"is not JSON: {error}")
        return
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        yield Unreadable(source, "is no FHIR resource: it has no resourceType.")
        return
    try:
        yield from _resource_units(source, content, resource)
    except (json_format.JsonError, _NotLoadable) as error:
        yield Unreadable(source, str(error))


def _resource_units(source: str, content: bytes, resource: dict[str, Any]) -> Iterator[Unit]:
    bundle_type = resource.get("type") if resource["resourceType"] == "Bundle" else None
    match bundle_type:
        case None | "document":
            yield _resource_unit(source, content, resource)
        case "transaction":
            yield _transaction(source, content, _entries(resource))
        case "collection" | "searchset":
            converted = as_transaction(json_format.parse(content))
            yield _transaction(source, json_format.dump(converted), converted["entry"])
        case "batch":
            for index, entry in enumerate(_entries(json_format.parse(content))):
                yield _entry(f"{source} entry[{index}]", json_format.dump(entry), entry, first=True)
        case _:
            raise _NotLoadable(f"Bundle.type {bundle_type!r} cannot be loaded.")


class _NotLoadable(ValueError):
    """A resource that is not of a kind that `hie load` sends."""


def as_transaction(bundle: dict[str, Any]) -> dict[str, Any]:
    """Turn a collection or searchset into a transaction: an update for each resource with an id, a create else."""
    made = []
    for entry in _entries(bundle):
        resource = entry.get("resource")
        if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
            raise _NotLoadable("An entry of the Bundle has no resource.")
        kept = {"fullUrl": entry["fullUrl"]} if "fullUrl" in entry else {}
        made.append({**kept, "resource": resource, "request": _request(resource)})
    return {"resourceType": "Bundle", "type": "transaction", "entry": made}


def _request(resource: dict[str, Any]) -> dict[str, str]:
    type_name, id_ = resource["resourceType"], resource.get("id")
    if id_:
        return {"method": "PUT", "url": f"{type_name}/{id_}"}
    return {"method": "POST", "url": type_name}


def _entries(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    entries = bundle.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _NotLoadable("Bundle.entry is not a list of entries.")
    return entries


def _transaction(source: str, body: bytes, entries: list[dict[str, Any]]) -> Unit:
    repeatable = all(_is_repeatable(entry) for entry in entries)
    identity = next((i for i in map(_identity, entries) if i), None)
    described = tuple(map(_described, entries))
    return Unit(source, "transaction", body, _digest(body), described, repeatable, identity)


def _resource_unit(source: str, content: bytes, resource: dict[str, Any]) -> Unit:
    request = _request(resource)
    # The resource's own bytes are sent: 1.00 stays 1.00.
    body = b'{"resource":' + content + b',"request":' + orjson.dumps(request) + b"}"
    return _entry(source, body, {"resource": resource, "request": request})


def _entry(source: str, body: bytes, entry: dict[str, Any], *, first: bool = False) -> Unit:
    return Unit(
        source, "entry", body, _digest(body), (_described(entry),), _is_repeatable(entry), _identity(entry), first
    )


def _described(entry: dict[str, Any]) -> tuple[str, str]:
    request, resource = entry.get("request"), entry.get("resource")
    method = str(request.get("method", "")) if isinstance(request, dict) else ""
    if isinstance(resource, dict):
        return str(resource.get("resourceType", "")), method
    url = str(request.get("url", "")) if isinstance(request, dict) else ""
    return url.partition("?")[0].partition("/")[0], method


def _is_repeatable(entry: dict[str, Any]) -> bool:
    request = entry.get("request")
    return isinstance(request, dict) and (request.get("method") != "POST" or bool(request.get("ifNoneExist")))


def _identity(entry: dict[str, Any]) -> tuple[str, str] | None:
    """The first full identifier of what a plain create makes."""
    resource, request = entry.get("resource"), entry.get("request")
    if not isinstance(resource, dict) or not isinstance(request, dict) or _is_repeatable(entry):
        return None
    identifiers = resource.get("identifier")
    for identifier in identifiers if isinstance(identifiers, list) else [identifiers]:
        if isinstance(identifier, dict) and identifier.get("system") and identifier.get("value"):
            return str(resource.get("resourceType")), _token(identifier["system"], identifier["value"])
    return None


def _token(system: str, value: str) -> str:
    """Write a token parameter: https://hl7.org/fhir/R4/search.html#escaping"""
    escaped = value.replace("\\", "\\\\").replace("|", "\\|").replace(",", "\\,").replace("$", "\\$")
    return f"{system}|{escaped}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _is_archive(name: str) -> bool:
    plain = _plain_name(name)
    return plain.endswith((".tar", ".zip")) or name.lower().endswith((".tgz", ".txz"))


def _plain_name(name: str) -> str:
    lowered = name.lower()
    for suffix in _COMPRESSED:
        lowered = lowered.removesuffix(suffix)
    return lowered


def _opened(name: str, raw: Any) -> Any:
    lowered = name.lower().replace(".tgz", ".tar.gz").replace(".txz", ".tar.xz")
    for suffix, decompress in _COMPRESSED.items():
        if lowered.endswith(suffix):
            return decompress(raw)
    return raw
