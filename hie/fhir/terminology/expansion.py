"""The expansion of a value set as a resource: https://hl7.org/fhir/R4/valueset-operation-expand.html"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hie.errors import TooCostly
from hie.fhir.instants import instant
from hie.fhir.terminology.code_system import CodeSystem
from hie.fhir.terminology.languages import Languages, display_in, names_beside
from hie.fhir.terminology.member import Member
from hie.fhir.terminology.terminology import split_canonical
from hie.fhir.terminology.text_filter import having
from hie.fhir.terminology.told_properties import Properties
from hie.fhir.terminology.value_set import ValueSet

Json = dict[str, Any]

#: Codes that one answer holds; more are to be asked for page by page.
MOST_RETURNED = 10_000
#: A code deeper below others than this stands on top of an expansion again.
MOST_NESTED = 30
#: Says that codes are in the value set which an expansion cannot list.
_UNCLOSED = "http://hl7.org/fhir/StructureDefinition/valueset-unclosed"
_LANGUAGES = "urn:ietf:bcp:47"
#: Elements of the definition that the expansion does not repeat.
_DEFINITION = frozenset({"compose", "expansion", "text", "contained", "meta"})


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for beside the value set; `told` is repeated in the expansion's parameters."""

    text: str | None = None
    offset: int = 0
    count: int | None = None
    with_designations: bool = False
    designations: frozenset[str] = frozenset()
    with_definition: bool = False
    without_expressions: bool = False
    active_only: bool = False
    nested: bool = False
    selectable_only: bool = False
    languages: Languages | None = None
    properties: tuple[str, ...] = ()
    without_systems: tuple[str, ...] = ()
    told: tuple[Json, ...] = ()

    @property
    def is_paged(self) -> bool:
        """Tell whether a page is asked for; only flat expansions have pages."""
        return self.count is not None or self.offset > 0


def expanded(value_set: ValueSet, wishes: Wishes, identifier: str, at: int) -> Json:
    """Return the value set with its expansion."""
    without = frozenset(split_canonical(one) for one in wishes.without_systems)
    members = [one for one in value_set.members().values() if _is_wanted(one, wishes, without)]
    if wishes.text:
        members = having(members, wishes.text, wishes.languages)
    nested = wishes.nested and not wishes.is_paged and not wishes.text
    page = members if nested or wishes.count is None else members[wishes.offset : wishes.offset + wishes.count]
    if wishes.count is None and not nested:
        page = members[wishes.offset :]
    if len(page) > MOST_RETURNED:
        raise TooCostly(f"The value set has {len(members)} codes here; ask for pages of at most {MOST_RETURNED} by "
                        "offset and count, or for fewer by filter.", expression="count")
    expansion: Json = {"identifier": f"urn:uuid:{identifier}", "timestamp": instant(at), "total": len(members)}
    if wishes.is_paged:
        expansion["offset"] = wishes.offset
    used = list(value_set.systems())
    systems = {one.url: one for one in used}
    parameters = [*wishes.told, *_systems_told(used, {one.system for one in members})]
    is_unclosed = not wishes.without_expressions and value_set.is_open
    extensions: list[Json] = [{"url": _UNCLOSED, "valueBoolean": True}] if is_unclosed else []
    if parameters:
        expansion["parameter"] = parameters
    properties = Properties(wishes.properties, used)
    rows = [_row(one, wishes, properties) for one in page]
    extensions += properties.declared()
    if extensions:
        expansion["extension"] = extensions
    contains = _nested(rows, page, systems) if nested else rows
    if contains:
        expansion["contains"] = contains
    resource = value_set.resource
    kept = {name: value for name, value in resource.items() if name not in _DEFINITION}
    if wishes.with_definition and "compose" in resource:
        kept["compose"] = resource["compose"]
        if "contained" in resource:
            kept["contained"] = resource["contained"]
    return {"resourceType": "ValueSet", **kept, "expansion": expansion}


def _is_wanted(member: Member, wishes: Wishes, without: frozenset[tuple[str, str | None]]) -> bool:
    if wishes.active_only and member.is_inactive:
        return False
    if wishes.selectable_only and member.is_abstract:
        return False
    return (member.system, None) not in without and (member.system, member.version) not in without


def _row(member: Member, wishes: Wishes, properties: Properties) -> Json:
    extensions = [*member.extensions, *properties.of_member(member)]
    row: Json = {"extension": extensions} if extensions else {}
    row["system"] = member.system
    if member.is_abstract:
        row["abstract"] = True
    if member.is_inactive:
        row["inactive"] = True
    if member.version is not None:
        row["version"] = member.version
    row["code"] = member.code
    display = display_in(wishes.languages, member)
    if display is not None:
        row["display"] = display
    if wishes.with_designations or wishes.designations:
        names = names_beside(display, member)
        designations = [one for one in names if _is_asked_for(one, wishes.designations)]
        if designations:
            row["designation"] = designations
    return row


def _is_asked_for(designation: Json, tokens: frozenset[str]) -> bool:
    """Tell whether a designation has one of the uses or languages, each written system|code, or as the code alone."""
    if not tokens:
        return True
    use = designation.get("use", {})
    language = designation.get("language", "")
    own = {f"{use.get('system', '')}|{use.get('code', '')}", f"{_LANGUAGES}|{language}", use.get("code"), language}
    return not own.isdisjoint(tokens)


def _systems_told(systems: Iterable[CodeSystem], used: set[str]) -> list[Json]:
    told: dict[tuple[str, str], Json] = {}
    for one in systems:
        if one.url in used:
            canonical = f"{one.url}|{one.version}" if one.version else one.url
            names = ["version"] * bool(one.version) + ["warning-fragment"] * (one.content != "complete")
            told |= {(name, canonical): {"name": name, "valueUri": canonical} for name in names}
    return list(told.values())


def _nested(rows: list[Json], members: list[Member], systems: dict[str, CodeSystem]) -> list[Json]:
    """Put each code below the nearest one above it that is there too; what stands too deep, or in a circle, on top."""
    placed = {one.key: row for one, row in zip(members, rows, strict=True)}
    above = {one.key: _nearest(one, systems.get(one.system), placed) for one in members}
    top: list[Json] = []
    for one in members:
        holder = above[one.key] if _depth(one.key, above) is not None else None
        (top if holder is None else placed[holder].setdefault("contains", [])).append(placed[one.key])
    return top


def _nearest(
    member: Member, system: CodeSystem | None, placed: Mapping[tuple[str, str], Json]
) -> tuple[str, str] | None:
    code: str | None = member.code
    for _ in range(MOST_NESTED):
        concept = system.concepts.get(code) if system is not None and code is not None else None
        code = next(iter(concept.parents), None) if concept is not None else None
        if code is None or (member.system, code) in placed:
            break
    return None if code is None or (member.system, code) not in placed else (member.system, code)


def _depth(key: tuple[str, str], above: Mapping[tuple[str, str], tuple[str, str] | None]) -> int | None:
    """Count the codes above one; None where there are too many, which a circle has as well."""
    at: tuple[str, str] | None = key
    for depth in range(MOST_NESTED):
        at = above[at] if at is not None else None
        if at is None:
            return depth
    return None
