"""Measure this exchange and any other FHIR server by the same mixes: benchmarks.mixes.

    python -m benchmarks.compare                                   # this exchange on SQLite and on PostgreSQL
    python -m benchmarks.compare --url http://127.0.0.1:8103/fhir/R4 --token TOKEN       # any other server
    [--mix crud] [--mix search] [--mix import] [--users 16] [--seconds 10] [--seed 1]

A row for each kind of request, one for the mix; requests per second and core count every core of this machine, the load
generator's share included. A status that is not the expected one is listed below the table.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence

from benchmarks import mixes, scripted
from benchmarks.__main__ import exchange
from benchmarks.load import Outcome
from benchmarks.processes import Running
from benchmarks.scripted import Results, Script, Server

MIXES = ("import", "search", "crud")
BUNDLES = 60


def scripts(mix: str, server: Server, options: argparse.Namespace) -> tuple[list[Script], float]:
    """Return a script for each user, and how many resources one request of the mix carries."""
    users = range(options.users)
    if mix == "crud":
        return [mixes.crud(options.seed * 1000 + user) for user in users], 1
    if mix == "search":
        harvested = mixes.Harvest()
        scripted.run(server, [mixes.harvest(harvested)], 600)
        return [mixes.search(options.seed * 1000 + user, harvested) for user in users], 1
    bundles = mixes.generated_bundles(options.seed, BUNDLES)
    return [mixes.import_(bundles, user, options.users) for user in users], mixes.entries_of(bundles[0])


def measure(name: str, server: Server, options: argparse.Namespace, running: Running | None) -> None:
    """Run the mixes on one server and print their tables."""
    print(f"\n| {name} | requests/s | per core | p50 ms | p99 ms | CPU µs each |\n|---|---|---|---|---|---|")
    for mix in options.mix or MIXES:
        users, weight = scripts(mix, server, options)
        before = running.cpu_seconds() if running else 0.0
        results = scripted.run(server, users, options.seconds)
        cpu = (running.cpu_seconds() - before) / results.requests * 1e6 if running else None
        for label, outcome in sorted(results.outcomes.items()):
            print(_row(f"{mix}: {label}", outcome, None))
        print(_row(f"**{mix}**", _together(results), cpu))
        if weight != 1:
            print(f"| {mix}: resources | {results.requests / results.seconds * weight:,.0f} | | | | |")
        for (label, status), number in sorted(results.unexpected.items()):
            print(f"| {mix}: {label} answered {status} | {number} times | | | | |")


def _together(results: Results) -> Outcome:
    latencies = [one for outcome in results.outcomes.values() for one in outcome.latencies]
    return Outcome(results.seconds, latencies)


def _row(name: str, outcome: Outcome, cpu: float | None) -> str:
    rate = outcome.per_second
    told = "" if cpu is None else f"{cpu:.0f}"
    return (f"| {name} | {rate:,.0f} | {rate / (os.cpu_count() or 1):,.0f} | {outcome.percentile(0.5):.1f} | "
            f"{outcome.percentile(0.99):.1f} | {told} |")  # fmt: skip


def measure_this(database: str, options: argparse.Namespace) -> None:
    """Start an empty exchange on one database and measure it."""
    with exchange(database, options.workers) as (running, token):
        host, port = running.address
        measure(database, Server(host, port, "/fhir", token), options, running)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="base URL of another server")
    parser.add_argument("--token", default="", help="its bearer token")
    parser.add_argument("--database", action="append", choices=["sqlite", "postgresql"])
    parser.add_argument("--mix", action="append", choices=MIXES)
    number: Callable[[str], int] = int
    parser.add_argument("--users", type=number, default=16)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=number, default=1)
    parser.add_argument("--workers", type=number, default=2)
    options = parser.parse_args(arguments)
    if options.url:
        measure(options.url, Server.of(options.url, options.token), options, None)
        return
    for database in options.database or ["sqlite", "postgresql"]:
        measure_this(database, options)


if __name__ == "__main__":
    main()
