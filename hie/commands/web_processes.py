"""The web processes of `hie serve`: one that dies is started again, while the others go on serving.

granian's own loop ends the whole server when a process dies twice within seconds, as it does where memory is short.
tests/unit/commands/test_web_processes.py names the parts of granian that are relied on here.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from granian.server import MPServer

from hie.commands.restarts import Restarts, end_of, moment
from hie.web import metrics

#: So often it is looked whether a process has died or the server is to end.
LOOK_SECONDS = 0.1
#: Deaths of one process after which a server ends that has never answered: nothing says that it ever will.
TRIES = 3

logger = logging.getLogger(__name__)


@dataclass
class _Place:
    """One of the web processes, by whichever process it is filled."""

    restarts: Restarts = field(default_factory=lambda: Restarts(at_once=1))
    started: float = field(default_factory=time.monotonic)
    #: When it is started again; None while it runs.
    due: float | None = None


class WebProcesses(MPServer):
    """granian's server, whose processes are watched here."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        #: Whether a request has been answered since the start.
        self.came_up = False
        #: Why the server ended by itself.
        self.failure: str | None = None
        # granian notes deaths here to end with code 1 for them. Where all processes are told to end at once, as by
        # Ctrl-C or systemd, a web process may be faster than its parent: that is no failure.
        self.interrupt_children = cast("list[int]", deque(maxlen=0))

    def _serve_loop(self, spawn_target: Callable[..., None], target_loader: Callable[..., Any]) -> None:
        """Fill the places of processes that died until a signal comes; never wait here for one of them."""
        places = [_Place() for _ in self.wrks]
        while not self.interrupt_signal and self.failure is None:
            if self.reload_signal:
                self._reload(spawn_target, target_loader)
                places = [_Place() for _ in self.wrks]
            for number, place in enumerate(places):
                if place.due is None:
                    self._look_at(number, place)
                if place.due is not None and place.due <= time.monotonic() and not self.interrupt_signal:
                    self._fill(number, place, spawn_target, target_loader)
            # A signal's handler may not wake what waits for a threading.Event: it would wait for its lock.
            time.sleep(LOOK_SECONDS)

    def _look_at(self, number: int, place: _Place) -> None:
        """See whether the process in this place has died."""
        process = self.wrks[number].inner
        if process.exitcode is not None:
            self._note(place, f"web process {number + 1} (pid {process.pid})", end_of(process.exitcode))

    def _note(self, place: _Place, name: str, end: str) -> None:
        """Note when a process is to be started in this place, or that there is no hope of it."""
        now = time.monotonic()
        pause = place.restarts.pause(now - place.started)
        if not self.came_up and place.restarts.deaths >= TRIES:
            self.failure = (f"No web process came up: {name}, the last of {TRIES} tries, {end}. "
                            "What it wrote stands above.")  # fmt: skip
            return
        place.due = now + pause
        logger.error("%s %s; it is started again %s", name, end, moment(pause))

    def _fill(
        self, number: int, place: _Place, spawn_target: Callable[..., None], target_loader: Callable[..., Any]
    ) -> None:
        """Start a process in the place of one that died; later where the system has no room for one now."""
        following = self._spawn_worker(idx=number, target=spawn_target, callback_loader=target_loader)
        place.started, place.due = time.monotonic(), None
        try:
            following.start()
        except (OSError, RuntimeError) as error:  # no process, or no thread that waits for its end
            if following.inner.pid is not None:
                following.kill()
            self._note(place, f"web process {number + 1}", f"could not be started ({type(error).__name__})")
            return
        ended, self.wrks[number] = self.wrks[number], following
        metrics.pass_on(ended.inner.pid, following.inner.pid)
