"""`_filter`, read: comparisons of parameters, joined by and, or, not and parentheses.

    name co "pet" and (birthdate ge 2014-10-10 or not (gender eq female))
    subject.name sw pe          subject[active eq true].name sw pe

`and` and `or` go from left to right, neither before the other. https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hie.errors import FhirError, InvalidSearch
from hie.fhir import search_parameters
from hie.fhir.datatypes import normalize_string
from hie.fhir.search_parameters import SearchParameter
from hie.store.search import criteria, string, uri
from hie.store.search.chain import MOST_HOPS, NOT_REFERENCED, Chain, ends_of, is_canonical, is_chained
from hie.store.search.criteria import Criterion, Reading
from hie.store.search.date import DateValue
from hie.store.search.logic import AllOf, AnyOf, Differs, NotOf, Opened
from hie.store.search.number import NumberValue
from hie.store.search.string import StringValue
from hie.store.search.uri import UriValue

LONGEST, MOST_COMPARISONS, DEEPEST = 10_000, 100, 20
#: SQLite's parser takes no statement that nests a hundred deep.
MOST_NESTED = 40
_ORDERED = ("eq", "ne", "gt", "lt", "ge", "le", "ap", "sa", "eb")
#: Which comparisons each type of parameter takes; `pr` is for all.
OPERATORS = {
    "string": ("eq", "ne", "co", "sw", "ew", *string.ORDERS),
    "token": ("eq", "ne", "in", "ni", "ss", "sb"),
    "reference": ("eq", "ne", "re"),
    "uri": ("eq", "ne", *uri.TEXTS),
    "date": (*_ORDERED, "po", "co"),
    "number": (*_ORDERED, "co"),
    "quantity": _ORDERED,
    "composite": ("eq", "ne"),
}
_STRINGS = {
    "eq": "whole", "ne": "whole", "co": "contains", "sw": "", "ew": "ends", **{one: one for one in string.ORDERS},
}  # fmt: skip
_TERMINOLOGY = {"in": "in", "ni": "not-in", "ss": "below", "sb": "above"}
#: Code systems that a filter may name shortly, in a value or a part of a composite one.
_SHORT = {
    "loinc": "http://loinc.org", "snomed": "http://snomed.info/sct", "ucum": "http://unitsofmeasure.org",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
}  # fmt: skip
_SHORTENED = re.compile(r"(?<![^$|])(loinc|snomed|ucum|rxnorm)(?=\|)")
_WITH_SYSTEMS = frozenset({"token", "quantity", "composite"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*")
_TYPE = re.compile(r":([A-Za-z]+)")
_OPERATOR = re.compile(r"[a-z]{2}(?![A-Za-z0-9_\-])")
_LOGIC = re.compile(r"(and|or)(?![A-Za-z0-9_\-])")
_NOT = re.compile(r"not\s*\(")
#: A ] ends a value unless it belongs to a [ inside, as in 98|http://unitsofmeasure.org|[degF].
_VALUE = re.compile(r"(?:\[[^\s\[\]]*\]|[^\s)\]])+")
_SPACE = re.compile(r"\s*")
#: None is a parameter that its grammar could compare.
_BESIDE = frozenset({"_has", "_list", NOT_REFERENCED})
_COMMA = re.compile(r"(?<!\\),")


def parse(type_name: str, text: str, reading: Reading) -> Any:
    """Read a filter over a type; InvalidSearch or NotSupported says at which character it cannot be understood."""
    if len(text) > LONGEST:
        told = f"_filter is {len(text)} characters long; at most {LONGEST} are read."
        raise InvalidSearch(told, expression="_filter")
    return _Reader(text, reading).read(type_name)


class _Reader:
    """Reads one filter from left to right; what stands in a path belongs to the type that the path has led to."""

    def __init__(self, text: str, reading: Reading) -> None:
        self._text, self._reading = text, reading
        self._at = self._comparisons = 0

    def read(self, type_name: str) -> Any:
        found = self._filter(type_name, 0, 0)
        if self._at < len(self._text):
            raise self._wrong("and, or, or the end is expected here")
        if _depth(found) > MOST_NESTED:
            raise self._wrong(f"and, or, not and paths stand in each other more than {MOST_NESTED} deep", 0)
        return found

    # -- text --------------------------------------------------------------------------------------------------------

    def _wrong(self, told: str, at: int | None = None, kind: type[FhirError] = InvalidSearch) -> FhirError:
        place = self._at if at is None else at
        found = self._text[place : place + 20]
        near = f", at {found!r}" if found else ", at the end"
        return kind(f"_filter, character {place + 1}{near}: {told}.", expression="_filter")

    def _skip(self) -> None:
        self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # matches nothing too

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._at)
        if found:
            self._at = found.end()
        return found

    def _expect(self, sign: str, told: str) -> None:
        self._skip()
        if not self._text.startswith(sign, self._at):
            raise self._wrong(told)
        self._at += 1

    # -- logic -------------------------------------------------------------------------------------------------------

    def _filter(self, type_name: str, depth: int, hops: int) -> Any:
        if depth > DEEPEST:
            raise self._wrong(f"parentheses and brackets stand in each other more than {DEEPEST} deep")
        found = self._part(type_name, depth, hops)
        while True:
            self._skip()
            word = self._take(_LOGIC)
            if word is None:
                return found
            parts = (found, self._part(type_name, depth, hops))
            found = AllOf(parts) if word[1] == "and" else AnyOf(parts)

    def _part(self, type_name: str, depth: int, hops: int) -> Any:
        self._skip()
        if self._take(_NOT):
            return NotOf(self._closed(type_name, depth, hops))
        if self._text.startswith("(", self._at):
            self._at += 1
            return self._closed(type_name, depth, hops)
        return self._path(type_name, depth, hops)

    def _closed(self, type_name: str, depth: int, hops: int) -> Any:
        found = self._filter(type_name, depth + 1, hops)
        self._expect(")", "a ) is expected here")
        return found

    # -- paths -------------------------------------------------------------------------------------------------------

    def _path(self, type_name: str, depth: int, hops: int) -> Any:
        at = self._at
        name = self._take(_NAME)
        if name is None:
            raise self._wrong("a search parameter is expected here, as in name co pet")
        code = name[0]
        known = search_parameters.for_type(type_name)
        if code == "id" and code not in known:
            code = "_id"  # the specification's own examples say subject.id
        if code in _BESIDE:
            raise self._wrong(f"{code} cannot stand in a filter; ask for it beside _filter", at)
        parameter = self._told(at, criteria.parameter_of, type_name, code)
        wanted = self._take(_TYPE)
        bracket = self._text.startswith("[", self._at)
        if wanted or bracket or self._text.startswith(".", self._at):
            return self._chain(type_name, parameter, wanted[1] if wanted else "", at, depth, hops + 1)
        return self._comparison(type_name, parameter, at)

    def _chain(self, type_name: str, parameter: SearchParameter, wanted: str, at: int, depth: int, hops: int) -> Any:
        if not is_chained(parameter) and not is_canonical(parameter):
            raise self._wrong(f"{parameter.code} of {type_name} is no reference; a path and brackets need one", at)
        if hops > MOST_HOPS:
            raise self._wrong(f"the path has more than {MOST_HOPS} hops", at)
        allowed = ends_of(parameter)
        if wanted and wanted not in allowed:
            raise self._wrong(f"{parameter.code} of {type_name} refers to no {wanted}", at)
        start, ends = self._at, []
        types = [wanted] if wanted else [one for one in sorted(allowed) if self._knows(one)]
        for one in types or sorted(allowed)[:1]:
            self._at = start
            ends.append((one, self._end(one, depth, hops)))
        return Chain(parameter, tuple(ends))

    def _end(self, type_name: str, depth: int, hops: int) -> Any:
        """Read `[filter].path …` or `.path …` for one type at the other end."""
        inner = None
        if self._text.startswith("[", self._at):
            self._at += 1
            inner = self._filter(type_name, depth + 1, hops)
            self._expect("]", "a ] is expected here")
        self._expect(".", "a . and a parameter of what is referred to are expected here")
        rest = self._path(type_name, depth, hops)
        return rest if inner is None else AllOf((inner, rest))

    def _knows(self, type_name: str) -> bool:
        """Tell whether a type has the parameter that follows: a path without a type asks only those that have."""
        name = _NAME.match(self._text, self._at + 1)
        return name is None or name[0] == "id" or name[0] in search_parameters.for_type(type_name)

    # -- comparisons -------------------------------------------------------------------------------------------------

    def _comparison(self, type_name: str, parameter: SearchParameter, at: int) -> Any:
        self._comparisons += 1
        if self._comparisons > MOST_COMPARISONS:
            told = f"there are more than {MOST_COMPARISONS} comparisons, over all types that paths lead to"
            raise self._wrong(told, at)
        self._skip()
        place = self._at
        operator = self._take(_OPERATOR)
        allowed = self._operators(parameter, at)
        if operator is None or operator[0] not in allowed:
            raise self._wrong(f"{parameter.code} is of type {parameter.type} and takes {', '.join(allowed)}", place)
        self._skip()
        place, value = self._at, self._value()
        return self._told(place, self._compared, type_name, parameter, operator[0], value)

    def _operators(self, parameter: SearchParameter, at: int) -> tuple[str, ...]:
        if parameter.is_special:
            raise self._wrong(f"{parameter.code} cannot stand in a filter; ask for it beside _filter", at)
        if parameter.code == "_id":
            return ("eq", "ne", "pr")
        if parameter.code == "_lastUpdated":
            return (*_ORDERED, "po", "pr")
        return (*OPERATORS[parameter.type], "pr")

    def _value(self) -> str:
        if self._text.startswith('"', self._at):
            try:
                value, self._at = json.JSONDecoder().raw_decode(self._text, self._at)
            except ValueError:
                raise self._wrong('this is no JSON string: a " must end it') from None
            return str(value)
        if self._text.startswith("'", self._at):
            raise self._wrong("a text stands in double quotes, and so does one that begins with a single quote")
        found = self._take(_VALUE)
        if found is None:
            raise self._wrong("a value is expected here")
        return found[0]

    def _compared(self, type_name: str, parameter: SearchParameter, operator: str, value: str) -> Any:
        code, kind = parameter.code, parameter.type
        if kind in _WITH_SYSTEMS:
            value = _SHORTENED.sub(lambda found: _SHORT[found[1]], value)
        if operator == "pr":
            if value not in ("true", "false"):
                raise InvalidSearch("pr is followed by true or false")
            return self._criterion(type_name, f"{code}:missing", "false" if value == "true" else "true")
        if kind == "string":
            found = Criterion(parameter, "", (_string(operator, value),))
            return Opened(found) if operator in string.ORDERS else Differs(found) if operator == "ne" else found
        if kind == "uri" and operator in uri.TEXTS:
            return Opened(Criterion(parameter, "", (UriValue(value, operator),)))
        if operator in _TERMINOLOGY:
            return self._criterion(type_name, f"{code}:{_TERMINOLOGY[operator]}", value)
        if kind in ("date", "number", "quantity"):
            return self._ordered(type_name, parameter, operator, value)
        found = self._criterion(type_name, code, value)
        return Differs(found) if operator == "ne" else found

    def _ordered(self, type_name: str, parameter: SearchParameter, operator: str, value: str) -> Any:
        if not value[:1].isdigit() and value[:1] not in ("+", "-", "."):
            raise InvalidSearch(f"{value[:40]!r} is no {parameter.type}")
        prefix = "eq" if operator in ("po", "co") else operator
        found = self._criterion(type_name, parameter.code, prefix + value)
        if prefix == operator:
            return found
        # ap asks whether two periods overlap; here the period is that of the date itself.
        asked = "ap" if operator == "po" else operator
        values = tuple(replace(one, prefix=asked) for one in found.values if isinstance(one, DateValue | NumberValue))
        found = replace(found, values=values, kept=None)
        return Opened(found) if parameter.type == "number" else found

    def _criterion(self, type_name: str, name: str, value: str) -> Criterion:
        """Read the value as a search would, where a comma would stand between alternatives."""
        return criteria.parse(type_name, name, _COMMA.sub(r"\\,", value), self._reading)

    def _told(self, at: int, ask: Callable[..., Any], *arguments: Any) -> Any:
        """Call, and say in a refusal where in the filter it arose."""
        try:
            return ask(*arguments)
        except FhirError as error:
            raise self._wrong(error.diagnostics.rstrip("."), at, type(error)) from None


def _depth(asked: Any, around: type | None = None) -> int:
    """Return how deep a statement nests; what is joined by and alone, or by or alone, is flat."""
    match asked:
        case AllOf(parts) | AnyOf(parts):
            deeper = type(asked) is not around
            return deeper + max(_depth(part, type(asked)) for part in parts)
        case NotOf(part):
            return 1 + _depth(part)
        case Chain(_, ends):
            return 1 + max(_depth(end) for _, end in ends)
    return 0


def _string(operator: str, value: str) -> StringValue:
    normal = normalize_string(value)
    if not normal:
        raise InvalidSearch("the value has no letter or digit")
    if operator in ("co", "ew") and len(normal) < string.SHORTEST_CONTAINS:
        raise InvalidSearch(f"co and ew need {string.SHORTEST_CONTAINS} characters at least")
    return StringValue(normal, _STRINGS[operator])
