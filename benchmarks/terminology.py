"""Time the terminology service on a fresh SQLite store, in process: python -m benchmarks.terminology [--codes 1000]

Each line is the median and the least of several rounds of one request as it is dispatched (authentication, audit and
HTTP apart), or of the function that bindings ask. The first line of all is what the first question of a process costs.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hie.app import Application
from hie.fhir import json_format, routes
from hie.fhir.terminology import in_value_set
from hie.settings import Settings

ROUNDS = 15
URL, SYSTEM = "http://example.org/vs", "http://example.org/cs"
GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"
CATEGORY = "http://hl7.org/fhir/ValueSet/observation-category"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=int, default=1_000, help="codes of the stored code system and value set")
    codes = parser.parse_args().codes
    start = time.perf_counter()
    assert in_value_set(GENDER, None, "male")
    first = time.perf_counter() - start
    print(f"{'first question of a process, the archive opened':58}{first * 1e6:12,.0f} µs")
    with tempfile.TemporaryDirectory() as folder:
        app = Application.open(Settings(data_dir=Path(folder)))
        try:
            _measure(app, codes)
        finally:
            app.close()


def _measure(app: Application, codes: int) -> None:
    concepts = [{"code": f"c{n}", "display": f"Concept number {n}"} for n in range(codes)]
    _put(app, {"resourceType": "CodeSystem", "id": "c", "url": SYSTEM, "status": "active", "content": "complete",
               "concept": concepts})
    _put(app, {"resourceType": "ValueSet", "id": "v", "url": URL, "status": "active",
               "compose": {"include": [{"system": SYSTEM}]}})
    for number in range(200):
        _put(app, {"resourceType": "Observation", "id": f"o{number}", "status": "final",
                   "code": {"coding": [{"system": SYSTEM, "code": f"c{number % 7}"}]}})
    _row("in_value_set(), a set of R4", lambda: in_value_set(CATEGORY, None, "laboratory"), 1_000)
    asked = {
        f"$validate-code, {codes} codes stored": f"ValueSet/$validate-code?url={URL}&system={SYSTEM}&code=c7",
        "$validate-code, a set of R4": f"ValueSet/$validate-code?url={GENDER}&code=male",
        "CodeSystem/$lookup, stored": f"CodeSystem/$lookup?system={SYSTEM}&code=c7",
        f"$expand, {codes} codes stored": f"ValueSet/$expand?url={URL}",
        f"$expand, {codes} codes stored, count=20": f"ValueSet/$expand?url={URL}&count=20",
        f"$expand, {codes} codes stored, filter=number 99": f"ValueSet/$expand?url={URL}&filter=number%2099",
        "$expand, v3-ActCode of R4 (1,116 codes)":
            "ValueSet/$expand?url=http://terminology.hl7.org/ValueSet/v3-ActCode",
        f"Observation?code:in=[{codes} codes], 20 of 200": f"Observation?code:in={URL}&_count=20",
        "Observation?code=[one code], 20 of 200": f"Observation?code={SYSTEM}%7Cc1&_count=20",
    }
    for name, address in asked.items():
        _row(name, lambda address=address: _get(app, address), 10)


def _row(name: str, function: Callable[[], Any], calls: int) -> None:
    function()
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(calls):
            function()
        times.append((time.process_time() - start) / calls * 1e6)
    print(f"{name:58}{statistics.median(times):12,.1f} µs, least {min(times):,.1f}")


def _get(app: Application, address: str) -> None:
    path, _, query = address.partition("?")
    ctx = app.context()
    answer = ctx.dispatch(routes.parse("GET", path, query), ctx)
    assert answer.status == 200, answer.content


def _put(app: Application, resource: dict[str, Any]) -> None:
    ctx = app.context()
    path = f"{resource['resourceType']}/{resource['id']}"
    answer = ctx.dispatch(routes.parse("PUT", path, resource=json_format.parse(json_format.dump(resource))), ctx)
    assert answer.status == 201, answer.content


if __name__ == "__main__":
    main()
