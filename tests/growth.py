"""How work grows with what it is done on, whatever the machine: what four times as much takes, in times of the first.

What grows with it is near 4, what looks at all of it for each is near 16. Counted are the instructions of Python, as
machine_steps.py counts those of SQLite. They do not tell what one of them does inside of an extension: where that is to
compare texts, as to look for one in a list, a Text counts them; where it is to copy a list or to search in a text, the
processor's time is asked, of the best of several turns.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

Work = Callable[[], Any]
_TIMES, _TURNS = 4, 5


class Text(str):
    """A text whose comparisons are instructions of Python."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)


def growth(prepared: Callable[[int], Work], size: int) -> float:
    """Return how many times the instructions are run for four times the size; the first turn reads definitions."""
    prepared(size)()
    small, large = (instructions(prepared(one)) for one in (size, size * _TIMES))
    return large / small


def growth_of_time(prepared: Callable[[int], Work], size: int) -> float:
    """Return how many times the thread is busy for four times the size."""
    small, large = prepared(size), prepared(size * _TIMES)
    turns = [(_seconds(small), _seconds(large)) for _ in range(_TURNS)]
    return min(large for _, large in turns) / min(small for small, _ in turns)


def instructions(work: Work) -> int:
    """Count the instructions of Python that are run on this thread."""
    count = 0

    def seen(frame: FrameType, event: str, _what: object) -> Any:
        nonlocal count
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode":
            count += 1
        return seen

    before = sys.gettrace()
    with _uncollected():
        sys.settrace(seen)
        try:
            work()
        finally:
            sys.settrace(before)
    return count


def _seconds(work: Work) -> float:
    with _uncollected():
        begun = time.thread_time()
        work()
        return time.thread_time() - begun


@contextmanager
def _uncollected() -> Iterator[None]:
    """Collect no garbage: what all tests before have left would count as work of the one that measures itself."""
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_collecting:
            gc.enable()
