"""JSON merge patch: https://www.rfc-editor.org/rfc/rfc7396

null takes a property away, an object goes into what is there, anything else (arrays whole) takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hie.errors import InvalidRequest, TooCostly
from hie.fhir.fhirpath import Allowance
from hie.fhir.patching import bounds
from hie.fhir.patching.tree import containers, tidied


@dataclass(frozen=True, slots=True)
class MergePatch:
    """A patch that was read."""

    document: dict[str, Any]

    def applied(self, resource: dict[str, Any], allowance: Allowance | None = None) -> Any:
        """Return the resource with the document merged into it."""
        return tidied(_merged(resource, self.document))


def parse(document: Any) -> MergePatch:
    """Read the document; any other value than an object would replace the resource by no resource."""
    if not isinstance(document, dict):
        raise InvalidRequest("A merge patch of a resource is a JSON object (RFC 7396).")
    found = 0
    for one in containers(document):
        found += len(one)
        if found > bounds.MOST_VALUES:
            raise TooCostly(f"The merge patch has more than {bounds.MOST_VALUES} values; send fewer at a time.")
    return MergePatch(document)


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged
