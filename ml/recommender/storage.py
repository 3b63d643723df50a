"""A model on disk: `weights.npz` (one array, no pickle) and `manifest.json`, which says what it must be."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.recommender import algorithms, columns
from ml.recommender.algorithms.grain import LARGEST
from ml.recommender.errors import RecommenderUnreadable
from ml.recommender.history import KINDS
from ml.recommender.matrix import Entry

FORMAT = 1
MANIFEST, WEIGHTS = "manifest.json", "weights.npz"
LARGEST_FILE = 256 * 1024 * 1024

Described = dict[str, Any]


def version_of(described: Described, weights: NDArray[np.float32]) -> str:
    """The version: a hash of everything that a recommendation depends on."""
    defining = {name: described[name] for name in ("format", "algorithm", "parameters", "columns", "items", "patients")}
    digest = hashlib.sha256(json.dumps(defining, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(weights, "<f4").tobytes())
    return digest.hexdigest()[:16]


def describe(entries: Sequence[Entry]) -> list[Described]:
    """The vocabulary as JSON."""
    return [
        {"kind": e.kind, "system": e.system, "code": e.code, "display": e.display, "patients": e.patients}
        for e in entries
    ]


def write(directory: Path, manifest: Described, weights: NDArray[np.float32]) -> Described:
    """Write both files, each at once, and give the manifest as written."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, weights=np.ascontiguousarray(weights, "<f4"))
    content = buffer.getvalue()
    written = {**manifest, "weights": {"file": WEIGHTS, "sha256": hashlib.sha256(content).hexdigest()}}
    directory.mkdir(parents=True, exist_ok=True)
    _replace(directory / WEIGHTS, content)
    _replace(directory / MANIFEST, (json.dumps(written, indent=1) + "\n").encode())
    return written


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(content)
    os.replace(beside, path)


def read(directory: Path) -> tuple[Described, tuple[Entry, ...], NDArray[np.float32]]:
    """Both files, checked against each other."""
    manifest = _manifest(directory)
    content = _bytes(directory / WEIGHTS)
    try:
        if hashlib.sha256(content).hexdigest() != manifest["weights"]["sha256"]:
            raise RecommenderUnreadable(f"{WEIGHTS} is not the file that {MANIFEST} describes: its SHA-256 differs.")
        entries = tuple(_entry(item) for item in manifest["items"])
        weights = _weights(content, (len(entries) + len(columns.COLUMNS), len(entries)))
        if manifest["version"] != version_of(manifest, weights):
            raise RecommenderUnreadable(f"{MANIFEST} was changed: its version is not the hash of what it describes.")
    except (KeyError, TypeError) as error:
        raise RecommenderUnreadable(f"{MANIFEST} lacks or misstates an entry: {error}.") from None
    return manifest, entries, weights


def _manifest(directory: Path) -> Described:
    try:
        manifest = json.loads(_bytes(directory / MANIFEST))
    except (ValueError, RecursionError):
        raise RecommenderUnreadable(f"{MANIFEST} is no JSON.") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise RecommenderUnreadable(f"{MANIFEST} is not in format {FORMAT} of a recommender.")
    if manifest.get("algorithm") not in algorithms.LINEAR or manifest.get("columns") != list(columns.COLUMNS):
        raise RecommenderUnreadable(f"{MANIFEST} names an algorithm or columns that this version does not know.")
    return manifest


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise RecommenderUnreadable(f"{path.name} is larger than {LARGEST_FILE} bytes.")
        return path.read_bytes()
    except OSError as error:
        raise RecommenderUnreadable(f"{path.name} cannot be read: {error.strerror}.") from None


def _entry(item: Described) -> Entry:
    entry = Entry(item["kind"], item["system"], item["code"], item["display"], item["patients"])
    texts = (entry.kind, entry.system, entry.code)
    if not all(isinstance(text, str) for text in texts) or not isinstance(entry.display, str | None):
        raise TypeError("items")
    if entry.kind not in KINDS or not isinstance(entry.patients, int):
        raise TypeError("items")
    return entry


def _weights(content: bytes, shape: tuple[int, int]) -> NDArray[np.float32]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            # A small file can claim to unpack to any size: look before numpy makes room for it.
            if sum(member.file_size for member in archive.infolist()) > 4 * shape[0] * shape[1] + 4096:
                raise RecommenderUnreadable(f"{WEIGHTS} holds more than the weights.")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            weights: NDArray[np.float32] = arrays["weights"]
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile):
        raise RecommenderUnreadable(f"{WEIGHTS} holds no array of weights.") from None
    if weights.shape != shape or weights.dtype != np.float32 or not (np.abs(weights) <= LARGEST).all():
        raise RecommenderUnreadable(f"{WEIGHTS} does not fit the items and columns of {MANIFEST}.")
    weights.setflags(write=False)
    return weights
