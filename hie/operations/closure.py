"""$closure, the maintenance of a client's closure table: https://hl7.org/fhir/R4/conceptmap-operation-closure.html

How it is used: https://hl7.org/fhir/R4/terminology-service.html#closure
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hie.context import Context
from hie.errors import FhirError, InvalidRequest, NotFound, TooCostly, Unprocessable
from hie.fhir import json_format
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.instants import instant
from hie.fhir.terminology.closure import Concept, Entry, entries, groups
from hie.fhir.terminology.code_system import CodeSystem
from hie.fhir.terminology.terminology import Terminology, split_canonical
from hie.registry import Operation, standard_parameters, standard_returns
from hie.store import closures
from hie.store.closures import ClosureTable
from hie.store.conflicts import Again
from hie.store.resources import ResourceStore
from hie.store.terminology import terminology

#: Concepts of one table, and characters of the codes in all its entries: a code may be long, and is told with each.
MOST_CONCEPTS, MOST_CHARACTERS = 10_000, 20_000_000
_VERSION = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


def closure(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Initialize a table, add codes to it, or tell again what came after a version."""
    name, version = request.parameter("name") or "", request.parameter("version")
    if not _NAME.fullmatch(name) or not name.strip():
        raise InvalidRequest(f"The closure name {name[:80]!r} is invalid; it has 1 to 200 characters, no control "
                             "characters among them.", expression="name")
    asked = [_concept(row) for key, row in request.arguments if key == "concept"]
    if version is None and not asked:
        return ctx.store.transact(lambda store: _initialized(name, ctx.within(store)))
    if version is None:
        return _added(name, asked, ctx)
    if asked:
        raise InvalidRequest("$closure takes concept, or version to be told again, not both.", expression="version")
    return _told_again(name, version, ctx)


def _concept(row: dict[str, Any]) -> Concept:
    if "system" not in row or "code" not in row:
        raise InvalidRequest("A concept of $closure is a Coding with system and code.", expression="concept")
    url, stated = split_canonical(row["system"])
    return Concept(url, row.get("version") or stated, row["code"])


def _initialized(name: str, ctx: Context) -> FhirResponse:
    closures.initialize(ctx.store, ctx.principal.client_id, name)
    return _answer(ctx, f"Closure Table {name} Creation", 0, [])


@dataclass(frozen=True, slots=True)
class _Addition:
    """What is to be added to a table as it was read, and the answer."""

    table: ClosureTable
    concepts: list[Concept]
    entries: set[Entry]
    answer: FhirResponse


def _added(name: str, asked: Sequence[Concept], ctx: Context) -> FhirResponse:
    """Add codes. What they bring is worked out before the transaction, in which on SQLite all other writers wait."""
    addition = _addition(name, asked, ctx)

    def unit(store: ResourceStore) -> FhirResponse:
        nonlocal addition
        if not closures.add(store, addition.table, addition.concepts, addition.entries):
            addition = _addition(name, asked, ctx.within(store), to_change=True)
            if not closures.add(store, addition.table, addition.concepts, addition.entries):
                raise Again("The closure table was changed since it was read.")
        return addition.answer

    return ctx.store.transact(unit)


def _addition(name: str, asked: Sequence[Concept], ctx: Context, *, to_change: bool = False) -> _Addition:
    table, service = _table(name, ctx, to_change=to_change), terminology(ctx.store)
    systems = _systems(name, table.concepts, service)
    known = {one.key for one in table.concepts}
    new = list({one.key: one for one in reversed(asked) if one.key not in known}.values())[::-1]
    for one in asked:
        _enter(one, systems, service)
    if len(known) + len(new) > MOST_CONCEPTS:
        raise TooCostly(f"A closure table has at most {MOST_CONCEPTS} concepts.", expression="concept")
    found = entries([*table.concepts, *new], systems, service)
    if sum(len(one.source) + len(one.target) for one in found) > MOST_CHARACTERS:
        raise TooCostly(f"The entries of the closure table have more than {MOST_CHARACTERS} characters together.",
                        expression="concept")
    added = {one for one in found if not {(one.system, one.source), (one.system, one.target)} <= known}
    _see_that_all_holds(name, table, found - added)
    answer = _answer(ctx, f"Updates for Closure Table {name}", table.version + 1, groups(added, systems))
    return _Addition(table, new, added, answer)


def _told_again(name: str, version: str, ctx: Context) -> FhirResponse:
    table, service = _table(name, ctx), terminology(ctx.store)
    if not _VERSION.fullmatch(version) or int(version) > table.version:
        raise InvalidRequest(f"version is {version[:80]!r}; the closure table has been given the versions 0 to "
                             f"{table.version}.", expression="version")
    systems = _systems(name, table.concepts, service)
    _see_that_all_holds(name, table, entries(table.concepts, systems, service))
    missed = {entry for one in table.changes if one.version > int(version) for entry in one.entries}
    return _answer(ctx, f"Updates for Closure Table {name}", table.version, groups(missed, systems))


def _table(name: str, ctx: Context, *, to_change: bool = False) -> ClosureTable:
    found = closures.find(ctx.store, ctx.principal.client_id, name, to_change=to_change)
    if found is None:
        raise NotFound(f"The closure table {name!r} was not initialized; send its name alone first.",
                       expression="name")
    return found


def _systems(name: str, concepts: Iterable[Concept], service: Terminology) -> dict[str, CodeSystem]:
    """Return the code systems of a table, as its first coding of each named them."""
    systems: dict[str, CodeSystem] = {}
    for one in concepts:
        try:
            if one.system not in systems:
                systems[one.system] = _subsuming(service.code_system(one.system, one.version))
        except FhirError as error:
            raise _outdated(name, error.diagnostics) from None
        if systems[one.system].get(one.code) is None:
            raise _outdated(name, f"The code {one.code[:200]} is not in the code system {one.system} any more.")
    return systems


def _enter(concept: Concept, systems: dict[str, CodeSystem], service: Terminology) -> None:
    """See that a concept can be entered: as what 404 means is a table that was not initialized, all else is 422."""
    url = concept.system
    if url not in systems:
        try:
            systems[url] = _subsuming(service.code_system(url, concept.version))
        except NotFound as error:
            raise _Unknown(error.diagnostics, expression="concept") from None
    system = systems[url]
    if concept.version not in (None, system.version):
        raise Unprocessable(f"The table has codes of {url} in version {system.version}; one table holds one version of "
                            f"a code system, not {concept.version[:80]} as well.", expression="concept")
    if system.get(concept.code) is None:
        raise _Unknown(f"The code {concept.code[:200]} is not in the code system {url}.", expression="concept")


class _Unknown(Unprocessable):
    code = "not-found"


def _subsuming(system: CodeSystem) -> CodeSystem:
    if not system.is_subsuming:
        raise Unprocessable(f"The hierarchy of {system.url} means {system.hierarchy_meaning}: no code of it subsumes "
                            "another.", expression="concept")
    return system


def _see_that_all_holds(name: str, table: ClosureTable, now: set[Entry]) -> None:
    if now != table.entries:
        raise _outdated(name, "Its codes stand otherwise to one another than they did.")


def _outdated(name: str, reason: str) -> Unprocessable:
    return Unprocessable(f"The closure table {name!r} must be initialized anew: what it was made of has changed. "
                         f"{reason}", expression="name")


def _answer(ctx: Context, name: str, version: int, found: list[dict[str, Any]]) -> FhirResponse:
    answer = {
        "resourceType": "ConceptMap", "id": ctx.new_id(), "version": str(version), "name": name, "status": "active",
        "experimental": True, "date": instant(ctx.clock()),
    }  # fmt: skip
    return FhirResponse(200, json_format.dump(answer | ({"group": found} if found else {})))


OPERATION = Operation(
    code="closure",
    levels=frozenset({"system"}),
    function=closure,
    definition="http://hl7.org/fhir/OperationDefinition/ConceptMap-closure",
    parameters=standard_parameters("closure@ConceptMap", {
        "name": "The name of the table; alone it initializes the table, or empties it.",
        "concept": "A code, with its system, that is added to the table.",
        "version": "Without `concept`: what came after this version of the table is told again; 0 is all.",
    }),
    returns=standard_returns("closure@ConceptMap", {
        "return": "What is new: the source is the narrower code, `subsumes` the broader one."}),
    documentation="Keeps a table of how the codes that a client meets stand to one another, one for each name and "
                  "client.",
    affects_state=True,
)
