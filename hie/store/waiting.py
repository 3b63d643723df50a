"""What a thread holds while it computes, and lets go of before it waits for the disk: others compute meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

_here = threading.local()


def hold(let_go: Callable[[], None]) -> None:
    """Let `let_go` be called, once, before this thread waits."""
    _here.let_go = let_go


def let_go() -> None:
    """Let go of what this thread holds, if it does."""
    held: Callable[[], None] | None = getattr(_here, "let_go", None)
    if held is not None:
        _here.let_go = None
        held()
