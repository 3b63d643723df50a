"""Bounds for an evaluation whose expression or input somebody else chose."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .errors import FhirPathLimit


class Watch:
    """Ends an evaluation after so many seconds, or when it has handled so many items; hears what trace() is given."""

    __slots__ = ("_deadline", "_most", "_spent", "seconds", "trace")

    def __init__(
        self, seconds: float, most: int, trace: Callable[[str, list[Any], str | None], None] | None = None
    ) -> None:
        self.seconds = seconds
        self.trace = trace
        self._most = most
        self._spent = 0
        self._deadline = time.monotonic() + seconds

    def spend(self, count: int) -> None:
        """Count items that a step handles; FhirPathLimit when time or number is used up."""
        self._spent += count + 1
        if self._spent > self._most:
            raise FhirPathLimit(f"The expression handled more than {self._most} items.")
        if time.monotonic() > self._deadline:
            raise FhirPathLimit(f"The expression took longer than {self.seconds:g} s.")

    def over(self, run: Callable[[Any, list[Any]], list[Any]]) -> Callable[[Any, list[Any]], list[Any]]:
        """Give what is evaluated for each item such that each evaluation counts, and what it found."""

        def watched(frame: Any, focus: list[Any]) -> list[Any]:
            found = run(frame, focus)
            self.spend(len(found))
            return found

        return watched

    def seconds_left(self) -> float:
        """Tell how much time is left; FhirPathLimit when none is."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise FhirPathLimit(f"The expression took longer than {self.seconds:g} s.")
        return left
