"""Where terminology beyond the specification's comes from: https://hl7.org/fhir/R4/terminology-service.html"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple, Protocol

Json = dict[str, Any]


class Known(NamedTuple):
    """A terminology resource; `key` names this version of it wherever it is met again."""

    resource: Json
    key: Hashable


class Source(Protocol):
    """Where terminology beyond the specification's comes from; it shows only what its reader may see."""

    def find(self, type_name: str, url: str, version: str | None) -> Known | None:
        """Return the resource with this canonical URL, the latest where no version is asked for."""

    def read(self, type_name: str, id_: str) -> Json:
        """Return the resource with this id; NotFound, Gone, Forbidden."""

    def of_all_codes(self, url: str, version: str | None) -> Known | None:
        """Return the code system that names this value set as that of all its codes."""

    def supplements(self, url: str) -> list[Known]:
        """Return the supplements of a code system."""

    def concept_maps(self, criteria: Mapping[str, str]) -> list[Json]:
        """Return the concept maps that match search criteria."""
