"""What servers did in the mixes of benchmarks.compare, as one table with a column for each server."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.load import Outcome
from benchmarks.scripted import UNANSWERED, Results


@dataclass(frozen=True, slots=True)
class Figures:
    """One run of a mix, the CPU seconds that it took each process of the server that is known, and its cores."""

    results: Results
    cpu: tuple[float, ...]
    cores: int

    def of(self, label: str) -> Outcome:
        """Return what came of one kind of request, or of all of them for an empty label."""
        if label:
            return self.results.outcomes.get(label, Outcome(self.results.seconds))
        return Outcome(self.results.seconds, [one for each in self.results.outcomes.values() for one in each.latencies])


@dataclass(slots=True)
class Measured:
    """All runs of one server."""

    name: str
    runs: dict[str, list[Figures]] = field(default_factory=dict)
    unexpected: Counter[str] = field(default_factory=Counter)

    def add(self, mix: str, figures: Figures) -> None:
        self.runs.setdefault(mix, []).append(figures)
        self.count(figures.results.unexpected)

    def count(self, unexpected: Mapping[tuple[str, int], int]) -> None:
        """Remember answers that were not expected."""
        for (label, status), number in unexpected.items():
            self.unexpected[f"{label}: not answered" if status == UNANSWERED else f"{label}: status {status}"] += number

    def median(self, mix: str, figure: Callable[[Figures], float]) -> float:
        """Return the median of a figure over the runs of a mix."""
        return statistics.median(figure(one) for one in self.runs[mix])

    def labels(self, mix: str) -> set[str]:
        return {label for one in self.runs[mix] for label in one.results.outcomes}


def table(servers: Sequence[Measured], resources: int) -> Iterator[str]:
    """Yield the lines of the table; `resources` are those of one request of the import mix."""
    yield _line("", [one.name for one in servers])
    yield _line("---", ["---"] * len(servers))
    for mix in servers[0].runs:
        yield _line(f"**{mix}**, requests/s (per core)", [_rate(one, mix) for one in servers])
        if mix == "import":
            yield _line("import, resources/s", [f"{_per_second(one, mix, '') * resources:,.0f}" for one in servers])
        yield _line(f"{mix}, p50 / p99 ms", [_latencies(one, mix, "") for one in servers])
        if any(figures.cpu for one in servers for figures in one.runs[mix]):
            yield _line(f"{mix}, CPU µs each", [_cpu(one, mix) for one in servers])
        if len(servers) > 1 and all(figures.cpu for one in servers for figures in one.runs[mix]):
            ratios = [_ratio(servers[0], one, mix) for one in servers]
            yield _line(f"{mix}, CPU of the first by that of each, round by round", ratios)
        labels = set[str]().union(*(one.labels(mix) for one in servers))
        for label in sorted(labels) if len(labels) > 1 else ():
            yield _line(f"{mix}: {label}, requests/s, p50 / p99 ms", [_kind(one, mix, label) for one in servers])
    for key in sorted(set[str]().union(*(one.unexpected for one in servers))):
        yield _line(f"not as expected: {key}", [f"{one.unexpected[key]} times" for one in servers])


def _line(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _per_second(server: Measured, mix: str, label: str) -> float:
    return server.median(mix, lambda one: one.of(label).per_second)


def _rate(server: Measured, mix: str) -> str:
    rate = _per_second(server, mix, "")
    return f"{_rounded(rate)} ({_rounded(rate / server.runs[mix][0].cores)})"


def _kind(server: Measured, mix: str, label: str) -> str:
    return f"{_rounded(_per_second(server, mix, label))}, {_latencies(server, mix, label)}"


def _rounded(rate: float) -> str:
    return f"{rate:,.1f}" if rate < 10 else f"{rate:,.0f}"


def _latencies(server: Measured, mix: str, label: str) -> str:
    p50 = server.median(mix, lambda one: one.of(label).percentile(0.5))
    p99 = server.median(mix, lambda one: one.of(label).percentile(0.99))
    return f"{p50:,.0f} / {p99:,.0f}"


def _cpu(server: Measured, mix: str) -> str:
    """Return the microseconds that a request took, in all and of each process where there are several."""
    parts = [server.median(mix, lambda one, at=at: one.cpu[at] / max(1, one.results.requests) * 1e6) for at in
             range(len(server.runs[mix][0].cpu))]  # fmt: skip
    each = f" ({' + '.join(f'{part:,.0f}' for part in parts)})" if len(parts) > 1 else ""
    return f"{sum(parts):,.0f}{each}" if parts else ""


def _ratio(first: Measured, server: Measured, mix: str) -> str:
    """Return how many times a server's CPU the first one spends on a request: the median of their rounds."""
    rounds = [(_spent(one), _spent(other)) for one, other in zip(first.runs[mix], server.runs[mix], strict=True)]
    return f"{statistics.median(one / other for one, other in rounds if other):.3f}"


def _spent(figures: Figures) -> float:
    return sum(figures.cpu) / max(1, figures.results.requests)
