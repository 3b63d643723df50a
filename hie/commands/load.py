"""Send files to a FHIR server: parallel, resumable, with every refusal told."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from hie.commands.connection import AnswerLost, ExchangeError
from hie.commands.loading import journal as states
from hie.commands.loading import units as reading
from hie.commands.loading.exchange import BATCH_ENTRIES, LOST, Exchange, Outcome, Refusal, is_curable
from hie.commands.loading.journal import Journal
from hie.commands.loading.order import in_order
from hie.commands.loading.units import Unit, Unreadable

#: Entries are sent in parcels of so many bytes.
BATCH_BYTES = 2_000_000
#: Resources that refer to each other go by one transaction, as many as servers take.
MOST_TOGETHER, MOST_BYTES_TOGETHER = 5_000, 20_000_000


@dataclass(frozen=True, slots=True)
class Parcelling:
    """How many single entries travel together, of how many bytes, as one transaction or not, of one type or several."""

    entries: int
    size: int
    as_one: bool
    by_type: bool


#: One after the other, as long as something is refused that could be cured: what refers to what comes later in the
#: files by the next pass, what refers to each other by a larger parcel, and in the end each by itself.
PARCELS = (
    Parcelling(BATCH_ENTRIES, BATCH_BYTES, as_one=True, by_type=True),
    Parcelling(MOST_TOGETHER, MOST_BYTES_TOGETHER, as_one=True, by_type=False),
    Parcelling(BATCH_ENTRIES, BATCH_BYTES, as_one=False, by_type=False),
)
#: How long a server may still be storing what it was sent before the connection broke.
SETTLING_SECONDS = 2.0
EFFECTS = ("created", "updated", "unchanged", "deleted")
JOURNAL_NAME = "hie-load.journal"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pass over the files has come."""

    label: str
    read: int
    size: int
    entries: int


@dataclass(slots=True)
class Summary:
    """What a load has done."""

    effects: Counter[tuple[str, str]] = field(default_factory=Counter)
    left_out: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def entries(self) -> int:
        """How many resources the server took."""
        return sum(self.effects.values())

    def table(self) -> Iterator[str]:
        """Yield the lines that end a load: counts by type, time, refusals."""
        types = sorted({type_name for type_name, _ in self.effects})
        width = max(map(len, [*types, "total"]))
        yield f"{'':{width}}" + "".join(f"{effect:>11}" for effect in EFFECTS)
        for type_name in types:
            yield f"{type_name:{width}}" + "".join(f"{self.effects[type_name, e]:>11}" for e in EFFECTS)
        totals = [sum(n for (_, effect), n in self.effects.items() if effect == e) for e in EFFECTS]
        yield f"{'total':{width}}" + "".join(f"{total:>11}" for total in totals)
        rate = self.entries / self.seconds if self.seconds else 0.0
        yield f"{self.entries} resources in {self.seconds:.1f} s, {rate:.0f}/s"
        if self.left_out:
            yield f"{self.left_out} units left out: the journal says that they are stored"
        for refusal in self.refusals:
            yield f"refused: {refusal}"
        yield f"{len(self.refusals)} refusals"


def load(
    files: Sequence[Path],
    url: str,
    token: str,
    *,
    journal: Path,
    parallel: int = 4,
    patient: str | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Summary:
    """Send every unit of the files that the journal does not know as stored; ExchangeError, JournalError."""
    started = time.monotonic()
    with Journal(journal, url.rstrip("/")) as known:
        exchange = Exchange(url, token, parallel=parallel, patient=patient)
        try:
            exchange.meet()
            summary = _Load(files, exchange, known, parallel, report).run()
        finally:
            exchange.close()
    summary.seconds = time.monotonic() - started
    return summary


class _Load:
    """One load: entries of batch Bundles first and one after the other, then everything, then what was curable."""

    def __init__(
        self,
        files: Sequence[Path],
        exchange: Exchange,
        journal: Journal,
        parallel: int,
        report: Callable[[Progress], None],
    ) -> None:
        self._files, self._exchange, self._journal = in_order(files), exchange, journal
        self._parallel, self._report = parallel, report
        self._size = sum(path.stat().st_size for path in files)
        self._summary = Summary()
        self._lock = threading.Lock()
        self._refused: dict[str, tuple[Refusal, ...]] = {}
        self._unreadable: dict[str, Refusal] = {}
        self._finished: set[str] = set()

    def run(self) -> Summary:
        self._pass("batch Bundles", 1, self._first_units(), PARCELS[-1])
        parcels = iter(PARCELS)
        how = next(parcels)
        self._pass("records", self._parallel, self._units(), how)
        while curable := {digest for digest, refusals in self._refused.items() if is_curable(refusals)}:
            before = self._summary.entries
            if any(refusal.code == LOST for digest in curable for refusal in self._refused[digest]):
                self._exchange.pause(SETTLING_SECONDS)
            again = (u for u in self._units(again=curable) if u.digest in curable)
            self._pass("again", self._parallel, again, how)
            if self._summary.entries == before:
                further = next(parcels, None) if len(curable) > 1 else None  # one was sent by itself
                if further is None:
                    break
                how = further
        refusals = [refusal for refusals in self._refused.values() for refusal in refusals]
        self._summary.refusals = [*self._unreadable.values(), *refusals]
        return self._summary

    def _first_units(self) -> Iterator[Unit]:
        return (unit for unit in self._units() if unit.first)

    def _units(self, again: set[str] | None = None) -> Iterator[Unit]:
        """Yield what is to be sent; a unit that stands in the files twice is sent once."""
        again = again or set()
        for unit in self._read():
            if unit.digest in self._finished and unit.digest not in again:
                continue
            if self._journal.state(unit.digest) == states.STORED:
                if unit.digest not in self._finished:
                    self._finished.add(unit.digest)
                    self._summary.left_out += 1
                continue
            yield unit

    def _read(self) -> Iterator[Unit]:
        self._counter = reading.Counter()
        for path in self._files:
            for unit in reading.units(path, self._counter):
                if isinstance(unit, Unreadable):
                    self._unreadable[unit.source] = Refusal(unit.source, "", "unreadable", unit.reason)
                else:
                    yield unit

    def _pass(self, label: str, parallel: int, wanted: Iterable[Unit], how: Parcelling) -> None:
        """Send units by some threads; no more than twice as many parcels are in memory as there are threads."""
        room = threading.BoundedSemaphore(2 * parallel)
        failures: list[BaseException] = []

        def ended(future: Future[None]) -> None:
            room.release()
            error = future.exception()
            if error is not None:
                failures.append(error)
                self._exchange.stop()

        with ThreadPoolExecutor(parallel, thread_name_prefix="load") as pool:
            try:
                for parcel in _parcels(wanted, how):
                    self._tell(label)
                    self._finished.update(unit.digest for unit in parcel)
                    room.acquire()
                    if failures:
                        room.release()
                        break
                    pool.submit(self._send, parcel, how.as_one).add_done_callback(ended)
            except BaseException:
                self._exchange.stop()
                raise
        self._tell(label)
        if failures:
            raise failures[0]

    def _tell(self, label: str) -> None:
        self._report(Progress(label, min(self._counter.read, self._size), self._size, self._summary.entries))

    def _send(self, parcel: list[Unit], as_one: bool) -> None:
        doubtful = [u for u in parcel if self._journal.state(u.digest) == states.SENT and not u.repeatable]
        rest = [unit for unit in parcel if unit not in doubtful]
        try:
            for unit in doubtful:
                self._settle(unit)
            if rest:
                self._journal.write((unit.digest for unit in rest), states.SENT)
                self._note(self._exchange.send(rest, as_one=as_one))
        except AnswerLost as error:
            self._lose(parcel, f"the connection broke before the answer came ({error}).")

    def _settle(self, unit: Unit) -> None:
        """Find out about a unit that was sent once and whose answer never came; never store it twice."""
        stored = self._exchange.is_stored(unit)
        if stored is None:
            self._lose([unit], "it was sent, no answer came, and it has no identifier to look for: look by hand.")
        elif stored:
            # A transaction is stored as a whole or not at all, so one of its resources speaks for the others.
            self._note([Outcome(unit, tuple((type_name, "created") for type_name, _ in unit.entries))])
        else:
            self._note(self._exchange.send([unit]))

    def _lose(self, units: Iterable[Unit], text: str) -> None:
        with self._lock:
            for unit in units:
                if self._journal.state(unit.digest) == states.SENT:
                    self._refused[unit.digest] = (Refusal(unit.source, "", LOST, text),)

    def _note(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            digest = outcome.unit.digest
            self._journal.write([digest], states.REFUSED if outcome.refusals else states.STORED)
            with self._lock:
                if outcome.refusals:
                    self._refused[digest] = outcome.refusals
                else:
                    self._refused.pop(digest, None)
                    self._summary.effects.update(outcome.stored)


def _parcels(units: Iterable[Unit], how: Parcelling) -> Iterator[list[Unit]]:
    """Group single entries; everything else travels alone."""
    batch: list[Unit] = []
    size = 0
    for unit in units:
        if unit.kind != "entry":
            yield [unit]
            continue
        is_other = how.by_type and batch and unit.entries[0][0] != batch[0].entries[0][0]
        if batch and (is_other or len(batch) == how.entries or size + len(unit.body) > how.size):
            yield batch
            batch, size = [], 0
        batch.append(unit)
        size += len(unit.body)
    if batch:
        yield batch


__all__ = ["JOURNAL_NAME", "ExchangeError", "Progress", "Refusal", "Summary", "load"]
