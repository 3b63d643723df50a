"""Storing what a model found, by the same interaction as everybody's: docs/ai-results.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hie.context import Context
from hie.errors import Gone, MultipleMatches, NotFound
from hie.fhir import json_format
from hie.fhir.http import FhirRequest, Preferences
from hie.interactions import conditional
from hie.operations.server_context import as_server
from hie.store.search import conditions

Resource = dict[str, Any]

#: So many are looked at to tell which one is meant.
MOST_COPIES = 1000


@dataclass(frozen=True, slots=True)
class Written:
    """Where an entry of the Bundle stands in the store, and whether it is new."""

    type: str
    id: str
    is_new: bool


def write(bundle: Resource, ctx: Context) -> list[Written]:
    """Store a Bundle that this server made; tells of each of its entries."""
    inside = as_server(ctx)
    try:
        return _stored(bundle["entry"], {}, inside)
    except MultipleMatches:
        known = dict(_known_twice(bundle["entry"], inside))
        if not known:
            raise
        return _stored(bundle["entry"], known, inside)


def _stored(entries: list[Resource], known: dict[str, str], ctx: Context) -> list[Written]:
    """Store the entries but those that are known by their fullUrl; references to these lead to what is there."""
    sent = [entry for entry in entries if entry.get("fullUrl") not in known]
    text = json_format.dump({"resourceType": "Bundle", "type": "transaction", "entry": sent})
    for full_url, reference in known.items():  # which nothing but a reference says: they are UUIDs of ours
        text = text.replace(f'"{full_url}"'.encode(), f'"{reference}"'.encode())
    # Written and read again, so that the interaction sees what it would see of a client's: decimals with their text.
    request = FhirRequest("transaction", resource=json_format.parse(text), method="POST",
                          preferences=Preferences(return_="minimal"))
    answer: Resource = json_format.parse(ctx.dispatch(request, ctx).content or b"{}")
    rows = iter(answer["entry"])
    return [_written(entry, known, rows) for entry in entries]


def _written(entry: Resource, known: dict[str, str], rows: Iterator[Resource]) -> Written:
    type_name = entry["resource"]["resourceType"]
    if (there := known.get(entry.get("fullUrl", ""))) is not None:
        return Written(type_name, there.partition("/")[2], is_new=False)
    response = next(rows)["response"]
    id_ = str(response.get("location", "")).rpartition(f"{type_name}/")[2].partition("/")[0]
    return Written(type_name, id_, str(response["status"]).startswith("201"))


def _known_twice(entries: list[Resource], ctx: Context) -> Iterator[tuple[str, str]]:
    """What of the entries is there more than once, by fullUrl, and which of those is meant: always the same one.

    Identifiers are no secret: a partner with the same model version sends its Device, or somebody a copy. Were that
    refused, as it is to a client, nothing would be judged from then on. The one that was made first is ours.
    """
    for entry in entries:
        asked = entry["request"].get("ifNoneExist")
        if asked is None:
            continue
        type_name = entry["resource"]["resourceType"]
        criteria = conditional.criteria(type_name, asked, "ifNoneExist")
        first, is_one = first_made(type_name, criteria, ctx)
        if not is_one:
            yield entry["fullUrl"], f"{type_name}/{first}"


def first_made(type_name: str, criteria: Sequence[tuple[str, str]], ctx: Context) -> tuple[str, bool]:
    """The id of the match that was made first, empty where there is none, and whether no more than one matches."""
    found = conditions.match_ids(ctx.store, type_name, criteria, MOST_COPIES)
    first = min(found, key=lambda id_: (_made(type_name, id_, ctx), id_), default="")
    return first, len(found) <= 1


def _made(type_name: str, id_: str, ctx: Context) -> int:
    """When the first version was stored; late for one that was erased."""
    try:
        return ctx.store.vread(type_name, id_, 1).updated
    except (NotFound, Gone):
        return sys.maxsize
