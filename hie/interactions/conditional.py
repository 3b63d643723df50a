"""Finding the one resource that a conditional interaction means: https://hl7.org/fhir/R4/http.html#ccreate (D14)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hie.context import Context
from hie.errors import InvalidRequest, MultipleMatches
from hie.fhir.routes import ANSWER_PARAMETERS, parse_query
from hie.store.search import conditions
from hie.store.search.conditions import Unstored
from hie.store.versions import StoredVersion

T = TypeVar("T")


def criteria(type_name: str, text: str, expression: str, base_url: str = "") -> tuple[tuple[str, str], ...]:
    """Read If-None-Exist, or the search of a conditional reference; it must name something to look for.

    Clients write the address before the criteria too: `?…`, `Patient?…`, `/Patient?…`, `[base]/Patient?…`.
    """
    address, is_url, query = text.partition("?")
    if not is_url or "=" in address:  # a ? inside of a value
        return checked(parse_query(text), expression)
    named = (address.removeprefix(base_url) if base_url else address).removeprefix("/").removesuffix("/")
    if named not in ("", type_name):
        raise InvalidRequest(
            f"The criteria begin with {address[:80]!r}, and a {type_name} is meant: identifier=… or "
            f"{type_name}?identifier=… is expected.",
            expression=expression,
        )
    return checked(parse_query(query), expression)


def checked(parameters: Sequence[tuple[str, str]], expression: str) -> tuple[tuple[str, str], ...]:
    """Return the search criteria among the parameters, or refuse a search that would match everything."""
    kept = tuple((name, value) for name, value in parameters if name not in ANSWER_PARAMETERS)
    if not kept or not all(value.strip() for _, value in kept):
        raise InvalidRequest("The search criteria are empty; at least one parameter with a value is needed.",
                             expression=expression)
    return kept


def existing(
    type_name: str, parameters: Sequence[tuple[str, str]], ctx: Context, place: str
) -> StoredVersion | None:
    """Return the one match, or None; where another came until the transaction ends, it runs again.

    It is looked for before the transaction begins, if that has nothing to see yet. A match is changed only at the
    version that matched; what is not there is looked for once more at the end, or, on SQLite, in its turn. `place` is
    where the criteria stand, for telling of several matches.
    """
    ahead = ctx.store.ahead(type_name, parameters)
    found = match(type_name, parameters, ctx.within(ahead), place) if ahead is not None else None
    if found is None and (ahead is None or not ctx.store.looks_again):
        ctx.store.lock(type_name, parameters)
        found = match(type_name, parameters, ctx, place)
    if found is None:
        ctx.store.look(type_name, parameters)
    else:
        ctx.store.rely_on(found)
    return found


def all_existing(
    type_name: str, parameters: Sequence[tuple[str, str]], most: int, ctx: Context
) -> list[StoredVersion]:
    """Return the matches, `most` at most, without their contents; a single one is looked for as above."""
    ahead = ctx.store.ahead(type_name, parameters)
    found = conditions.match(ahead, type_name, parameters, most) if ahead is not None else None
    if found is None or len(found) > 1:
        ctx.store.lock(type_name, parameters)
        found = conditions.match(ctx.store, type_name, parameters, most)
    for one in found:
        ctx.store.rely_on(one)
    return [one._replace(content=None) for one in found]


def match_among(
    type_name: str, parameters: Sequence[tuple[str, str]], unstored: Sequence[Unstored], ctx: Context
) -> str | None:
    """Return the id of the one match among what is stored and what this transaction is about to store."""
    replaced = {one.id for one in unstored}
    stored = conditions.match_ids(ctx.store, type_name, parameters, 2 + len(replaced))
    ids = [one for one in stored if one not in replaced]
    if unstored:
        ids += conditions.match_unstored(ctx.store, type_name, parameters, unstored)
    return _only(type_name, ids)


def match(type_name: str, parameters: Sequence[tuple[str, str]], ctx: Context, place: str) -> StoredVersion | None:
    """Return the one match, or None; several are an error at `place`."""
    return _only(type_name, conditions.match(ctx.store, type_name, parameters), place)


def _only(type_name: str, found: Sequence[T], place: str | None = None) -> T | None:
    if len(found) > 1:
        raise MultipleMatches(f"More than one {type_name} matches; exactly one was meant.", expression=place)
    return found[0] if found else None
