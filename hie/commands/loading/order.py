"""In which order files are sent: those of resources that others refer to go first.

Bulk exports have a file for each type, named by it: in the order of their names an AllergyIntolerance comes before its
Patient, and would be refused until that is there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from hie.commands.loading.units import opened_lines

#: So many lines of a file tell what it has and refers to; what they do not tell another pass cures.
_LINES, _BYTES = 200, 1_000_000
_TYPE = re.compile(rb'"resourceType"\s*:\s*"([A-Za-z]{1,40})"')
_REFERENCE = re.compile(rb'"reference"\s*:\s*"([A-Za-z]{1,40})/')


class _Told(NamedTuple):
    """What a file has, and what it refers to that it has not itself."""

    path: Path
    has: frozenset[bytes]
    wants: frozenset[bytes]


def in_order(files: Sequence[Path]) -> list[Path]:
    """Return the files, those of lines behind the others and sorted by what they refer to; else as they were given."""
    lines = [path for path in files if path.name.lower().removesuffix(".gz").removesuffix(".xz").endswith(
        (".ndjson", ".jsonl"))]  # fmt: skip
    left = [_told(path) for path in lines]
    found = [path for path in files if path not in lines]
    while left:
        pending = frozenset().union(*(one.has for one in left))
        waits = [len((one.wants & pending) - one.has) for one in left]
        first = left.pop(waits.index(min(waits)))
        found.append(first.path)
    return found


def _told(path: Path) -> _Told:
    has: set[bytes] = set()
    wants: set[bytes] = set()
    for line in islice(opened_lines(path, _BYTES), _LINES):
        has.update(_TYPE.findall(line)[:1])
        wants.update(_REFERENCE.findall(line))
    return _Told(path, frozenset(has), frozenset(wants))
