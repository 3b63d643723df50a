"""Timing validation against profiles: python benchmarks/profiles.py PACKAGE.tgz

Takes the example resources in the package and the profiles they declare. For each resource type: the median CPU time of
the base rules of R4 and of the profiles beside them, with terminology that has been read before.
"""

from __future__ import annotations

import statistics
import sys
import tarfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from hie.fhir import json_format
from hie.fhir.profiles import Library, conformance, declared, read
from hie.fhir.profiles.terminology import asked_by
from hie.fhir.validation import validate

ROUNDS = 5


def main(file: Path) -> None:
    """Print one line for each resource type."""
    started = time.process_time()
    library = Library([read(file.read_bytes())])
    asked = asked_by(library)
    print(f"package read in {time.process_time() - started:.2f} s")
    by_type: dict[str, list[Any]] = defaultdict(list)
    for resource in _examples(file):
        if any(library.find(one) for one in declared(resource)):
            by_type[resource["resourceType"]].append(resource)
    print(f"{'type':26}{'n':>5}{'base':>9}{'profiles':>10}  µs each")
    for name, rows in sorted(by_type.items(), key=lambda pair: -len(pair[1])):
        base = _timed(validate, rows)
        judged = _timed(lambda one: conformance(one, [], library, asked, with_support=False), rows)
        print(f"{name:26}{len(rows):5}{base:9.0f}{judged:10.0f}")


def _examples(file: Path) -> list[Any]:
    with tarfile.open(file) as archive:
        names = [one for one in archive if one.name.startswith("package/example/") and one.name.endswith(".json")]
        found = [json_format.parse(archive.extractfile(one).read()) for one in names]  # type: ignore[union-attr]
    return [one for one in found if "resourceType" in one]


def _timed(function: Callable[[Any], Any], rows: list[Any]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for one in rows:
            function(one)
        times.append((time.process_time() - start) / len(rows) * 1e6)
    return statistics.median(times)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
