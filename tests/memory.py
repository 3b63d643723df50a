"""Temporary files of tests lie in memory where there is room for them.

Each test has a database of its own, and PostgreSQL makes one of three hundred files: on a disk that takes up to ten
times as long. TMPDIR and --basetemp say where else.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

_ROOT = Path("/dev/shm")  # noqa: S108 - whose names are random
#: What each process of a run may need, and what is left to everything else.
_OF_PROCESS, _LEFT = 1 << 30, 2 << 30


def use(config: pytest.Config) -> None:
    """Let temporary files lie in memory from now on, unless somebody said where."""
    if "TMPDIR" in os.environ or config.option.basetemp is not None:
        return
    processes = len(getattr(config.option, "tx", None) or [""])
    if _available() >= processes * _OF_PROCESS + _LEFT:
        os.environ["TMPDIR"] = str(_ROOT)
        tempfile.tempdir = None  # asked for anew


def _available() -> int:
    """Return how many bytes of memory files may take; 0 where there is no such place."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
        return min(free, shutil.disk_usage(_ROOT).free) if os.access(_ROOT, os.W_OK) else 0
    except (OSError, StopIteration):
        return 0
