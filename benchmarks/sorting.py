"""What it costs to sort by what no index tells, each match: its own values, and those of what it refers to; no HTTP.

    python -m benchmarks.sorting [--observations 10000] [--patients 500] [--postgres]

A page of 20 of all Observations; microseconds of CPU for each match, the fewest of ten, and how many statements it
took. On PostgreSQL the CPU of its own process is not in it, so the time is printed too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import event

from benchmarks.search_index import database, opened
from hie.fhir import json_format
from hie.store.resources import ResourceStore
from hie.store.search import engine, query

ROUNDS = 10
SORTS = ("code", "patient", "patient._id", "patient.family", "patient.family,patient.given,patient.birthdate",
         "patient.organization.name", "-date,patient.family")  # fmt: skip
_CLINICS, _AT_ONCE = 20, 500


def fill(bind: Callable[[], ResourceStore], observations: int, patients: int) -> None:
    """Store clinics, their patients, and the patients' Observations in turn."""
    made = [{"resourceType": "Organization", "id": f"c{n}", "name": f"Clinic {n}"} for n in range(_CLINICS)]
    made += [_patient(n) for n in range(patients)]
    made += [_observation(n, patients) for n in range(observations)]
    for start in range(0, len(made), _AT_ONCE):
        some = made[start : start + _AT_ONCE]
        bind().transact(lambda inside, some=some: [_store(inside, one) for one in some])


def _store(inside: ResourceStore, made: dict[str, object]) -> None:
    inside.create(str(made["resourceType"]), json_format.parse(json_format.dump(made)), id=str(made["id"]))


def _patient(number: int) -> dict[str, object]:
    spread = number * 7919 % 10_007
    return {
        "resourceType": "Patient", "id": f"p{number}", "gender": "female", "birthDate": f"19{spread % 90 + 10}-05-06",
        "name": [{"family": f"Family{spread % 97}", "given": [f"Given{spread % 31}", "Maria"]}],
        "identifier": [{"system": "urn:mrn", "value": str(number)}],
        "managingOrganization": {"reference": f"Organization/c{number % _CLINICS}"},
    }  # fmt: skip


def _observation(number: int, patients: int) -> dict[str, object]:
    coding = {"system": "http://loinc.org", "code": f"{number % 50}-1", "display": f"measurement {number % 50}"}
    return {
        "resourceType": "Observation", "id": f"o{number}", "status": "final", "code": {"coding": [coding]},
        "category": [{"coding": [{"code": "laboratory"}]}], "subject": {"reference": f"Patient/p{number % patients}"},
        "effectiveDateTime": f"20{number % 20 + 10}-0{number % 9 + 1}-1{number % 10}T08:00:00Z",
        "valueQuantity": {"value": number % 300, "unit": "mg/dL", "system": "http://unitsofmeasure.org",
                          "code": "mg/dL"},
    }  # fmt: skip


def measure(store: ResourceStore, sort: str) -> tuple[float, float, int]:
    """Return the CPU and the time of a page in seconds, and the number of its statements."""
    statements: list[str] = []
    found: list[tuple[float, float]] = []
    event.listen(store.database.engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
    for _ in range(ROUNDS):
        statements.clear()
        cpu, wall = time.process_time(), time.perf_counter()
        engine.search(store, query.parse("Observation", [("_sort", sort), ("_total", "none")]))
        found.append((time.process_time() - cpu, time.perf_counter() - wall))
    return min(found)[0], min(wall for _, wall in found), len(statements)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--observations", type=int, default=10_000, help="matches")
    parser.add_argument("--patients", type=int, default=500, help="to whom they refer")
    parser.add_argument("--postgres", action="store_true", help="measure PostgreSQL instead of SQLite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hie-sorting-") as temporary:
        directory = Path(temporary)
        with database(options.postgres, directory) as url, opened(directory / "data", url) as bind:
            fill(bind, options.observations, options.patients)
            print(f"{'_sort':<48}{'CPU, µs each':>14}{'time, µs each':>15}{'statements':>12}")
            for sort in SORTS:
                cpu, wall, statements = measure(bind(), sort)
                each = 1e6 / options.observations
                print(f"{sort:<48}{cpu * each:>14.1f}{wall * each:>15.1f}{statements:>12}")


if __name__ == "__main__":
    main()
