"""Does a search take the same time in a large store? `python -m benchmarks.scale --sizes 10000 100000 1000000`

Fills a store in process (no HTTP), then times the same searches at each size, decryption and grant included, and prints
median, 99th percentile and bytes on disk for each resource; `--plot FILE.svg` draws the medians.
"""

from __future__ import annotations

import argparse
import html
import math
import random
import statistics
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import samples
from benchmarks.__main__ import _database_url
from hie.fhir.scopes import FULL_GRANT
from hie.settings import Settings
from hie.store.audit import AuditEntry
from hie.store.opening import parsed
from hie.store.resources import ResourceStore
from hie.store.search import query as search_query
from hie.store.search.query import SearchQuery
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


Parameters = list[tuple[str, str]]


def searches(patient: str, family: str, source: random.Random) -> dict[str, tuple[str, Parameters]]:
    """Return named searches as (type, parameters); `family` is the patient's name."""
    code = ("code", f"http://loinc.org|{source.choice(samples.CODES)[0]}")
    who, page, uncounted = ("patient", patient), ("_count", "20"), ("_total", "none")
    day = f"20{source.randrange(10, 26)}-{source.randrange(1, 13):02d}-{source.randrange(1, 29):02d}"
    return {
        "two parameters: patient and code": ("Observation", [who, code, page]),
        "two parameters, many matches: code and category": (
            "Observation", [code, ("category", "vital-signs"), page, uncounted]),
        "chain: patient.family and code": ("Observation", [("patient.family", family), code, page, uncounted]),
        "_has: patients of a family with a code": (
            "Patient", [("family", family), ("_has:Observation:patient:code", code[1]), page, uncounted]),
        "include: a patient's newest with the patient": (
            "Observation", [who, ("_include", "Observation:patient"), page, uncounted]),
        "date range of a day and a code": ("Observation", [("date", day), code, page, uncounted]),
        "quantity range of a patient": ("Observation", [who, ("value-quantity", "gt100"), page]),
        "text: family begins": ("Patient", [("family", family[:7]), page, uncounted]),
        "count: a patient's of a code": ("Observation", [who, code, ("_summary", "count")]),
        "sort: a patient's newest by date": ("Observation", [who, ("date", "ge2018"), ("_sort", "-date"), page]),
        "identifier": ("Patient", [("identifier", f"urn:oid:1.2.36.146.595.217.0.1|MRN-{source.randrange(10**9)}")]),
    }  # fmt: skip


DEEP_PAGE, DEEP_NAME = 30, "deep page: the 30th of code and category"


def deep_page(store: Store, source: random.Random) -> SearchQuery:
    """Return the search that gives the 30th page, by the links of the pages before it."""
    code = f"http://loinc.org|{source.choice(samples.CODES)[0]}"
    asked: Parameters = [("code", code), ("category", "vital-signs"), ("_count", "20"), ("_total", "none")]
    query = search_query.parse("Observation", asked, handling="strict")
    for _ in range(DEEP_PAGE - 1):
        cursor = bound(store).search(query).next_cursor
        if cursor is None:
            break
        query = search_query.parse("Observation", [*asked, ("_cursor", cursor)], handling="strict")
    return query


@dataclass(frozen=True, slots=True)
class Times:
    """Microseconds."""

    median: float
    p99: float

    @classmethod
    def of(cls, seconds: list[float]) -> Times:
        ordered = sorted(seconds)
        return cls(statistics.median(ordered) * 1e6, ordered[int(0.99 * (len(ordered) - 1))] * 1e6)


def measure(store: Store, patients: list[str], repeats: int) -> dict[str, Times]:
    """Return the times of each search, the kinds interleaved."""
    source = random.Random(3)
    deep = [deep_page(store, source) for _ in range(5)]
    times: dict[str, list[float]] = {}
    for _ in range(repeats):
        patient = source.choice(patients)
        family = parsed(bound(store).read("Patient", patient.partition("/")[2]))["name"][0]["family"]
        asked = {
            name: search_query.parse(type_name, parameters, handling="strict")
            for name, (type_name, parameters) in searches(patient, family, source).items()
        }
        for name, query in {**asked, DEEP_NAME: source.choice(deep)}.items():
            started = time.perf_counter()
            bound(store).search(query)
            times.setdefault(name, []).append(time.perf_counter() - started)
    return {name: Times.of(values) for name, values in times.items()}


def size_on_disk(store: Store, settings: Settings) -> int:
    """Return the bytes that the database takes."""
    if store.database.dialect == "sqlite":
        return sum(path.stat().st_size for path in settings.data_dir.glob("hie.sqlite3*"))
    statement = "SELECT pg_database_size(current_database())"
    return int(store.database.connection().exec_driver_sql(statement).scalar_one())


Column = tuple[int, dict[str, Times], float]


def columns(database: str, sizes: list[int], repeats: int) -> list[Column]:
    """Fill one store step by step; return (size, times of searches, bytes on disk for each resource)."""
    found: list[Column] = []
    with tempfile.TemporaryDirectory(prefix="hie-scale-") as directory, _database_url(database) as url:
        settings = replace(Settings(), data_dir=Path(directory), database_url=url)
        store = Store.open(settings)
        source, patients, stored = random.Random(1), [], 0
        for size in sizes:
            patients += fill(store, size - stored, source)
            stored = size
            _tidy(store)
            measure(store, patients, 20)
            found.append((size, measure(store, patients, repeats), size_on_disk(store, settings) / size))
        store.close()
    return found


def _tidy(store: Store) -> None:
    """Bring the database into the state in which it rests: checkpointed, or vacuumed."""
    statement = "PRAGMA wal_checkpoint(TRUNCATE)" if store.database.dialect == "sqlite" else "VACUUM ANALYZE"
    store.database.connection().exec_driver_sql(statement)


def table(database: str, found: list[Column]) -> str:
    """Return the columns as a Markdown table: median / 99th percentile in microseconds."""
    lines = [
        f"| {database}: µs, median / p99 | " + " | ".join(f"{size:,}" for size, _, _ in found) + " | of medians |",
        "|---|" + "---|" * (len(found) + 1),
    ]
    for name in found[0][1]:
        cells = " | ".join(f"{times[name].median:,.0f} / {times[name].p99:,.0f}" for _, times, _ in found)
        lines.append(f"| {name} | {cells} | {found[-1][1][name].median / found[0][1][name].median:.2f} |")
    lines.append("| bytes on disk for each resource | " + " | ".join(f"{size:,.0f}" for _, _, size in found) + " | |")
    return "\n".join(lines)


_COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#000000", "#8c564b", "#7f7f7f", "#bcbd22",
    "#17becf", "#9467bd",
)  # fmt: skip


def plot(title: str, found: list[Column]) -> str:
    """Return the medians over the store's size as an SVG, both axes logarithmic."""
    width, height, left, top, names = 900, 440, 60, 40, list(found[0][1])
    low_x, high_x = (math.log10(found[end][0]) for end in (0, -1))
    values = [times[name].median for _, times, _ in found for name in names]
    low_y, high_y = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    right, bottom = width - 330, height - 40

    def x(size: int) -> float:
        return left + (math.log10(size) - low_x) / ((high_x - low_x) or 1) * (right - left)

    def y(value: float) -> float:
        return bottom - (math.log10(value) - low_y) / (high_y - low_y) * (bottom - top)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
             f'font-size="12"><rect width="100%" height="100%" fill="#fff"/><text x="{left}" y="20">{title}</text>']
    for power in range(low_y, high_y + 1):
        parts.append(f'<path d="M{left} {y(10**power):.1f}H{right}" stroke="#ddd"/>'
                     f'<text x="{left - 8}" y="{y(10**power) + 4:.1f}" text-anchor="end">{10**power:,}</text>')
    for size, _, _ in found:
        parts.append(f'<text x="{x(size):.1f}" y="{bottom + 20}" text-anchor="middle">{size:,}</text>')
    for number, name in enumerate(names):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(f"{x(size):.1f},{y(times[name].median):.1f}" for size, times, _ in found)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
                     f'<text x="{right + 12}" y="{top + 12 + number * 18}" fill="{colour}">{html.escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    """Fill, measure at each size, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--plot", type=Path, help="an SVG file to write")
    options = parser.parse_args()
    found = columns(options.database, options.sizes, options.repeats)
    print(table(options.database, found))
    if options.plot:
        options.plot.write_text(plot(f"{options.database}: median µs of a search over resources stored", found))


if __name__ == "__main__":
    main()
