"""How much is done, in calls of functions: the same on every machine, as seconds are not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


def counted(work: Callable[[], T]) -> tuple[int, T]:
    """Count the calls of functions, Python's own as well, and give what came of them."""
    count = 0

    def seen(_frame: FrameType, event: str, _what: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        found = work()
    finally:
        sys.setprofile(None)
    return count, found
