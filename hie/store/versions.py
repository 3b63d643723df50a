"""A stored version of a resource, and its JSON as it is served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hie.fhir.instants import instant


class StoredVersion(NamedTuple):
    """One version: `content` is the JSON that is served, or None where the resource was deleted in this version."""

    type: str
    id: str
    vid: int
    method: int  # hie.store.models: CREATED, UPDATED, DELETED, REVIVED, PATCHED
    updated: int  # microseconds since 1970-01-01T00:00:00Z
    content: bytes | None
    came_into_being: bool = False  # set by create and update: the resource was not there before
    #: Of a resource that this one contains: its id here, and `content` is it alone.
    fragment: str | None = None


def served(resource: Mapping[str, Any], id_: str, vid: int, updated: int) -> dict[str, Any]:
    """Return a version as it is served: as received, but for id, meta.versionId and meta.lastUpdated."""
    first = {"versionId": str(vid), "lastUpdated": instant(updated)}
    given = resource.get("meta")
    meta = {**first, **given, **first} if given else first  # in this order, whatever was given
    head = {"resourceType": resource["resourceType"], "id": id_, "meta": meta}
    return {**head, **resource, **head}
