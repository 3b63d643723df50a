"""Measure this exchange and any other FHIR server by the same mixes, side by side: benchmarks.mixes.

    python -m benchmarks.compare                     # this exchange on SQLite and on PostgreSQL
    python -m benchmarks.compare --url http://127.0.0.1:8103/fhir/R4 --token TOKEN --pid 812 --pid 907   # another one
    python -m benchmarks.compare --url … --pid … --database sqlite --database postgresql                 # all of them
    [--mix crud] [--mix search] [--mix import] [--users 16] [--seconds 10] [--rounds 1]
    python -m benchmarks.compare --database postgresql --against ../before --rounds 20 --seconds 3       # two versions
    [--fill 60] [--warm-up 2] [--seed 1] [--workers 2] [--apart 1]

Every server is first given the same `--fill` Bundles, so that searches find the same in each (another server is best
started on an empty store). Each mix then runs `--rounds` times on one server after the other, and back in the next
round, before the first time for `--warm-up` seconds that do not count; figures are medians of the rounds. Requests per
second and core count every core of this machine, the load generator's share included. CPU is of all of a server's
processes, PostgreSQL's among them; of another server of those that `--pid` names and what is below them. The last rows
tell of answers whose status was not the expected one.

`--against` puts the exchange of another checkout beside this one, and tells how many times its CPU each request takes
here, round by round: what the machine does meanwhile falls on both, so that a few per cent can be told in its noise.

`--apart N` counts as the published figures do, whose servers have cores of their own while PostgreSQL and the load
generator run on others: N web processes have N cores to themselves, everything else the rest of the machine, and
requests per core are those of these N.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from benchmarks import mixes, scripted
from benchmarks.__main__ import exchange
from benchmarks.compared import Figures, Measured, table
from benchmarks.processes import Running, cpu_seconds, pin
from benchmarks.scripted import Answer, Request, Results, Script, Server

MIXES = ("search", "crud", "import")
BUNDLES = 60


@dataclass(slots=True)
class Target:
    """A server to measure: its name, where it is, its processes, and what its store is known to have."""

    name: str
    server: Server
    pids: tuple[int, ...] = ()
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)
    harvested: mixes.Harvest = field(default_factory=mixes.Harvest)

    def keep_apart(self, own: set[int], others: set[int]) -> None:
        """Give the server itself cores of its own, and what it asks, its database, the others."""
        pin(self.pids[0], own)
        for pid in self.pids[1:]:
            pin(pid, others)
        self.cores = len(own)

    def cpu_seconds(self) -> list[float]:
        """Return what each of its processes has used, with those below it."""
        return [cpu_seconds(pid) for pid in self.pids]

    def fill(self, bundles: list[bytes], users: int) -> Results:
        """Store each Bundle once, and harvest the ids that searches ask for."""
        shares = [_posted(bundles[user::users]) for user in range(min(users, len(bundles)))]
        filled = scripted.run(self.server, shares, float("inf"))
        for key, number in scripted.run(self.server, [mixes.harvest(self.harvested)], 600).unexpected.items():
            filled.unexpected[key] += number
        return filled


def _posted(bundles: list[bytes]) -> Script:
    for bundle in bundles:
        yield Request("fill", "POST", "", bundle)


def scripts(mix: str, target: Target, options: argparse.Namespace, run: int) -> list[Script]:
    """Return a script for each user; `run` makes those of each run their own."""
    seeds = [(options.seed * 1000 + run) * 1000 + user for user in range(options.users)]
    if mix == "crud":
        return [mixes.crud(seed) for seed in seeds]
    if mix == "search":
        return [mixes.search(seed, target.harvested) for seed in seeds]
    bundles = mixes.generated_bundles(seeds[0], BUNDLES)
    return [mixes.import_(bundles, user, options.users) for user in range(options.users)]


def measure(mix: str, target: Target, options: argparse.Namespace, run: int) -> Figures:
    """Run a mix once on one server."""
    users = scripts(mix, target, options, run)
    before = target.cpu_seconds()
    results = scripted.run(target.server, users, options.seconds)
    used = [after - one for one, after in zip(before, target.cpu_seconds(), strict=True)]
    return Figures(results, tuple(used), target.cores)


def compare(targets: Sequence[Target], options: argparse.Namespace) -> list[Measured]:
    """Fill the servers, run every mix on each in turn, and return what each did."""
    bundles = mixes.generated_bundles(options.seed, options.fill)
    found = [Measured(one.name) for one in targets]
    for target, measured in zip(targets, found, strict=True):
        measured.count(target.fill(bundles, options.users).unexpected)
    for mix in options.mix or MIXES:
        for target in targets if options.warm_up else ():
            scripted.run(target.server, scripts(mix, target, options, 0), options.warm_up)
        for run in range(1, options.rounds + 1):
            both = list(zip(targets, found, strict=True))
            for target, measured in both if run % 2 else reversed(both):
                measured.add(mix, measure(mix, target, options, run))
    return found


# ---- which servers ---------------------------------------------------------------------------------------------------


@contextmanager
def this_exchange(database: str, workers: int, checkout: Path | None = None) -> Iterator[Target]:
    """Start an empty exchange on one database, that of another checkout where one is named."""
    with exchange(database, workers, checkout) as (running, token):
        name = f"{checkout.name if checkout else 'this exchange'}, {database}"
        yield Target(name, Server(*running.address, "/fhir", token), _processes(running))


def keep_apart(targets: Sequence[Target], cores: int) -> None:
    """Give servers that many cores, and their databases and this program the others of this machine."""
    if not all(target.pids for target in targets):
        raise SystemExit("--apart needs the process of the other server, and then that of its database (--pid).")
    here = sorted(os.sched_getaffinity(0))
    own, others = set(here[:cores]), set(here[cores:])
    if not others:
        raise SystemExit(f"This machine has {len(here)} cores: none is left beside a server's {cores} (--apart).")
    pin(os.getpid(), others)  # and what it has started, so the servers' turn comes after it
    for target in targets:
        target.keep_apart(own, others)


def _processes(running: Running) -> tuple[int, ...]:
    """Return the pid of the exchange and that of its PostgreSQL, which is in the lock beside the socket."""
    url = running.environment.get("HIE_DATABASE_URL", "")
    host = parse_qs(urlsplit(url).query).get("host")
    lock = Path(host[0]) / ".s.PGSQL.5432.lock" if host else None
    return (running.pid, int(lock.read_text().split()[0])) if lock else (running.pid,)


def another(url: str, token: str, pids: Sequence[int]) -> Target:
    """Return the server below a base URL, by the name it tells of itself; SystemExit where there is no FHIR server."""
    server, told = Server.of(url, token), list[Answer]()
    for pid in pids:
        if not Path(f"/proc/{pid}").is_dir():
            raise SystemExit(f"There is no process {pid} (--pid).")
    try:
        scripted.run(server, [_metadata(told)], 0)
        software = json.loads(told[0].body)["software"]
    except (OSError, IndexError, ValueError, KeyError, TypeError):
        status = f"status {told[0].status}" if told else "no answer"
        raise SystemExit(f"{url}/metadata is no CapabilityStatement that names its software ({status}).") from None
    return Target(f"{software['name']} {software.get('version', '')}".strip(), server, tuple(pids))


def _metadata(told: list[Answer]) -> Script:
    told.append((yield Request("metadata", "GET", "metadata")))


def _folder(path: str) -> Path:
    return Path(path).resolve()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    number: Callable[[str], int] = int
    parser.add_argument("--url", help="base URL of another server")
    parser.add_argument("--token", default="", help="its bearer token")
    parser.add_argument("--pid", action="append", type=number, default=[], help="a process of it, and those below")
    parser.add_argument("--database", action="append", choices=["sqlite", "postgresql"])
    parser.add_argument("--against", type=_folder, help="another checkout of this exchange")
    parser.add_argument("--mix", action="append", choices=MIXES)
    parser.add_argument("--users", type=number, default=16)
    parser.add_argument("--seconds", type=float, default=10, help="how long each mix runs")
    parser.add_argument("--rounds", type=number, default=1)
    parser.add_argument("--fill", type=number, default=60, help="Bundles that are stored first")
    parser.add_argument("--warm-up", type=float, default=2, help="seconds of each mix that do not count")
    parser.add_argument("--seed", type=number, default=1)
    parser.add_argument("--workers", type=number, default=2, help="web processes of this exchange")
    parser.add_argument("--apart", type=number, default=0, metavar="N", help="N web processes on N cores")
    options = parser.parse_args(arguments)
    if options.against and not (options.against / "hie" / "cli.py").is_file():
        raise SystemExit(f"There is no checkout of this exchange at {options.against} (--against).")
    with ExitStack() as stack:
        targets = [another(options.url.rstrip("/"), options.token, options.pid)] if options.url else []
        for database in options.database or ([] if options.url else ["sqlite", "postgresql"]):
            for checkout in (None, options.against) if options.against else (None,):
                targets.append(stack.enter_context(this_exchange(database, options.apart or options.workers, checkout)))
        if options.apart:
            keep_apart(targets, options.apart)
        resources = mixes.entries_of(mixes.generated_bundles(options.seed, 1)[0])
        print("\n".join(table(compare(targets, options), resources)))


if __name__ == "__main__":
    main()
