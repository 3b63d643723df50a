"""Send what was gathered, the oldest first, so that no version that is refused takes another with it.

A Bundle is stored as a whole or not at all. Of one that is refused, those versions are taken out that the refusal
names, and the rest is sent again; where it names none, its halves are. What is refused for what may be there later
(a reference to what is not there yet, above all) waits, and so do the later versions of the same resource, which
would have it be older than what is there: they are sent once more after all others, together. What is no resource in
the receiver's eyes is left out alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hie.commands.connection import ExchangeError
from hie.commands.following.gathered import Gathered
from hie.commands.following.receiver import PASSED, STORED, Receiver, Refused, Taken
from hie.commands.following.versions import Place, Version
from hie.commands.loading.exchange import Refusal

#: A Bundle ends at the first change of time after so many versions or bytes, and wherever it is at the second number.
BUNDLE_VERSIONS, MOST_VERSIONS = 500, 5_000
BUNDLE_BYTES, MOST_BYTES = 4_000_000, 24_000_000
#: Issue codes of refusals that may be over when others are stored, or when somebody has set the receiver right.
CURABLE = frozenset({
    "not-found", "conflict", "deleted", "transient", "throttled", "lock-error", "exception", "http",
    "forbidden", "security", "login", "expired", "unknown",
})  # fmt: skip
#: A Bundle is sent so often without what is refused of it, and then by halves.
ROUNDS = 8
#: So many versions may be refused alone, and without being named, before it is the receiver that is at fault.
MOST_UNNAMED = 20
_TOO_LARGE = 413


@dataclass(slots=True)
class Sent:
    """What became of versions."""

    effects: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(type, effect) -> number"""
    refusals: int = 0
    notes: list[str] = field(default_factory=list)
    """What was told while sending; it is taken from here as it is shown."""
    settled: dict[str, int] = field(default_factory=dict)
    """What was not taken, and will not be."""
    waiting: dict[str, int] = field(default_factory=dict)
    """Type/id of what may be taken later, and the time of its first version that is to be sent."""
    taken: dict[str, int] = field(default_factory=dict)
    """What the receiver has, of the time that the next poll reads again."""

    @property
    def stored(self) -> int:
        return sum(number for (_, effect), number in self.effects.items() if effect == STORED)


class Sending:
    """One poll's versions on their way to a receiver."""

    def __init__(
        self, gathered: Gathered, receiver: Receiver, reached: Callable[[int], None],
        told: Callable[[int, Sent], None], *, noted_from: int = 0,
    ) -> None:  # fmt: skip
        """`reached` is told a time when all versions until then are settled; `told` how many were sent, and `Sent`.

        What is taken is noted one by one from the time `noted_from` on.
        """
        self._gathered, self._receiver, self._reached, self._told = gathered, receiver, reached, told
        self._noted_from = noted_from
        self._sent = Sent()
        self._later: list[int] = []
        self._held: dict[Place, int] = {}  # where the first version stands that has to wait
        self._why: dict[int, list[Refusal]] = {}
        self._uncreated: set[Place] = set()
        self._unnamed = 0
        self._most_bytes = MOST_BYTES  # less where the receiver takes less
        self._count = 0

    def run(self) -> Sent:
        """Send everything, and what waits as often as it helps, in the end in Bundles as large as they may be."""
        self._pass(range(len(self._gathered)))
        together = False
        while self._later:
            before = sorted(self._later)
            self._later, self._held, self._why = [], {}, {}
            self._pass(before, together=together)
            if len(self._later) == len(before):
                if together:
                    break
                together = True
        self._tell_waiting()
        return self._sent

    def _pass(self, ranks: Iterable[int], *, together: bool = False) -> None:
        for group in self._bundles(ranks, together):
            self._send(group)
            if not self._later:
                self._reached(self._gathered.time(group[-1][0]))
            self._told(self._count, self._sent)

    def _bundles(self, ranks: Iterable[int], together: bool) -> Iterator[list[tuple[int, Version]]]:
        """Cut versions where their time changes: what was written together refers to each other."""
        group: list[tuple[int, Version]] = []
        size = 0
        for rank in ranks:
            version = self._gathered.read(rank)
            is_large = not together and (len(group) >= BUNDLE_VERSIONS or size >= BUNDLE_BYTES)
            is_full = len(group) >= MOST_VERSIONS or size + version.size > self._most_bytes
            if group and (is_full or (is_large and self._gathered.time(rank) != self._gathered.time(group[-1][0]))):
                yield group
                group, size = [], 0
            group.append((rank, version))
            size += version.size
        if group:
            yield group

    def _send(self, group: Sequence[tuple[int, Version]]) -> None:
        """Send versions but those that have to wait for another of their resource."""
        for _ in range(ROUNDS):
            group = self._ready(group)
            if not group:
                return
            answer = self._receiver.send([version for _, version in group])
            if isinstance(answer, Taken):
                self._count_taken(group, answer)
                return
            if len(group) == 1:
                self._refuse(*group[0], answer.by_version.get(0) or self._unnamed_of(group[0][1], answer))
                return
            if answer.status == _TOO_LARGE:
                self._most_bytes = sum(version.size for _, version in group) // 2
            if not answer.by_version:
                break
            for index, refusals in sorted(answer.by_version.items()):
                self._refuse(*group[index], refusals)
            group = [one for index, one in enumerate(group) if index not in answer.by_version]
        middle = len(group) // 2
        self._send(group[:middle])
        self._send(group[middle:])

    def _ready(self, group: Sequence[tuple[int, Version]]) -> list[tuple[int, Version]]:
        ready = []
        uncreated = set(self._uncreated)
        for rank, version in group:
            if rank > self._held.get(version.place, rank):
                self._later.append(rank)
                continue
            if version.place in uncreated and version.method != "DELETE":
                # so that it is refused where something else is under that id
                version = version.created()
                uncreated.discard(version.place)
            ready.append((rank, version))
        return ready

    def _count_taken(self, group: Sequence[tuple[int, Version]], answer: Taken) -> None:
        for (rank, version), (effect, text) in zip(group, answer.effects, strict=True):
            self._count += 1
            self._sent.effects[version.place[0], effect] += 1
            if effect == PASSED:
                self._settle(rank, version)
                self._sent.notes.append(f"passed over: {version.key}: {text}")
            else:
                self._uncreated.discard(version.place)
                if (at := self._gathered.time(rank)) >= self._noted_from:
                    self._sent.taken[version.key] = at

    def _refuse(self, rank: int, version: Version, refusals: Sequence[Refusal]) -> None:
        if any(refusal.code in CURABLE for refusal in refusals):
            self._held[version.place] = min(rank, self._held.get(version.place, rank))
            self._later.append(rank)
            self._why[rank] = list(refusals)
            return
        self._count += 1
        self._settle(rank, version)
        if version.method == "POST":
            self._uncreated.add(version.place)
        self._note(refusals, "left out")

    def _unnamed_of(self, version: Version, answer: Refused) -> list[Refusal]:
        """Return what was told of a version that was sent alone, and is not named; too many such are no chance."""
        told = [Refusal(version.key, one.entry, one.code, one.text) for one in answer.of_all]
        if answer.status != _TOO_LARGE:
            self._unnamed += 1
        if self._unnamed > MOST_UNNAMED:
            raise ExchangeError(f"{self._receiver.url} refuses one version after the other, the last with "
                                f"{answer.status}: {told[0]}")
        return told

    def _settle(self, rank: int, version: Version) -> None:
        self._sent.settled[version.key] = self._gathered.time(rank)

    def _tell_waiting(self) -> None:
        for rank in sorted(self._later):
            version = self._gathered.read(rank)
            place = "/".join(version.place)
            self._sent.waiting.setdefault(place, self._gathered.time(rank))
            follows = [Refusal(version.key, "", "follows", "an earlier version of it waits.")]
            self._note(self._why.get(rank, follows), "waits")

    def _note(self, refusals: Sequence[Refusal], what: str) -> None:
        self._sent.refusals += 1
        self._sent.notes.append(f"refused, {what}: {'; '.join(map(str, refusals))}")
