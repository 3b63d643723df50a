"""When a process that died is started again, and how its end is told."""

from __future__ import annotations

import signal
from dataclasses import dataclass

LONGEST_PAUSE_SECONDS = 30.0
#: What has lived so long is taken to be well: its next death is a first one.
STEADY_SECONDS = 60.0


@dataclass
class Restarts:
    """The deaths of one process in succession: the first `at_once` need no pause, the others 1, 2, 4 … 30 s."""

    at_once: int = 0
    deaths: int = 0

    def pause(self, lived: float) -> float:
        """Count a death after so many seconds of life, and return how long to wait before the next start."""
        self.deaths = 1 if lived >= STEADY_SECONDS else self.deaths + 1
        doublings = self.deaths - self.at_once - 1
        return 0.0 if doublings < 0 else min(2.0 ** min(doublings, 16), LONGEST_PAUSE_SECONDS)


def end_of(exit_code: int) -> str:
    """Say how a process ended, by the exit code that Python gives: negative for a signal."""
    if exit_code >= 0:
        return f"ended with code {exit_code}"
    if exit_code == -signal.SIGKILL:
        return "was killed by SIGKILL, as the system does when memory runs out"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was killed by signal {-exit_code}"


def moment(pause: float) -> str:
    """Say when it is started again."""
    return f"in {pause:.0f} s" if pause else "at once"
