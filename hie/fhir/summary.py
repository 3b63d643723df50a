"""Parts of a resource: _summary and _elements, https://hl7.org/fhir/R4/search.html#summary"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from typing import Any

from hie.errors import InvalidSearch
from hie.fhir import facts
from hie.fhir.http import FhirRequest

SUMMARIES = ("true", "text", "data", "count", "false")
SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED",
             "display": "subsetted"}
_ALWAYS = frozenset({"resourceType", "id", "meta"})
#: Interactions that answer with one resource, of which a part may be asked for: http.html#parameters
_ONE_RESOURCE = frozenset({"read", "vread", "capabilities", "definition", "create", "update", "patch"})


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of each resource the client wants. `elements`: (type or None for every type, element)."""

    summary: str | None = None
    elements: tuple[tuple[str | None, str], ...] = ()

    @property
    def counts_only(self) -> bool:
        """Tell whether no resource is wanted at all."""
        return self.summary == "count"

    def of_included(self) -> Selection | None:
        """Return which part is wanted of what a search includes: elements named with its type alone; None: all of it.

        https://hl7.org/fhir/R4/search.html#elements
        """
        named = tuple(one for one in self.elements if one[0] is not None)
        return replace(self, elements=named) if self.summary or named else None

    def of(self, resource: dict[str, Any]) -> dict[str, Any]:
        """Return the wanted part of a resource, marked SUBSETTED."""
        type_name = resource["resourceType"]
        if self.elements:
            wanted = frozenset(name for type_, name in self.elements if type_ in (None, type_name))
            if not wanted and all(type_ for type_, _ in self.elements):
                return resource  # only elements of other types are asked for
            choices = _choices(type_name)
            kept = wanted.union(_mandatory(type_name), *(choices[name] for name in wanted if name in choices))
        elif self.summary == "true":
            return marked(_summarised(resource, type_name, _ALWAYS))
        elif self.summary == "text":
            kept = frozenset({"text"}) | _mandatory(type_name)
        elif self.summary == "data":
            kept = _all_but_text(type_name)
        else:
            return resource
        part = {name: value for name, value in resource.items()
                if name in _ALWAYS or name.removeprefix("_") in kept}
        return marked(part)


def parse(parameters: Iterable[tuple[str, str]]) -> Selection | None:
    """Read _summary and _elements; None where everything is wanted."""
    summary: str | None = None
    elements: list[tuple[str | None, str]] = []
    for name, value in parameters:
        if name == "_summary":
            if value not in SUMMARIES:
                raise InvalidSearch(f"_summary is {value[:80]!r}; it must be {', '.join(SUMMARIES)}.",
                                    expression="_summary")
            if summary not in (None, value):
                raise InvalidSearch("_summary is given twice.", expression="_summary")
            summary = value
        elif name == "_elements":
            named = [_element(one.strip()) for one in value.split(",") if one.strip()]
            if not named:
                raise InvalidSearch("_elements is empty; it names elements, as in _elements=name,birthDate.",
                                    expression="_elements")
            elements += named
    if summary == "false":
        summary = None
    if summary and elements:
        raise InvalidSearch("_summary and _elements exclude each other.", expression="_elements")
    return Selection(summary, tuple(elements)) if summary or elements else None


def asked(request: FhirRequest, type_name: str | None = None) -> Selection | None:
    """Return which part a request wants of resources of a type, or of any; None: all of them.

    An element that no such resource has is refused, or left out by handling=lenient: a mistyped one would look as if
    the resource had none.
    """
    selection = parse(request.parameters)
    if selection is not None and selection.elements and request.preferences.handling != "lenient":
        for of_type, name in selection.elements:
            _refuse_unknown(of_type or type_name, name)
    return selection


def _refuse_unknown(type_name: str | None, name: str) -> None:
    known = _known(type_name)
    if name in known:
        return
    near = get_close_matches(name, known, n=1)
    raise InvalidSearch(f"_elements names {name[:80]!r}, which is no element of {type_name or 'any resource'}"
                        + (f"; did you mean {near[0]}?" if near else "."), expression="_elements")


@cache
def _known(type_name: str | None) -> frozenset[str]:
    """Name the elements at the top of a type, those of several types as they are in JSON as well."""
    if type_name is None:
        return frozenset().union(*map(_known, facts.RESOURCE_TYPES))
    found = {"resourceType"}
    for element in facts.children(type_name):
        found.add(element.name.removesuffix("[x]"))
        found.update(_json_names(element))
    return frozenset(found)


def of_one(request: FhirRequest) -> Selection | None:
    """Return which part is wanted of the one resource that a read or write answers with; None: all of it."""
    return of_resource(request, request.type) if request.interaction in _ONE_RESOURCE else None


def of_resource(request: FhirRequest, type_name: str | None) -> Selection | None:
    """Return which part is wanted of a resource that is the whole answer; None: all of it."""
    selection = asked(request, type_name)
    if selection is not None and selection.counts_only:
        raise InvalidSearch("_summary=count counts the matches of a search; this is one resource.",
                            expression="_summary")
    return selection


def _element(text: str) -> tuple[str | None, str]:
    """Read `name` or `Patient.name`; only elements at the top of a resource can be chosen.

    An element of several types is named as the definition has it (`value[x]`), as paths have it, or with its type.
    """
    text = text.removesuffix("[x]")
    first, dot, rest = text.partition(".")
    if not dot:
        if not text.isidentifier():
            hint = ": it names what is wanted, not what is left out" if text.startswith("-") else ""
            raise InvalidSearch(f"_elements names {text[:80]!r}, which is no element{hint}.", expression="_elements")
        return None, text
    if first not in facts.RESOURCE_TYPES or not rest.isidentifier():
        raise InvalidSearch(f"_elements names {text[:80]!r}; elements at the top of a resource can be chosen, as in "
                            "name or Patient.name.", expression="_elements")
    return first, rest


def marked(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part of a resource with the tag SUBSETTED."""
    meta = dict(part.get("meta", {}))
    tags = meta.get("tag", [])
    if not any(isinstance(tag, dict) and tag.get("code") == SUBSETTED["code"] for tag in tags):
        meta["tag"] = [*tags, SUBSETTED]
    marked = {"resourceType": part["resourceType"]}
    if "id" in part:
        marked["id"] = part["id"]
    marked["meta"] = meta
    return marked | {name: value for name, value in part.items() if name not in _ALWAYS}


@cache
def _names(type_name: str, which: str) -> frozenset[str]:
    found: set[str] = set()
    for element in facts.children(type_name):
        if _wanted(element, which):
            found.update(_json_names(element))
    return frozenset(found)


def _wanted(element: facts.Element, which: str) -> bool:
    if which == "mandatory":
        return element.min > 0 or element.is_modifier
    return element.name != "text"


def _json_names(element: facts.Element) -> Iterable[str]:
    if not element.is_choice:
        return (element.name,)
    stem = element.name.removesuffix("[x]")
    types = element.types if element.types != ("*",) else tuple(facts.DATA_TYPES | facts.PRIMITIVE_TYPES)
    return tuple(stem + one[0].upper() + one[1:] for one in types)


@cache
def _choices(type_name: str) -> dict[str, frozenset[str]]:
    """Name the properties that stand for each element of several types."""
    return {one.name.removesuffix("[x]"): frozenset(_json_names(one)) for one in facts.children(type_name)
            if one.is_choice}


#: Inside an element these stay, as what they say may change the meaning of the rest.
_INSIDE = frozenset({"id", "extension", "modifierExtension"})


def _summarised(element: dict[str, Any], path: str, always: frozenset[str]) -> dict[str, Any]:
    """Return the summary elements at every depth, and those that are mandatory or modify the others."""
    table = _summary_table(path)
    part = {}
    for name, value in element.items():
        below = table.get(name.removeprefix("_"))
        if name in always or below == "" or (below is not None and name.startswith("_")):
            part[name] = value
        elif below is not None:
            part[name] = (
                [_inner(one, below) for one in value] if isinstance(value, list) else _inner(value, below)
            )
    return part


def _inner(value: Any, path: str) -> Any:
    return _summarised(value, path, _INSIDE) if isinstance(value, dict) else value


@cache
def _summary_table(path: str) -> dict[str, str]:
    """Name the properties that stay, each with the path of its own elements where some of these do not stay."""
    table: dict[str, str] = {}
    for element in facts.children(path):
        if element.is_summary or element.min > 0 or element.is_modifier:
            for name, type_name in zip(_json_names(element), _types_of(element), strict=True):
                table[name] = _below(element, type_name)
    return table


def _types_of(element: facts.Element) -> Iterable[str]:
    if not element.is_choice:
        return (element.types[0] if element.types else "",)
    return element.types if element.types != ("*",) else tuple(facts.DATA_TYPES | facts.PRIMITIVE_TYPES)


def _below(element: facts.Element, type_name: str) -> str:
    if element.content_reference is not None:
        return element.content_reference
    if facts.children(element.path):
        return element.path
    # A type without any summary element, such as Extension or Narrative, stays whole.
    is_cut = type_name in facts.DATA_TYPES and any(one.is_summary for one in facts.children(type_name))
    return type_name if is_cut else ""


def _mandatory(type_name: str) -> frozenset[str]:
    """Mandatory elements, and modifiers: without them the rest could be misread."""
    return _names(type_name, "mandatory")


def _all_but_text(type_name: str) -> frozenset[str]:
    return _names(type_name, "data")
