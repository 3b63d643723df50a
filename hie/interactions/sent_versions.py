"""The versions that a history Bundle tells: which resource each is of, and in which order they came to be.

https://hl7.org/fhir/R4/http.html#history, https://hl7.org/fhir/R4/bundle.html#history
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hie.context import Context
from hie.errors import FhirError, InvalidRequest
from hie.fhir import bundle, bundle_links, facts
from hie.fhir.bundle import RequestEntry
from hie.fhir.bundle_links import Link
from hie.fhir.datatypes import InvalidDate, parse_date
from hie.fhir.http import FhirRequest
from hie.fhir.resource import type_of, validated
from hie.fhir.routes import checked_id

_STORING = frozenset({"POST", "PUT", "PATCH"})
#: Where a resource is, as Bundle.entry.request.url, fullUrl and response.location say it; `id` is not in each.
_ADDRESS = re.compile(
    r"(?:https?://.+/|/)?(?P<type>[A-Z][A-Za-z]+)(?:/(?P<id>[A-Za-z0-9\-.]{1,64}))?"
    r"(?:/_history/(?P<version>[A-Za-z0-9\-.]{1,64}))?(?:\?.*)?", re.ASCII | re.DOTALL)  # fmt: skip
_REFERENCE = re.compile(
    r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?", re.ASCII)  # fmt: skip
_ETAG = re.compile(r'(?:W/)?"([A-Za-z0-9\-.]{1,64})"', re.ASCII)

Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Mention:
    """A text in a resource that refers to another of the same server, or to a version of it."""

    text: str
    place: Place
    number: str | None


@dataclass(slots=True)
class Version:
    """One entry: a version of a resource as the other server has it, `resource` None where it deleted it."""

    entry: RequestEntry
    place: Place
    resource: dict[str, Any] | None
    number: str | None
    """What the other server calls the version."""
    at: int | None
    """When it came to be, microseconds since 1970-01-01T00:00:00Z."""
    links: list[Link]
    mentions: list[Mention]

    @property
    def is_creation(self) -> bool:
        return self.entry.request["method"] == "POST"


def read(request: FhirRequest, ctx: Context) -> dict[Place, list[Version]]:
    """Return the versions of each resource, the oldest first: by their times, numbers, and place in the Bundle."""
    sent = request.resource.get("entry", [])
    chains: dict[Place, list[Version]] = {}
    for entry in reversed(bundle.request_entries(request.resource, "history", ctx.settings.max_bundle_entries)):
        one = _version(entry, sent[entry.index].get("response") or {})  # a history has the newest first
        chains.setdefault(one.place, []).append(one)
    for versions in chains.values():
        are_timed = all(one.at is not None for one in versions)
        are_counted = all(counted(one.number) is not None for one in versions)
        versions.sort(key=lambda one: (
            (one.at or 0) if are_timed else 0, (counted(one.number) or 0) if are_counted else 0))
    return chains


def counted(number: str | None) -> int | None:
    """Return what a server calls a version as the number that it is; None where it is none."""
    return int(number) if number is not None and number.isascii() and number.isdigit() else None


def _version(entry: RequestEntry, response: dict[str, Any]) -> Version:
    method, url, here = entry.request["method"], str(entry.request["url"]), entry.expression
    said = {f"{here}.request.url": _address(url), f"{here}.fullUrl": _address(entry.full_url),
            f"{here}.response.location": _address(response.get("location"))}
    if method in _STORING:
        place = _place_of(entry, method)
    elif method == "DELETE":
        found = next(((one["type"], one["id"]) for one in said.values() if one is not None and one["id"]), None)
        if found is None or found[0] not in facts.RESOURCE_TYPES:
            raise InvalidRequest(f"The URL {url[:200]!r} names no resource that was deleted; it is Type/id.",
                                 expression=f"{here}.request.url")
        place = found
    else:
        raise InvalidRequest(f"{method} changes nothing; the entries of a history are POST, PUT, PATCH and DELETE.",
                             expression=f"{here}.request.method")
    for where, one in said.items():
        if one is not None and (one["type"] != place[0] or one["id"] not in (None, place[1])):
            raise InvalidRequest(f"{one.string[:200]!r} is not {'/'.join(place)}, of which the entry is.",
                                 expression=where)
    resource = entry.resource if method in _STORING else None
    number = (entry.version if resource is not None else None) or _number(response, said.values())
    links = bundle_links.find(resource)
    root = bundle_links.root_of(entry.full_url) or ""
    return Version(entry, place, resource, number, _time(response, resource), links, _mentions(links, root))


def _place_of(entry: RequestEntry, method: str) -> Place:
    here = entry.expression
    if entry.resource is None:
        raise InvalidRequest(f"The entry has no resource; a {method} in a history tells what came of it.",
                             expression=f"{here}.resource")
    type_name = type_of(entry.resource, f"{here}.resource")
    id_ = entry.resource.get("id")
    if not isinstance(id_, str):
        raise InvalidRequest("The resource has no id; a history tells the id under which it is.",
                             expression=f"{here}.resource.id")
    place = type_name, checked_id(id_, f"{here}.resource")
    try:
        validated(entry.resource, type_name)  # what is here already is compared, not stored
    except FhirError as error:
        raise error.within(here) from error
    return place


def _address(text: Any) -> re.Match[str] | None:
    """Take an address apart; None for what is none, such as urn:uuid:…"""
    return _ADDRESS.fullmatch(text) if isinstance(text, str) else None


def _number(response: dict[str, Any], addresses: Iterable[re.Match[str] | None]) -> str | None:
    found = _ETAG.fullmatch(str(response.get("etag")))
    if found is not None:
        return found[1]
    return next((one["version"] for one in addresses if one is not None and one["version"]), None)


def _time(response: dict[str, Any], resource: dict[str, Any] | None) -> int | None:
    meta = resource.get("meta") if resource is not None else None
    for text in (response.get("lastModified"), meta.get("lastUpdated") if isinstance(meta, dict) else None):
        if isinstance(text, str):
            try:
                return parse_date(text).low
            except InvalidDate:
                continue
    return None


def _mentions(links: list[Link], root: str) -> list[Mention]:
    """Return the texts that refer to what is at the same server, whether they say its base or not."""
    found = []
    for text in dict.fromkeys(link.text for link in links if link.kind != "narrative"):
        match = _REFERENCE.fullmatch(text.removeprefix(root))
        if match is not None and match[1] in facts.RESOURCE_TYPES:
            found.append(Mention(text, (match[1], match[2]), match[3]))
    return found
