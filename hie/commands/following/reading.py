"""Read what a source has of new into Gathered, from its first page to the last, or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field

from hie.commands.connection import ExchangeError
from hie.commands.following.gathered import Gathered
from hie.commands.following.source import BrokenOff, NoHistory, Page, PageTooLarge, Source
from hie.commands.following.state import Reached
from hie.commands.following.versions import Unfollowable, Version, of_entry

#: So often the reading is begun anew, where the address of a page is lost or pages are too large.
MOST_BEGINNINGS = 5


@dataclass(slots=True)
class Polled:
    """What one poll has read."""

    gathered: Gathered = field(default_factory=Gathered)
    clock: int | None = None
    """What the source's clock said when it began; None where it does not say."""
    asked: set[str] = field(default_factory=set)
    """The waiting resources, Type/id, of which everything that waits is among it."""
    unread: list[str] = field(default_factory=list)
    """Entries that tell of no version, and why."""


class Reading:
    """One poll's reading; `told` is told how many versions came, of how many."""

    def __init__(
        self, source: Source, reached: Reached, taken: Container[str], told: Callable[[int, int], None]
    ) -> None:
        """`taken`: keys of versions that need not be sent again."""
        self._source, self._reached, self._taken, self._told = source, reached, taken, told

    def run(self, types: Sequence[str], since: int | None, *, all_waiting: bool) -> Polled:
        """Read everything since then, and all that waits or what is named besides; ExchangeError."""
        for beginning in range(1, MOST_BEGINNINGS + 1):
            self._polled, self._seen = Polled(), set[str]()
            try:
                self._read(self._source.history(types, since), since)
                self._read_waiting(all_waiting)
                return self._polled
            except PageTooLarge:
                self._polled.gathered.close()
                if self._source.count == 1 or beginning == MOST_BEGINNINGS:
                    raise
                self._source.count = max(1, self._source.count // 8)
            except BrokenOff:
                self._polled.gathered.close()
                if beginning == MOST_BEGINNINGS:
                    raise
            except BaseException:
                self._polled.gathered.close()
                raise
        raise AssertionError("the last beginning returns or raises")

    def _read(self, pages: Iterable[Page], since: int | None) -> None:
        before = 0
        for page in pages:
            if self._polled.clock is None:
                self._polled.clock = page.at
            if page.is_first:
                before = page.at or time.time_ns() // 1000
            for entry in page.entries:
                try:
                    version = of_entry(entry, self._source.url)
                except Unfollowable as error:
                    self._polled.unread.append(f"refused, left out: {_name(entry)} unreadable: {error}")
                    continue
                if version.at is not None:
                    before = version.at
                self._add(version, before, since)
            self._told(len(self._polled.gathered), page.total or 0)

    def _add(self, version: Version, at: int, since: int | None) -> None:
        is_before = since is not None and version.at is not None and version.at < since  # where _since is passed over
        if is_before or version.key in self._reached.settled or version.key in self._taken:
            return
        if "/".join(version.place) in self._reached.waiting:
            if version.key in self._seen:
                return
            self._seen.add(version.key)
        self._polled.gathered.add(version, at)

    def _read_waiting(self, all_waiting: bool) -> None:
        """Read again what waits, also before what has come of it now: the versions of a resource go in their order."""
        new = {key.partition("/_history/")[0] for key in self._seen}
        for place, since in self._reached.waiting.items():
            if all_waiting or place in new:
                self._polled.asked.add(place)
                try:
                    self._read(self._source.pages(f"{place}/_history", since), since)
                except NoHistory as error:
                    self._polled.unread.append(f"refused, left out: {place}, which waited: {error}")
                except BrokenOff:
                    raise
                except ExchangeError as error:
                    raise ExchangeError(f"{error} {place} waits for it.") from error


def _name(entry: dict[str, object]) -> str:
    """Name an entry that tells of no version by what it says of itself."""
    request = entry.get("request")
    url = request.get("url") if isinstance(request, dict) else None
    return str(entry.get("fullUrl") or url or "an entry")[:200]
