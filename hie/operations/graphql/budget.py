"""How much one query may take: reads and searches, what they find, what is answered, and time."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hie.errors import TooCostly
from hie.fhir import json_format
from hie.store.search.engine import SearchPage
from hie.store.versions import StoredVersion

MOST_FETCHES = 100
MOST_RESOURCES, MOST_BYTES = 5_000, 50_000_000
MOST_VALUES = 200_000
#: Characters; each such part of a long text counts as one more value: aliases may ask for it again and again.
VALUE_LENGTH = 250
MOST_SECONDS = 10.0
#: Items that its FHIRPaths handle, together.
MOST_HANDLED = 500_000


@dataclass(slots=True)
class Budget:
    """What a query has taken so far."""

    _fetches: int = 0
    _resources: int = 0
    _bytes: int = 0
    _values: int = 0
    _started: float = field(default_factory=time.monotonic)

    def fetch(self, resources: int) -> None:
        """Count a read or a search, and what it is to find; TooCostly."""
        self._fetches += 1
        self._count(resources)

    def read_version(self) -> None:
        """Count a superseded version, which is read by its key; TooCostly, also where too much time is over."""
        self._count(1)
        self.spend(1)

    def _count(self, resources: int) -> None:
        self._resources += resources
        if self._fetches > MOST_FETCHES or self._resources > MOST_RESOURCES:
            raise TooCostly(f"The query needs more than {MOST_FETCHES} reads and searches, or more than "
                            f"{MOST_RESOURCES} resources; ask for less at a time.", expression="query")

    def opened(self, version: StoredVersion) -> dict[str, Any]:
        """Return the resource of a version, its bytes counted; TooCostly."""
        content = version.content or b"{}"
        self._bytes += len(content)
        if self._bytes > MOST_BYTES:
            raise _too_large()
        resource: dict[str, Any] = json_format.parse(content)
        return resource

    def found(self, page: SearchPage, wanted: int) -> list[dict[str, Any]]:
        """Return the resources of a page; TooCostly, also where they are so many bytes that it ends before `wanted`."""
        self.fetch(len(page.matches))
        if page.next_cursor is not None and len(page.matches) < wanted:
            raise _too_large()
        return [self.opened(version) for version in page.matches]

    def spend(self, values: int) -> None:
        """Count values of the answer; TooCostly, also where too much time is over."""
        self._values += values
        if self._values > MOST_VALUES or time.monotonic() - self._started > MOST_SECONDS:
            raise TooCostly(f"The query gives more than {MOST_VALUES} values, or takes more than "
                            f"{MOST_SECONDS:.0f} seconds; ask for less at a time.", expression="query")

    def spend_texts(self, texts: Iterable[str]) -> None:
        """Count the length of texts."""
        self.spend(sum(map(len, texts)) // VALUE_LENGTH)


def _too_large() -> TooCostly:
    return TooCostly(f"The query needs more than {MOST_BYTES} bytes of resources; ask for less at a time.",
                     expression="query")
