"""FHIR transaction interaction: https://hl7.org/fhir/R4/http.html#transaction

Everything that needs no store is settled first: the entries' requests, the ids of new resources, the places that point
at other entries. Then one transaction runs: DELETE, conditional searches, references, POST, PUT and PATCH, GET.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from hie.context import Context
from hie.errors import BrokenReference, FhirError, InvalidRequest, PreconditionFailed
from hie.fhir import bundle, bundle_links
from hie.fhir.bundle import RequestEntry
from hie.fhir.bundle_links import Link
from hie.fhir.http import FhirRequest, FhirResponse
from hie.interactions import answers, conditional, entries, integrity, patch, update
from hie.store.resources import ResourceStore
from hie.store.versions import StoredVersion

#: https://hl7.org/fhir/R4/http.html#trules
_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}

#: Interactions after which there is a resource that a fullUrl may name
_KEEPS = frozenset({"create", "update", "patch"})
_CHANGES = frozenset({"update", "patch", "delete"})

Criteria = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Step:
    """One entry on its way: what it asks, and where its resource points at others."""

    entry: RequestEntry
    request: FhirRequest
    new_id: str | None = None  # of a resource that POST makes
    criteria: Criteria = ()  # of a conditional create
    links: list[Link] = field(default_factory=list)

    @property
    def expression(self) -> str:
        """FHIRPath of the entry."""
        return self.entry.expression


@dataclass(slots=True)
class Plan:
    """A transaction before it touches the store; it stays the same when the transaction must run again."""

    steps: list[Step]
    searches: dict[str, tuple[str, Criteria]]  # conditional references: text -> type and criteria
    targets: dict[int, str] = field(default_factory=dict)  # entry -> Type/id, once the transaction knows it


def transaction(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Do all that the entries ask, or nothing."""
    plan = planned(request, ctx)

    def unit(store: ResourceStore) -> FhirResponse:
        return _run(plan, ctx.within(store))

    with integrity.named(lambda: _sources(plan)):
        return ctx.store.transact(unit)


# ---- before the store is touched -------------------------------------------------------------------------------------


def planned(request: FhirRequest, ctx: Context) -> Plan:
    """Settle everything that needs no store."""
    steps = [_step(entry, request, ctx) for entry in entries.read(request, ctx)]
    _refuse_same_full_urls(steps)
    _refuse_same_targets((step, step.request.id) for step in steps)
    return Plan(steps, _searches(steps))


def _step(entry: RequestEntry, outer: FhirRequest, ctx: Context) -> Step:
    try:
        request = entries.as_request(entry, outer, ctx, new_id=ctx.new_id())
        step = Step(entry, request)
        if request.interaction == "create":
            step.new_id = request.id
            if_none_exist = entry.request.get("ifNoneExist")
            if if_none_exist is not None:
                step.criteria = conditional.criteria(request.type or "", if_none_exist, "http.If-None-Exist")
        if request.resource is not None:
            step.links = bundle_links.find(request.resource)
        return step
    except FhirError as error:
        raise error.within(entry.expression) from error


def _refuse_same_full_urls(steps: list[Step]) -> None:
    seen: dict[str, Step] = {}
    for step in steps:
        url = step.entry.full_url
        if url is None or step.request.resource is None:
            continue
        if url in seen:
            raise InvalidRequest(f"Two entries have the fullUrl {url[:200]}: {seen[url].expression} and "
                                 f"{step.expression}.", expression=f"{step.expression}.fullUrl")
        seen[url] = step


def _refuse_same_targets(changes: Iterator[tuple[Step, str | None]]) -> None:
    """Refuse two entries that change one resource: their order would decide what becomes of it."""
    seen: dict[tuple[str | None, str], Step] = {}
    for step, id_ in changes:
        if id_ is None or step.request.interaction not in _CHANGES:
            continue
        first = seen.setdefault((step.request.type, id_), step)
        if first is not step:
            raise InvalidRequest(f"{first.expression} and {step.expression} both change {step.request.type}/{id_}.",
                                 expression=f"{step.expression}.request.url")


def _searches(steps: list[Step]) -> dict[str, tuple[str, Criteria]]:
    """Return each distinct conditional reference, and refuse references to entries that are not there."""
    known = {step.entry.full_url for step in steps if step.request.interaction in _KEEPS}
    searches: dict[str, tuple[str, Criteria]] = {}
    for step in steps:
        for link in step.links:
            if link.kind != "reference" or link.text in searches or link.text in known:
                continue
            if link.text.startswith("urn:"):
                raise BrokenReference(f"No entry that stores a resource has the fullUrl {link.text[:200]}.",
                                      expression=_place(step, link))
            found = bundle_links.conditional_reference(link.text)
            if found is not None:
                with _at(step.expression, _place(step, link)):
                    searches[link.text] = (found[0], conditional.criteria(*found, expression="http.url"))
    return searches


# ---- inside the transaction ------------------------------------------------------------------------------------------


def _run(plan: Plan, ctx: Context) -> FhirResponse:
    steps = plan.steps
    rows: list[Any] = [None] * len(steps)
    for step in steps:
        if step.request.method == "DELETE":
            rows[step.entry.index] = _answered(step, step.request, ctx)
    found = _found(steps, ctx)
    _refuse_same_targets(_targets(steps, found))
    plan.targets = {step.entry.index: f"{step.request.type}/{id_}" for step, id_ in _targets(steps, found)}
    _set_links(plan, _full_urls(plan), _references(plan, ctx))
    for step in sorted(steps, key=lambda one: _ORDER[one.request.method]):
        index = step.entry.index
        if rows[index] is not None:
            continue
        rows[index] = _written(step, found.get(index), ctx)
    return FhirResponse(200, bundle.listing("transaction-response", ctx.new_id(), ctx.clock(), (), rows))


@dataclass(frozen=True, slots=True)
class _Found:
    """What a conditional entry turned out to mean."""

    id: str
    stored: StoredVersion | None  # None: it is made by this transaction


def _found(steps: list[Step], ctx: Context) -> dict[int, _Found]:
    """Search for what conditional creates and updates mean, before the first new resource is stored."""
    found: dict[int, _Found] = {}
    made: dict[tuple[str | None, Criteria], _Found] = {}
    updated: dict[tuple[str | None, Criteria], Step] = {}
    for step in steps:
        if step.criteria:
            with _at(step.expression):
                key = (step.request.type, step.criteria)
                if key not in made:
                    made[key] = _create_or_find(step, ctx)
                found[step.entry.index] = made[key]
        elif step.request.interaction == "update" and step.request.id is None:
            with _at(step.expression):
                _refuse_same_criteria(step, updated)
                found[step.entry.index] = _Found(_updated_id(step, ctx), None)
        elif step.request.interaction == "patch" and step.request.id is None:
            with _at(step.expression):
                criteria = conditional.checked(step.request.parameters, "http.url")
                found[step.entry.index] = _Found(patch.meant_id(step.request.type or "", criteria, ctx), None)
    for key in made.keys() & updated.keys():
        raise _same_criteria(updated[key], "a conditional create")
    return found


def _refuse_same_criteria(step: Step, updated: dict[tuple[str | None, Criteria], Step]) -> None:
    """Refuse two conditional updates with the same criteria: each would make a resource where nothing matches."""
    first = updated.setdefault((step.request.type, step.request.parameters), step)
    if first is not step:
        raise _same_criteria(step, first.expression)


def _same_criteria(step: Step, other: str) -> InvalidRequest:
    return InvalidRequest(f"{step.expression} and {other} have the same search criteria: both mean one resource.",
                          expression=f"{step.expression}.request.url")


def _create_or_find(step: Step, ctx: Context) -> _Found:
    stored = conditional.existing(step.request.type or "", step.criteria, ctx)
    return _Found(step.new_id or "", None) if stored is None else _Found(stored.id, stored)


def _updated_id(step: Step, ctx: Context) -> str:
    criteria = conditional.checked(step.request.parameters, "http.url")
    id_ = update.meant_id(step.request, criteria, ctx)
    if id_ is None:
        step.new_id = step.new_id or ctx.new_id()  # the same one if the transaction must run again
        id_ = step.new_id
    return id_


def _targets(steps: list[Step], found: dict[int, _Found]) -> Iterator[tuple[Step, str | None]]:
    for step in steps:
        here = found.get(step.entry.index)
        yield step, here.id if here is not None else step.new_id or step.request.id


def _full_urls(plan: Plan) -> dict[str, str]:
    """Map each fullUrl to the Type/id under which its resource is or will be stored."""
    mapping: dict[str, str] = {}
    for step in plan.steps:
        url = step.entry.full_url
        if url is None or step.request.interaction not in _KEEPS:
            continue
        mapping[url] = plan.targets[step.entry.index]
    return mapping


def _references(plan: Plan, ctx: Context) -> dict[str, str]:
    """Search once for each distinct conditional reference; exactly one resource must match."""
    resolved: dict[str, str] = {}
    for text, (type_name, criteria) in plan.searches.items():
        try:
            stored = conditional.match(type_name, criteria, ctx)
            if stored is None:
                raise PreconditionFailed(f"No {type_name} matches the reference {text[:200]}; exactly one must. "
                                         "Resources of this Bundle are not searched: name them by their fullUrl.")
        except FhirError as error:
            raise type(error)(error.diagnostics, issues=[
                replace(issue, expression=_place_of_text(plan, text)) for issue in error.issues]) from error
        resolved[text] = f"{type_name}/{stored.id}"
    return resolved


def _set_links(plan: Plan, full_urls: dict[str, str], references: dict[str, str]) -> None:
    for step in plan.steps:
        root = bundle_links.root_of(step.entry.full_url)
        for link in step.links:
            bundle_links.rewrite(link, full_urls, root, references)


def _written(step: Step, found: _Found | None, ctx: Context) -> dict[str, Any]:
    request = step.request
    if request.interaction == "create":
        if found is not None and (found.stored is not None or found.id != step.new_id):
            stored = found.stored or ctx.store.read(request.type or "", found.id)
            return entries.response(answers.written(request, stored, 200), ctx)
        return _answered(step, request, ctx)
    if found is not None:
        request = replace(request, id=found.id, parameters=())
        if request.interaction == "update":
            request = replace(request, resource={**request.resource, "id": found.id})
    return _answered(step, request, ctx)


def _answered(step: Step, request: FhirRequest, ctx: Context) -> dict[str, Any]:
    try:
        return entries.response(ctx.dispatch(request, ctx), ctx)
    except FhirError as error:
        raise entries.refused(error, step.entry, request) from error


# ---- naming the place of an error ------------------------------------------------------------------------------------


@contextmanager
def _at(entry: str, expression: str | None = None) -> Iterator[None]:
    """Place an error raised inside below the entry, or at the expression."""
    try:
        yield
    except FhirError as error:
        if expression is None:
            raise error.within(entry) from error
        raise type(error)(error.diagnostics, issues=[replace(one, expression=expression)
                                                     for one in error.issues]) from error


def _place(step: Step, link: Link) -> str:
    if not isinstance(step.request.resource, dict):  # a JSON Patch, inside its Binary
        return f"{step.expression}.resource"
    path = bundle_links.path_of(link, step.request.resource)
    return f"{step.expression}.resource.{path.partition('.')[2]}"


def _sources(plan: Plan) -> integrity.Sources:
    return {
        plan.targets.get(step.entry.index, ""): (
            step.expression, step.request.resource if isinstance(step.request.resource, dict) else None)
        for step in plan.steps
    }


def _place_of_text(plan: Plan, text: str) -> str | None:
    return next((_place(step, link) for step in plan.steps for link in step.links if link.text == text), None)
