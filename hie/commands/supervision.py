"""Learn when to end: a child whose standard input is a pipe from its parent sees it end, even after SIGKILL."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from collections.abc import Callable


def when_input_ends(action: Callable[[], object]) -> None:
    """Call `action` from a thread once standard input has ended."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            continue
        action()

    threading.Thread(target=wait, name="parent", daemon=True).start()


def when_told_to_end(action: Callable[[], object]) -> None:
    """Call `action` from a thread at each SIGTERM or SIGINT.

    The handler itself runs in the main thread, wherever that is: where it has the lock that the action asks for, as
    that of an Event which it is about to wait for, the process would never end. threading.Thread has such a lock, too.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _thread.start_new_thread(action, ()))
