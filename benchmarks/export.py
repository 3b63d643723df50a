"""What a bulk export costs a resource: its job that lists, and the files that are read when they are fetched.

    python -m benchmarks.export [--resources 100000] [--postgres] [--directory DIR]

In process, one thread, no HTTP; microseconds of this process's CPU for each resource, the lesser of two rounds, as
other programs may run. With --directory the store is kept there and measured again next time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.search_index import database, fill
from hie.app import create_app
from hie.context import Context
from hie.fhir.bulk import OUTPUT, Filed
from hie.fhir.scopes import FULL_GRANT
from hie.interactions import bulk
from hie.interactions.bulk_export import Listed
from hie.operations.export.asked import Asked
from hie.operations.export.records import records
from hie.operations.export.whole import whole
from hie.settings import Settings

ROUNDS = 2


def spent(work: Callable[[], int]) -> tuple[int, float]:
    """Return how many resources some work was done for, and its microseconds of CPU for each."""
    costs, number = [], 0
    for _ in range(ROUNDS):
        start = time.process_time()
        number = work()
        costs.append((time.process_time() - start) / number * 1e6)
    return number, min(costs)


def fetched(listed: list[Listed], moment: tuple[int, object], ctx: Context) -> int:
    """Read all files of an export; return how many lines they have."""
    at, saw = moment
    told = {"at": at, "seen": saw, "elements": ()}
    ids: dict[str, list[str]] = {}
    for one in listed:
        ids.setdefault(one.type, []).append(one.id)
    number = 0
    for type_name, some in ids.items():
        for start in range(0, len(some), bulk.MOST_LINES):
            part = some[start : start + bulk.MOST_LINES]
            read = bulk.lines(Filed(1, OUTPUT, type_name, len(part)), "\n".join(part).encode(), told, ctx)
            number += sum(1 for _ in read)
    return number


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resources", type=int, default=100_000, help="Observations in the store")
    parser.add_argument("--postgres", action="store_true", help="measure PostgreSQL instead of SQLite")
    parser.add_argument("--directory", type=Path, help="where to keep the store")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hie-export-") as temporary:
        directory = options.directory or Path(temporary)
        with database(options.postgres, directory) as url:
            settings = Settings(data_dir=directory / "data", database_url=url)
            application = create_app(settings).extensions["hie"]
            ctx: Context = application.context(grant=FULL_GRANT)
            if not ctx.store.counts():
                fill(lambda: application.context(grant=FULL_GRANT).store, options.resources)
            measure(ctx)
            application.close()


def measure(ctx: Context) -> None:
    """Print what each part costs."""
    asked = Asked(frozenset({"Patient", "Observation"}))
    at, saw = bulk.moment(ctx)
    then = ctx.within(ctx.store.as_of(at, saw))
    listed = [one for one in whole(asked, then) if isinstance(one, Listed)]
    parts: dict[str, Callable[[], int]] = {
        "listed, the system": lambda: sum(1 for _ in whole(asked, then)),
        "listed, all patients": lambda: sum(1 for _ in records(asked, None, then)),
        "read": lambda: fetched(listed, (at, None if saw is None else saw.to_json()), ctx),
    }
    for name, work in parts.items():
        number, cost = spent(work)
        print(f"{name:<24}{number:>10}{cost:>8.1f} us")


if __name__ == "__main__":
    main()
