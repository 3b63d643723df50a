"""A history Bundle that is sent, so that what another server has is here too, with all its versions and ids.

https://hl7.org/fhir/R4/http.html#other-bundles. Who follows another server sends its histories in their order. What
an earlier Bundle brought may come again: of a resource what is already here, at the end of its history, is left out.
The rest becomes its next versions here, all of them in one transaction.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from hie.context import Context
from hie.errors import BrokenReference, Conflict, InvalidRequest, NotFound
from hie.fhir import bundle, bundle_links, facts, json_format, outcome
from hie.fhir.bundle import RequestEntry
from hie.fhir.bundle_links import Link
from hie.fhir.conditions import etag
from hie.fhir.datatypes import InvalidDate, parse_date
from hie.fhir.fhirpath import Allowance
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.json_format import Fragment
from hie.fhir.resource import type_of
from hie.fhir.routes import checked_id
from hie.interactions import entries, steps, transaction
from hie.interactions.judging import of_bundle
from hie.interactions.steps import Plan
from hie.store.conflicts import Again
from hie.store.resources import ResourceStore
from hie.store.versions import StoredVersion, served

#: So many versions of a resource are looked through for what is here already.
MOST_HERE = 1_000
#: Digits of version numbers that are compared.
LONGEST = 10
_STORING = frozenset({"POST", "PUT", "PATCH"})
#: Where a resource is, as Bundle.entry.request.url, fullUrl and response.location say it; `id` is not in each.
_ADDRESS = re.compile(
    r"(?:https?://.+/|/)?(?P<type>[A-Z][A-Za-z]+)(?:/(?P<id>[A-Za-z0-9\-.]{1,64}))?"
    r"(?:/_history/(?P<version>[A-Za-z0-9\-.]{1,64}))?(?:\?.*)?", re.ASCII | re.DOTALL)  # fmt: skip

_ETAG = re.compile(r'(?:W/)?"([A-Za-z0-9\-.]{1,64})"', re.ASCII)
_TOGETHER = ("a Bundle has all versions of one transaction, which have the same lastModified, and comes after those "
             "that are older.")

Place = tuple[str, str]


@dataclass(slots=True)
class Version:
    """One entry: a version of a resource as the other server has it, `resource` None where it deleted it."""

    entry: RequestEntry
    place: Place
    resource: dict[str, Any] | None
    number: str | None  # meta.versionId, or what the entry says of it
    at: int | None  # when it came to be, microseconds since 1970-01-01T00:00:00Z
    links: list[Link] = field(default_factory=list)

    @property
    def is_creation(self) -> bool:
        return self.entry.request["method"] == "POST"

    @property
    def counted(self) -> int | None:
        """Its number, where it is one."""
        text = self.number or ""
        return int(text) if text.isascii() and text.isdigit() and len(text) < LONGEST else None

    @property
    def addresses(self) -> Iterator[str]:
        """The texts by which others may refer to the resource, besides Type/id."""
        if self.entry.full_url is not None:
            yield self.entry.full_url


@dataclass(slots=True)
class _Chain:
    """The versions of one resource in their order, and what becomes of them here."""

    place: Place
    versions: list[Version]
    vids: dict[int, int] = field(default_factory=dict)  # entry -> the version here that it is, or will be
    new: list[Version] = field(default_factory=list)


def replay(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Store what the entries tell, or nothing."""
    told = _told(request, ctx)
    chains = _chains(told)
    full_urls = {address: "/".join(one.place) for one in told for address in one.addresses}
    plans: list[Plan] = []

    def unit(store: ResourceStore) -> FhirResponse:
        plans.clear()
        inside = replace(ctx, store=store, allowance=Allowance(transaction.MOST_SECONDS, transaction.MOST_LOOKED_AT),
                         room=entries.room(ctx), judging=of_bundle())
        rows: list[Any] = [None] * len(told)
        with store.rewriting([chain.place for chain in chains], len(told)):
            _settle(chains, full_urls, rows, inside)
            for together in zip_longest(*(chain.new for chain in chains)):
                group = [one for one in together if one is not None]
                plans.append(_plan(group, request, inside))
                for one, row in zip(group, transaction.done(plans[-1], inside), strict=True):
                    rows[one.entry.index] = row
            _see_that_all_are(chains, rows)
        return transaction.answer(rows, ctx)

    with transaction.placed(plans):
        try:
            return ctx.store.transact(unit, is_last=True)
        except BrokenReference as error:
            raise BrokenReference(error.diagnostics, issues=[
                replace(one, diagnostics=f"{one.diagnostics.partition(';')[0]}; {_TOGETHER}") for one in error.issues
            ]) from error


# ---- what the Bundle tells -------------------------------------------------------------------------------------------


def _told(request: FhirRequest, ctx: Context) -> list[Version]:
    rows = bundle.request_entries(request.resource, "history", ctx.settings.max_bundle_entries)
    sent = request.resource.get("entry", [])
    return [_version(entry, sent[entry.index].get("response") or {}) for entry in rows]


def _version(entry: RequestEntry, response: dict[str, Any]) -> Version:
    method, url, here = entry.request["method"], str(entry.request["url"]), entry.expression
    said = {f"{here}.request.url": _address(url), f"{here}.fullUrl": _address(entry.full_url),
            f"{here}.response.location": _address(response.get("location"))}
    if method in _STORING:
        if entry.resource is None:
            raise InvalidRequest(f"The entry has no resource; a {method} in a history tells what came of it.",
                                 expression=f"{here}.resource")
        type_name = type_of(entry.resource, f"{here}.resource")
        if "id" not in entry.resource:
            raise InvalidRequest("The resource has no id; a history tells the id under which it is.",
                                 expression=f"{here}.resource.id")
        place = type_name, checked_id(entry.resource["id"], f"{here}.resource")
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
    return Version(entry, place, resource, number, _time(response, resource), bundle_links.find(resource))


def _number(response: dict[str, Any], addresses: Iterable[re.Match[str] | None]) -> str | None:
    """Return what an entry calls its version."""
    found = _ETAG.fullmatch(str(response.get("etag")))
    if found is not None:
        return found[1]
    return next((one["version"] for one in addresses if one is not None and one["version"]), None)


def _address(text: Any) -> re.Match[str] | None:
    """Take an address apart; None for what is none, such as urn:uuid:…"""
    return _ADDRESS.fullmatch(text) if isinstance(text, str) else None


def _time(response: dict[str, Any], resource: dict[str, Any] | None) -> int | None:
    meta = resource.get("meta") if resource is not None else None
    for text in (response.get("lastModified"), meta.get("lastUpdated") if isinstance(meta, dict) else None):
        if isinstance(text, str):
            try:
                return parse_date(text).low
            except InvalidDate:
                continue
    return None


def _chains(told: list[Version]) -> list[_Chain]:
    """Return the versions of each resource, the oldest first: by their times, numbers, and place in the Bundle.

    A history has the newest first. https://hl7.org/fhir/R4/http.html#history
    """
    chains: dict[Place, list[Version]] = {}
    for one in reversed(told):
        chains.setdefault(one.place, []).append(one)
    for versions in chains.values():
        are_timed = all(one.at is not None for one in versions)
        are_counted = all(one.counted is not None for one in versions)
        versions.sort(key=lambda one: ((one.at or 0) if are_timed else 0, (one.counted or 0) if are_counted else 0))
    return [_Chain(place, versions) for place, versions in chains.items()]


# ---- what is here already --------------------------------------------------------------------------------------------


def _settle(chains: list[_Chain], full_urls: dict[str, str], rows: list[Any], ctx: Context) -> None:
    """Set the links of all versions, and find out which are here already, and which ones the others will be.

    Resources that refer to versions come last: the numbers that these have here are known by then.
    """
    meant = full_urls | _here_before(chains, full_urls, ctx)
    root = f"{ctx.base_url}/"
    for chain in sorted(chains, key=_refers_to_versions):
        for one in chain.versions:
            for link in one.links:
                bundle_links.rewrite(link, meant, bundle_links.root_of(one.entry.full_url) or root, {})
        _settle_one(chain, rows, ctx)
        for one in chain.versions:
            if one.number is not None and one.entry.index in chain.vids:
                place = "/".join(one.place)
                here = f"{place}/_history/{chain.vids[one.entry.index]}"
                for address in (*one.addresses, f"{root}{place}"):
                    meant[f"{address}/_history/{one.number}"] = here


def _here_before(chains: list[_Chain], full_urls: dict[str, str], ctx: Context) -> dict[str, str]:
    """Map addresses at the other server to what is here of it since an earlier Bundle."""
    found: dict[str, Place] = {}
    for one in (one for chain in chains for one in chain.versions if one.links):
        root = bundle_links.root_of(one.entry.full_url)
        for link in one.links if root is not None else ():
            match = _ADDRESS.fullmatch(link.text) if link.text.startswith(root or "") else None
            if match is not None and link.text == f"{root}{match['type']}/{match['id']}" and link.text not in full_urls:
                found[link.text] = match["type"], match["id"]
    here = {(row.type, row.id) for row in ctx.store.rows_of(dict.fromkeys(found.values()))}
    return {address: "/".join(place) for address, place in found.items() if place in here}


def _refers_to_versions(chain: _Chain) -> bool:
    return any("/_history/" in link.text for one in chain.versions for link in one.links)


def _settle_one(chain: _Chain, rows: list[Any], ctx: Context) -> None:
    stored = _stored(chain, ctx)
    vid = stored[0].vid if stored else 0
    here = _here(chain.versions, stored)
    first = chain.versions[0]
    if not here and first.is_creation and stored and stored[0].content is not None:
        raise Conflict(f"{'/'.join(chain.place)} was created there, and is here already, as something else or in later "
                       "versions: histories are sent in their order, from one server, or under ids of their own.",
                       expression=f"{first.entry.expression}.resource.id")
    chain.vids, chain.new = {}, []
    before: Version | None = None
    for one, known in zip_longest(chain.versions, here):
        place, index = "/".join(one.place), one.entry.index
        if known is not None:
            chain.vids[index] = known.vid
            rows[index] = _answered(known.vid, f"This is version {known.vid} of {place}, which is here already.")
        elif vid == 0 and one.resource is None:
            rows[index] = _answered(None, f"{place} is not here; nothing was deleted.")
        elif before is not None and _equal(one.resource, before.resource):
            chain.vids[index] = chain.vids[before.entry.index]
            rows[index] = _answered(chain.vids[index], f"It is as it was before: version {chain.vids[index]} of "
                                                       f"{place} stands for both.")
        else:
            vid += 1
            chain.vids[index] = vid
            chain.new.append(one)
        before = one


def _stored(chain: _Chain, ctx: Context) -> list[StoredVersion]:
    """Return what is here of a resource, the newest version first: as many as are told, or as they may be here."""
    count, first = len(chain.versions), chain.versions[0].counted
    try:
        found = ctx.store.history(*chain.place, count=count, counts=False).versions
        if first is not None and found and count < found[0].vid - first + 1 <= MOST_HERE:
            found = ctx.store.history(*chain.place, count=found[0].vid - first + 1, counts=False).versions
    except NotFound:
        return []
    return list(found)


def _here(versions: list[Version], stored: list[StoredVersion]) -> list[StoredVersion]:
    """Return what the first versions are here: those of their numbers, or else the last ones that are here.

    One that was stored here before it came to be there is another one, of which the number and content are the same.
    """
    by_number = {one.vid: one for one in stored}
    found: list[StoredVersion] = []
    for one in versions:
        here = by_number.get(one.counted or 0)
        if here is None or not _is(one, here) or here.updated < (one.at or 0):
            break
        found.append(here)
    if found:
        return found
    for number in range(min(len(versions), len(stored)), 0, -1):
        last = stored[:number][::-1]
        if all(_is(one, here) for one, here in zip(versions, last, strict=False)):
            return last
    return []


def _is(one: Version, here: StoredVersion) -> bool:
    if one.resource is None or here.content is None:
        return one.resource is None and here.content is None
    meta = one.resource.get("meta")
    if meta is not None and not isinstance(meta, dict):
        return False  # it will be refused
    return json_format.dump(served(one.resource, here.id, here.vid, here.updated)) == here.content


def _equal(one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    """Compare two versions without what tells them apart as versions."""
    return _bare(one) == _bare(other)


def _bare(resource: dict[str, Any] | None) -> bytes | None:
    if resource is None:
        return None
    meta = resource.get("meta")
    if isinstance(meta, dict):
        meta = {name: value for name, value in meta.items() if name not in ("versionId", "lastUpdated")}
    return json_format.dump({**resource, "meta": meta} if meta else {**resource, "meta": None})


def _answered(vid: int | None, text: str) -> dict[str, Any]:
    """Build the entry of the answer for one that was not stored."""
    row: dict[str, Any] = {"status": bundle.response_status(200)}
    if vid is not None:
        row["etag"] = etag(vid)
    return {"response": {**row, "outcome": Fragment(outcome.dump([outcome.information(text)]))}}


# ---- what is not -----------------------------------------------------------------------------------------------------


def _plan(group: Iterable[Version], request: FhirRequest, ctx: Context) -> Plan:
    """Settle one version of each of some resources, as entries that update or delete these."""
    rows = []
    for index, one in enumerate(group):
        has_resource = one.resource is not None
        asked = {"method": "PUT" if has_resource else "DELETE", "url": "/".join(one.place)}
        rows.append(RequestEntry(
            index, None, one.resource, asked, has_resource=has_resource, number=one.entry.index))
    return steps.of_entries(rows, request, ctx)


def _see_that_all_are(chains: list[_Chain], rows: list[Any]) -> None:
    """Begin again where a version has another number here than the references to it say."""
    for chain in chains:
        for one in chain.new:
            if rows[one.entry.index]["response"]["etag"] != etag(chain.vids[one.entry.index]):
                raise Again(f"{'/'.join(chain.place)} has other versions than it had.")
