"""Rows of resources that this process read or wrote just now, on PostgreSQL: what is changed next is not read again.

A message changes a resource only where it stands at the version, and has the presence bits, that were read
(hie.store.at_once), whenever that was: a row that is remembered is as good as one that is read anew, unless somebody
changed it since. Where it is not, or anything is refused, or nothing is to be changed, the transaction runs once more
and reads (hie.store.transacting): no answer rests on what is remembered alone. Content stays sealed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hie.store.rows import Current

#: So many rows, in two generations, of so many bytes of sealed content: at most 4 MiB.
MOST, LONGEST = 1_024, 4_096
#: What is older was more likely changed by another process, and would be asked for in vain.
SECONDS = 10.0


class Recent:
    """Rows by type and id, those that came last; shared by the threads of a process."""

    def __init__(self) -> None:
        self._young: dict[tuple[str, str], tuple[float, Current]] = {}
        self._old: dict[tuple[str, str], tuple[float, Current]] = {}
        self._lock = Lock()

    def keep(self, row: Current) -> None:
        """Remember a row as it is stored."""
        if row.sealed is not None and len(row.sealed) > LONGEST:
            return
        if len(self._young) >= MOST // 2:
            with self._lock:
                if len(self._young) >= MOST // 2:
                    self._old, self._young = self._young, {}
        self._young[row.type, row.id] = time.monotonic(), row

    def take(self, type_name: str, id_: str) -> Current | None:
        """Return a row and forget it, as it is about to be changed; None where it is not known, or for too long."""
        place = (type_name, id_)
        old = self._old.pop(place, None)
        at, row = self._young.pop(place, None) or old or (0.0, None)
        return row if row is not None and time.monotonic() - at <= SECONDS else None

    def forget(self, places: Iterable[tuple[str, str]]) -> None:
        """Forget what was changed otherwise."""
        for place in places if self._young or self._old else ():
            self._young.pop(place, None)
            self._old.pop(place, None)
