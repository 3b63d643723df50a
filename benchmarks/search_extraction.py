"""Time search extraction on real records: `python -m benchmarks.search_extraction [ARCHIVE] [--patients 8]`.

ARCHIVE is a tar of Synthea transaction Bundles (default: synthea-bundles/synthea-120.tar.xz under HIE_TEST_DATA).
Prints, per resource type, CPU microseconds for one extract() and for the same JSON's parsing, the floor of any write.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tarfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hie.fhir import json_format
from hie.fhir.compartments import compartment_values
from hie.fhir.references import rewrite
from hie.fhir.search_parameters import extract, for_type

DEFAULT = Path(os.environ.get("HIE_TEST_DATA", "../shared/data")) / "synthea-bundles" / "synthea-120.tar.xz"
KINDS = ("tokens", "references", "strings", "dates", "numbers", "quantities", "uris", "composites")
SAMPLE = 400
ROUNDS = 7


def resources(archive: Path, patients: int) -> dict[str, list[dict[str, Any]]]:
    """Read the resources of the first Bundles by type, as the store gets them: with references to ids."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with tarfile.open(archive) as tar:
        files = (member for member in tar if member.name.endswith(".json"))
        for _, member in zip(range(patients), files, strict=False):
            content = tar.extractfile(member)
            entries = json_format.parse(content.read())["entry"] if content else []
            ids = {one["fullUrl"]: f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in entries}
            for one in (entry["resource"] for entry in entries):
                if len(found[one["resourceType"]]) < SAMPLE:
                    rewrite(one, ids)
                    found[one["resourceType"]].append(one)
    return found


def microseconds(work: Callable[[Any], object], inputs: list[Any]) -> float:
    """Give the CPU time of one call: the median of several rounds over all inputs."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for one in inputs:
            work(one)
        rounds.append((time.process_time() - start) / len(inputs) * 1e6)
    return statistics.median(rounds)


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("archive", nargs="?", type=Path, default=DEFAULT)
    arguments.add_argument("--patients", type=int, default=8)
    options = arguments.parse_args()
    heads = ("n", 5), ("parameters", 12), ("values", 8), ("parse us", 10), ("extract us", 12), ("compartments us", 17)
    print(f"{'type':24}" + "".join(f"{head:>{width}}" for head, width in heads))
    for name, examples in sorted(resources(options.archive, options.patients).items()):
        texts = [json_format.dump(one) for one in examples]
        values = statistics.mean(sum(len(getattr(extract(one), kind)) for kind in KINDS) for one in examples)
        print(
            f"{name:24}{len(examples):5}{len(for_type(name)):12}{values:8.1f}"
            f"{microseconds(json_format.parse, texts):10.1f}{microseconds(extract, examples):12.1f}"
            f"{microseconds(compartment_values, examples):17.1f}"
        )


if __name__ == "__main__":
    main()
