"""What of a patient's record stands in each section, within bounds, and what is told of the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hie.context import Context
from hie.fhir import references
from hie.operations import scanning
from hie.operations.patient_summary.sections import SECTIONS, Section, Source
from hie.store.opening import parsed
from hie.store.search import query as search_query
from hie.store.search.reference import relative
from hie.store.versions import StoredVersion

Json = dict[str, Any]

#: A section holds so many resources of one search, which looks at so many at most.
MOST, MOST_LOOKED_AT = 200, 5_000


class Entry(NamedTuple):
    """A resource of a section, as it is stored and as JSON."""

    stored: StoredVersion
    resource: Json

    @property
    def is_device(self) -> bool:
        """Tell whether it is a Device that says by itself whose it is: its use is told in its place."""
        return self.stored.type == "Device"


@dataclass(slots=True)
class Chosen:
    """What stands in a section."""

    section: Section
    entries: list[Entry] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    """Types of which more is stored than what stands here."""
    unseen: list[str] = field(default_factory=list)
    """Types that the token may not search."""
    partly: list[str] = field(default_factory=list)
    """Types of which the token may search a part."""


def chosen(person: str, ctx: Context) -> list[Chosen]:
    """Choose for every section what stands in it; `person`: Patient/id."""
    room = scanning.Kept("Patient/[id]/$everything answers all of it, page after page.", "Patient")
    return [_of_section(section, person, room, ctx) for section in SECTIONS]


def _of_section(section: Section, person: str, room: scanning.Kept, ctx: Context) -> Chosen:
    made = Chosen(section)
    for source in section.sources:
        queries = ctx.store.grant.queries(source.type, "s")
        if queries is not None:
            (made.partly if queries else made.unseen).append(source.type)
        if queries is None or queries:
            _take(source, made, person, room, ctx)
    return made


def _take(source: Source, made: Chosen, person: str, room: scanning.Kept, ctx: Context) -> None:
    """Take from a search what may stand in the section, until that is enough."""
    seen: set[tuple[str, str]] = set()
    used = set(_used(made, ctx)) if source.type == "Device" else ()
    taken = 0
    for number, stored in enumerate(_matches(source, person, ctx)):
        resource = parsed(stored)
        is_wanted = source.keeps(resource) and not (
            (made.section.is_latest and not _is_new(resource, seen)) or f"{stored.type}/{stored.id}" in used)
        if number == MOST_LOOKED_AT or (is_wanted and taken == MOST):
            made.cut.append(source.type)
            return
        if is_wanted:
            taken += 1
            room.take(len(stored.content or b""))
            made.entries.append(Entry(stored, resource))


def _used(made: Chosen, ctx: Context) -> Iterator[str]:
    """Yield the Devices (Type/id) whose use stands in the section already."""
    for one in made.entries:
        to = references.parse(relative(str(one.resource.get("device", {}).get("reference", "")), ctx.store.base_url))
        yield f"{to.type}/{to.id}"


def _matches(source: Source, person: str, ctx: Context) -> Iterator[StoredVersion]:
    asked = (("patient", person), *source.criteria, ("_sort", source.sort))
    query = search_query.parse(source.type, asked, base_url=ctx.base_url, now=ctx.clock())
    for page in scanning.pages(query, ctx, ""):
        yield from page


def _is_new(resource: Json, seen: set[tuple[str, str]]) -> bool:
    """Tell whether no more recent one has a code of it, or its text where it has no code."""
    concept = resource.get("code", {})
    codes = [(one.get("system", ""), one["code"]) for one in concept.get("coding", []) if one.get("code")]
    named = set(codes or [("text:", concept.get("text", ""))])
    is_new = seen.isdisjoint(named)
    seen |= named
    return is_new
