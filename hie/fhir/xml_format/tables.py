"""What stands where in XML, compiled from the facts: https://hl7.org/fhir/R4/xml.html

The order of elements, which names repeat, which are attributes, and which JSON value each text becomes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, NamedTuple

from hie.fhir import facts, json_format
from hie.fhir.facts import Element

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"


class XmlError(ValueError):
    """Refusal of a text that is no FHIR XML, or of a resource that XML cannot hold; says what was found, and where."""

    def __init__(
        self, message: str, line: int | None = None, column: int | None = None, expression: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
        self.expression = expression

    def __str__(self) -> str:
        return self.message if self.line is None else f"{self.message} Line {self.line}, column {self.column}."


class Kind(Enum):
    """How an element is written."""

    PRIMITIVE = 1  # an attribute `value`
    COMPLEX = 2  # child elements
    RESOURCE = 3  # one child, named by the resource's type
    XHTML = 4  # a div in the namespace of XHTML


class Slot(NamedTuple):
    """The place of one JSON property among its siblings."""

    name: str
    label: str
    """The element's name in a path: that of a choice without its type."""
    order: int
    is_list: bool
    kind: Kind
    path: str
    """The type, or the backbone element, that says what stands inside."""
    value: Callable[[str], Any]
    """Turns the text of a primitive into its JSON value; ValueError says what is expected."""


class Table(NamedTuple):
    """The content of one type or backbone element."""

    slots: dict[str, Slot]
    tags: dict[str, Slot]
    """The same by the element's name with its namespace, as expat gives it."""
    attributes: frozenset[str]


@cache
def table(path: str) -> Table:
    """Give the table of a type or of a backbone element such as Patient.contact."""
    is_resource = facts.type_kind(path) == "resource"
    slots: dict[str, Slot] = {}
    attributes = set()
    for order, element in enumerate(facts.children(path)):
        if element.types[:1] == ("S.String",) and not is_resource:
            attributes.add(element.name)  # Element.id and Extension.url
        elif element.max != "0":
            slots |= {slot.name: slot for slot in _slots(element, order)}
    tags = {f"{XHTML if slot.kind is Kind.XHTML else FHIR} {name}": slot for name, slot in slots.items()}
    return Table(slots, tags, frozenset(attributes))


@cache
def resource_tags() -> dict[str, str]:
    """Give the type of resource by the name of its element with its namespace."""
    return {f"{FHIR} {name}": name for name in facts.RESOURCE_TYPES}


def _slots(element: Element, order: int) -> list[Slot]:
    if element.content_reference is not None:
        return [_slot(element.name, element, order, Kind.COMPLEX, element.content_reference)]
    if element.is_choice:
        stem = element.name.removesuffix("[x]")
        return [_typed(stem + one[0].upper() + one[1:], element, order, one) for one in element.types]
    return [_typed(element.name, element, order, element.types[0])]


def _typed(name: str, element: Element, order: int, type_name: str) -> Slot:
    if type_name in ("BackboneElement", "Element"):
        return _slot(name, element, order, Kind.COMPLEX, element.path)
    if type_name == "Resource":
        return _slot(name, element, order, Kind.RESOURCE, "")
    if type_name == "xhtml":
        return _slot(name, element, order, Kind.XHTML, "")
    if type_name == "S.String" or facts.type_kind(type_name) == "primitive-type":
        return _slot(name, element, order, Kind.PRIMITIVE, "Element", _VALUES.get(type_name, str))
    return _slot(name, element, order, Kind.COMPLEX, type_name)


def _slot(
    name: str, element: Element, order: int, kind: Kind, path: str, value: Callable[[str], Any] = str
) -> Slot:
    return Slot(name, element.name.removesuffix("[x]"), order, element.is_list, kind, path, value)


# ---- from text to JSON values ----------------------------------------------------------------------------------------

_BOOLEANS = {"true": True, "false": False}
_INTEGER = re.compile(r"0|[-+]?[1-9][0-9]{0,19}", re.ASCII)


def _boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise ValueError("true or false is expected")
    return _BOOLEANS[text]


def _integer(text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise ValueError("a whole number is expected")
    return int(text)


def _unsigned(text: str) -> int:
    if text.startswith("+"):  # R4's expressions let it stand in an integer and a positiveInt alone
        raise ValueError("a number without a sign is expected")
    return _integer(text)


def _decimal(text: str) -> Any:
    number = json_format.number(text)
    if number is None:
        raise ValueError("a decimal number such as 1.50 is expected")
    return number


_VALUES: dict[str, Callable[[str], Any]] = {
    "boolean": _boolean, "integer": _integer, "positiveInt": _integer, "unsignedInt": _unsigned, "decimal": _decimal,
}  # fmt: skip
