"""How a type is indexed, whatever the tenant: its parameters, its own date, its compartments and composites."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from hie.fhir import facts, search_parameters
from hie.fhir.fhirpath.paths import routes
from hie.fhir.search_parameters import Component, SearchParameter, answering
from hie.store.search import composite, date


@dataclass(frozen=True, slots=True)
class Plan:
    """How a type is indexed, whatever the tenant."""

    parameters: dict[str, SearchParameter]
    primary_date: str | None
    compartments: dict[str, tuple[str, ...]]
    """Parameter -> types of compartments that its references make the resource a member of."""
    aliases: dict[str, tuple[tuple[str, str], ...]]
    """Parameter -> parameters that are present when it has a reference to a type."""
    composites: dict[str, str]
    """Composite parameter -> how it is indexed (hie.store.search.composite)."""
    at_root: frozenset[str]
    """Composite parameters whose codes are those of the resource itself (hie.store.search.composite)."""
    narrowed_by: dict[str, tuple[SearchParameter | None, ...]]
    """Composite parameter -> for each component the parameter that finds all of its values, and more; None: none."""


def plan_of(type_name: str) -> Plan:
    """Return the plan of a type; made once a process, and again when custom parameters change."""
    return _plan_of(type_name, search_parameters.installed().of(type_name))


@lru_cache(maxsize=512)
def _plan_of(type_name: str, _custom: object) -> Plan:
    parameters = dict(search_parameters.for_type(type_name))
    aliases: dict[str, list[tuple[str, str]]] = {}
    for parameter in parameters.values():
        if parameter.restricts:
            aliases.setdefault(parameter.restricts[0], []).append((parameter.code, parameter.restricts[1]))
    return Plan(
        parameters,
        primary_date(type_name),
        _compartments(type_name, parameters),
        {code: tuple(found) for code, found in aliases.items()},
        {one.code: composite.plan(one) for one in parameters.values() if one.type == "composite"},
        frozenset(one.code for one in parameters.values() if one.type == "composite" and _is_at_root(one, parameters)),
        {one.code: _narrowed_by(one, parameters) for one in parameters.values() if one.type == "composite"},
    )


def indexed_by(type_name: str, parameter: SearchParameter) -> list[SearchParameter]:
    """Return the indexed parameters that answer one that only repeats others."""
    known = plan_of(type_name).parameters
    if parameter.restricts:
        return [known[parameter.restricts[0]]]
    if parameter.union_of:
        return [one for code in parameter.union_of for one in indexed_by(type_name, known[code])]
    return [known.get(parameter.code, parameter)]


def _narrowed_by(
    parameter: SearchParameter, parameters: dict[str, SearchParameter]
) -> tuple[SearchParameter | None, ...]:
    found: list[SearchParameter | None] = []
    for component in parameter.components:
        own = parameters.get(component.code)
        fits = own is not None and own.type == component.type
        if fits and own is not None and parameter.state:  # whoever defined it may have named any parameter
            fits = own.is_searchable and _covers(own, parameter, component)
        found.append(own if fits else None)
    return tuple(found)


def _covers(own: SearchParameter, parameter: SearchParameter, component: Component) -> bool:
    """Tell whether a parameter finds every value that a component of a composite has."""
    ways = {(way.hops, way.type) for way in routes(own.expression or "", own.base_type) or ()}
    return all(
        (part.hops if part.from_resource else (*element.hops, *part.hops), part.type) in ways
        for element in routes(parameter.expression or "", parameter.base_type) or ()
        for part in routes(component.expression, element.type) or ()
    )


def _is_at_root(parameter: SearchParameter, parameters: dict[str, SearchParameter]) -> bool:
    """Tell whether a composite holds for the resource itself, and its codes are what single elements of it say."""
    if parameter.state or composite.plan(parameter) in ("", "token"):  # of custom ones what lies beside comes and goes
        return False
    if routes(parameter.expression or "", parameter.base_type) != routes("$this", parameter.base_type):
        return False
    for component in parameter.components[:-1]:
        own = parameters.get(component.code)
        ways = routes(component.expression, parameter.base_type)
        if own is None or not own.is_indexed or own.type != "token" or not ways:
            return False
        if ways != routes(own.expression or "", parameter.base_type):
            return False
        paths = [".".join([parameter.base_type, *(hop.property for hop in way.hops)]) for way in ways]
        if any(_is_list(part) for path in paths for part in _ancestry(path)):
            return False
    return True


#: Which date of a type is its own: the first of these that the type has and that holds one value at most; else its
#: only single-valued date.
PRIMARY_DATES = (
    "date", "onset-date", "created", "authored", "authoredon", "authored-on", "occurrence", "effective",
    "effective-time", "period", "started", "start", "sent", "issued", "collected", "whenhandedover", "recorded",
    "identified", "timestamp", "datewritten", "start-date", "datetime",
)  # fmt: skip


@cache
def primary_date(type_name: str) -> str | None:
    """Return the date parameter whose value stands in the resource's own row; None where a type has none."""
    single = [
        parameter.code
        for parameter in search_parameters.for_type(type_name).values()
        if parameter.type == "date" and parameter.code != "_lastUpdated" and not parameter.state
        and _is_single(parameter)
    ]
    for code in PRIMARY_DATES:
        if code in single:
            return code
    return min(single, default=None)


@cache
def is_single(type_name: str, code: str) -> bool:
    """Tell whether one of R4's own parameters has one value at most, in whatever resource of the type."""
    parameter = search_parameters.for_type(type_name).get(code)
    return parameter is not None and not parameter.state and _is_single(parameter)


def _is_single(parameter: SearchParameter) -> bool:
    if not parameter.is_indexed or parameter.code in date.BLIND:
        return False
    elements = _elements_of(parameter)
    return len(elements) == 1 and not any(_is_list(part) for element in elements for part in _ancestry(element))


def _elements_of(parameter: SearchParameter) -> set[str]:
    """Return the elements that a date parameter's expression names for its type, choices and casts taken off."""
    found = set()
    for branch in (parameter.expression or "").split("|"):
        path = branch.strip().strip("()").partition(" as ")[0].partition(".as(")[0].strip("()")
        if path.startswith(parameter.base_type + "."):
            found.add(path)
    return found


def _ancestry(path: str) -> Iterator[str]:
    names = path.split(".")
    for length in range(2, len(names) + 1):
        yield ".".join(names[:length])


def _is_list(path: str) -> bool:
    for element in facts.elements(path.partition(".")[0]):
        if element.path.removesuffix("[x]") == path:
            return element.is_list
    return True  # not of the specification's own tree: no promise


def _compartments(type_name: str, parameters: dict[str, SearchParameter]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for compartment, members in facts.COMPARTMENTS.items():
        for code in members.get(type_name, ()):
            for base in answering(parameters, code):
                found.setdefault(base, set()).add(compartment)
    return {code: tuple(sorted(compartments)) for code, compartments in found.items()}
