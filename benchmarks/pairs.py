"""What does a search take longer for in a large store? `python -m benchmarks.pairs --sizes 10000 1000000`

Fills a store of each size without HTTP (benchmarks.population), then asks each in turn for a page of ten Observations
by every criterion of a list, and by every two of them, in every order of another; prints those that take longer in the
larger store than in the smaller by more than `--above` milliseconds, of CPU on SQLite, of time on PostgreSQL.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

from benchmarks import population, samples
from benchmarks.population import bound
from benchmarks.scale import Parameters, filled
from hie.errors import FhirError
from hie.store.opening import parsed
from hie.store.search import query as search_query
from hie.store.store import Store

ORDERS = ("", "-date", "date", "-_lastUpdated", "-value-quantity", "_id", "-date,code", "-value-quantity,status")


class Found(NamedTuple):
    """How long a page takes in milliseconds, and how many matches are on it; why it is refused, if it is."""

    milliseconds: float
    matches: int
    refused: str = ""


def parameters(store: Store) -> dict[str, Parameters]:
    """Return criteria of few and of many, by what is in a store."""
    def of(order: str) -> dict[str, object]:
        asked = search_query.parse("Observation", [("_sort", order), ("_count", "1"), ("_total", "none")])
        return parsed(bound(store).search(asked).matches[0])

    first, last = (str(of(order)["effectiveDateTime"])[:10] for order in ("date", "-date"))
    half = f"{(int(first[:4]) + int(last[:4])) // 2}{last[4:]}"
    quantity = of("-value-quantity")["valueQuantity"]
    most = quantity["value"] if isinstance(quantity, dict) else 0
    codes = [f"http://loinc.org|{code[0]}" for code in samples.CODES]
    who, another = (f"Patient/{population.patient_id(number)}" for number in (3, 5))
    return {
        "a code": [("code", codes[0])], "three codes": [("code", ",".join(codes[:3]))],
        "status": [("status", "final")], "two of status": [("status", "final,amended")],
        "category": [("category", "vital-signs")], "not a code": [("code:not", codes[0])],
        "patient": [("subject", who)], "two patients": [("subject", f"{who},{another}")],
        "chain": [("patient.gender", "female")],
        "the last day": [("date", last)], "since then": [("date", f"ge{last}")],
        "since half": [("date", f"ge{half}")], "until the first day": [("date", f"le{first}")],
        "until half": [("date", f"lt{half}")], "a year": [("date", f"ge{half[:4]}"), ("date", f"le{half[:4]}")],
        "greatest values": [("value-quantity", f"ge{most}")], "many values": [("value-quantity", "gt60")],
        "values between": [("value-quantity", "gt60"), ("value-quantity", "lt61")],
        "not updated": [("_lastUpdated", "gt2100")], "all updated": [("_lastUpdated", "gt2000")],
        "code and value": [("code-value-quantity", f"{codes[0]}$gt60")],
        "with a value": [("value-quantity:missing", "false")],
        "combo": [("combo-code", codes[0])], "text": [("code:text", "body")],
    }  # fmt: skip


def asked(store: Store) -> Iterator[tuple[str, Parameters]]:
    """Yield every criterion and every two, in every order, each with its name."""
    known = parameters(store)
    for names in itertools.chain(*(itertools.combinations(known, number) for number in (1, 2))):
        for order in ORDERS:
            criteria = [one for name in names for one in known[name]]
            yield f"{' + '.join(names)}, by {order or 'nothing'}", [*criteria, *([("_sort", order)] if order else [])]


def measured(store: Store, criteria: Parameters, clock: Callable[[], float]) -> Found:
    """Return what one search takes, the quicker of two; one alone where that is long."""
    wanted = [*criteria, ("_count", "10"), ("_total", "none")]
    times: list[float] = []
    matches = 0
    try:
        query = search_query.parse("Observation", wanted, handling="strict")
        while len(times) < 2 and sum(times) < 1:
            begun = clock()
            matches = len(bound(store).search(query).matches)
            times.append(clock() - begun)
    except FhirError as error:
        return Found(0, 0, str(error))
    return Found(min(times) * 1e3, matches)


def main() -> None:
    """Fill, measure, and print what grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs=2, default=[10_000, 100_000])
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--processes", type=int, default=2, help="that fill a store")
    parser.add_argument("--above", type=float, default=10, help="milliseconds")
    parser.add_argument("--seconds", type=float, default=600, help="after which no further search is measured")
    options = parser.parse_args()
    clock = time.process_time if options.database == "sqlite" else time.perf_counter
    with ExitStack() as stack:
        small, large = (stack.enter_context(filled(options.database, size, options.processes)).store
                        for size in options.sizes)  # fmt: skip
        rows, number, until = [], 0, time.monotonic() + options.seconds
        for (name, few), (_, many) in zip(asked(small), asked(large), strict=True):
            if time.monotonic() > until:
                break
            number += 1
            before, after = measured(small, few, clock), measured(large, many, clock)
            if after.refused or after.milliseconds - before.milliseconds > options.above:
                rows.append((after.milliseconds, before.milliseconds, after.matches, after.refused, name))
    print(f"{number:,} searches on {options.database}; {len(rows)} take {options.above:g} ms more or are refused")
    print("| ms | of which in the small store | matches | search |\n|---|---|---|---|")
    for milliseconds, before_, matches, refused, name in sorted(rows, reverse=True):
        print(f"| {milliseconds:,.1f} | {before_:,.1f} | {matches} | {name}{': ' if refused else ''}{refused[:100]} |")


if __name__ == "__main__":
    main()
