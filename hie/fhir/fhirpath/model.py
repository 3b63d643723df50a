"""R4's types as FHIRPath sees them: which element holds what, and which type is which: https://hl7.org/fhir/R4/fhirpath.html

A type is named by its code (`Patient`, `HumanName`, `code`) or, for the anonymous types of backbone elements, by the
path that defines it (`Patient.contact`). Types of the FHIRPath language itself start with `System.`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

from hie.fhir import facts
from hie.fhir.short_texts import remembered_if_short

SYSTEM_TYPES = frozenset({"Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity"})
TYPE_INFO = "System.TypeInfo"
"""What type() gives: https://hl7.org/fhirpath/N1/#reflection"""
_ANONYMOUS = frozenset({"BackboneElement", "Element"})


@dataclass(frozen=True, slots=True)
class Child:
    """One element of a type: the JSON properties that may hold it, each with the type it then has."""

    name: str
    forms: tuple[tuple[str, str], ...]
    is_list: bool
    value_set: str | None
    """The value set of a required binding."""
    targets: tuple[str, ...]


@lru_cache(maxsize=facts.NAMES_KEPT)
def children(type_name: str) -> dict[str, Child]:
    """Give the elements of a type by name; a choice stands under its name without [x]."""
    if type_name == TYPE_INFO:
        return _TYPE_INFO_CHILDREN
    if type_name.startswith("System.") or type_name in facts.PRIMITIVE_TYPES:
        return _PRIMITIVE_CHILDREN
    try:
        return {child.name: child for child in map(_child, facts.children(type_name))}
    except KeyError:
        return {}


@remembered_if_short(facts.NAMES_KEPT)
def property_types(type_name: str) -> dict[str, str]:
    """Give the type of each JSON property that an element of a type may have."""
    return dict(form for child in children(type_name).values() for form in child.forms)


@remembered_if_short(facts.NAMES_KEPT)
def choice_with_type(type_name: str, name: str) -> tuple[str, str] | None:
    """Give the choice, and the type of it, that a name such as valueDateTime means in JSON; None where it means none.

    FHIRPath calls a choice by its name alone: https://hl7.org/fhir/R4/fhirpath.html#polymorphism
    """
    for child in children(type_name).values():
        for property_, own in child.forms if len(child.forms) > 1 else ():
            if property_ == name:
                return child.name, own
    return None


@remembered_if_short(facts.NAMES_KEPT)
def is_type(name: str) -> bool:
    """Tell whether R4 knows a type by this name, abstract ones included."""
    return facts.type_kind(name) is not None


@lru_cache(maxsize=facts.NAMES_KEPT)
def ancestors(type_name: str) -> tuple[str, ...]:
    """Give the type itself and the types it specialises, nearest first."""
    if "." in type_name and not type_name.startswith("System."):
        return (type_name, "BackboneElement", "Element")
    row = facts.load()["types"].get(type_name)
    if row is None:
        return (type_name,)
    base = row.get("base")
    return (type_name, *ancestors(base)) if base else (type_name,)


@lru_cache(maxsize=facts.NAMES_KEPT)
def is_a(type_name: str, wanted: str) -> bool:
    """Tell whether a type is another one or specialises it: canonical is a uri, Age is a Quantity."""
    return wanted in ancestors(type_name)


@lru_cache(maxsize=facts.NAMES_KEPT)
def is_primitive(type_name: str) -> bool:
    """Tell whether the type's JSON form is a plain value."""
    return type_name in facts.PRIMITIVE_TYPES


@lru_cache(maxsize=facts.NAMES_KEPT)
def is_resource(type_name: str) -> bool:
    """Tell whether the type is a resource, abstract ones included."""
    return facts.type_kind(type_name) == "resource"


@lru_cache(maxsize=facts.NAMES_KEPT)
def systems_of_codes(value_set: str | None) -> tuple[str | None, dict[str, str]]:
    """Give the only code system of a required value set, or None and the system of each of its codes."""
    systems = facts.required_codes(value_set) if value_set else None
    if not systems:
        return None, {}
    if len(systems) == 1:
        return next(iter(systems)), {}
    return None, {code: system for system, codes in systems.items() for code in codes}


def _child(element: facts.Element) -> Child:
    if element.content_reference:
        return Child(element.name, ((element.name, element.content_reference),), element.is_list, None, ())
    if element.is_choice:
        name = element.name.removesuffix("[x]")
        forms = tuple((name + code[0].upper() + code[1:], code) for code in element.types)
    else:
        name = element.name
        forms = tuple((name, _type_of(element, code)) for code in element.types)
    return Child(name, forms, element.is_list, element.required_value_set, element.targets)


def _type_of(element: facts.Element, code: str) -> str:
    if code in _ANONYMOUS:
        return element.path
    if code == "S.String":
        return _type_of_system_string(element)
    return code


def _type_of_system_string(element: facts.Element) -> str:
    """Name the FHIR type of ids and extension urls, which the definitions give a type of the FHIRPath language."""
    owner, _, name = element.path.rpartition(".")
    if name == "url":
        return "uri"
    return "id" if facts.type_kind(owner) == "resource" else "string"


_TYPE_INFO_CHILDREN = {
    name: Child(name, ((name, "System.String"),), False, None, ()) for name in ("namespace", "name")
}
_PRIMITIVE_CHILDREN = {
    "id": Child("id", (("id", "string"),), False, None, ()),
    "extension": Child("extension", (("extension", "Extension"),), True, None, ()),
}


@cache
def leaf_types() -> frozenset[str]:
    """Name the types that no other type specialises: an element of such a type is exactly that."""
    types = facts.load()["types"]
    bases = {row.get("base") for row in types.values()}
    return frozenset(name for name, row in types.items() if name not in bases and not row["abstract"])
