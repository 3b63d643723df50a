"""The memory of a server's processes while it works: sampled, shown every ten seconds, and judged flat or growing."""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass, field

from benchmarks.processes import Running, Size

SAMPLE_SECONDS, SHOWN_SECONDS = 2.0, 10.0
#: Growth in MiB a minute, of all processes together, that still counts as flat: noise of caches and of malloc.
FLAT = 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What each process took at one moment."""

    seconds: float
    processes: dict[int, Size]

    @property
    def all(self) -> float:
        return sum(one.all for one in self.processes.values())

    @property
    def of_files(self) -> float:
        return sum(one.of_files for one in self.processes.values())

    @property
    def own(self) -> float:
        """What the processes allocated: all without the pages of files that the system takes back at need."""
        return self.all - self.of_files


@dataclass(frozen=True, slots=True)
class Course:
    """The samples of one run."""

    samples: list[Sample] = field(default_factory=list)

    def table(self) -> str:
        """Return a Markdown table with one line each ten seconds."""
        roles = {pid: size.role for one in self.samples for pid, size in one.processes.items()}
        lines = [
            "| second | " + " | ".join(roles.values()) + " | all | of files |",
            "|---|" + "---|" * (len(roles) + 2),
        ]
        due = 0.0
        for one in self.samples:
            if one.seconds >= due:
                due += SHOWN_SECONDS
                cells = [f"{one.processes[pid].all:.0f}" if pid in one.processes else "" for pid in roles]
                lines.append(f"| {one.seconds:.0f} | " + " | ".join(cells) + f" | {one.all:.0f} | {one.of_files:.0f} |")
        return "\n".join(lines)

    def growth(self, since: float) -> float:
        """Return by how many MiB a minute the processes' own memory grew from a second on (least squares)."""
        later = [one for one in self.samples if one.seconds >= since]
        if len(later) < 3:
            return float("nan")
        return statistics.linear_regression([one.seconds for one in later], [one.own for one in later]).slope * 60

    @property
    def flat_since(self) -> float | None:
        """The first of ten moments in the first half from which on memory was flat; None where it was not."""
        half = self.samples[-1].seconds / 2
        return next((at for at in (half * tenth / 10 for tenth in range(11)) if self.growth(at) <= FLAT), None)

    @property
    def is_flat(self) -> bool:
        return self.flat_since is not None

    def verdict(self) -> str:
        """Say it in one line."""
        since, half = self.flat_since, self.samples[-1].seconds / 2
        said = "NOT FLAT" if since is None else f"flat from minute {since / 60:.1f} on"
        return (
            f"memory without pages of files: {self.samples[0].own:.0f} to {self.samples[-1].own:.0f} MiB, second half "
            f"{self.growth(half):+.1f} MiB a minute (at most {FLAT:.0f}): {said}"
        )


class Watch:
    """Samples the memory of all processes of a server in the background."""

    def __init__(self, running: Running) -> None:
        self._running, self._ended, self._course = running, threading.Event(), Course()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while True:
            self._course.samples.append(Sample(time.monotonic() - self._began, self._running.memory()))
            if self._ended.wait(SAMPLE_SECONDS):
                return

    def stop(self) -> Course:
        """End, and return what was seen."""
        self._ended.set()
        self._thread.join()
        return self._course
