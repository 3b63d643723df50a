"""A request as it is kept until a job does it: a line of JSON, and behind it its resource and its body as they are.

The bytes of a large Bundle stay what they were, so that it is read entry by entry here too (hie.fhir.bundle_stream).
"""

from __future__ import annotations

import base64
from dataclasses import asdict, replace
from typing import Any

import orjson

from hie.errors import OutcomeIssue
from hie.fhir import bundle_stream, json_format
from hie.fhir.http import Conditions, FhirRequest, Preferences
from hie.fhir.resource import parse

#: Fields of a request that are plain text; its `arguments` are made of the resource when an operation begins.
_PLAIN = ("interaction", "type", "id", "vid", "operation", "parameters", "content_type", "method", "compartment",
          "provenance", "file")


def packed(request: FhirRequest, beside: dict[str, Any]) -> bytes:
    """Return what is kept of a request; `beside` is what else must be known to do it."""
    resource, is_large = _written(request.resource)
    told: dict[str, Any] = {name: getattr(request, name) for name in _PLAIN}
    told["unread"] = [asdict(one) for one in request.unread]
    told["conditions"], told["preferences"] = asdict(request.conditions), asdict(request.preferences)
    size = None if resource is None else len(resource)
    head = beside | {"request": told, "resource": size, "is_large": is_large}
    return b"".join((orjson.dumps(head), b"\n", resource or b"", request.body))


def _written(resource: Any) -> tuple[bytes | None, bool]:
    """Return a resource with every digit, and whether it is a Bundle that was not read as a whole."""
    entries = resource.get("entry") if isinstance(resource, dict) else None
    if isinstance(entries, bundle_stream.Entries):
        return entries.body, True
    return (None, False) if resource is None else (json_format.dump(resource), False)


def beside(kept: bytes) -> dict[str, Any]:
    """Return what stands beside a request."""
    found: dict[str, Any] = orjson.loads(kept.partition(b"\n")[0])
    return found


def unpacked(kept: bytes) -> FhirRequest:
    """Return the request, to be answered at once."""
    line, _, rest = kept.partition(b"\n")
    head = orjson.loads(line)
    told = head["request"]
    if "body" in told:  # kept by an earlier version
        text = told["resource"]
        resource, body = None if text is None else json_format.parse(text.encode()), base64.b64decode(told["body"])
    else:
        size = head["resource"]
        resource, body = _read(rest, size, is_large=head["is_large"]), rest[size or 0 :]
    return FhirRequest(**told | {
        "resource": resource, "body": body,
        "unread": tuple(OutcomeIssue(**one) for one in told.get("unread", ())),
        "parameters": tuple((name, value) for name, value in told["parameters"]),
        "compartment": tuple(told["compartment"]) if told.get("compartment") else None,
        "conditions": Conditions(**told["conditions"]),
        "preferences": replace(Preferences(**told["preferences"]), respond_async=False),
    })  # fmt: skip


def _read(rest: bytes, size: int | None, *, is_large: bool) -> Any:
    if size is None:
        return None
    content = rest[:size]
    return bundle_stream.begin(content) or parse(content) if is_large else json_format.parse(content)
