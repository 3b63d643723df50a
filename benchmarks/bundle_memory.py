"""Memory of a web process while it stores transactions or batches of a given size.

    python -m benchmarks.bundle_memory [--type transaction] [--database sqlite] [--megabytes 1 30 60]

One web process. Peak: VmHWM, reset before each Bundle (/proc/PID/clear_refs). It counts mapped pages of the database
file, which the system takes back when it likes; "own" is without them. After: two seconds later; later: after the
interval at which the process gives memory back.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import threading
import time
from pathlib import Path

from benchmarks import samples
from benchmarks.__main__ import exchange
from benchmarks.processes import Running

SETTINGS = {"HIE_MAX_BODY_BYTES": "200000000", "HIE_MAX_BUNDLE_ENTRIES": "1000000", "HIE_EMBEDDED_WORKER": "false"}
#: a little more than hie.commands.serve.GARBAGE_SECONDS
GIVEN_BACK_SECONDS = 12.0


def generated(megabytes: float, seed: int, kind: str = "transaction") -> bytes:
    """Return a Bundle of about this size: patients with 100 Observations each."""
    source, entries, size, number = random.Random(seed), [], 0, 0
    while size < megabytes * 1e6:
        id_ = f"00000000-0000-4000-8000-{seed:04d}{number:08d}"
        full_url = f"urn:uuid:{id_}"
        subject = full_url if kind == "transaction" else f"Patient/{id_}"  # a batch's entries know no other
        resources = [samples.patient(source)]
        resources += [samples.observation(source, subject) for _ in range(100)]
        for index, resource in enumerate(resources):
            resource.pop("id", None)
            entry = {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}
            if index == 0 and kind == "transaction":
                entry["fullUrl"] = full_url
            elif index == 0:
                resource["id"], entry["request"] = id_, {"method": "PUT", "url": subject}
            entries.append(json.dumps(entry))
            size += len(entries[-1])
        number += 1
    return (f'{{"resourceType":"Bundle","type":"{kind}","entry":[' + ",".join(entries) + "]}").encode()


def memory(pid: int) -> dict[str, float]:
    """Return VmHWM and VmRSS in MiB."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return {name: int(lines[name].split()[0]) / 1024 for name in ("VmHWM", "VmRSS", "RssAnon") if name in lines}


def post(running: Running, token: str, body: bytes) -> int:
    """Send one Bundle and return its status, or that of an entry of a batch which was refused."""
    connection = http.client.HTTPConnection(*running.address, timeout=3600)
    connection.request("POST", "/fhir", body, {
        "Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json", "Prefer": "return=minimal"})
    answer = connection.getresponse()
    refused = re.findall(rb'"status": *"([45]..)', answer.read())
    connection.close()
    return int(refused[0]) if refused else answer.status


class Watch(threading.Thread):
    """Looks at the memory that is a process's own (RssAnon), which has no high-water mark, ten times a second."""

    def __init__(self, pids: list[int]) -> None:
        super().__init__(daemon=True)
        self.most, self.done = dict.fromkeys(pids, 0.0), threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.1):
            for pid, most in self.most.items():
                self.most[pid] = max(most, memory(pid)["RssAnon"])


def measure(running: Running, token: str, bodies: list[bytes]) -> None:
    """Send the bodies one after another, as one measurement, and print a line."""
    pids = [pid for pid in running.descendants() if "RssAnon" in memory(pid)]
    rest = {pid: memory(pid)["VmRSS"] for pid in pids}
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    started = time.perf_counter()
    watch = Watch(pids)
    watch.start()
    statuses = {post(running, token, body) for body in bodies}
    seconds = time.perf_counter() - started
    peaks = {pid: memory(pid)["VmHWM"] for pid in pids}
    watch.done.set()
    watch.join()
    pid = max(pids, key=lambda one: peaks[one] - rest[one])  # the web process, not those that started it
    time.sleep(2)
    after = memory(pid)["VmRSS"]
    time.sleep(GIVEN_BACK_SECONDS)
    size = sum(map(len, bodies)) / 1e6
    print(f"{len(bodies):5d} {size:9.1f} {seconds:9.2f} {rest[pid]:9.0f} {peaks[pid]:9.0f} {watch.most[pid]:9.0f} "
          f"{after:9.0f} {memory(pid)['VmRSS']:9.0f} {memory(pid)['RssAnon']:9.0f}  {sorted(statuses)}", flush=True)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--type", choices=("transaction", "batch"), default="transaction")
    parser.add_argument("--megabytes", type=float, nargs="+", default=[1, 30, 60])
    parser.add_argument("--repeat", type=int, default=20, help="how many Bundles of up to 5 MB are sent one by one")
    options = parser.parse_args()
    os.environ.update(SETTINGS)
    names = ("seconds", "before", "peak", "own peak", "after", "later", "own")
    print(f"{'count':>5} {'MB':>9} " + " ".join(f"{name:>9}" for name in names) + "  statuses (MiB of the web process)")
    with exchange(options.database, 1) as (running, token):
        for number, megabytes in enumerate(options.megabytes):
            repeat = options.repeat if megabytes <= 5 else 1
            measure(running, token, [generated(megabytes, number * 100 + one, options.type) for one in range(repeat)])


if __name__ == "__main__":
    main()
