"""Bundles that the server writes, and the entries of Bundles it is sent: https://hl7.org/fhir/R4/bundle.html

Resources stand in a Bundle as the bytes that are stored: nothing is read or written again to be listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from hie.errors import InvalidRequest, InvalidResource, OutcomeIssue, TooCostly, TooLarge, TooManyRequests
from hie.fhir import facts, modifiers, validation
from hie.fhir.conditions import etag
from hie.fhir.http import FhirResponse
from hie.fhir.instants import instant
from hie.fhir.json_format import Fragment, dump

_PHRASES = {int(status): f"{int(status)} {status.phrase}" for status in HTTPStatus}


# ---- Bundles that the server writes ----------------------------------------------------------------------------------


def match_entry(base_url: str, type_name: str, id_: str, content: bytes | dict[str, Any], mode: str) -> dict[str, Any]:
    """Build an entry of a searchset."""
    resource = Fragment(content) if isinstance(content, bytes) else content
    return {"fullUrl": f"{base_url}/{type_name}/{id_}", "resource": resource, "search": {"mode": mode}}


def outcome_entry(outcome: dict[str, Any]) -> dict[str, Any]:
    """Build the entry of a searchset that tells of the search itself."""
    return {"resource": outcome, "search": {"mode": "outcome"}}


def listing(
    type_: str, id_: str, updated: int, links: Sequence[tuple[str, str]], entries: Iterable[dict[str, Any]],
    total: int | None = None,
) -> bytes:  # fmt: skip
    """Write a searchset, history or response Bundle."""
    bundle: dict[str, Any] = {
        "resourceType": "Bundle", "id": id_, "meta": {"lastUpdated": instant(updated)}, "type": type_,
    }  # fmt: skip
    if total is not None:
        bundle["total"] = total
    if links:
        bundle["link"] = [{"relation": relation, "url": url} for relation, url in links]
    rows = list(entries)
    if rows:
        bundle["entry"] = rows
    return dump(bundle)


def response_entry(
    response: FhirResponse, base_url: str, *, full_url: str | None = None, outcome: Fragment | None = None
) -> dict[str, Any]:
    """Build the entry of a batch-response or transaction-response: https://hl7.org/fhir/R4/http.html#transaction-response"""
    entry: dict[str, Any] = {}
    if full_url is not None:
        entry["fullUrl"] = full_url
    if response.content is not None and outcome is None:
        entry["resource"] = Fragment(response.content)
    row: dict[str, Any] = {"status": _PHRASES.get(response.status, str(response.status))}
    if response.location is not None:
        row["location"] = f"{base_url}/{response.location}"
    if response.version_id is not None:
        row["etag"] = etag(response.version_id)
    if response.last_modified is not None:
        row["lastModified"] = instant(response.last_modified)
    if outcome is not None:
        row["outcome"] = outcome
    entry["response"] = row
    return entry


class Room:
    """How much the entries of one Bundle may answer together: a small one may ask often for what is large.

    `most_read`: how much is kept of what the client could as well ask again, where answers are kept for it.
    """

    def __init__(self, most: int, most_read: int | None = None) -> None:
        self._most, self._most_read, self._taken = most, most_read, 0

    def anew(self) -> Room:
        """Return the same of which nothing is taken."""
        return Room(self._most, self._most_read)

    def take(self, size: int) -> None:
        """Count the bytes of an answer."""
        self._taken += size

    def refuse_more(self, *, reads: bool = False) -> None:
        """Refuse a further entry where it is used up; `reads`: one that changes nothing."""
        if self._taken > self._most:
            raise TooCostly(f"The entries that were done have answers of more than {self._most} bytes together; this "
                            "one was not done. Send it in another Bundle.", expression="http.url")
        if reads and self._most_read is not None and self._taken >= self._most_read:
            raise TooManyRequests("What is kept for this client, and what the entries before this one answer, is all "
                                  "that may be kept; this one was not done. DELETE the addresses of answers that you "
                                  "have read, and send it again.", expression="http.url")


def response_status(status: int) -> str:
    """Write Bundle.entry.response.status."""
    return _PHRASES.get(status, str(status))


# ---- Bundles that the server is sent ---------------------------------------------------------------------------------


#: The types of Bundles whose entries are done: https://hl7.org/fhir/R4/http.html#transaction, #other-bundles
SENT = frozenset({"batch", "transaction", "history"})


class Stretch(Protocol):
    """A part of a request's body that holds an entry."""

    @property
    def size(self) -> int:
        """How many bytes it is."""

    def read(self) -> Any:
        """Return the entry's resource, read anew."""


@dataclass(frozen=True, slots=True)
class RequestEntry:
    """One entry of a batch, transaction or history that was sent.

    https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.request
    """

    index: int
    full_url: str | None
    resource: Any
    request: dict[str, Any]
    stretch: Stretch | None = None  # where in a large body the resource is read again; None: `resource` is kept
    version: str | None = None  # the resource's own meta.versionId
    has_resource: bool = True  # also where that of a large body was let go
    number: int | None = None  # where it stands in the Bundle, if `index` counts others

    @property
    def expression(self) -> str:
        """FHIRPath of the entry."""
        return f"Bundle.entry[{self.index if self.number is None else self.number}]"


def is_placeholder(full_url: str | None) -> bool:
    """Tell whether a fullUrl stands for a resource that has no address yet: bundle.html#references"""
    return full_url is not None and full_url.startswith(("urn:uuid:", "urn:oid:"))


def request_entries(bundle: dict[str, Any], type_: str, most_entries: int) -> list[RequestEntry]:
    """Check the Bundle around its entries' resources, which the entries' own interactions check."""
    if bundle["resourceType"] != "Bundle":
        raise InvalidRequest("A Bundle of type batch, transaction or history is expected here, not a "
                             f"{bundle['resourceType']}.", expression="resourceType")
    if bundle.get("type") != type_ or type_ not in SENT:
        found = repr(bundle["type"])[:80] if "type" in bundle else "missing"
        raise InvalidRequest(f"Bundle.type is {found}; it must be batch, transaction or history here. "
                             "To store a Bundle as it is, POST it to Bundle.", expression="Bundle.type")
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise InvalidResource("Bundle.entry must be an array.", expression="Bundle.entry")
    if len(entries) > most_entries:
        raise TooLarge(f"The Bundle has {len(entries)} entries; at most {most_entries} are taken at once.",
                       expression="Bundle.entry")
    validate_envelope(bundle, entries)
    return [request_entry(index, entry) for index, entry in enumerate(entries)]


def request_entry(index: int, entry: dict[str, Any]) -> RequestEntry:
    """Read one entry, which has been checked around its resource."""
    request = entry.get("request")
    if request is None:
        raise _no_request(index)
    resource = entry.get("resource")
    version, has_resource = _version_of(resource), resource is not None
    return RequestEntry(index, entry.get("fullUrl"), resource, request, version=version, has_resource=has_resource)


def _no_request(index: int) -> InvalidRequest:
    return InvalidRequest("The entry has no request; it needs request.method and request.url.",
                          expression=f"Bundle.entry[{index}].request")


def _version_of(resource: Any) -> str | None:
    meta = resource.get("meta") if isinstance(resource, dict) else None
    version = meta.get("versionId") if isinstance(meta, dict) else None
    return version if isinstance(version, str) else None


def validate_envelope(bundle: dict[str, Any], entries: list[Any], first: int = 0) -> None:
    """Validate the Bundle without its resources; `first` is the place of the first of these entries."""
    envelope = dict(bundle)
    if _are_plain(entries):
        envelope.pop("entry", None)
    elif "entry" in bundle:
        envelope["entry"] = _bare(entries, first)
    issues = [one for one in validation.validate(envelope, "Bundle") if one.severity in ("error", "fatal")]
    if issues:
        raise InvalidResource(issues[0].diagnostics, issues=[
            OutcomeIssue(one.code, one.diagnostics, one.expression, one.severity) for one in issues
        ])
    modifiers.refuse(envelope)


_PLAIN, _PLAIN_REQUEST = {"fullUrl", "resource", "request"}, {"method", "url"}
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


def _are_plain(entries: list[Any]) -> bool:
    """Tell whether all entries are new resources under UUIDs of their own, around which nothing can be wrong.

    Those of most transactions are; the validator would say so, at ten times the cost.
    """
    urls: set[str] = set()
    for entry in entries:
        if type(entry) is not dict or entry.keys() != _PLAIN:
            return False
        url, request = entry["fullUrl"], entry["request"]
        if type(request) is not dict or request.keys() != _PLAIN_REQUEST or request["method"] != "POST":
            return False
        if type(request["url"]) is not str or request["url"] not in facts.RESOURCE_TYPES:
            return False
        if type(url) is not str or _UUID.fullmatch(url) is None:
            return False
        urls.add(url)
    return 0 < len(urls) == len(entries)


def _bare(entries: list[Any], first: int) -> list[Any]:
    """Return the entries without their resources, which their own interactions check."""
    bare: list[Any] = []
    for index, entry in enumerate(entries, first):
        if isinstance(entry, dict) and entry.keys() == {"resource"}:  # without it nothing would be left to judge
            raise _no_request(index)
        if isinstance(entry, dict) and "resource" in entry:
            entry = {name: value for name, value in entry.items() if name != "resource"}
        bare.append(entry)
    return bare
