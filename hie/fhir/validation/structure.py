"""Checks compiled from the facts: elements, cardinality, choices, primitives: https://hl7.org/fhir/R4/json.html

`object_check(path)` gives the check of a type ("Patient", "Quantity") or of a backbone element ("Patient.contact").
A property is compiled when it is first met: a server that only ever sees ten types pays for ten.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache
from typing import Any

from hie.fhir import facts
from hie.fhir.facts import Element
from hie.fhir.primitives import json_kind, primitive, shown
from hie.fhir.validation import bindings, full_urls, narrative, recurring, rules
from hie.fhir.validation.issue import Check, Problem, below, error, has_errors, too_many
from hie.fhir.validation.scope import Scope
from hie.fhir.validation.targets import reference_check

Property = tuple[Element, str | None]
"""An element and the type that this JSON name of it stands for; None for content defined at its own path."""


@cache
def object_check(path: str) -> Check:
    """Compile the check of a JSON object: every property, what must be there, and the invariants."""
    properties = _properties(path)
    checks = _Checks(path, properties)
    tests = {name: test for name, (element, type_name) in properties.items()
             if (test := _test(element, type_name)) is not None}
    is_resource = facts.type_kind(path) == "resource"
    if is_resource:
        tests["resourceType"] = frozenset((path,)).__contains__
    missing = _mandatory(properties)
    choice = _choice_check(properties)
    invariants = rules.of_path(path) + ((full_urls.problems,) if path == "Bundle.entry" else ())
    find_test = tests.get

    def check(value: Any, parent: Any, scope: Scope) -> list[Problem] | None:
        if type(value) is not dict:
            return error("structure", f"An object is expected; found {json_kind(value)}.")
        problems: list[Problem] | None = None
        for name, item in value.items():
            test = find_test(name)
            if test is not None:
                try:
                    if test(item):
                        continue
                except TypeError:  # another JSON type; the check names it
                    pass
            found = checks[name](item, value, scope)
            if found:
                problems = [*(problems or ()), *below(checks.segments.get(name, ""), found)]
                if too_many(problems):
                    return problems
        for name, names in missing:
            if name not in value and value.keys().isdisjoint(names):
                problems = [*(problems or ()), _missing(names)]
        if not is_resource and len(value) <= ("id" in value):
            problems = [*(problems or ()), *error("invariant", "An object must not be empty (ele-1).")]
        if choice is not None and (found := choice(value)):
            problems = [*(problems or ()), *found]
        # Rules trust the structure they look at.
        if scope.invariants and invariants and not (problems and has_errors(problems)):
            for rule in invariants:
                found = rule(value, scope)
                if found:
                    problems = [*(problems or ()), *found]
        return problems

    return check


def resource_check(value: Any, parent: Any, scope: Scope) -> list[Problem] | None:
    """Check a resource in an entry or a parameter: it stands on its own."""
    return _typed(value, scope.of_entry(value))


def contained_check(value: Any, parent: Any, scope: Scope) -> list[Problem] | None:
    """Check a contained resource: it belongs to the one around it."""
    inner = scope.of_contained(value)
    found = _typed(value, inner)
    if "#" in inner.local and isinstance(value.get("id"), str):
        # Pointing at the container is as good as being pointed at (dom-3).
        inner.local.add("#" + value["id"])
    scope.local |= inner.local
    return found


def _typed(value: Any, scope: Scope) -> list[Problem] | None:
    if not isinstance(value, dict):
        return error("structure", f"A resource is a JSON object; found {json_kind(value)}.")
    found = type_problem(value)
    return found or object_check(value["resourceType"])(value, None, scope)


def type_problem(resource: dict[str, Any]) -> list[Problem] | None:
    """Check that a resource names a type of R4."""
    name = resource.get("resourceType")
    if name is None:
        return error("required", "A resource must have a resourceType.")
    if not isinstance(name, str):
        return error("structure", f"resourceType is a string; found {json_kind(name)}.")
    if name not in facts.RESOURCE_TYPES:
        nearest = _nearest(name, facts.RESOURCE_TYPES)
        return error("structure", f"{shown(name)} is no resource type of FHIR R4{nearest}.")
    return None


# ---- properties ------------------------------------------------------------------------------------------------------


def _properties(path: str) -> dict[str, Property]:
    """Give every JSON name an object may have, primitives' extensions apart."""
    names: dict[str, Property] = {}
    for element in facts.children(path):
        if element.content_reference:
            names[element.name] = (element, None)
        elif element.is_choice:
            stem = element.name.removesuffix("[x]")
            names |= {stem + one[0].upper() + one[1:]: (element, one) for one in element.types}
        else:
            names[element.name] = (element, _type_of(element))
    return names


def _type_of(element: Element) -> str | None:
    """Name an element's only type; the specification's System.String is an id, a uri or a string by its place."""
    name = element.types[0]
    if name in ("BackboneElement", "Element"):
        return None
    if not name.startswith("S."):
        return name
    owner, _, last = element.path.rpartition(".")
    if last == "url":
        return "uri"
    return "id" if facts.type_kind(owner) == "resource" else "string"


def _test(element: Element, type_name: str | None) -> Any:
    """Give the shortcut for a single primitive, see hie.fhir.primitives."""
    if element.is_list or type_name is None or facts.type_kind(type_name) != "primitive-type":
        return None
    if _is_element_id(element):
        return None
    codes = bindings.codes(element.required_value_set)
    if codes is not None:
        return codes.__contains__
    if element.required_value_set == bindings.CURRENCIES:
        return None
    return primitive(type_name).test


def _is_element_id(element: Element) -> bool:
    owner, _, last = element.path.rpartition(".")
    return last == "id" and facts.type_kind(owner) != "resource"


class _Checks(dict[str, Check]):
    """JSON name -> check, compiled at its first use; `segments` gives the step of the path for each."""

    def __init__(self, path: str, properties: dict[str, Property]) -> None:
        super().__init__()
        self.path = path
        self.properties = properties
        self.segments: dict[str, str] = {}

    def __missing__(self, name: str) -> Check:
        check = self._compile(name)
        if check is None:
            return _unknown(name, self)
        element = self.properties[name.removeprefix("_")][0]
        self.segments[name] = "." + element.name.removesuffix("[x]")
        self[name] = check
        return check

    def _compile(self, name: str) -> Check | None:
        if name in self.properties:
            return _property_check(name, *self.properties[name])
        element, type_name = self.properties.get(name[1:], (None, None)) if name.startswith("_") else (None, None)
        if element is None or type_name is None or facts.type_kind(type_name) != "primitive-type":
            return None
        if type_name == "xhtml" or element.types[0] == "S.String":  # ids, and Extension.url: no elements of FHIR
            return None
        return _extensions_check(name[1:]) if element.is_list else _extension_check(name[1:])


def _unknown(name: str, checks: _Checks) -> Check:
    path, known = checks.path, checks.properties

    def check(value: Any, parent: Any, scope: Scope) -> list[Problem]:
        if name == "resourceType":
            if facts.type_kind(path) == "resource":
                return error("structure", f"The resourceType is {shown(value)}; {path} is expected.")
            return error("structure", f"A {path} has no resourceType.", ".resourceType")
        where = f".{name}" if name.isidentifier() and len(name) < 64 else ""
        owner = "An element" if path == "Element" else path
        return error("structure", f"{owner} has no element {shown(name)}{_nearest(name, known)}.", where)

    return check


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name[:64], known, n=1)
    return f"; nearest is {near[0]}" if near else ""


# ---- one property ----------------------------------------------------------------------------------------------------


def _property_check(name: str, element: Element, type_name: str | None) -> Check:
    one = _value_check(element, type_name)
    if element.max == "0":
        return _forbidden(element)
    if not element.is_list:
        return one
    if type_name is not None and facts.type_kind(type_name) == "primitive-type":
        return _primitive_list_check(name, one)
    return _list_check(one)


def _value_check(element: Element, type_name: str | None) -> Check:
    """Compile the check of one value of a property."""
    if type_name is None:
        return object_check(element.content_reference or element.path)
    if facts.type_kind(type_name) == "primitive-type":
        return _primitive_check(element, type_name)
    if type_name == "Resource":
        return contained_check if element.name == "contained" else resource_check
    structure = _recurring_check(type_name) if type_name in recurring.TYPES else object_check(type_name)
    if type_name == "Reference":
        return reference_check(structure, element.targets)
    if type_name == "Quantity" and element.path in facts.load()["profiles"]:
        return _simple_quantity_check(structure)
    if type_name == "CodeableConcept" and element.required_value_set:
        return _concept_check(structure, element.required_value_set)
    return structure


@cache
def _recurring_check(type_name: str) -> Check:
    return recurring.remembering(object_check(type_name))


def _primitive_check(element: Element, type_name: str) -> Check:
    problem_of = primitive(type_name).problem
    value_set = element.required_value_set
    is_element_id = _is_element_id(element)
    is_link = type_name in ("uri", "url", "canonical")

    def check(value: Any, parent: Any, scope: Scope) -> list[Problem] | None:
        found = problem_of(value)
        if found is not None:
            return error(*found)
        if is_link and value[0] == "#":
            scope.local.add(value)
        if is_element_id and (" " in value or len(value.split()) != 1):
            return error("value", f"{shown(value)} is no id of an element: it must not contain white space.")
        if value_set is not None:
            return bindings.code_problem(value, value_set)
        return None

    return _div_check(check) if type_name == "xhtml" else check


def _div_check(check: Check) -> Check:
    def check_div(value: Any, parent: Any, scope: Scope) -> list[Problem] | None:
        found = check(value, parent, scope)
        if found:
            return found
        text = narrative.problem(value)
        return None if text is None else error("invariant", text)

    return check_div


def _simple_quantity_check(structure: Check) -> Check:
    """A SimpleQuantity has no comparator: https://hl7.org/fhir/R4/datatypes.html#SimpleQuantity"""

    def check(value: Any, parent: Any, scope: Scope) -> list[Problem] | None:
        found = structure(value, parent, scope)
        if not found and ("comparator" in value or "_comparator" in value):
            return error("structure", "A SimpleQuantity has no comparator (sqty-1).", ".comparator")
        return found

    return check


def _concept_check(structure: Check, value_set: str) -> Check:
    def check(value: Any, parent: Any, scope: Scope) -> list[Problem] | None:
        return structure(value, parent, scope) or bindings.concept_problem(value, value_set)

    return check


def _forbidden(element: Element) -> Check:
    def check(value: Any, parent: Any, scope: Scope) -> list[Problem]:
        return error("structure", f"{element.path} must not be present.")

    return check


# ---- arrays ----------------------------------------------------------------------------------------------------------


def _not_a_list(value: Any) -> list[Problem] | None:
    if type(value) is not list:
        return error("structure", f"An array is expected, the element may repeat; found {json_kind(value)}.")
    return None if value else error("structure", "An array must not be empty.")


def _list_check(one: Check) -> Check:
    def check(value: Any, parent: Any, scope: Scope) -> list[Problem] | None:
        if type(value) is not list or not value:
            return _not_a_list(value)
        problems: list[Problem] = []
        for index, item in enumerate(value):
            found = one(item, value, scope)
            if found:
                problems += below(f"[{index}]", found)
                if too_many(problems):
                    break
        return problems

    return check


def _primitive_list_check(name: str, one: Check) -> Check:
    """Check an array of primitives; a null holds the place of a value that only has an extension."""
    beside = "_" + name

    def check(value: Any, parent: Any, scope: Scope) -> list[Problem] | None:
        if type(value) is not list or not value:
            return _not_a_list(value)
        problems: list[Problem] = []
        for index, item in enumerate(value):
            found = one(item, value, scope) if item is not None else _null_problem(parent.get(beside), index)
            if found:
                problems += below(f"[{index}]", found)
                if too_many(problems):
                    break
        return problems

    return check


def _null_problem(beside: Any, index: int) -> list[Problem] | None:
    if isinstance(beside, list) and index < len(beside) and beside[index] is not None:
        return None
    return error("structure", "null may only hold the place of a value that has an extension.")


def _extension_check(name: str) -> Check:
    """Check the object `_name` that carries the id and the extensions of the primitive `name`."""

    def check(value: Any, parent: Any, scope: Scope) -> list[Problem] | None:
        return _beside(value, name in parent, scope)

    return check


def _beside(value: Any, has_value: bool, scope: Scope) -> list[Problem] | None:
    """Check an id and extensions; an id alone is enough only beside a value (ele-1)."""
    found = object_check("Element")(value, None, scope)
    if found and has_value and type(value) is dict and value.keys() == {"id"}:
        return [one for one in found if one[2] != "invariant"]
    return found


def _extensions_check(name: str) -> Check:
    """Check the array `_name` that carries the extensions of the array `name`, place by place."""

    def check(value: Any, parent: Any, scope: Scope) -> list[Problem] | None:
        if type(value) is not list or not value:
            return _not_a_list(value)
        values = parent.get(name)
        problems: list[Problem] = []
        if isinstance(values, list) and len(values) != len(value):
            problems += error("structure", f"{name} and _{name} are filled up with null to the same length; "
                                           f"found {len(values)} and {len(value)}.")
        for index, item in enumerate(value):
            has_value = isinstance(values, list) and index < len(values) and values[index] is not None
            if item is None:
                # A null beside a null is told by the check of the values themselves.
                is_told = isinstance(values, list) and index < len(values)
                found = None if is_told else _null_problem(None, index)
            else:
                found = _beside(item, has_value, scope)
            if found:
                problems += below(f"[{index}]", found)
                if too_many(problems):
                    break
        return problems

    return check


# ---- what must be there, and what excludes each other ----------------------------------------------------------------


def _mandatory(properties: dict[str, Property]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Give, for each mandatory element, its usual JSON name and all those of which one must be there."""
    found: dict[str, list[str]] = {}
    for name, (element, _) in properties.items():
        if element.min > 0:
            found.setdefault(element.name, []).append(name)
    return tuple((names[0], (*names, *("_" + name for name in names))) for names in found.values())


def _missing(names: tuple[str, ...]) -> Problem:
    plain = [name for name in names if not name.startswith("_")]
    if len(plain) == 1:
        return f".{plain[0]}", "error", "required", f"{plain[0]} is required."
    return "", "error", "required", f"One of {', '.join(plain[:6])}{', …' if len(plain) > 6 else ''} is required."


def _choice_check(properties: dict[str, Property]) -> Any:
    """Give the check that an element with a choice of types has one of them; None where there is no choice."""
    stems = {name: element.name.removesuffix("[x]")
             for name, (element, _) in properties.items() if element.is_choice}
    if not stems:
        return None
    stems |= {"_" + name: stem for name, stem in stems.items()}
    names = frozenset(stems)

    def check(value: dict[str, Any]) -> list[Problem] | None:
        if names.isdisjoint(value):
            return None
        given = {name.removeprefix("_") for name in value if name in names}
        if len(given) == 1 or len({stems[name] for name in given}) == len(given):
            return None
        return _several(sorted(given))

    def _several(given: list[str]) -> list[Problem]:
        problems: list[Problem] = []
        for stem in dict.fromkeys(stems[name] for name in given):
            same = [name for name in given if stems[name] == stem]
            if len(same) > 1:
                problems += error("structure", f"Only one of {', '.join(same)} may be given.", f".{stem}")
        return problems

    return check
