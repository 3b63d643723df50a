"""Train the zstd dictionary of stored resources; run by hand: python -m hie.store.train_dictionary EXAMPLES.tar.xz OUT

The input is the official R4 examples (CC0-1.0) only, so that the shipped dictionary holds no fragment of a record.
"""

from __future__ import annotations

import json
import random
import sys
import tarfile
from pathlib import Path

import zstandard

DICTIONARY_BYTES = 64 * 1024
LARGEST_SAMPLE = 16 * 1024


def samples(path: Path) -> list[bytes | bytearray | memoryview]:
    """Return the examples as the store serialises them: compact, id and meta first."""
    found: list[bytes | bytearray | memoryview] = []
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is None or not member.name.endswith(".json"):
                continue
            resource = json.loads(file.read().decode("utf-8-sig"))
            for one in [resource, *(entry.get("resource", {}) for entry in resource.get("entry", []))]:
                if not isinstance(one, dict) or "resourceType" not in one:
                    continue
                one.pop("text", None)
                head = {
                    "resourceType": one["resourceType"],
                    "id": "00000000-0000-4000-8000-000000000000",
                    "meta": {"versionId": "1", "lastUpdated": "2026-01-01T00:00:00.000Z"},
                }
                data = json.dumps({**one, **head}, separators=(",", ":"), ensure_ascii=False).encode()
                if len(data) <= LARGEST_SAMPLE:
                    found.append(data)
    return sorted(found, key=bytes)


def main() -> None:
    """Write the dictionary to the second argument."""
    found = samples(Path(sys.argv[1]))
    random.Random(1).shuffle(found)  # noqa: S311 - a fixed order, not a secret
    Path(sys.argv[2]).write_bytes(zstandard.train_dictionary(DICTIONARY_BYTES, found, level=3).as_bytes())


if __name__ == "__main__":
    main()
