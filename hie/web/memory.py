"""What glibc's malloc keeps of freed memory, and giving it back; other systems' allocators are left to themselves."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3  # glibc's malloc.h
#: Larger blocks, such as bodies of requests, go back to the system at once: glibc raises its own bound to what it saw.
_LARGE_BLOCK = 256 * 1024


def share_arenas() -> None:
    """Let the threads of a process share two arenas: glibc's eight for each core keep what a Bundle once needed."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


def give_back() -> None:
    """Give what is free back to the system: about 40 MiB after a Bundle of a megabyte, in a millisecond or two."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Any:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
