"""The new resources of a transaction, made stage by stage instead of one after the other.

Validating, indexing and sealing have code and tables of their own, and each much more than a resource: whoever takes
one resource through all of them finds none of it in the processor's caches. Here some hundred resources go through one
stage before the next, those of a type side by side. What is done to each, and what is refused, is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hie.context import Context
from hie.errors import FhirError, OutcomeIssue
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.resource import to_create
from hie.interactions import create, entries, integrity
from hie.interactions.accepting import accepted
from hie.interactions.resolving import Links
from hie.interactions.steps import Step
from hie.store.writes import Draft

#: So many resources go through one stage before the next.
AT_ONCE = 256
#: Of a large Bundle, whose resources are read again for it, about so many bytes.
BYTES_AT_ONCE = 512 * 1024


@dataclass(slots=True)
class _New:
    """One resource between two stages."""

    step: Step
    request: FhirRequest
    said: set[str] | None  # the texts of its references, where they are known
    issues: list[OutcomeIssue] = field(default_factory=list)
    draft: Draft | None = None


def groups(steps: Iterable[Step], is_new: Callable[[Step], bool]) -> Iterator[list[Step]]:
    """Yield the steps in their order: what is new in groups that are made at once, anything else alone."""
    group: list[Step] = []
    size = 0
    for step in steps:
        new = is_new(step)
        if group and (not new or len(group) == AT_ONCE or size > BYTES_AT_ONCE):
            yield group
            group, size = [], 0
        if not new:
            yield [step]
            continue
        group.append(step)
        size += step.entry.stretch.size if step.entry.stretch is not None else 0
    if group:
        yield group


def made(steps: list[Step], links: Links, ctx: Context) -> Iterator[FhirResponse]:
    """Store what unconditional creates bring, and yield their answers in the same order."""
    news = [_New(step, _with(step.request, to_create(links.set_in(step))), links.said_in(step)) for step in steps]
    _stage(news, lambda new: _accept(new, ctx))
    _stage(news, lambda new: _draft(new, ctx))
    for new in news:
        try:
            yield _store(new, ctx)
        except FhirError as error:
            raise _refused(new, error) from error


def _with(request: FhirRequest, resource: Any) -> FhirRequest:
    return request if resource is request.resource else replace(request, resource=resource)


def _stage(news: list[_New], do: Callable[[_New], None]) -> None:
    """Do one thing to all, those of a type side by side; of several that are refused the first one is told."""
    try:
        for new in sorted(news, key=_type):
            do(new)
    except FhirError:
        for new in news:
            try:
                do(new)
            except FhirError as error:
                raise _refused(new, error) from error
        raise


def _type(new: _New) -> str:
    return new.request.type or ""


def _accept(new: _New, ctx: Context) -> None:
    new.issues = accepted(new.request.resource, new.request.type or "", ctx)


def _draft(new: _New, ctx: Context) -> None:
    request = new.request
    new.draft = ctx.store.draft(request.type or "", request.id or "", request.resource, said=new.said)


def _store(new: _New, ctx: Context) -> FhirResponse:
    assert new.draft is not None  # noqa: S101 - the stage before made it
    return create.made(new.request, ctx.store.write(new.draft), new.issues, ctx)


def _refused(new: _New, error: FhirError) -> FhirError:
    named = integrity.naming(error, {"": ("", new.request.resource)})
    return entries.refused(named, new.step.entry, new.request)
