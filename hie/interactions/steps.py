"""A transaction's entries before the store is touched: what each asks, and what it points at.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from hie.context import Context
from hie.errors import BrokenReference, FhirError, InvalidRequest
from hie.fhir import bundle_links, bundle_stream
from hie.fhir.bundle import RequestEntry
from hie.fhir.bundle_links import Link
from hie.fhir.http import FhirRequest
from hie.fhir.resource import parse
from hie.interactions import conditional, entries, referring

#: Interactions after which there is a resource that a fullUrl may name
KEEPS = frozenset({"create", "update", "patch"})
#: Interactions of which only one may mean a resource
CHANGES = frozenset({"update", "patch", "delete"})

#: In place of the request of a large Bundle's entry, once it was read.
_PASSED: dict[str, Any] = {}

Criteria = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Step:
    """One entry on its way: what it asks, and where its resource points at others.

    Of a large Bundle the resource is let go once it was looked at; it is read again from the body when it is its turn.
    """

    entry: RequestEntry
    request: FhirRequest
    new_id: str | None = None  # of a resource that POST makes
    criteria: Criteria = ()  # of a conditional create
    links: list[Link] = field(default_factory=list)

    @property
    def expression(self) -> str:
        """FHIRPath of the entry."""
        return self.entry.expression

    @property
    def asked(self) -> Criteria:
        """The search criteria by which it names a resource, or the parameters of its URL."""
        return self.criteria or self.request.parameters

    @property
    def is_conditional(self) -> bool:
        """Whether a search tells which resource it makes or changes."""
        return bool(self.criteria) or (self.request.id is None and self.request.interaction in ("update", "patch"))

    def loaded(self) -> tuple[Any, list[Link]]:
        """Return the resource, and the places in it that may point at other entries."""
        if self.entry.stretch is None:
            return self.request.resource, self.links
        resource = entries.with_resource(self.request, self.entry.stretch.read()).resource
        return resource, bundle_links.find(resource)

    def place(self, text: str) -> str:
        """Return the FHIRPath of the first link that says `text`; only for telling of an error."""
        resource, links = self.loaded()
        link = next((one for one in links if one.text == text), None)
        if link is None or not isinstance(resource, dict):  # a JSON Patch, inside its Binary
            return f"{self.expression}.resource"
        return f"{self.expression}.resource.{bundle_links.path_of(link, resource).partition('.')[2]}"


@dataclass(slots=True)
class Plan:
    """A transaction before it touches the store; it stays the same when the transaction must run again."""

    steps: list[Step]
    searches: dict[str, tuple[str, Criteria]]  # conditional references: text -> type and criteria
    mentions: dict[str, int]  # texts that name no resource by its id -> the first entry that says it
    targets: dict[int, str] = field(default_factory=dict)  # entry -> Type/id, once the transaction knows it
    criteria: dict[int, Criteria] = field(default_factory=dict)  # of conditional entries, with Type/id for fullUrls
    deletes: dict[tuple[str, str], Step] = field(default_factory=dict)  # type and id -> what deletes it, likewise


def planned(request: FhirRequest, ctx: Context) -> Plan:
    """Settle everything that needs no store."""
    entries_ = request.resource.get("entry")
    try:
        return _planned(request, ctx)
    except bundle_stream.NotStreamed:
        assert isinstance(entries_, bundle_stream.Entries)  # noqa: S101 - nothing else raises it
        return _planned(replace(request, resource=parse(entries_.body)), ctx)


def _planned(request: FhirRequest, ctx: Context) -> Plan:
    mentions: dict[str, int] = {}
    steps = [_step(entry, request, mentions, ctx) for entry in entries.read(request, ctx)]
    _refuse_same_full_urls(steps)
    refuse_same_targets((step, step.request.id) for step in steps)
    searches = _searches(steps, mentions)
    referring.refuse_many(len(searches), ctx)
    return Plan(steps, searches, mentions)


def of_entries(rows: Iterable[RequestEntry], request: FhirRequest, ctx: Context) -> Plan:
    """Settle entries whose texts mean what they say: without fullUrls and conditional references."""
    return Plan([_step(entry, request, {}, ctx) for entry in rows], {}, {})


def _step(entry: RequestEntry, outer: FhirRequest, mentions: dict[str, int], ctx: Context) -> Step:
    try:
        request = entries.as_request(entry, outer, ctx, new_id=ctx.new_id())
        step = Step(entry, request)
        if request.interaction == "create":
            step.new_id = request.id
            if_none_exist = entry.request.get("ifNoneExist")
            if if_none_exist is not None:
                step.criteria = conditional.criteria(
                    request.type or "", if_none_exist, "http.If-None-Exist", ctx.base_url
                )
        if request.resource is not None:
            step.links = bundle_links.find(request.resource)
            for link in step.links:
                if link.kind == "reference" and ("?" in link.text or link.text.startswith("urn:")):
                    mentions.setdefault(link.text, entry.index)
            _check_full_url(entry, request)
    except FhirError as error:
        raise error.within(entry.expression) from error
    if entry.stretch is not None:
        step.request, step.links = replace(request, resource=None), []
        step.entry = replace(entry, resource=None, request=_PASSED)
    return step


def _check_full_url(entry: RequestEntry, request: FhirRequest) -> None:
    """Refuse a fullUrl that names another id than the resource: https://hl7.org/fhir/R4/bundle.html#bundle-unique"""
    resource, url = request.resource, entry.full_url
    if url is None or request.interaction not in ("create", "update") or not isinstance(resource, dict):
        return
    id_ = resource.get("id")
    if id_ is not None and bundle_links.root_of(url) is not None and url.rpartition("/")[2] != id_:
        raise InvalidRequest(f"The fullUrl {url[:200]} and the resource's id {str(id_)[:80]!r} name different "
                             "resources.", expression=f"{entry.expression}.fullUrl")


def _refuse_same_full_urls(steps: list[Step]) -> None:
    seen: dict[str, Step] = {}
    for step in steps:
        url = step.entry.full_url
        if url is None or step.request.interaction not in KEEPS:
            continue
        if url in seen:
            raise InvalidRequest(f"Two entries have the fullUrl {url[:200]}: {seen[url].expression} and "
                                 f"{step.expression}.", expression=f"{step.expression}.fullUrl")
        seen[url] = step


def refuse_same_targets(changes: Iterable[tuple[Step, str | None]]) -> None:
    """Refuse two entries that change one resource: their order would decide what becomes of it."""
    seen: dict[tuple[str | None, str], Step] = {}
    for step, id_ in changes:
        if id_ is None or step.request.interaction not in CHANGES:
            continue
        first = seen.setdefault((step.request.type, id_), step)
        if first is not step:
            raise both_change(step, first.expression, id_)


def both_change(step: Step, other: str, id_: str) -> InvalidRequest:
    """Build the refusal of a step that changes what another one changes or deletes."""
    return InvalidRequest(f"{other} and {step.expression} both change {step.request.type}/{id_}.",
                          expression=f"{step.expression}.request.url")


def _searches(steps: list[Step], mentions: dict[str, int]) -> dict[str, tuple[str, Criteria]]:
    """Return each distinct conditional reference, and refuse references to entries that are not there."""
    known = {step.entry.full_url for step in steps if step.request.interaction in KEEPS}
    searches: dict[str, tuple[str, Criteria]] = {}
    for text, index in mentions.items():
        if text in known:
            continue
        if text.startswith("urn:"):
            raise BrokenReference(f"No entry that stores a resource has the fullUrl {text[:200]}.",
                                  expression=steps[index].place(text))
        found = bundle_links.conditional_reference(text)
        if found is not None:
            with at(steps[index].expression, lambda index=index, text=text: steps[index].place(text)):
                searches[text] = (found[0], conditional.criteria(*found, expression="http.url"))
    return searches


@contextmanager
def at(entry: str, expression: Any = None) -> Iterator[None]:
    """Place an error raised inside below the entry, or at what the function `expression` returns."""
    try:
        yield
    except FhirError as error:
        if expression is None:
            raise error.within(entry) from error
        place = expression()
        raise type(error)(error.diagnostics, issues=[replace(one, expression=place) for one in error.issues]) from error


@contextmanager
def in_request(step: Step) -> Iterator[None]:
    """Place what is wrong with the criteria of a conditional entry where they stand in its request."""
    try:
        yield
    except FhirError as error:
        raise entries.refused(error, step.entry, step.request) from error
