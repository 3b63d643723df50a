"""What is computed again and again, remembered within a bound of bytes: so many results, of short keys alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

#: Characters of all texts of a key together: longer ones come from a client that may send as many as it likes.
LONGEST = 400


class Remembered(dict[K, V]):
    """At most so many results; the one that came first is forgotten first.

    To look one up is to look into a dict, `functools.lru_cache` takes twice as long, and what is asked often is back
    soon. All threads of a process share it.
    """

    def __init__(self, compute: Callable[[K], V], most: int) -> None:
        super().__init__()
        self._compute, self._most, self._lock = compute, most, Lock()

    def __missing__(self, key: K) -> V:
        value = self._compute(key)
        if _length(key) <= LONGEST:
            with self._lock:
                self[key] = value
                if len(self) > self._most:
                    del self[next(iter(self))]
        return value


def _length(key: Any) -> int:
    kind = type(key)
    if kind is str:
        return len(key)
    total = 0
    if kind is tuple:
        for part in key:
            if type(part) is str:
                total += len(part)
            elif type(part) is tuple:
                total += _length(part)
    return total


def remembering(compute: Callable[[K], V], most: int) -> Callable[[K], V]:
    """Return `compute` with a memory of its own."""
    return Remembered(compute, most).__getitem__
