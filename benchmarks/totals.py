"""What a total costs, counted and estimated, and how near the estimate comes; in process, no HTTP.

    python -m benchmarks.totals [--resources 100000] [--postgres] [--directory DIR]

A page of 20 with `_total=none`, `accurate` and `estimate`, milliseconds; the fastest of ten, as other programs may run.
With --directory the store is kept there and measured again next time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.search_index import CODES, database, fill, opened
from hie.store.resources import ResourceStore
from hie.store.search import engine, query

ROUNDS = 10
_CODE = f"http://loinc.org|{CODES[1][0]}"
SEARCHES: dict[str, list[tuple[str, str]]] = {
    "no criterion": [],
    "category": [("category", "laboratory")],
    "category and status": [("category", "laboratory"), ("status", "final")],
    "frequent code": [("code", _CODE)],
    "two codes": [("code", f"{_CODE},http://loinc.org|{CODES[2][0]}")],
    "date ge": [("date", "ge2012-03-05")],
    "category and date": [("category", "laboratory"), ("date", "ge2012-03-05")],
    "value gt 100": [("value-quantity", "gt100||mg/dL")],
    "category:not": [("category:not", "laboratory")],
    "chain to gender": [("patient.gender", "male")],
    "value in another unit": [("value-quantity", "gt1|http://unitsofmeasure.org|g/L")],
    "code:text, verified": [("code:text", "measurement 1")],
}


def measure(store: ResourceStore, parameters: list[tuple[str, str]], total: str) -> tuple[float, int | None]:
    """Return the milliseconds of a page, and the total that it told."""
    times, told = [], None
    for _ in range(ROUNDS):
        start = time.perf_counter()
        told = engine.search(store, query.parse("Observation", [*parameters, ("_total", total)])).total
        times.append(time.perf_counter() - start)
        if sum(times) > 20:
            break
    return min(times) * 1e3, told


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resources", type=int, default=100_000, help="Observations in the store")
    parser.add_argument("--postgres", action="store_true", help="measure PostgreSQL instead of SQLite")
    parser.add_argument("--directory", type=Path, help="where to keep the store")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hie-totals-") as temporary:
        directory = options.directory or Path(temporary)
        with database(options.postgres, directory) as url, opened(directory / "data", url) as bind:
            if not engine.search(bind(), query.parse("Patient", [("_count", "1")])).matches:
                start = time.perf_counter()
                fill(bind, options.resources)
                print(f"stored in {time.perf_counter() - start:.0f} s", file=sys.stderr)
                if options.postgres:
                    bind().connection().exec_driver_sql("VACUUM ANALYZE")
            print(f"{'search':<24}{'none':>9}{'accurate':>10}{'estimate':>10}{'counted':>10}{'estimated':>11}{'off':>8}")
            for name, parameters in SEARCHES.items():
                (page, _), (exact, counted), (quick, estimated) = (
                    measure(bind(), parameters, total) for total in ("none", "accurate", "estimate")
                )
                off = 100 * ((estimated or 0) / counted - 1) if counted else 0.0
                print(f"{name:<24}{page:>9.1f}{exact:>10.1f}{quick:>10.1f}{counted:>10}{estimated:>11}{off:>7.1f}%")


if __name__ == "__main__":
    main()
