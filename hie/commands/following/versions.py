"""The entries of another server's history, as versions under whose Bundle this one takes them.

https://hl7.org/fhir/R4/http.html#history. Servers differ in what they say and where: HAPI's URLs name the version,
LinuxForHealth's fullUrl is relative, a deletion may come without the time or with a resource, Medplum's method is GET.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import orjson

from hie.fhir import facts, json_format
from hie.fhir.instants import instant, parse_instant

_ADDRESS = re.compile(
    r"(?P<root>https?://[^?#]+/|/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/(?P<version>[A-Za-z0-9\-.]{1,64}))?", re.ASCII)  # fmt: skip
_ETAG = re.compile(r'(?:W/)?"?([A-Za-z0-9\-.]{1,64})"?', re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_STORING = frozenset({"POST", "PUT", "PATCH"})

Place = tuple[str, str]


class Unfollowable(ValueError):
    """An entry that tells of no version; the text says why."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version as the other server tells it; `resource` is its JSON, None where it was deleted."""

    place: Place
    number: str
    method: str
    at: int | None
    """When it came to be, microseconds since 1970; None where that is not told."""
    full_url: str
    resource: bytes | None

    @property
    def key(self) -> str:
        """What tells it apart from all others of that server."""
        return f"{'/'.join(self.place)}/_history/{self.number}"

    @property
    def size(self) -> int:
        """About how many bytes its entry is."""
        return len(self.resource or b"") + 400

    def entry(self) -> bytes:
        """Write it as an entry of a history Bundle."""
        place = "/".join(self.place)
        request = {"method": self.method, "url": self.place[0] if self.method == "POST" else place}
        response = {"status": "201" if self.method == "POST" else "200", "etag": f'W/"{self.number}"'}
        if self.at is not None:
            response["lastModified"] = instant(self.at)
        rest = orjson.dumps({"fullUrl": self.full_url, "request": request, "response": response})
        return rest if self.resource is None else b'{"resource":' + self.resource + b"," + rest[1:]

    def dump(self) -> bytes:
        """Write it to be kept for a while."""
        head = orjson.dumps([*self.place, self.number, self.method, self.at, self.full_url, self.resource is None])
        return head + b"\n" + (self.resource or b"")

    @classmethod
    def load(cls, kept: bytes) -> Version:
        """Read what dump wrote."""
        head, _, resource = kept.partition(b"\n")
        type_name, id_, number, method, at, full_url, is_deleted = orjson.loads(head)
        return cls((type_name, id_), number, method, at, full_url, None if is_deleted else resource)

    def created(self) -> Version:
        """Return it as the creation of its resource, where the one before was left out."""
        return self if self.method == "DELETE" else replace(self, method="POST")


def of_entry(entry: dict[str, Any], base: str) -> Version:
    """Read an entry of a history of the server at `base`; Unfollowable."""
    request, response = _object(entry, "request"), _object(entry, "response")
    resource = entry.get("resource")
    if not isinstance(resource, dict):
        resource = None
    method = _method(request, response, resource)
    if method == "DELETE":
        resource = None
    addresses = [found for found in (_address(one) for one in (
        request.get("url"), response.get("location"), entry.get("fullUrl"))) if found is not None]
    place = _place(entry.get("resource"), addresses)
    meta = _object(resource or {}, "meta")
    at = _time(response.get("lastModified"), meta.get("lastUpdated"))
    return Version(place, _number(meta, response, addresses, at), method, at, _full_url(entry, place, base),
                   None if resource is None else json_format.dump(resource))


def _method(request: dict[str, Any], response: dict[str, Any], resource: dict[str, Any] | None) -> str:
    """Tell what was done, also where the request does not say it."""
    method = str(request.get("method", ""))
    if method == "DELETE" or (method in _STORING and resource is not None):
        return method
    if resource is not None and method in ("", "GET"):
        return "PUT"
    if str(response.get("status", "")).startswith(("410", "204")):
        return "DELETE"
    raise Unfollowable(f"the entry has no resource, and its method is {method[:20]!r}.")


def _address(text: Any) -> re.Match[str] | None:
    found = _ADDRESS.fullmatch(text.partition("?")[0]) if isinstance(text, str) else None
    return found if found is not None and found["type"] in facts.RESOURCE_TYPES else None


def _place(resource: Any, addresses: list[re.Match[str]]) -> Place:
    if isinstance(resource, dict) and "id" in resource:
        type_name, id_ = resource.get("resourceType"), resource["id"]
        if type_name not in facts.RESOURCE_TYPES or not isinstance(id_, str) or _VERSION.fullmatch(id_) is None:
            raise Unfollowable(f"{str(type_name)[:80]!r} with the id {str(id_)[:80]!r} is no resource of FHIR R4.")
        return type_name, id_
    if not addresses:
        raise Unfollowable("the entry does not say of which resource it is, as Type/id.")
    return addresses[0]["type"], addresses[0]["id"]


def _time(*texts: Any) -> int | None:
    return next((at for text in texts if isinstance(text, str) and (at := parse_instant(text)) is not None), None)


def _number(
    meta: dict[str, Any], response: dict[str, Any], addresses: list[re.Match[str]], at: int | None
) -> str:
    """Return what the server calls the version; where it does not say, its time tells it apart as well."""
    told = meta.get("versionId")
    if isinstance(told, str) and _VERSION.fullmatch(told):
        return told
    tag = _ETAG.fullmatch(str(response.get("etag", "")))
    if tag is not None:
        return tag[1]
    number = next((one["version"] for one in addresses if one["version"]), None)
    if number is not None:
        return str(number)
    if at is None:
        raise Unfollowable("the entry has neither a version id (meta.versionId, response.etag) nor a time "
                           "(response.lastModified): nothing tells whether it came before.")
    return f"at-{at}"


def _full_url(entry: dict[str, Any], place: Place, base: str) -> str:
    """Return the address by which the server's own references name the resource."""
    found = _address(entry.get("fullUrl"))
    root = found["root"] if found is not None and (found["type"], found["id"]) == place else None
    return f"{root if root is not None and root.startswith('http') else base + '/'}{'/'.join(place)}"


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}
