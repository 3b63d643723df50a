"""Naming the element that is refused: the store knows only which resource points where, or cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from hie.errors import FhirError, OutcomeIssue
from hie.fhir.bundle_links import path_of_reference


class Sources(Protocol):
    """Type/id -> where in the request the resource stands (empty: it is the body), and the resource."""

    def get(self, key: str, /) -> tuple[str, Any] | None:
        """Return what is known of Type/id."""


@contextmanager
def named(sources: Callable[[], Sources]) -> Iterator[None]:
    """Give issues of what is told of one resource, raised inside, the element they are about."""
    try:
        yield
    except FhirError as error:
        if not any(issue.source for issue in error.issues):
            raise
        raise naming(error, sources()) from error


def naming(error: FhirError, sources: Sources) -> FhirError:
    """Return an error whose issues about one resource name the element; others stay as they are."""
    return type(error)(error.diagnostics, issues=[
        _named(issue, sources) if issue.source else issue for issue in error.issues])


def _named(issue: OutcomeIssue, sources: Sources) -> OutcomeIssue:
    # A create whose id the store chose is the only source there is.
    place, resource = sources.get(issue.source or "") or sources.get("") or ("", None)
    if resource is None:
        return replace(issue, expression=place or issue.expression)
    type_name = str(resource.get("resourceType", ""))
    path = path_of_reference(issue.target, resource) if issue.target else None
    if path is None:
        said = issue.expression or ""
        path = said if said.startswith(f"{type_name}.") else type_name
    # The id was chosen here and never told; a Task that came of a Media is none of the client's either.
    told = issue.diagnostics.replace(f"{issue.source} refers", f"The {type_name} refers", 1)
    if place.startswith("http."):
        path = place
    elif place:
        below = path.partition(".")[2]
        path = f"{place}.resource.{below}" if below else f"{place}.resource"
    return replace(issue, expression=path, diagnostics=told)
