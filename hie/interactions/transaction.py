"""FHIR transaction interaction: https://hl7.org/fhir/R4/http.html#transaction

Everything that needs no store is settled first (hie.interactions.steps). Then one transaction runs: DELETE, what
conditional entries and references mean (hie.interactions.resolving), POST, PUT and PATCH, GET.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.errors import BrokenReference, FhirError, OutcomeIssue, Referenced
from hie.fhir import bundle, json_format, outcome
from hie.fhir.fhirpath import Allowance
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.json_format import Fragment
from hie.fhir.routes import SEARCHES
from hie.interactions import answers, criteria_links, delete, entries, integrity, resolving, staged, steps
from hie.interactions.accepting import JUDGED_BY, judged
from hie.interactions.criteria_links import Named
from hie.interactions.judging import Unjudged, of_bundle
from hie.interactions.pointing import Coming
from hie.interactions.resolving import Found, Links
from hie.interactions.steps import Plan, Step, in_request
from hie.store.resources import ResourceStore

#: https://hl7.org/fhir/R4/http.html#trules; a search by POST is a reading all the same
_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 5, "HEAD": 5}
#: What is looked at when it is written comes when what it is about is there, wherever that stands in the Bundle: a
#: Binary after the Patients, of whom a DICOM file may be, a Media after its image.
_LOOKED_AT = {"Binary": 3, "Media": 4}
_SEARCH = 5
#: What the FHIRPath of all entries, of patches and operations, may use together: on SQLite other writers wait.
MOST_SECONDS = 10.0
MOST_LOOKED_AT = 1_000_000


def transaction(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Do all that the entries ask, or nothing."""
    plan = steps.planned(request, ctx)

    def unit(store: ResourceStore) -> FhirResponse:
        allowance, room = Allowance(MOST_SECONDS, MOST_LOOKED_AT), entries.room(ctx)
        inside = replace(ctx, store=store, allowance=allowance, room=room, judging=of_bundle())
        return answer(done(plan, inside), ctx)

    with placed([plan]):
        try:
            return ctx.store.transact(unit, is_last=True)
        except BrokenReference as error:
            raise _saying_how(error, plan) from error


@contextmanager
def placed(plans: list[Plan]) -> Iterator[None]:
    """Place what is told of a resource, raised inside, in the entry that stores or deletes it."""
    with integrity.named(lambda: _Sources(plans)):
        try:
            yield
        except Referenced as error:
            step = next((plan.deletes[error.place] for plan in plans if error.place in plan.deletes), None)
            raise error if step is None else entries.refused(error, step.entry, step.request) from error


def answer(rows: list[Any], ctx: Context) -> FhirResponse:
    """Build the transaction-response of these entries."""
    return FhirResponse(200, bundle.listing("transaction-response", ctx.new_id(), ctx.clock(), (), rows))


def done(plan: Plan, ctx: Context) -> list[Any]:
    """Do what the steps ask in the open transaction, and return the entries of its answer."""
    rows: list[Any] = [None] * len(plan.steps)
    ctx.store.foresee([(step.request.type or "", step.request.id) for step in sorted(plan.steps, key=_order)
                       if step.request.interaction in steps.CHANGES and step.request.id is not None], len(plan.steps))
    ctx.store.expect(step.new_id for step in plan.steps if step.new_id is not None)
    deleted = _delete(plan, rows, ctx)
    meanings = resolving.found(plan, ctx)
    targets = list(resolving.targets(plan.steps, meanings))
    steps.refuse_same_targets(targets)
    _refuse_deleted(targets, deleted)
    ctx.store.foresee([(step.request.type or "", id_ or "") for step, id_ in targets
                       if step.entry.index in meanings and step.request.interaction in steps.CHANGES], len(plan.steps))
    plan.targets = {step.entry.index: f"{step.request.type}/{id_}" for step, id_ in targets}
    links = resolving.links(plan, meanings, ctx)
    if ctx.judging is not None:
        ctx.judging.coming = Coming(plan, meanings, links)
    looking = resolving.looking(plan, meanings)
    watched = ctx.store.watch({step.request.type or "" for step, _ in looking}) if looking else {}
    rest = [step for step in sorted(plan.steps, key=_order) if rows[step.entry.index] is None]
    for step, row in _defined(rest, meanings, links, ctx):
        rows[step.entry.index] = _row(step, row)
    rest = [step for step in rest if rows[step.entry.index] is None]
    for group in staged.groups(rest, lambda step: _is_new(step, meanings)):
        for step, row in zip(group, _written(group, meanings, links, ctx), strict=True):
            rows[step.entry.index] = _row(step, row)
    resolving.refuse_doubles(plan, looking, watched, ctx)
    return rows


def _order(step: Step) -> int:
    if step.request.interaction in steps.KEEPS and step.request.type in _LOOKED_AT:
        return _LOOKED_AT[step.request.type]
    return _SEARCH if step.request.interaction in SEARCHES else _ORDER[step.request.method]


def _defined(
    rest: list[Step], meanings: dict[int, Found], links: Links, ctx: Context
) -> Iterator[tuple[Step, dict[str, Any]]]:
    """Store what others are judged by, where the tenant asks for that, and yield the steps with the rows of the answer.

    All of it is stored before any of it is judged, so that a profile knows its base and its value sets wherever these
    stand; nobody else can see which came first. Behind the last of them none changes any more.
    """
    if ctx.judging is None or ctx.profiles.mode(ctx.store.tenant) == "off":
        return
    defining = [step for step in rest if step.request.type in JUDGED_BY and step.request.interaction in steps.KEEPS]
    waiting = []
    for step in defining:
        with ctx.judging.later() as unjudged:
            waiting.append((step, _done(step, meanings.get(step.entry.index), links, ctx), unjudged))
    ctx.judging.definitions_stay()
    for step, row, unjudged in waiting:
        for one in unjudged:
            _say(row, _judged(one, step, ctx), step)
        yield step, row


def _judged(unjudged: Unjudged, step: Step, ctx: Context) -> list[OutcomeIssue]:
    try:
        return judged(unjudged.resource, unjudged.issues, ctx)
    except FhirError as error:
        raise entries.refused(error, step.entry, step.request) from error


def _say(row: dict[str, Any], issues: list[OutcomeIssue], step: Step) -> None:
    """Put what was found behind a write into its row, where the client asks for that."""
    if step.request.preferences.return_ == "OperationOutcome":
        row["response"]["outcome"] = Fragment(outcome.dump(issues))


def _row(step: Step, row: dict[str, Any]) -> Any:
    """Return the entry of the answer; of a large Bundle as the bytes that will be sent, which take far less room."""
    return row if step.entry.stretch is None else Fragment(json_format.dump(row))


# ---- deletions come first --------------------------------------------------------------------------------------------


def _delete(plan: Plan, rows: list[Any], ctx: Context) -> frozenset[tuple[str, str]]:
    """Delete, and return what was deleted, by a cascade too; two entries may not delete the same."""
    deleting = [step for step in plan.steps if step.request.interaction == "delete"]
    if not deleting:
        return frozenset()
    named, meant, before = Named(plan.steps), [], ctx.store.touched()
    requests: dict[int, FhirRequest] = {}
    for step in deleting:
        with in_request(step):
            criteria = criteria_links.meant(step.request.type, step.asked, named.before_all(step))
            request = requests[step.entry.index] = replace(step.request, parameters=criteria)
            meant += [(step, id_) for id_ in delete.meant_ids(request, ctx)]
    steps.refuse_same_targets(meant)
    plan.deletes = {(step.request.type or "", id_): step for step, id_ in meant}
    for step in deleting:
        rows[step.entry.index] = _answered(step, requests[step.entry.index], ctx)
    return ctx.store.touched() - before


def _refuse_deleted(targets: list[tuple[Step, str | None]], deleted: frozenset[tuple[str, str]]) -> None:
    for step, id_ in targets:
        place = (step.request.type or "", id_ or "")
        if deleted and step.request.interaction in ("update", "patch") and place in deleted:
            raise steps.both_change(step, "A deletion", place[1])


# ---- everything else -------------------------------------------------------------------------------------------------


def _is_new(step: Step, meanings: dict[int, Found]) -> bool:
    """Tell a plain create, or a conditional one that found nothing and is the first of its criteria."""
    request, meaning = step.request, meanings.get(step.entry.index)
    if request.interaction != "create" or request.parameters:
        return False
    return meaning is None or (meaning.stored is None and meaning.id == step.new_id)


def _written(
    group: list[Step], meanings: dict[int, Found], links: Links, ctx: Context
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the answer for steps that are done together."""
    if _is_new(group[0], meanings):
        for step, answer in zip(group, staged.made(group, links, ctx), strict=True):
            yield entries.response(answer, ctx, step.request)
    else:
        for step in group:
            yield _done(step, meanings.get(step.entry.index), links, ctx)


def _done(step: Step, meaning: Found | None, links: Links, ctx: Context) -> dict[str, Any]:
    request = step.request
    if request.interaction == "create" and meaning is not None and (
            meaning.stored is not None or meaning.id != step.new_id):
        stored = meaning.stored or ctx.store.read(request.type or "", meaning.id)
        return entries.response(answers.written(request, stored, 200), ctx, request)
    if request.interaction in SEARCHES or _takes_search(request, ctx):
        request = replace(request, parameters=criteria_links.meant(request.type, request.parameters, links.full_urls))
    resource = links.set_in(step)
    if resource is not request.resource:
        request = replace(request, resource=resource)
    if meaning is not None and request.interaction != "create":
        request = replace(request, id=meaning.id, parameters=())
        if request.interaction == "update":
            request = replace(request, resource={**resource, "id": meaning.id})
    return _answered(step, request, ctx)


def _takes_search(request: FhirRequest, ctx: Context) -> bool:
    found = ctx.registry.operation(request.operation, request.type) if request.operation is not None else None
    return found is not None and bool(found.takes_search)


def _answered(step: Step, request: FhirRequest, ctx: Context) -> dict[str, Any]:
    try:
        return entries.response(entries.dispatched(request, ctx), ctx, request)
    except FhirError as error:
        raise entries.refused(error, step.entry, request) from error


def _saying_how(error: BrokenReference, plan: Plan) -> BrokenReference:
    """Return the error with what would be right where the id is meant that a created resource has in the Bundle."""
    created: dict[str, Step] = {}
    for step in plan.steps:
        resource = step.loaded()[0] if step.request.interaction == "create" else None
        if isinstance(resource, dict) and isinstance(resource.get("id"), str):
            created.setdefault(f"{step.request.type}/{resource['id']}", step)
    return type(error)(error.diagnostics, issues=[
        replace(one, diagnostics=f"{one.diagnostics.partition(';')[0]}; {created[one.target].expression} creates one "
                "of that id, which a create does not keep: give the entry a fullUrl to refer to, or send it by PUT.")
        if one.target in created else one for one in error.issues])


class _Sources:
    """Where each resource of the Bundle stands, looked up once something is wrong with one of them."""

    def __init__(self, plans: list[Plan]) -> None:
        self._plans = plans

    def get(self, key: str, /) -> tuple[str, Any] | None:
        """Return the entry's place and its resource; of several the last one's."""
        for plan in reversed(self._plans):
            for step in plan.steps:
                if plan.targets.get(step.entry.index, "") == key:
                    resource = step.loaded()[0]
                    return step.expression, resource if isinstance(resource, dict) else None
        return None
