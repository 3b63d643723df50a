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
    """At most so many results, in two generations: when one is full, the one before it is forgotten.

    To look one up is to look into a dict, where `functools.lru_cache` takes twice as long; what is asked for in the
    older generation comes into the younger. To forget one at a time would look for the first behind all that were
    forgotten before it. All threads of a process share it.
    """

    def __init__(self, compute: Callable[[K], V], most: int) -> None:
        super().__init__()
        self._compute, self._most, self._lock = compute, max(1, most // 2), Lock()
        self._older: dict[K, V] = {}

    def __missing__(self, key: K) -> V:
        older = self._older
        value = older[key] if key in older else self._compute(key)
        if _length(key) <= LONGEST:
            if len(self) >= self._most:
                self._forget()
            self[key] = value
        return value

    def _forget(self) -> None:
        with self._lock:  # others may add meanwhile
            if len(self) >= self._most:
                self._older = dict(self)
                self.clear()


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
