"""Code systems that were read, for the next request: https://hl7.org/fhir/R4/codesystem.html"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from hie.fhir.terminology.code_system import CodeSystem

Json = dict[str, Any]


class _Kept:
    """As many as have so many concepts together; the least used goes first."""

    def __init__(self, most_concepts: int) -> None:
        self._lock, self._most = threading.Lock(), most_concepts
        self._kept: OrderedDict[Hashable, CodeSystem] = OrderedDict()
        self._size = 0

    def system(self, key: Hashable, resource: Json, supplements: list[Json]) -> CodeSystem:
        """Return the code system of this key, reading it where it is not at hand."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        made = CodeSystem(resource, supplements)
        if isinstance(key, tuple) and any(isinstance(one, tuple) and one[0] == "given" for one in key):
            return made
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._size += len(made.concepts) + 1
            while self._size > self._most and len(self._kept) > 1:
                self._size -= len(self._kept.popitem(last=False)[1].concepts) + 1
        return made


KEPT = _Kept(50_000)
