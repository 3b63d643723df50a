"""Many mixed clients for a long time: no 5xx, no lost write, memory flat. `python -m benchmarks.soak --minutes 10`

64 users at once: some create, read, update and delete linked resources, some search, some post Bundles, some keep what
they write. Afterwards everything that was answered and kept is read again at its last answered version, and `hie check`
looks through the whole store.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import time
from dataclasses import dataclass, field

from benchmarks import mixes, samples, scripted
from benchmarks.__main__ import exchange
from benchmarks.memory import Watch
from benchmarks.processes import hie
from benchmarks.scripted import Request, Script, Server


@dataclass(slots=True)
class Kept:
    """What one user was told to be stored: reference -> version; None once its deletion was answered.

    `open` names a write that was sent and not answered: either version may stand then.
    """

    versions: dict[str, int | None] = field(default_factory=dict)
    open: str = ""


def keeper(seed: int, kept: Kept) -> Script:
    """A user who creates Observations, changes some and deletes some, and remembers what was answered."""
    source = random.Random(seed)
    answer = yield Request("keep: create", "POST", "Patient", samples.dumped(samples.patient(source)), (201,))
    patient = mixes.reference_of(answer, "Patient")
    while True:
        observation = samples.observation(source, patient)
        answer = yield Request("keep: create", "POST", "Observation", samples.dumped(observation), (201,))
        if answer.status != 201:
            continue
        reference = mixes.reference_of(answer, "Observation")
        kept.versions[reference] = 1
        if source.random() < 0.4:
            changed = {**observation, "id": reference.partition("/")[2], "status": "amended"}
            kept.open = reference
            answer = yield Request("keep: update", "PUT", reference, samples.dumped(changed))
            kept.versions[reference], kept.open = 2, ""
        if source.random() < 0.1:
            kept.open = reference
            answer = yield Request("keep: delete", "DELETE", reference)
            kept.versions[reference], kept.open = None, ""


def readers(kept: list[Kept], lost: list[str], users: int) -> list[Script]:
    """Users who read again everything that was kept, and note what is not as it was answered."""
    wanted = [(reference, version) for one in kept for reference, version in one.versions.items()
              if reference != one.open]  # fmt: skip

    def reader(first: int) -> Script:
        for reference, version in wanted[first::users]:
            answer = yield Request("verify", "GET", reference, b"", (200, 410))
            found = json.loads(answer.body)["meta"]["versionId"] if answer.status == 200 else None
            if found != (None if version is None else str(version)):
                lost.append(f"{reference}: answered {version}, found {found} ({answer.status})")

    return [reader(number) for number in range(min(users, len(wanted)))]


def soak(database: str, options: argparse.Namespace) -> bool:
    """Run, verify and print; tell whether everything held."""
    with exchange(database, options.workers) as (running, token):
        host, port = running.address
        server = Server(host, port, "/fhir", token)
        bundles = mixes.generated_bundles(options.seed, 20)
        scripted.run(server, [mixes.import_(bundles, 0, 1)], 5)
        harvested = mixes.Harvest()
        scripted.run(server, [mixes.harvest(harvested)], 600)
        kept = [Kept() for _ in range(options.users // 4)]
        users = [keeper(number, one) for number, one in enumerate(kept)]
        users += [_other(number, harvested, bundles) for number in range(options.users - len(users))]
        memory = Watch(running)
        results = scripted.run(server, users, options.minutes * 60)
        remembered = memory.stop()
        lost: list[str] = []
        scripted.run(server, readers(kept, lost, 16), 3600)
        check = subprocess.run(hie("check"), env=running.environment, capture_output=True, text=True)
    statuses: dict[int, int] = {}
    for outcome in results.outcomes.values():
        for status, count in outcome.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    total = sum(len(one.versions) for one in kept)
    print(f"\n{database}: {options.users} users, {results.seconds:.0f} s, {results.requests:,} requests, "
          f"{results.requests / results.seconds:,.0f}/s, statuses {dict(sorted(statuses.items()))}")  # fmt: skip
    print(f"unexpected: {dict(results.unexpected) or 'none'}; of {total:,} kept resources lost: {lost[:5] or 'none'}")
    print(f"`hie check`: {'clean' if check.returncode == 0 else check.stdout[-2000:]}")
    print(remembered.table())
    print(remembered.verdict())
    held = not results.unexpected and not lost and check.returncode == 0 and remembered.is_flat
    print(f"{database}: {'everything held' if held else 'NOT EVERYTHING HELD'}")
    return held


def _other(number: int, harvested: mixes.Harvest, bundles: list[bytes]) -> Script:
    """Of eight further users one imports, three search, four create, read, update and delete."""
    if number % 8 == 0:
        return mixes.import_(bundles, number, 1)
    if number % 8 <= 3:
        return mixes.search(2000 + number, harvested)
    return mixes.crud(1000 + number)


def main() -> None:
    """Soak each database; the exit code tells whether everything held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--users", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--database", action="append", choices=["sqlite", "postgresql"])
    options = parser.parse_args()
    started = time.perf_counter()
    held = [soak(database, options) for database in options.database or ["sqlite", "postgresql"]]
    print(f"{time.perf_counter() - started:.0f} s in all")
    raise SystemExit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
