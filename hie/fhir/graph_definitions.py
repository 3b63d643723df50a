"""What a GraphDefinition says, read once: https://hl7.org/fhir/R4/graphdefinition.html

A link leads from a resource by a FHIRPath to references, or without a path by a search for what refers to the resource.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from hie.errors import FhirError, InvalidRequest, TooCostly, Unprocessable
from hie.fhir import facts, modifiers
from hie.fhir.fhirpath import FhirPathError, compile_once, model
from hie.fhir.fhirpath.errors import FhirPathLimit
from hie.fhir.fhirpath.parser import read as read_path
from hie.fhir.fhirpath.syntax import Call
from hie.fhir.routes import parse_query

Json = dict[str, Any]
Parameters = tuple[tuple[str, str], ...]

MOST_DEEP, MOST_PARTS = 10, 200
MAX_EXPRESSION = 2_000
_NAMES = re.compile(r"[A-Za-z][A-Za-z0-9]*(\.[a-z][A-Za-z0-9]*)*")
REF = "{ref}"
#: Types that stand for several.
ABSTRACT = frozenset({"Resource", "DomainResource"})
EVERYTHING = "*"


class NotFollowed(Unprocessable):
    """The definition asks for something that R4 knows and this server does not do."""

    code = "not-supported"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule about compartments: https://hl7.org/fhir/R4/valueset-graph-compartment-rule.html"""

    use: str
    compartment: str
    kind: str
    expression: str | None
    place: str


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What a link may lead to; `params` are those of a search where the link has no path."""

    type: str
    params: Parameters
    profile: str | None
    rules: tuple[Rule, ...]
    links: tuple[Link, ...]
    place: str

    def takes(self, type_name: str) -> bool:
        """Tell whether resources of a type are meant."""
        return model.is_a(type_name, self.type)


@dataclass(frozen=True, slots=True)
class Slice:
    """Which values on the way of a path are meant: those of a slice in the profile of the resource."""

    steps: tuple[str, ...]
    name: str
    profile: str


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """A link with what it leads to; `path` None: what refers to the resource is searched for."""

    path: str | None
    slice: Slice | None
    min: int
    max: int | None
    targets: tuple[Target, ...]
    place: str


@dataclass(frozen=True, slots=True)
class Graph:
    """A GraphDefinition that can be followed."""

    start: str
    links: tuple[Link, ...]

    def starts_at(self, type_name: str) -> bool:
        """Tell whether it is about resources of a type."""
        return model.is_a(type_name, self.start)


def read(definition: Json) -> Graph:
    """Read a valid GraphDefinition. TooCostly and Unprocessable say which link cannot be followed, and why."""
    modifiers.refuse_definition(definition)
    links = _Reader().links(definition.get("link", ()), "GraphDefinition", definition.get("profile"), 1)
    return Graph(str(definition["start"]), links)


class _Reader:
    """Reads the links of one definition and counts them."""

    def __init__(self) -> None:
        self._parts = 0

    def links(self, rows: Sequence[Json], above: str, profile: str | None, deep: int) -> tuple[Link, ...]:
        """Read the links from resources of a profile, which may be unsaid."""
        if rows and deep > MOST_DEEP:
            raise TooCostly(f"Links are nested in one another {MOST_DEEP} times at most.", expression=f"{above}.link")
        return tuple(self._link(row, f"{above}.link[{number}]", profile, deep) for number, row in enumerate(rows))

    def _link(self, row: Json, place: str, profile: str | None, deep: int) -> Link:
        self._count(place)
        path = row.get("path")
        if path is not None:
            _check_path(path, f"{place}.path")
        targets = tuple(self._target(one, f"{place}.target[{number}]", path is None, deep)
                        for number, one in enumerate(row.get("target", ())))
        least, most = row.get("min", 0), row.get("max", "*")
        if least < 0 or not (most == "*" or (most.isascii() and most.isdigit() and len(most) < 10)):
            raise Unprocessable(f"min is {least} and max {most[:80]!r}; they are numbers from 0, and max may be *.",
                                expression=place)
        slice_ = _slice(path, row["sliceName"], profile, f"{place}.sliceName") if "sliceName" in row else None
        return Link(path, slice_, least, None if most == "*" else int(most), targets, place)

    def _target(self, row: Json, place: str, is_searched: bool, deep: int) -> Target:
        self._count(place)
        type_name, text = row["type"], row.get("params")
        if is_searched and (text is None or type_name in ABSTRACT):
            raise Unprocessable("A link without path is searched for, by the params of one type.",
                                expression=f"{place}.{'params' if text is None else 'type'}")
        if not is_searched and text is not None:
            raise Unprocessable("A link has path, or its target has params; both would mean two ways at once.",
                                expression=f"{place}.params")
        rules = tuple(_rule(one, f"{place}.compartment[{number}]")
                      for number, one in enumerate(row.get("compartment", ())))
        links = self.links(row.get("link", ()), place, row.get("profile"), deep + 1)
        return Target(type_name, () if text is None else _params(text, f"{place}.params"), row.get("profile"), rules,
                      links, place)

    def _count(self, place: str) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise TooCostly(f"The definition has more than {MOST_PARTS} links and targets.", expression=place)


def _slice(path: str | None, name: str, profile: str | None, place: str) -> Slice:
    if profile is None or path is None or _NAMES.fullmatch(path) is None:
        raise NotFollowed("sliceName needs a path of names, as in Composition.section.entry, and the profile that has "
                          "the slice: that of the target around the link, or of the definition.", expression=place)
    steps = path.split(".")
    return Slice(tuple(steps[1:] if steps[0][0].isupper() else steps), name, profile)


def _params(text: str, place: str) -> Parameters:
    try:
        params = parse_query(text.removeprefix("?"))
    except InvalidRequest as error:
        raise Unprocessable(error.diagnostics, expression=place) from None
    if not any(REF in value for _, value in params):
        raise Unprocessable(f"One of the parameters has to have the value {REF}, which stands for the resource that "
                            "the link leads from.", expression=place)
    return params


def _rule(row: Json, place: str) -> Rule:
    code, kind, expression = row["code"], row["rule"], row.get("expression")
    if code not in facts.COMPARTMENTS:
        raise Unprocessable(f"{code[:80]!r} is no compartment; there are {', '.join(sorted(facts.COMPARTMENTS))}.",
                            expression=f"{place}.code")
    if (kind == "custom") is (expression is None):
        raise Unprocessable("The rule custom needs an expression, and no other takes one.",
                            expression=f"{place}.expression")
    if expression is not None:
        _check_expression(expression, f"{place}.expression")
    return Rule(row["use"], code, kind, expression, place)


def _check_path(path: str, place: str) -> None:
    if path == EVERYTHING:
        return
    if any(call.name == "resolve" for call in _calls(_check_expression(path, place))):
        raise Unprocessable("A path cannot contain resolve(); target.type says what is meant.", expression=place)


def _check_expression(text: str, place: str) -> Any:
    if len(text) > MAX_EXPRESSION:
        raise TooCostly(f"The expression has {len(text)} characters; at most {MAX_EXPRESSION} are evaluated.",
                        expression=place)
    try:
        compile_once(text, "Resource")
        return read_path(text)
    except FhirPathError as error:
        raise explained(error, place) from None


def explained(error: FhirPathError, place: str) -> FhirError:
    """Return what a FHIRPath of a definition is refused with."""
    if isinstance(error, FhirPathLimit):
        return TooCostly(str(error), expression=place)
    return Unprocessable(str(error)[:500], expression=place)


def _calls(tree: Any) -> Iterator[Call]:
    """Yield the calls of an expression, without recursion: a long path is as deep as it is long."""
    left = [tree]
    while left:
        one = left.pop()
        if isinstance(one, Call):
            yield one
        if isinstance(one, tuple):
            left += one
        elif is_dataclass(one) and not isinstance(one, type):
            left += [getattr(one, field.name) for field in fields(one)]
