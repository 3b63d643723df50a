"""Bounds for an evaluation whose expression or input somebody else chose."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import FhirPathLimit


@dataclass(slots=True)
class Allowance:
    """What several evaluations may use together, such as those of one transaction, behind which other writers wait."""

    seconds: float
    most: int


class Watch:
    """Ends an evaluation after so many seconds, or when it has handled so many items; hears what trace() is given.

    With an allowance it ends sooner where others have used that up.
    """

    __slots__ = ("_allowance", "_deadline", "_last", "_most", "_spent", "seconds", "trace")

    def __init__(
        self,
        seconds: float,
        most: int,
        trace: Callable[[str, list[Any], str | None], None] | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        if allowance is not None:
            seconds, most = max(0.0, min(seconds, allowance.seconds)), min(most, allowance.most)
        self.seconds = seconds
        self.trace = trace
        self._most = most
        self._spent = 0
        self._allowance = allowance
        self._last = time.monotonic()
        self._deadline = self._last + seconds

    def spend(self, count: int) -> None:
        """Count items that a step handles; FhirPathLimit when time or number is used up."""
        self._spent += count + 1
        now = time.monotonic()
        if self._allowance is not None:
            self._allowance.most -= count + 1
            self._allowance.seconds -= now - self._last
            self._last = now
        if self._spent > self._most:
            raise FhirPathLimit(f"The expression handled more than {self._most} items.")
        if now > self._deadline:
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
