"""Does a search take the same time in a large store? `python -m benchmarks.scale --sizes 10000 100000 1000000`

Fills a store of each size without HTTP, then times the same searches in all of them in turn, decryption and grant
included, and prints median, 99th percentile and bytes on disk for each resource; `--plot FILE.svg` draws the medians.
No search finds more in a larger store (benchmarks.population).
"""

from __future__ import annotations

import argparse
import html
import math
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import population, samples
from benchmarks.__main__ import _database_url
from benchmarks.population import bound
from hie.settings import Settings
from hie.store.search import query as search_query
from hie.store.search.query import SearchQuery
from hie.store.store import Store

Parameters = list[tuple[str, str]]
#: PostgreSQL's own default, 128 MB, is for a machine with less than 1 GB of memory:
#: https://www.postgresql.org/docs/current/runtime-config-resource.html#GUC-SHARED-BUFFERS
SHARED_BUFFERS = "4GB"


def searches(number: int, day: str, source: random.Random) -> dict[str, tuple[str, Parameters]]:
    """Return named searches as (type, parameters) about a patient, and about a day."""
    patient, family = f"Patient/{population.patient_id(number)}", population.family(number)
    code = ("code", f"http://loinc.org|{source.choice(samples.CODES)[0]}")
    who, page, uncounted = ("patient", patient), ("_count", "20"), ("_total", "none")
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
        "quantity range of a code": ("Observation", [code, ("value-quantity", "gt100"), page, uncounted]),
        "text: family begins": ("Patient", [("family", family[:7]), page, uncounted]),
        "count: a patient's of a code": ("Observation", [who, code, ("_summary", "count")]),
        "sort: a patient's newest by date": ("Observation", [who, ("date", "ge1880"), ("_sort", "-date"), page]),
        "identifier": ("Patient", [("identifier", population.identifier(number))]),
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


@dataclass(slots=True)
class Filled:
    """A store of a size, and what is asked of it: as many patients and days in a store of any size.

    They are from all over the store, and each was asked for before: so what a process and the database remember of
    them, such as data keys, is there in all.
    """

    size: int
    store: Store
    bytes_each: float
    patients: list[int] = field(default_factory=list)
    days: list[str] = field(default_factory=list)
    deep: list[SearchQuery] = field(default_factory=list)
    source: random.Random = field(default_factory=lambda: random.Random(3))
    times: dict[str, list[float]] = field(default_factory=dict)

    def choose(self, patients: int) -> None:
        """Choose what is asked about, and ask about each once."""
        everyone = range(self.size // population.PER_PATIENT)
        self.patients = self.source.sample(everyone, patients)
        self.days = [population.day(self.source.getrandbits(62), everyone) for _ in range(patients)]
        self.deep = [deep_page(self.store, self.source) for _ in range(5)]
        for number, day in zip(self.patients, self.days, strict=True):
            self._ask(number, day)
            of_the_day = search_query.parse("Observation", [("date", day), ("_count", "50")], handling="strict")
            bound(self.store).search(of_the_day)
        self.times.clear()

    def ask(self) -> None:
        """Time one search of each kind."""
        self._ask(self.source.choice(self.patients), self.source.choice(self.days))

    def _ask(self, number: int, day: str) -> None:
        asked = {
            name: search_query.parse(type_name, parameters, handling="strict")
            for name, (type_name, parameters) in searches(number, day, self.source).items()
        }
        for name, query in {**asked, DEEP_NAME: self.source.choice(self.deep)}.items():
            started = time.perf_counter()
            bound(self.store).search(query)
            self.times.setdefault(name, []).append(time.perf_counter() - started)


Column = tuple[int, dict[str, Times], float]


def columns(database: str, sizes: list[int], repeats: int, processes: int) -> list[Column]:
    """Fill a store of each size; return (size, times of searches, bytes on disk for each resource).

    The stores take turns, so that a machine that slows down or is busy does so for all of them.
    """
    with ExitStack() as stack:
        stores = [stack.enter_context(filled(database, size, processes)) for size in sizes]
        for one in stores:
            one.choose(sizes[0] // population.PER_PATIENT)
        for _ in range(repeats):
            for one in stores:
                one.ask()
        return [
            (one.size, {name: Times.of(seconds) for name, seconds in one.times.items()}, one.bytes_each)
            for one in stores
        ]


@contextmanager
def filled(database: str, size: int, processes: int) -> Iterator[Filled]:
    with tempfile.TemporaryDirectory(prefix="hie-scale-") as directory, _database_url(database, SHARED_BUFFERS) as url:
        settings = replace(Settings(), data_dir=Path(directory), database_url=url)
        store = Store.open(settings, decides_index=True)
        population.fill(settings, range(size // population.PER_PATIENT), processes)
        _tidy(store)
        yield Filled(size, store, size_on_disk(store, settings) / size)
        store.close()


def size_on_disk(store: Store, settings: Settings) -> int:
    """Return the bytes that the database takes."""
    if store.database.dialect == "sqlite":
        return sum(path.stat().st_size for path in settings.data_dir.glob("hie.sqlite3*"))
    statement = "SELECT pg_database_size(current_database())"
    return int(store.database.connection().exec_driver_sql(statement).scalar_one())


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
    """Fill, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--processes", type=int, default=2, help="that fill a store")
    parser.add_argument("--plot", type=Path, help="an SVG file to write")
    options = parser.parse_args()
    found = columns(options.database, options.sizes, options.repeats, options.processes)
    print(table(options.database, found))
    if options.plot:
        options.plot.write_text(plot(f"{options.database}: median µs of a search over resources stored", found))


if __name__ == "__main__":
    main()
