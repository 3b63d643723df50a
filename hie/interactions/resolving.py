"""What the conditional entries and references of a transaction mean, found inside the transaction.

https://hl7.org/fhir/R4/http.html#trules. Conditional references are resolved last: they see the resources of the same
Bundle as well, wherever these stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hie.context import Context
from hie.errors import FhirError, InvalidRequest, PreconditionFailed
from hie.fhir import bundle_links
from hie.fhir.resource import to_create, validated
from hie.interactions import conditional, criteria_links, entries, patch, update
from hie.interactions.criteria_links import Named
from hie.interactions.steps import KEEPS, Criteria, Plan, Step, at, in_request
from hie.store.search import conditions
from hie.store.search.conditions import Unstored
from hie.store.search.index import IndexRows
from hie.store.search.written import WrittenRows
from hie.store.versions import StoredVersion


@dataclass(frozen=True, slots=True)
class Found:
    """What a conditional entry turned out to mean."""

    id: str
    stored: StoredVersion | None  # None: it is made or changed by this transaction


# ---- entries ---------------------------------------------------------------------------------------------------------


def found(plan: Plan, ctx: Context) -> dict[int, Found]:
    """Search for what conditional creates, updates and patches mean, before the first new resource is stored."""
    meanings: dict[int, Found] = {}
    made: dict[tuple[str | None, Criteria], Found] = {}
    updated: dict[tuple[str | None, Criteria], Step] = {}
    named = Named(plan.steps)
    full_urls, plan.criteria = named.known({}), {}
    for step in named.in_order(plan.steps):
        with in_request(step):
            asked = step.criteria or conditional.checked(step.request.parameters, "http.url")
            key = (step.request.type, criteria_links.meant(step.request.type, asked, full_urls))
            plan.criteria[step.entry.index] = key[1]
            if step.criteria:
                if key not in made:
                    made[key] = _create_or_find(step, key[1], ctx)
                meaning = made[key]
            elif step.request.interaction == "update":
                _refuse_same_criteria(step, key, updated)
                meaning = Found(_updated_id(step, key[1], ctx), None)
            else:
                meaning = Found(patch.meant_id(step.request.type or "", key[1], ctx), None)
        meanings[step.entry.index] = meaning
        if step.entry.full_url is not None:
            full_urls[step.entry.full_url] = f"{step.request.type}/{meaning.id}"
    for key in made.keys() & updated.keys():
        raise _same_criteria(updated[key], "a conditional create")
    return meanings


def _refuse_same_criteria(
    step: Step, key: tuple[str | None, Criteria], updated: dict[tuple[str | None, Criteria], Step]
) -> None:
    """Refuse two conditional updates with the same criteria: each would make a resource where nothing matches."""
    first = updated.setdefault(key, step)
    if first is not step:
        raise _same_criteria(step, first.expression)


def _same_criteria(step: Step, other: str) -> InvalidRequest:
    return InvalidRequest(f"{step.expression} and {other} have the same search criteria: both mean one resource.",
                          expression=f"{step.expression}.request.url")


def _create_or_find(step: Step, criteria: Criteria, ctx: Context) -> Found:
    stored = conditional.existing(step.request.type or "", criteria, ctx, "http.If-None-Exist")
    return Found(step.new_id or "", None) if stored is None else Found(stored.id, stored)


def _updated_id(step: Step, criteria: Criteria, ctx: Context) -> str:
    id_ = update.meant_id(step.request.type or "", step.loaded()[0].get("id"), criteria, ctx)
    if id_ is None:
        step.new_id = step.new_id or ctx.new_id()  # the same one if the transaction must run again
        id_ = step.new_id
    return id_


def targets(steps: list[Step], meanings: dict[int, Found]) -> Iterator[tuple[Step, str | None]]:
    """Give each step with the id of the resource it means."""
    for step in steps:
        here = meanings.get(step.entry.index)
        yield step, here.id if here is not None else step.new_id or step.request.id


def looking(plan: Plan, meanings: dict[int, Found]) -> list[tuple[Step, Criteria]]:
    """Return the conditional creates and updates that found nothing to leave as it is, beside others of their type."""
    ids: dict[str, set[str]] = {}
    for step in plan.steps:
        if step.request.interaction in KEEPS:
            type_name, _, id_ = plan.targets[step.entry.index].partition("/")
            ids.setdefault(type_name, set()).add(id_)
    found: list[tuple[Step, Criteria]] = []
    for index, meaning in meanings.items():
        step = plan.steps[index]
        if meaning.stored is None and step.request.interaction != "patch" and len(ids[step.request.type or ""]) > 1:
            found.append((step, plan.criteria[index]))
    return found


def refuse_doubles(
    plan: Plan, asked: list[tuple[Step, Criteria]], watched: dict[str, dict[str, IndexRows]], ctx: Context
) -> None:
    """Refuse what would make two resources that match the criteria by which an entry means one.

    The order of the entries must not decide, and identities that overlap fail: http.html#trules
    """
    rows = {type_name: WrittenRows(some) for type_name, some in watched.items()}
    for step, criteria in asked:
        type_name = step.request.type or ""
        own = plan.targets[step.entry.index]
        for id_ in conditions.match_written(ctx.store, type_name, criteria, rows[type_name]):
            other = f"{type_name}/{id_}"
            if other != own:
                raise _double(plan, step, other)


def _double(plan: Plan, step: Step, other: str) -> InvalidRequest:
    by = next((plan.steps[index].expression for index, one in plan.targets.items() if one == other), other)
    where = "ifNoneExist" if step.criteria else "url"
    return InvalidRequest(f"{step.expression} looks by its criteria for what {by} stores: both mean one "
                          f"{step.request.type}. Refer to it by its fullUrl, or send one of the two.",
                          expression=f"{step.expression}.request.{where}")


# ---- references ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Links:
    """What texts in the Bundle's resources come to mean: fullUrls, and conditional references."""

    full_urls: dict[str, str]
    conditional: dict[str, str]
    root: str  # what relative references are read against where the entry has no fullUrl that says it

    def set_in(self, step: Step) -> Any:
        """Return the step's resource with its links set."""
        resource, links = step.loaded()
        if links:
            root = bundle_links.root_of(step.entry.full_url) or self.root
            for link in links:
                bundle_links.rewrite(link, self.full_urls, root, self.conditional)
        return resource

    @staticmethod
    def said_in(step: Step) -> set[str] | None:
        """Return the texts of the references that were set in a step's resource; None: it is read again each time."""
        if step.entry.stretch is not None:
            return None
        return {link.holder[link.key] for link in step.links if link.kind == "reference"}


def links(plan: Plan, meanings: dict[int, Found], ctx: Context) -> Links:
    """Find out what every link of the Bundle means."""
    known = Links(_full_urls(plan), {}, f"{ctx.base_url}/")
    return replace(known, conditional=_references(plan, meanings, known, ctx))


def _full_urls(plan: Plan) -> dict[str, str]:
    """Map each fullUrl to the Type/id under which its resource is or will be stored.

    A reference to a version of another server's resource means the entry that brings this version, and here its first:
    https://hl7.org/fhir/R4/bundle.html#references
    """
    mapping: dict[str, str] = {}
    for step in plan.steps:
        url = step.entry.full_url
        if url is None or step.request.interaction not in KEEPS:
            continue
        target = mapping[url] = plan.targets[step.entry.index]
        version = step.entry.version
        if version is not None and step.request.interaction == "create" and bundle_links.root_of(url) is not None:
            mapping[f"{url}/_history/{version}"] = f"{target}/_history/1"
    return mapping


def _references(
    plan: Plan, meanings: dict[int, Found], known: Links, ctx: Context
) -> dict[str, str]:
    """Search once for each distinct conditional reference; exactly one resource must match."""
    resolved: dict[str, str] = {}
    brought: dict[str, list[Unstored]] = {}
    for text, (type_name, criteria) in plan.searches.items():
        if type_name not in brought:
            brought[type_name] = list(_brought(plan, type_name, meanings, known, ctx))
        with at("", lambda text=text: plan.steps[plan.mentions[text]].place(text)):
            criteria = criteria_links.meant(type_name, criteria, known.full_urls)
            id_ = conditional.match_among(type_name, criteria, brought[type_name], ctx)
            if id_ is None:
                raise PreconditionFailed(f"No {type_name} matches the reference {text[:200]}, neither one that is "
                                         "stored nor one of this Bundle; exactly one must.")
        resolved[text] = f"{type_name}/{id_}"
    return resolved


def _brought(
    plan: Plan, type_name: str, meanings: dict[int, Found], known: Links, ctx: Context
) -> Iterator[Unstored]:
    """Yield the resources of a type that this transaction stores, as a search would meet them afterwards."""
    for step in plan.steps:
        meaning = meanings.get(step.entry.index)
        is_made = meaning is None or (meaning.stored is None and step.new_id in (None, meaning.id))
        if step.request.type != type_name or step.request.interaction not in KEEPS or not is_made:
            continue
        id_ = plan.targets[step.entry.index].partition("/")[2]
        resource = known.set_in(step)
        try:
            if step.request.interaction == "patch":
                resource = patch.outcome(replace(step.request, id=id_, resource=resource), ctx)
            else:
                validated(to_create(resource) if step.request.interaction == "create" else resource, type_name)
        except FhirError as error:
            raise entries.refused(error, step.entry, step.request) from error
        yield ctx.store.unstored(id_, resource)
