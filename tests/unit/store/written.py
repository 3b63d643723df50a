"""What the tests of the resource store write, each in a transaction of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hie.store.resources import ResourceStore
from hie.store.versions import StoredVersion

Bind = Callable[..., ResourceStore]


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "name": [{"family": "Smith"}], **elements}


def observation(subject: str, **elements: Any) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}
    return {
        "resourceType": "Observation", "status": "final", "code": code, "subject": {"reference": subject}, **elements,
    }  # fmt: skip


def create(bound: ResourceStore, content: dict[str, Any], id: str | None = None) -> StoredVersion:
    return bound.transact(lambda inside: inside.create(content["resourceType"], content, id=id))


def put(bound: ResourceStore, id: str, content: dict[str, Any], **values: Any) -> StoredVersion:
    return bound.transact(lambda inside: inside.update(content["resourceType"], id, content, **values))


def delete(bound: ResourceStore, type_name: str, id: str) -> StoredVersion | None:
    return bound.transact(lambda inside: inside.delete(type_name, id))


def content(version: StoredVersion) -> dict[str, Any]:
    assert version.content is not None
    return json.loads(version.content)
