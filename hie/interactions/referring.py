"""Conditional references of one resource, found inside the transaction that writes it.

https://hl7.org/fhir/R4/http.html#trules speaks of those in a transaction (hie.interactions.resolving). What is written
by itself, or as an entry of a batch, may have them as well, and they mean the same: the one resource that matches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.errors import FhirError, PreconditionFailed, TooCostly
from hie.fhir import bundle_links
from hie.fhir.bundle_links import Link
from hie.interactions import conditional


def found(resource: Any) -> list[Link]:
    """Return the places of a resource that refer by criteria, with what they say."""
    return [link for link in bundle_links.find(resource) if link.kind == "reference" and "?" in link.text
            and bundle_links.conditional_reference(link.text) is not None]


def resolve(links: Sequence[Link], resource: Any, ctx: Context) -> None:
    """Let the places refer to what matches, by one search for each text. PreconditionFailed, MultipleMatches.

    `links` is what was found in the resource as it came, so that a transaction that runs again searches again.
    """
    meant: dict[str, str] = {}
    refuse_many(len({link.text for link in links}), ctx)
    for link in links:
        if link.text not in meant:
            with _at(link, resource):
                meant[link.text] = _meant(link.text, ctx)
        link.holder[link.key] = meant[link.text]


def refuse_many(searches: int, ctx: Context) -> None:
    """Refuse more references by criteria than a Bundle may have entries: each is a search."""
    most = ctx.settings.max_bundle_entries
    if searches > most:
        raise TooCostly(f"{searches} different references by criteria are {searches} searches; at most {most} are done "
                        "at once. Refer by ids, or send it in parts.")


def _meant(text: str, ctx: Context) -> str:
    type_name, query = bundle_links.conditional_reference(text) or ("", "")
    criteria = conditional.criteria(type_name, query, "")
    id_ = conditional.match_among(type_name, criteria, (), ctx)
    if id_ is None:
        raise PreconditionFailed(f"No {type_name} matches the reference {text[:200]}; exactly one must.")
    return f"{type_name}/{id_}"


@contextmanager
def _at(link: Link, resource: Any) -> Iterator[None]:
    try:
        yield
    except FhirError as error:
        place = bundle_links.path_of(link, resource)
        raise type(error)(error.diagnostics, issues=[replace(one, expression=place) for one in error.issues]) from error
