"""How long one request may work at what clients have stored to judge others by: https://hl7.org/fhir/R4/profiling.html"""

from __future__ import annotations

import time

#: Of what is left out, so much is named.
MOST_NAMED, MOST_CHARACTERS = 20, 300


class WorkingTime:
    """Seconds of a thread's own work, counted while somebody is inside of it (`with`), whoever that is within.

    It keeps what there was no time for: what is not judged is not right either, and has to be told.
    """

    def __init__(self, seconds: float, advice: str = "Send a smaller resource.") -> None:
        self._seconds, self._spent = seconds, 0.0
        self._advice = advice
        self._depth, self._since = 0, 0.0
        self._left_out: dict[str, dict[str, None]] = {}  # why -> what

    def __enter__(self) -> None:
        if self._depth == 0:
            self._since = time.thread_time()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._spent += time.thread_time() - self._since

    @property
    def is_left(self) -> bool:
        """Tell whether there is time for more."""
        running = time.thread_time() - self._since if self._depth else 0.0
        return self._spent + running < self._seconds

    def may_begin(self, what: str) -> bool:
        """Tell whether there is time to judge by one thing more; where there is none, it is left out."""
        if self.is_left:
            return True
        self.leave_out(what, self.told)
        return False

    def leave_out(self, what: str, why: str) -> None:
        """Note what nothing is judged by, and why."""
        named = self._left_out.setdefault(why, {})
        if len(named) <= MOST_NAMED:
            named[what[:MOST_CHARACTERS]] = None

    def take_left_out(self) -> list[str]:
        """Tell, once, what was left out, why, and what would be right."""
        told = [f"Not judged by {_listed(list(named))}: {why}" for why, named in self._left_out.items()]
        self._left_out.clear()
        return told

    @property
    def told(self) -> str:
        """Say that it is used up."""
        return (f"Judging by stored profiles, value sets and questionnaires has taken {self._seconds:g} s in this "
                f"request, the most that it may. {self._advice}")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (" and others" if len(names) > MOST_NAMED else "")
