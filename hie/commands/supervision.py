"""End with the parent: a child whose standard input is a pipe from its parent sees it end, even after SIGKILL."""

from __future__ import annotations

import os
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
