"""Large bodies take turns in each process, one at a time.

One thread of a Python process computes at a time. Sixteen that parse, validate and index a Bundle each are not done
sooner than if they did so one after the other, but later, and need the room of sixteen Bundles. Reads and requests with
small bodies wait for nobody here. A transaction leaves its turn when nothing remains but to wait for its commit.
"""

from __future__ import annotations

from collections import deque
from threading import Event, Lock

from hie.store import waiting
from hie.web import memory

#: From how many bytes on a body is large: some fifty resources.
LARGE = 50_000
#: Longest wait in seconds: a Bundle of 30 MB does not keep all others.
PATIENCE = 5.0


class Turns:
    """One at a time, in the order in which they came."""

    def __init__(self) -> None:
        self._lock, self._taken, self._waiting = Lock(), False, deque[Event]()

    def take(self, seconds: float) -> bool:
        """Wait for a turn; False where it did not come in time."""
        with self._lock:
            if not self._taken:
                self._taken = True
                return True
            mine = Event()
            self._waiting.append(mine)
        if mine.wait(seconds):
            return True
        with self._lock:
            if mine.is_set():  # just now
                return True
            self._waiting.remove(mine)
        return False

    def leave(self) -> None:
        """Give the turn to who waits longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False


_turns = Turns()


def take(size: int) -> bool:
    """Wait until it is the turn of a body of so many bytes, or patience ends; tell whether there is a turn to leave."""
    if size < LARGE or not _turns.take(PATIENCE):
        return False
    waiting.hold(_turns.leave)
    return True


def leave() -> None:
    """End the turn that was taken, if it lasted until now, and give back the room that it took."""
    waiting.let_go()
    memory.give_back()
