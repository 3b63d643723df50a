"""How long one request may work at what clients have stored to judge others by: https://hl7.org/fhir/R4/profiling.html"""

from __future__ import annotations

import time

from hie.errors import TooCostly


class WorkingTime:
    """Seconds of a thread's own work, counted while somebody is inside of it (`with`), whoever that is within."""

    def __init__(self, seconds: float, *, refuses: bool = False) -> None:
        self._seconds, self._spent = seconds, 0.0
        self._refuses = refuses
        self._depth, self._since = 0, 0.0

    def __enter__(self) -> None:
        if self._depth == 0:
            self._since = time.thread_time()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._spent += time.thread_time() - self._since

    def may_begin(self) -> bool:
        """Tell whether there is time for more; TooCostly where what is left is refused."""
        running = time.thread_time() - self._since if self._depth else 0.0
        if self._spent + running < self._seconds:
            return True
        if self._refuses:
            raise TooCostly(f"{self.told} Send fewer resources at once.")
        return False

    @property
    def told(self) -> str:
        """Say that it is used up."""
        return (f"Judging by stored profiles, value sets and questionnaires has taken {self._seconds:g} s in this "
                "request, the most that it may.")
