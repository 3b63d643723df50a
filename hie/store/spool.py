"""Versions that wait to be stored, in a file without a name: what a large transaction buffers takes no memory.

The file holds what the database will hold: sealed bytes, hashes, and plain dates and numbers (D5, D6).
"""

from __future__ import annotations

import marshal
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from hie.store.search.index import Contained, IndexRows
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.unit_of_work import Written

#: What is kept of the index rows: all but the texts of references, which were looked at already; and, as rows of their
#: own, those of what is contained.
_INDEX = tuple(field.name for field in fields(IndexRows) if field.name not in ("refers", "contained"))
#: So many are read back and stored at once.
AT_ONCE = 2_000


class Spool:
    """New versions, in the order in which they came."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="hie-")  # noqa: SIM115 - closed by drain, or by discard
        self._count = 0

    def add(self, written: Written) -> None:
        """Keep a version that replaces none."""
        v, index = written.version, written.index
        contained = [(one.part, one.type, one.fragment, _plain(one.rows)) for one in index.contained]
        row = (v.type, v.id, v.vid, v.method, v.updated, written.key_id, written.sealed, contained, _plain(index))
        self._file.write(marshal.dumps(row))
        self._count += 1

    def drain(self, of: type[Written]) -> Iterator[list[Written]]:
        """Yield everything, some at a time, and close the file."""
        self._file.seek(0)
        while self._count:
            number = min(self._count, AT_ONCE)
            yield [self._read(of) for _ in range(number)]
            self._count -= number
        self.discard()

    def _read(self, of: type[Written]) -> Written:
        row: tuple[Any, ...] = marshal.load(self._file)  # noqa: S302 - this process wrote it, and nobody else can
        type_name, id_, vid, method, updated, key_id, sealed, contained, index = row
        version = StoredVersion(type_name, id_, vid, method, updated, None)
        rows = _rows(index)
        rows.contained = tuple(
            Contained(part, its_type, fragment, _rows(plain)) for part, its_type, fragment, plain in contained)
        return of(version, key_id, sealed, rows, None, None)

    def discard(self) -> None:
        """Close the file, which ends it."""
        self._file.close()


def _plain(rows: IndexRows) -> tuple[Any, ...]:
    return tuple(getattr(rows, name) for name in _INDEX)


def _rows(plain: tuple[Any, ...]) -> IndexRows:
    return IndexRows(**dict(zip(_INDEX, plain, strict=True)))
