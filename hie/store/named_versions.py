"""The versions that references name: https://hl7.org/fhir/R4/references.html#literal, search.html#versions"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hie.errors import Gone, NotFound
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

_VID = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


def number(version: str | None) -> int | None:
    """Return the number of a version that a reference names; None where it names none that could be here."""
    return int(version) if version is not None and _VID.fullmatch(version) else None


class NamedVersions:
    """Reads them beside the current ones, each by its key, and so many superseded ones at most."""

    def __init__(self, store: ResourceStore, most: int) -> None:
        self._store, self._left = store, most
        self.is_cut = False
        """Whether more were named than it reads."""

    def of(self, current: StoredVersion, vids: set[int | None]) -> Iterator[StoredVersion]:
        """Yield the versions that are referred to, the current one for references that name none.

        So does one that names a version that is not there, or that the token may not see.
        """
        named = {vid for vid in vids if vid is not None and vid != current.vid}
        old = [one for vid in sorted(named) if (one := self._read(current, vid)) is not None]
        if len(old) < len(named) or len(named) < len(vids):
            yield current
        yield from old

    def _read(self, current: StoredVersion, vid: int) -> StoredVersion | None:
        if vid > current.vid:  # as of then it was yet to come
            return None
        if self._left == 0:
            self.is_cut = True
            return None
        self._left -= 1
        try:
            return self._store.vread(current.type, current.id, vid)
        except (NotFound, Gone):
            return None
