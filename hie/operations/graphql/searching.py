"""What the lists and connections of a query search for: https://hl7.org/fhir/R4/graphql.html#searching

A cursor says the whole search that it leads on in, so that it is given alone, also where that search was one of what
refers to a resource: "the client cannot change the parameters for the search (and should not specify them)".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hie.context import Context
from hie.errors import InvalidSearch
from hie.fhir.paging import CURSOR, OFFSET
from hie.operations.graphql.checking import invalid, parameter_name
from hie.operations.graphql.document import Field
from hie.store.crypto import SealBroken
from hie.store.search import query as search_query
from hie.store.search.query import SearchQuery
from hie.store.terminology import Later, OfPages

_KIND = "graphql"
_NO_CRITERIA = ("_count", CURSOR, OFFSET, "fhirpath")


@dataclass(frozen=True, slots=True)
class Asked:
    """One search: its parameters, the FHIRPath that is asked of each match, and which page is wanted."""

    name: str
    type: str
    parameters: tuple[tuple[str, str], ...]
    path: str | None
    count: str | None
    cursor: str | None = None
    offset: str | None = None
    """How many matches a list leaves out."""

    def query(self, ctx: Context, terminology: Later | OfPages) -> SearchQuery:
        """Read the search; InvalidSearch, InvalidRequest."""
        count = () if self.count is None else (("_count", self.count),)
        cursor = () if self.cursor is None else ((CURSOR, self.cursor),)
        offset = () if self.offset is None else ((OFFSET, self.offset),)
        query = search_query.parse(
            self.type, [*self.parameters, *count, *cursor, *offset], default_count=ctx.settings.default_page_size,
            max_count=ctx.settings.max_page_size, base_url=ctx.base_url, now=ctx.clock(), terminology=terminology,
            offset=self.offset is not None,
        )  # fmt: skip
        if query.includes or query.result or query.total is not None:
            raise invalid(f"{self.name} takes search criteria, _count, _sort and _cursor; what else is wanted, its "
                           "fields say.")
        return query

    def sealing(self, ctx: Context) -> Callable[[str | None], str]:
        """Return what makes the cursor of a connection out of that of a page; None: of the first page, anew."""

        def sealed(cursor: str | None) -> str:
            parts = [_KIND, self.type, self.parameters, self.path, self.count, ctx.store.at, cursor]
            return ctx.store.seal_text(json.dumps(parts))

        return sealed


def asked(
    one: Field, type_name: str, more: tuple[tuple[str, str], ...] = (), *, leaves_out: bool = False
) -> Asked:
    """Return what the arguments of a list or a connection ask; `more`: what refers to a resource asks beside.

    `leaves_out`: whether it may begin behind the first match, as a list of the system may.
    """
    if OFFSET in one.arguments and not leaves_out:
        raise invalid(f"{one.name} takes no {OFFSET} here; a list of the system does, as in {type_name}List(_count: "
                      f"10, {OFFSET}: 20), and {type_name}Connection goes on by its cursors.")
    criteria = [(parameter_name(name), searched_text(value))
                for name, value in one.arguments.items() if name not in _NO_CRITERIA]
    count = searched_text(one.arguments["_count"]) if "_count" in one.arguments else None
    offset = searched_text(one.arguments[OFFSET]) if OFFSET in one.arguments else None
    return Asked(one.name, type_name, (*more, *criteria), path_of(one), count, offset=offset)


def led_on(one: Field, type_name: str, ctx: Context) -> Asked:
    """Return what a connection asks, by its cursor where it has one."""
    given = asked(one, type_name)
    text = searched_text(one.arguments.get(CURSOR, ""))
    if not text:
        return given
    found = _opened(text, one.name, type_name, ctx)
    changes = given.path is not None and given.path != found.path
    if changes or (given.parameters and given.parameters != found.parameters):
        raise InvalidSearch(f"_cursor of {one.name} leads on in another search than these arguments ask for; give it "
                            "alone.", expression=CURSOR)
    return replace(found, count=given.count or found.count)


def _opened(text: str, name: str, type_name: str, ctx: Context) -> Asked:
    try:
        kind, of, parameters, path, count, at, cursor = json.loads(ctx.store.open_text(text))
        if kind != _KIND or of != type_name or at != ctx.store.at:
            raise ValueError
    except (SealBroken, ValueError, TypeError) as error:
        raise InvalidSearch(f"_cursor is none that this server gave for a {name}, of the same _asOf; begin again at "
                            "the first page.", expression=CURSOR) from error
    return Asked(name, of, tuple((code, value) for code, value in parameters), path, count, cursor)


def path_of(one: Field) -> str | None:
    """Return the FHIRPath that is asked of each match."""
    path = one.arguments.get("fhirpath")
    if isinstance(path, list):
        raise invalid(f"fhirpath of {one.name} is a list; one text is expected.")
    return None if path is None else str(path)


def without(arguments: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return arguments but some."""
    return {name: value for name, value in arguments.items() if name not in names}


def searched_text(value: Any) -> str:
    """Return a value as a search has it; those of a list are OR."""
    return ",".join(map(text_of, value)) if isinstance(value, list) else text_of(value)


def text_of(value: Any) -> str:
    """Return a plain value as a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
