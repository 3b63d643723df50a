"""What references lead to within a summary: the resources that stand in it, and what these contain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from hie.fhir import references
from hie.fhir.references import ParsedReference
from hie.operations.patient_summary import words
from hie.store.opening import parsed
from hie.store.search.reference import relative
from hie.store.versions import StoredVersion

Json = dict[str, Any]


class Found(NamedTuple):
    """A resource, and the one that contains it, or itself."""

    resource: Json
    root: Json


def target(reference: Json, base_url: str) -> ParsedReference:
    """Read where a reference leads; to here by a URL of this server too."""
    return references.parse(relative(str(reference.get("reference", "")), base_url))


class Inside:
    """The resources of one summary, each parsed when it is first asked for."""

    def __init__(self, versions: Iterable[StoredVersion], base_url: str) -> None:
        self._versions = {(one.type, one.id): one for one in versions}
        self._base_url = base_url
        self._parsed: dict[tuple[str, str], Json] = {}

    def found(self, reference: Json, root: Json) -> Found | None:
        """Return what a reference leads to, from a resource or what is contained in it; None where it leads outside."""
        to = target(reference, self._base_url)
        if to.kind == "fragment":
            return next((Found(one, root) for one in root.get("contained", ()) if one.get("id") == to.id), None)
        place = (str(to.type), str(to.id))
        if place not in self._parsed and place in self._versions:
            self._parsed[place] = parsed(self._versions[place])
        resource = self._parsed.get(place)
        return None if resource is None else Found(resource, resource)

    def name(self, reference: Json, root: Json) -> str:
        """Name what a reference leads to; empty where it leads outside."""
        found = self.found(reference, root)
        return "" if found is None else words.name_of(found.resource)
