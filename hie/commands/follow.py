"""Follow another FHIR server: read what its history has of new, and send it to one that takes histories."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hie.commands.connection import ExchangeError
from hie.commands.failures import CommandError
from hie.commands.following.gathered import Gathered
from hie.commands.following.reading import Polled, Reading
from hie.commands.following.receiver import HERE, PASSED, STORED, Receiver
from hie.commands.following.sending import Sending, Sent
from hie.commands.following.source import Source
from hie.commands.following.state import State
from hie.commands.load import Progress
from hie.fhir import facts
from hie.fhir.instants import instant, parse_instant

STATE_NAME = "hie-follow.state"
#: A transaction that takes long appears behind versions that are newer; each poll looks back for so long.
OVERLAP_SECONDS = 120.0
COUNT = 500
#: So many resources are asked for again, and by who goes on and on so seldom.
MOST_WAITING, WAITING_SECONDS = 1_000, 600.0
_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be followed, and how: which types (all), from which moment on (where the last poll ended)."""

    types: Sequence[str] = ()
    since: int | None = None
    overlap: float = OVERLAP_SECONDS
    count: int = COUNT


def wanted(types: Sequence[str], since: str | None, overlap: float, count: int) -> Wanted:
    """Read what the options say; ValueError."""
    if strangers := sorted(set(types) - facts.RESOURCE_TYPES):
        raise ValueError(f"--type {', '.join(strangers)}: no resource type of FHIR R4.")
    moment = None if since is None else parse_instant(since)
    if since is not None and moment is None:
        raise ValueError(f"--since {since}: an instant is written as 2024-05-17T10:30:00Z.")
    return Wanted(types, moment, overlap, count)


@dataclass(frozen=True, slots=True)
class Poll:
    """What a poll has done."""

    sent: Sent
    seconds: float
    until: int | None

    def line(self) -> str:
        """Say it in one line."""
        total = Counter[str]()
        for (_, effect), number in self.sent.effects.items():
            total[effect] += number
        reached = "nothing to follow yet" if self.until is None else f"followed until {instant(self.until)}"
        return (f"{total[STORED]} versions stored, {total[HERE]} here already, {self.sent.refusals} refusals "
                f"in {self.seconds:.1f} s; {reached}")

    def table(self) -> Iterator[str]:
        """Yield the lines that end a single poll: counts by type, and the rest in one."""
        effects = (STORED, HERE, PASSED)
        types = sorted({type_name for type_name, _ in self.sent.effects})
        width = max(map(len, [*types, "total"]))
        yield f"{'':{width}}" + "".join(f"{effect:>14}" for effect in effects)
        for type_name in types:
            yield f"{type_name:{width}}" + "".join(f"{self.sent.effects[type_name, one]:>14}" for one in effects)
        totals = [sum(n for (_, effect), n in self.sent.effects.items() if effect == one) for one in effects]
        yield f"{'total':{width}}" + "".join(f"{total:>14}" for total in totals)
        yield f"{self.sent.stored / self.seconds if self.seconds else 0:.0f} versions/s"
        yield self.line()


class Follower:
    """A source, the server that follows it, and the file that says how far."""

    def __init__(
        self, source: str, url: str, token: str, state: Path, wanted: Wanted | None = None, *,
        headers: Mapping[str, str] | None = None, say: Callable[[str], None] = lambda line: None,
        report: Callable[[Progress], None] = lambda progress: None,
    ) -> None:  # fmt: skip
        """`headers` say to the source who asks; `say` is told each refusal at once, `report` how far it is."""
        self._wanted, self._say, self._report = wanted or Wanted(), say, report
        if source.rstrip("/") == url.rstrip("/"):
            raise CommandError(f"{url} cannot follow itself.")
        self._since, self._overlap = self._wanted.since, int(self._wanted.overlap * _SECOND)
        self._taken: dict[str, int] = {}
        self._asked_waiting = -WAITING_SECONDS
        with ExitStack() as opened:
            self._source = opened.enter_context(closing(Source(source, headers or {}, self._wanted.count)))
            self._receiver = opened.enter_context(closing(Receiver(url, token)))
            self._receiver.meet()
            self._state = opened.enter_context(State(state, self._source.url, self._receiver.url, self._wanted.types))
            self._opened = opened.pop_all()

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: Any) -> None:
        self._opened.close()

    def poll(self) -> Poll:
        """Send what is new; ExchangeError where that cannot be done."""
        started, reached, since = time.monotonic(), self._state.reached, self._since
        if since is not None:
            reached.settled.clear()  # to be sent again is what was asked for
            reached.until = since
            self._state.write()
        elif reached.until is not None:
            since = reached.until - self._overlap
        polled = Reading(self._source, reached, self._taken, self._tell_read).run(
            self._wanted.types, since, all_waiting=started - self._asked_waiting >= WAITING_SECONDS)
        if len(polled.asked) == len(reached.waiting):
            self._asked_waiting = started
        with polled.gathered as gathered:
            gathered.settle()
            sent = self._send(polled)
            self._settle(polled, sent)
        self._since = None
        return Poll(sent, time.monotonic() - started, reached.until)

    def _send(self, polled: Polled) -> Sent:
        gathered, tell = polled.gathered, partial(self._tell_sent, polled.gathered)
        sent = Sending(gathered, self._receiver, partial(self._reach, polled), tell,
                       noted_from=gathered.newest - self._overlap).run()
        sent.refusals += len(polled.unread)
        sent.notes[:0] = polled.unread
        tell(len(gathered), sent)
        return sent

    def go_on(self, every: float) -> None:
        """Poll again and again; what fails is told, and tried again the next time."""
        while True:
            try:
                poll = self.poll()
            except (ExchangeError, OSError) as error:
                self._say(f"Error: {error} It is tried again in {every:g} s.")
            else:
                if poll.sent.stored or poll.sent.refusals:
                    self._say(poll.line())
            time.sleep(every)

    def _reach(self, polled: Polled, at: int) -> None:
        """Note that all versions up to a time are settled; a time that the source's clock has yet to reach is none."""
        reached = self._state.reached
        if polled.clock is not None:
            at = min(at, polled.clock + _SECOND)  # the header Date has whole seconds
        if reached.until is None or at > reached.until:
            reached.until = at
            self._state.write()

    def _settle(self, polled: Polled, sent: Sent) -> None:
        """Note what the poll has left; where too much waits, nothing, so that the next one reads all of it again."""
        reached = self._state.reached
        waiting = {place: at for place, at in reached.waiting.items() if place not in polled.asked} | sent.waiting
        if len(waiting) > MOST_WAITING:
            raise ExchangeError(f"{self._receiver.url} refuses {len(waiting)} resources for now, and {MOST_WAITING} at "
                                "most are asked for again one by one. See to what is told of them, and follow again.")
        reached.waiting = waiting
        reached.settled |= sent.settled
        self._taken |= sent.taken
        if len(polled.gathered):
            self._reach(polled, polled.gathered.newest)
        if reached.until is not None:
            since = reached.until - self._overlap
            reached.settled, self._taken = (
                {key: at for key, at in kept.items() if at >= since} for kept in (reached.settled, self._taken))
        self._state.write()

    def _tell_read(self, count: int, total: int) -> None:
        self._report(Progress("reading", min(count, total) if total else count, total, 0))

    def _tell_sent(self, gathered: Gathered, count: int, sent: Sent) -> None:
        for line in sent.notes:
            self._say(line)
        sent.notes.clear()
        self._report(Progress("sending", count, max(1, len(gathered)), sent.stored))
