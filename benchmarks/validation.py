"""Time reading and validating resources: python benchmarks/validation.py [BUNDLE.json …]

Takes the resources of the Synthea Bundles named, else of the shared data (HIE_TEST_DATA), else its own. For each type:
the median and the least of several rounds, beside json.loads of the same text as the floor of this machine and moment.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tarfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from hie.fhir import json_format
from hie.fhir.validation import validate

ROUNDS = 9
MOST = 200
BUNDLES = 6

OBSERVATION = {
    "resourceType": "Observation", "id": "27aa2f6a-4f21-dae1-6c7d-81abc227c2f4", "status": "final",
    "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                              "code": "vital-signs", "display": "vital-signs"}]}],
    "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7", "display": "Body Weight"}],
             "text": "Body Weight"},
    "subject": {"reference": "urn:uuid:0696ac49-3128-87d3-7344-04510aa4f324"},
    "encounter": {"reference": "urn:uuid:f1304a97-cec5-9f01-dc24-132e9b7e8829"},
    "effectiveDateTime": "2011-07-27T18:37:24+02:00", "issued": "2011-07-27T18:37:24.286+02:00",
    "valueQuantity": {"value": 62, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
}


def main(files: list[str]) -> None:
    """Print one line for each resource type found."""
    texts = by_type(resources(files))
    print(f"{'type':26}{'n':>5}{'bytes':>8}{'json.loads':>12}{'parse':>9}{'validate':>10}{'least':>8}  µs, medians")
    for name, rows in sorted(texts.items(), key=lambda pair: -len(pair[1])):
        values = [json_format.parse(text) for text in rows]
        assert not [one for value in values for one in validate(value) if one.severity in ("error", "fatal")], name
        floor, _ = timed(json.loads, rows)
        reading, _ = timed(json_format.parse, rows)
        checking, least = timed(validate, values)
        size = statistics.mean(map(len, rows))
        print(f"{name:26}{len(rows):5}{size:8.0f}{floor:12.1f}{reading:9.1f}{checking:10.1f}{least:8.1f}")


def timed(function: Callable[[Any], Any], values: list[Any]) -> tuple[float, float]:
    """Give the median and the least CPU time of one call, in microseconds."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for value in values:
            function(value)
        times.append((time.process_time() - start) / len(values) * 1e6)
    return statistics.median(times), min(times)


def by_type(found: Iterator[Any]) -> dict[str, list[bytes]]:
    """Group resources by type, as bytes, at most MOST of each."""
    groups: dict[str, list[bytes]] = defaultdict(list)
    for resource in found:
        rows = groups[resource["resourceType"]]
        if len(rows) < MOST:
            rows.append(json_format.dump(resource))
    return groups


def resources(files: list[str]) -> Iterator[Any]:
    """Give the resources to work on."""
    for content in bundles(files):
        for entry in json_format.parse(content)["entry"]:
            yield entry["resource"]


def bundles(files: list[str]) -> Iterator[bytes]:
    """Give the Bundles named, or some of the shared data, or one of our own."""
    shared = Path(os.environ.get("HIE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    archive = shared / "synthea-bundles" / "synthea-120.tar.xz"
    if files:
        yield from (Path(file).read_bytes() for file in files)
    elif archive.exists():
        with tarfile.open(archive) as tar:
            members = [member for member in tar if member.name.endswith(".json")][2:2 + BUNDLES]
            yield from (tar.extractfile(member).read() for member in members)  # type: ignore[union-attr]
    else:
        yield json_format.dump({"entry": [{"resource": OBSERVATION}] * MOST})


if __name__ == "__main__":
    main(sys.argv[1:])
