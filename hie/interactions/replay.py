"""A history Bundle that is sent, so that what another server has is here too, with all its versions and ids.

https://hl7.org/fhir/R4/http.html#other-bundles. Who follows another server sends its histories in their order. What
an earlier Bundle brought may come again, and is left out: what the other server calls each version is remembered
(hie.store.followed). The rest becomes the next versions here, all of them in one transaction (docs/adr/0026).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from hie.context import Context
from hie.errors import BrokenReference, Conflict, Forbidden, Gone, NotFound
from hie.fhir import bundle, bundle_links, json_format, outcome
from hie.fhir.bundle import RequestEntry
from hie.fhir.conditions import etag
from hie.fhir.fhirpath import Allowance
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.json_format import Fragment
from hie.interactions import entries, sent_versions, steps, transaction
from hie.interactions.judging import of_bundle
from hie.interactions.sent_versions import Place, Version, counted
from hie.interactions.steps import Plan
from hie.store import followed
from hie.store.conflicts import Again
from hie.store.resources import ResourceStore

_TOGETHER = ("a Bundle has all versions of one transaction, which have the same lastModified, and comes after those "
             "that are older.")
_APART = "Servers whose ids may meet are followed in tenants of their own."
#: What the other server calls the versions of each resource, and their numbers here.
Numbers = dict[Place, dict[str, int]]


@dataclass(slots=True)
class _Chain:
    """The versions of one resource in their order, and what becomes of them here."""

    place: Place
    versions: list[Version]
    vids: dict[int, int] = field(default_factory=dict)  # entry -> the version here that it is, or will be
    new: list[Version] = field(default_factory=list)
    is_unseen: bool = False  # it never was here, or the token may not read it

    @property
    def refers_to_versions_of(self) -> set[Place]:
        return {mention.place for one in self.versions for mention in one.mentions if mention.number is not None}


def replay(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Store what the entries tell, or nothing."""
    chains = [_Chain(place, versions) for place, versions in sent_versions.read(request, ctx).items()]
    number = sum(len(chain.versions) for chain in chains)
    plans: list[Plan] = []

    def unit(store: ResourceStore) -> FhirResponse:
        plans.clear()
        inside = replace(ctx, store=store, allowance=Allowance(transaction.MOST_SECONDS, transaction.MOST_LOOKED_AT),
                         room=entries.room(ctx), judging=of_bundle(), keeps_labels=False)
        rows: list[Any] = [None] * number
        with store.rewriting([chain.place for chain in chains], number):
            called = _settle(chains, rows, inside)
            for together in zip_longest(*(chain.new for chain in chains)):
                group = [one for one in together if one is not None]
                plans.append(_plan(group, request, inside))
                for one, row in zip(group, transaction.done(plans[-1], inside), strict=True):
                    rows[one.entry.index] = row
            _see_that_all_are(chains, rows)
            followed.add(store, called)
        return transaction.answer(rows, ctx)

    with transaction.placed(plans):
        try:
            return ctx.store.transact(unit, is_last=True)
        except BrokenReference as error:
            raise BrokenReference(error.diagnostics, issues=[
                replace(one, diagnostics=f"{one.diagnostics.partition(';')[0]}; {_TOGETHER}") for one in error.issues
            ]) from error


# ---- what is here already --------------------------------------------------------------------------------------------


def _settle(chains: list[_Chain], rows: list[Any], ctx: Context) -> list[tuple[Place, str, int]]:
    """Find out which versions are here already, and which ones the others will be; return what is to be remembered."""
    places = {chain.place for chain in chains}
    mentioned = set().union(*(chain.refers_to_versions_of for chain in chains)) - places
    seen = {(row.type, row.id) for row in ctx.store.rows_of(mentioned)}  # of others nothing is told
    numbers = followed.known(ctx.store, places | seen)
    full_urls = {one.entry.full_url: "/".join(one.place)
                 for chain in chains for one in chain.versions if one.entry.full_url is not None}
    called: list[tuple[Place, str, int]] = []
    for chain, unsettled in _in_order(chains):
        before = set(numbers.get(chain.place, ()))
        for one in chain.versions:
            _set_links(one, full_urls | _meant(one, numbers, unsettled), ctx)
        _settle_one(chain, numbers.setdefault(chain.place, {}), rows, ctx)
        called += ((chain.place, text, vid) for text, vid in numbers[chain.place].items() if text not in before)
    return called


def _in_order(chains: list[_Chain]) -> Iterator[tuple[_Chain, set[Place]]]:
    """Yield what refers to versions of others after these, with those that are not settled by then."""
    waiting = {chain.place: chain for chain in chains}
    while waiting:
        ready = [chain for chain in waiting.values()
                 if not (chain.refers_to_versions_of - {chain.place}) & waiting.keys()]
        for chain in ready or list(waiting.values()):
            yield chain, set(waiting)
            del waiting[chain.place]


def _meant(one: Version, numbers: Numbers, unsettled: set[Place]) -> dict[str, str]:
    """Map what refers to the other server to what is here of it."""
    found = {}
    for mention in one.mentions:
        place, known = "/".join(mention.place), numbers.get(mention.place)
        if mention.number is None:
            found[mention.text] = place
        elif known is not None and mention.number in known:
            found[mention.text] = f"{place}/_history/{known[mention.number]}"
        elif known is not None and mention.place not in unsettled:
            told = f"{mention.text} is no version that came here; {place} is followed, and has others."
            raise BrokenReference(told, expression=f"{one.entry.expression}.resource")
    return found


def _set_links(one: Version, meant: dict[str, str], ctx: Context) -> None:
    root = bundle_links.root_of(one.entry.full_url) or f"{ctx.base_url}/"
    for link in one.links:
        bundle_links.rewrite(link, meant, root, {})


def _settle_one(chain: _Chain, known: dict[str, int], rows: list[Any], ctx: Context) -> None:
    """Settle the versions of one resource; `known` is what the other server calls those that are here."""
    place = "/".join(chain.place)
    vid, state = _current(chain.place, ctx)
    chain.is_unseen = vid == 0
    if chain.is_unseen:
        known.clear()
    newest = max((counted(text) or 0 for text in known), default=0)
    chain.vids, chain.new = {}, []
    for one in chain.versions:
        index, content = one.entry.index, _bare(one.resource)
        here = known.get(one.number or "")
        if here is not None:
            _refuse_another(one, here, ctx)
            rows[index] = _answered(here, f"This is version {here} of {place}, which is here already.")
        elif newest > (counted(one.number) or newest):
            rows[index] = _answered(None, f"It is older than what is here of {place}, and was not stored.")
        elif vid == 0 and content is None:
            rows[index] = _answered(None, f"{place} is not here; nothing was deleted.")
        elif vid > 0 and content == state:
            here = vid
            rows[index] = _answered(here, f"It is as it was before: version {here} of {place} stands for both.")
        else:
            if one.is_creation and state is not None:
                raise Conflict(f"{place} was created there, and something else is here under this id. {_APART}",
                               expression=f"{one.entry.expression}.resource.id")
            here = vid = vid + 1
            state = content
            chain.new.append(one)
        if here is not None:
            chain.vids[index] = here
            if one.number is not None:
                known[one.number] = here
                newest = max(newest, counted(one.number) or 0)


def _current(place: Place, ctx: Context) -> tuple[int, dict[str, Any] | None]:
    """Return the number of the current version and what it says; 0 where the resource never was."""
    try:
        (version,) = ctx.store.history(*place, count=1, counts=False).versions
    except NotFound:
        return 0, None
    return version.vid, None if version.content is None else _bare(json_format.parse(version.content))


def _refuse_another(one: Version, here: int, ctx: Context) -> None:
    """Refuse what is not the version that came under the same number; of one that was erased nobody knows."""
    try:
        stored = _bare(json_format.parse(ctx.store.vread(*one.place, here).content or b"{}"))
    except (Gone, NotFound):
        return
    if stored != _bare(one.resource):
        place = "/".join(one.place)
        raise Conflict(f"Version {one.number} of {place} came before, with another content; it is version {here} here. "
                       f"{_APART}",
                       expression=f"{one.entry.expression}.resource")


def _bare(resource: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a version without what tells it apart as a version."""
    if resource is None:
        return None
    meta = resource.get("meta")
    if isinstance(meta, dict):
        meta = {name: value for name, value in meta.items() if name not in ("versionId", "lastUpdated")}
    return {name: value for name, value in {**resource, "meta": meta}.items() if name != "meta" or value}


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
                place = "/".join(chain.place)
                if chain.is_unseen:
                    raise Forbidden(f"The token's scopes for {chain.place[0]}.r do not cover {place}, which is here.",
                                    expression=f"{one.entry.expression}.request.url")
                raise Again(f"{place} has other versions than it had.")
