"""Does a search take the same time in a large store? `python -m benchmarks.scale --sizes 10000 1000000`

Fills a store in process (no HTTP), then times the same searches at each size, decryption and grant included, and prints
bytes on disk for each resource.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
import uuid
from dataclasses import replace
from pathlib import Path

from benchmarks import samples
from benchmarks.__main__ import _database_url
from hie.fhir.scopes import FULL_GRANT
from hie.settings import Settings
from hie.store.audit import AuditEntry
from hie.store.resources import ResourceStore
from hie.store.search import query as search_query
from hie.store.store import Store

PER_PATIENT = 100
PATIENTS_A_TRANSACTION = 10


def bound(store: Store) -> ResourceStore:
    """Return the store as a request with every scope has it."""
    return store.bind(FULL_GRANT, AuditEntry(1, store.clock(), "benchmark", "search", "benchmark"))


def fill(store: Store, resources: int, source: random.Random) -> list[str]:
    """Add patients with their observations until there are `resources` more; return references of some patients."""
    patients: list[str] = []
    started, written = time.perf_counter(), 0
    while written < resources:
        written += bound(store).transact(lambda inside: _some(inside, patients, source))
        if written % 50_000 < PATIENTS_A_TRANSACTION * (PER_PATIENT + 1):
            rate = written / (time.perf_counter() - started)
            print(f"  {written:,} resources, {rate:,.0f}/s", file=sys.stderr, flush=True)
    return patients


def _some(inside: ResourceStore, patients: list[str], source: random.Random) -> int:
    for _ in range(PATIENTS_A_TRANSACTION):
        id_ = str(uuid.UUID(int=source.getrandbits(128), version=4))
        inside.create("Patient", samples.patient(source), id=id_)
        patients.append(f"Patient/{id_}")
        for _ in range(PER_PATIENT):
            inside.create("Observation", samples.observation(source, f"Patient/{id_}"))
    return PATIENTS_A_TRANSACTION * (PER_PATIENT + 1)


def searches(patient: str, source: random.Random) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Return named searches as (type, parameters)."""
    code = f"http://loinc.org|{source.choice(samples.CODES)[0]}"
    return {
        "patient and code": ("Observation", [("patient", patient), ("code", code), ("_count", "20")]),
        "code and category, page of 20": (
            "Observation",
            [("code", code), ("category", "vital-signs"), ("_count", "20"), ("_total", "none")],
        ),
        "patient and date, newest 20": (
            "Observation",
            [("patient", patient), ("date", "ge2018"), ("_sort", "-date"), ("_count", "20")],
        ),
        "family name begins": ("Patient", [("family", "Abbott1"), ("_count", "20"), ("_total", "none")]),
        "quantity range of a patient": (
            "Observation",
            [("patient", patient), ("value-quantity", "gt100"), ("_count", "20")],
        ),
    }


def measure(store: Store, patients: list[str], repeats: int) -> dict[str, float]:
    """Return the median time of each search in microseconds."""
    source = random.Random(3)
    times: dict[str, list[float]] = {}
    for _ in range(repeats):
        for name, (type_name, parameters) in searches(source.choice(patients), source).items():
            started = time.perf_counter()
            bound(store).search(search_query.parse(type_name, parameters, handling="strict"))
            times.setdefault(name, []).append(time.perf_counter() - started)
    return {name: statistics.median(values) * 1e6 for name, values in times.items()}


def size_on_disk(store: Store, settings: Settings) -> int:
    """Return the bytes that the database takes."""
    if store.database.dialect == "sqlite":
        return sum(path.stat().st_size for path in settings.data_dir.glob("hie.sqlite3*"))
    statement = "SELECT pg_database_size(current_database())"
    return int(store.database.connection().exec_driver_sql(statement).scalar_one())


def main() -> None:
    """Fill, measure at each size, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--repeats", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hie-scale-") as directory, _database_url(options.database) as url:
        settings = replace(Settings(), data_dir=Path(directory), database_url=url)
        store = Store.open(settings)
        source, patients, stored = random.Random(1), [], 0
        columns: list[tuple[int, dict[str, float], float]] = []
        for size in options.sizes:
            patients += fill(store, size - stored, source)
            stored = size
            if store.database.dialect == "postgresql":
                store.database.connection().exec_driver_sql("VACUUM ANALYZE")
            measure(store, patients, 20)
            columns.append((size, measure(store, patients, options.repeats), size_on_disk(store, settings) / size))
        store.close()
    print(f"| {options.database}: median µs | " + " | ".join(f"{size:,}" for size, _, _ in columns) + " | ratio |")
    print("|---|" + "---|" * (len(columns) + 1))
    for name in columns[0][1]:
        values = [times[name] for _, times, _ in columns]
        cells = " | ".join(f"{value:,.0f}" for value in values)
        print(f"| {name} | {cells} | {values[-1] / values[0]:.2f} |")
    print("| bytes on disk a resource | " + " | ".join(f"{size:,.0f}" for _, _, size in columns) + " | |")


if __name__ == "__main__":
    main()
