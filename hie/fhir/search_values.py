"""One element -> the values search compares it by, per search parameter type: https://hl7.org/fhir/R4/search.html#ptypes

Values are plain tuples: a resource gives dozens, and a tuple costs a tenth of a named one. Elements that are not what
their type says are passed over, never raised on: validation speaks about them, extraction does not.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from hie.fhir import references
from hie.fhir.datatypes import (
    DatatypeError,
    parse_date,
    period_bounds,
    quantity_bounds,
    range_bounds,
    read_date,
    timing_bounds,
)
from hie.fhir.fhirpath import model

TokenValue = tuple[str, str | None, str]
"""parameter, system, code. The system is "" where the element could say one and does not, None where it cannot."""
SystemValue = tuple[str, str]
"""parameter, system of a Coding without a code, an Identifier or ContactPoint without a value: for `system|`."""
TypedIdentifierValue = tuple[str, str, str, str]
"""parameter, system and code of Identifier.type, Identifier.value; for the modifier :of-type."""
TextValue = tuple[str, str]
"""parameter, CodeableConcept.text, Coding.display or Identifier.type.text; for the modifier :text."""
ReferenceValue = tuple[str, str | None, str | None, str | None, tuple[str, str | None] | None, str | None]
"""parameter, target type, target id, url, identifier (system or "", value or None), version.

`Type/id` has no url; an absolute URL of that form has all three; canonical, urn and other URLs have a url alone, and
the type where Reference.type says it.
"""
StringValue = tuple[str, str]
"""parameter, text as it was written."""
DateValue = tuple[str, int, int, str | None]
"""parameter, low, high (half-open, microseconds), the text where the element is one date, dateTime or instant."""
NumberValue = tuple[str, Decimal | None, Decimal | None]
"""parameter, lowest and highest value, equal unless the element is a Range; None is open."""
QuantityValue = tuple[str, Decimal | None, Decimal | None, str | None, str | None, str | None]
"""parameter, lowest and highest value as for numbers, then system, code and unit."""
UriValue = tuple[str, str]
"""parameter, uri."""
CompositeValue = tuple[Any, ...]
"""parameter, and for each component its values as above without the parameter, all from the same element; of a
parameter that is defined here its SearchParameter too. A token with a system alone has the code None."""

CURRENCIES = "urn:iso:std:iso:4217"


class IndexValues:
    """Every value one resource is found by, grouped by kind and not hashed."""

    __slots__ = (
        "composites",
        "dates",
        "identifier_types",
        "numbers",
        "present",
        "quantities",
        "references",
        "root",
        "strings",
        "systems",
        "texts",
        "tokens",
        "uris",
    )

    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root
        self.tokens: list[TokenValue] = []
        self.systems: list[SystemValue] = []
        self.identifier_types: list[TypedIdentifierValue] = []
        self.texts: list[TextValue] = []
        self.references: list[ReferenceValue] = []
        self.strings: list[StringValue] = []
        self.dates: list[DateValue] = []
        self.numbers: list[NumberValue] = []
        self.quantities: list[QuantityValue] = []
        self.uris: list[UriValue] = []
        self.composites: list[CompositeValue] = []
        self.present: list[str] = []
        """Parameters whose element is there although it gives no value, such as a code with text alone: `:missing`."""

    @classmethod
    def of_kind(cls, kind: str, root: dict[str, Any]) -> IndexValues:
        """Make one that takes values of a single kind: a composite needs two for each element, and quickly."""
        self = cls.__new__(cls)
        self.root = root
        self.present = []
        self.systems = []
        self.identifier_types = []
        self.texts = []
        setattr(self, kind, [])
        return self


Emit = Callable[[Any, IndexValues], None]
"""Adds the values of one element."""
Maker = Callable[[str, str | None], Emit]
"""Makes an Emit for a parameter and the value set its code element is bound to."""


def emitter(search_type: str, element_type: str, parameter: str, value_set: str | None = None) -> Emit | None:
    """Make the function that indexes elements of one type for one parameter; None if search cannot compare them."""
    maker = _MAKERS.get((search_type, element_type))
    return maker(parameter, value_set) if maker else None


def only_system(element_type: str, value_set: str | None) -> str | None:
    """Give the system of every token of elements of a type ("": they have none); None where each says its own."""
    if element_type != "code":
        return "" if ("token", element_type) in _MAKERS and element_type not in _WITH_SYSTEM else None
    only, by_code = model.systems_of_codes(value_set)
    return None if by_code else only or ""


# ---- token: search.html#token ----------------------------------------------------------------------------------------


def _coding(parameter: str, _: str | None) -> Emit:
    def emit(coding: Any, out: IndexValues) -> None:
        if type(coding) is not dict:
            return
        display = coding.get("display")
        if type(display) is str:
            out.texts.append((parameter, display))
        code, system = coding.get("code"), coding.get("system")
        if type(code) is str:
            out.tokens.append((parameter, system if type(system) is str else "", code))
            return
        out.present.append(parameter)
        if type(system) is str:
            out.systems.append((parameter, system))

    return emit


def _codeable_concept(parameter: str, _: str | None) -> Emit:
    def emit(concept: Any, out: IndexValues) -> None:
        if type(concept) is not dict:
            return
        texts, text = out.texts, concept.get("text")
        if type(text) is str:
            texts.append((parameter, text))
        codings = concept.get("coding")
        if type(codings) is list:
            tokens = out.tokens
            before = len(tokens)
            for coding in codings:
                if type(coding) is dict:
                    display = coding.get("display")
                    if type(display) is str:
                        texts.append((parameter, display))
                    code, system = coding.get("code"), coding.get("system")
                    if type(code) is str:
                        tokens.append((parameter, system if type(system) is str else "", code))
                    elif type(system) is str:
                        out.systems.append((parameter, system))
            if len(tokens) > before:
                return
        out.present.append(parameter)

    return emit


def _identifier(parameter: str, _: str | None) -> Emit:
    def emit(identifier: Any, out: IndexValues) -> None:
        if type(identifier) is not dict:
            return
        value, system, kind = identifier.get("value"), identifier.get("system"), identifier.get("type")
        if type(kind) is dict:
            text = kind.get("text")
            if type(text) is str:
                out.texts.append((parameter, text))
        if type(value) is not str:
            out.present.append(parameter)
            if type(system) is str:
                out.systems.append((parameter, system))
            return
        out.tokens.append((parameter, system if type(system) is str else "", value))
        if type(kind) is dict:
            for coding in kind.get("coding") or ():
                if type(coding) is dict and type(coding.get("code")) is str:
                    kind_system = coding.get("system")
                    out.identifier_types.append(
                        (parameter, kind_system if type(kind_system) is str else "", coding["code"], value)
                    )

    return emit


def _code(parameter: str, value_set: str | None) -> Emit:
    only_system, system_of = model.systems_of_codes(value_set)

    def emit(code: Any, out: IndexValues) -> None:
        if type(code) is str:
            out.tokens.append((parameter, only_system or system_of.get(code), code))

    return emit


def _plain_token(parameter: str, _: str | None) -> Emit:
    def emit(value: Any, out: IndexValues) -> None:
        if type(value) is str:
            out.tokens.append((parameter, None, value))

    return emit


def _boolean(parameter: str, _: str | None) -> Emit:
    def emit(value: Any, out: IndexValues) -> None:
        if type(value) is bool:
            out.tokens.append((parameter, None, "true" if value else "false"))

    return emit


def _contact_point(parameter: str, _: str | None) -> Emit:
    def emit(contact: Any, out: IndexValues) -> None:
        if type(contact) is not dict:
            return
        value, system = contact.get("value"), contact.get("system")
        if type(value) is str:
            out.tokens.append((parameter, system if type(system) is str else "", value))
            return
        out.present.append(parameter)
        if type(system) is str:
            out.systems.append((parameter, system))

    return emit


# ---- reference: search.html#reference --------------------------------------------------------------------------------


def _reference(parameter: str, _: str | None) -> Emit:
    def emit(reference: Any, out: IndexValues) -> None:
        if type(reference) is not dict:
            return
        identifier = _logical(reference["identifier"]) if "identifier" in reference else None
        text = reference.get("reference")
        parsed = references.parse(text) if type(text) is str else None
        if parsed is not None and (parsed.kind in ("relative", "absolute")):
            _, type_name, id_, version, url = parsed
            out.references.append((parameter, type_name, id_, url, identifier, version))
            return
        url = parsed.url if parsed is not None and parsed.kind in ("urn", "url") else None
        if url is None and identifier is None:
            out.present.append(parameter)
        else:
            out.references.append((parameter, references.target_type(reference), None, url, identifier, None))

    return emit


def _logical(identifier: Any) -> tuple[str, str | None] | None:
    if type(identifier) is not dict:
        return None
    system, value = identifier.get("system"), identifier.get("value")
    if type(value) is str:
        return (system if type(system) is str else "", value)
    return (system, None) if type(system) is str else None


def _canonical(parameter: str, _: str | None) -> Emit:
    def emit(canonical: Any, out: IndexValues) -> None:
        if type(canonical) is not str:
            return
        url, version, _ = references.parse_canonical(canonical)
        if url:
            out.references.append((parameter, None, None, url, None, version))
        else:
            out.present.append(parameter)  # "#id" names a contained resource

    return emit


def _uri_reference(parameter: str, _: str | None) -> Emit:
    def emit(uri: Any, out: IndexValues) -> None:
        if type(uri) is str:
            out.references.append((parameter, None, None, uri, None, None))

    return emit


def entry_emitter(parameter: str, targets: frozenset[str]) -> Emit:
    """Make the Emit of a parameter that points at a resource inside a Bundle: its first entry."""

    def emit(resource: Any, out: IndexValues) -> None:
        if type(resource) is dict and resource.get("resourceType") in targets:
            id_ = resource.get("id")
            if type(id_) is str:
                out.references.append((parameter, resource["resourceType"], id_, None, None, None))
            else:
                out.present.append(parameter)

    return emit


# ---- string: search.html#string --------------------------------------------------------------------------------------

_NAME_PARTS = ("text", "family", "given", "prefix", "suffix")
_ADDRESS_PARTS = ("text", "line", "city", "district", "state", "postalCode", "country")


def _string(parameter: str, _: str | None) -> Emit:
    def emit(text: Any, out: IndexValues) -> None:
        if type(text) is str:
            out.strings.append((parameter, text))

    return emit


def _parts(names: tuple[str, ...]) -> Maker:
    def make(parameter: str, _: str | None) -> Emit:
        def emit(element: Any, out: IndexValues) -> None:
            if type(element) is not dict:
                return
            strings = out.strings
            before = len(strings)
            for name in names:
                part = element.get(name)
                if type(part) is str:
                    strings.append((parameter, part))
                elif type(part) is list:
                    strings.extend([(parameter, text) for text in part if type(text) is str])
            if len(strings) == before:
                out.present.append(parameter)

        return emit

    return make


# ---- date: search.html#date ------------------------------------------------------------------------------------------

#: Everything that one transaction writes says the same; afterwards it does not come again.
_time_of_write = lru_cache(maxsize=16)(read_date)


def _date(parameter: str, _: str | None) -> Emit:
    read = _time_of_write if parameter == "_lastUpdated" else parse_date

    def emit(text: Any, out: IndexValues) -> None:
        if type(text) is str:
            try:
                low, high, _ = read(text)
            except DatatypeError:
                return
            out.dates.append((parameter, low, high, text))

    return emit


def _bounded(bounds: Callable[[dict[str, Any]], tuple[int, int] | None]) -> Maker:
    def make(parameter: str, _: str | None) -> Emit:
        def emit(element: Any, out: IndexValues) -> None:
            if type(element) is not dict:
                return
            try:
                limits = bounds(element)
            except (DatatypeError, AttributeError, TypeError):  # parts of other JSON types than they should be
                limits = None
            if limits is None:
                out.present.append(parameter)
            else:
                out.dates.append((parameter, *limits, None))

        return emit

    return make


# ---- number: search.html#number --------------------------------------------------------------------------------------


def _number(parameter: str, _: str | None) -> Emit:
    def emit(value: Any, out: IndexValues) -> None:
        if isinstance(value, int | Decimal) and type(value) is not bool:
            number = Decimal(value)
            out.numbers.append((parameter, number, number))

    return emit


def _number_range(parameter: str, _: str | None) -> Emit:
    def emit(element: Any, out: IndexValues) -> None:
        limits = _range_limits(element)
        if limits is not None:
            out.numbers.append((parameter, *limits))
        elif type(element) is dict:
            out.present.append(parameter)

    return emit


# ---- quantity: search.html#quantity ----------------------------------------------------------------------------------


def _quantity(parameter: str, _: str | None) -> Emit:
    def emit(quantity: Any, out: IndexValues) -> None:
        if type(quantity) is not dict:
            return
        try:
            limits = quantity_bounds(quantity)
        except DatatypeError:
            return
        if limits is None:
            out.present.append(parameter)
        else:
            out.quantities.append((parameter, *limits, *_unit(quantity)))

    return emit


def _money(parameter: str, _: str | None) -> Emit:
    def emit(money: Any, out: IndexValues) -> None:
        if type(money) is not dict:
            return
        try:
            limits = quantity_bounds(money)
        except DatatypeError:
            return
        currency = money.get("currency")
        if limits is None:
            out.present.append(parameter)
        elif type(currency) is str:
            out.quantities.append((parameter, *limits, CURRENCIES, currency, None))
        else:
            out.quantities.append((parameter, *limits, None, None, None))

    return emit


def _quantity_range(parameter: str, _: str | None) -> Emit:
    def emit(element: Any, out: IndexValues) -> None:
        limits = _range_limits(element)
        if limits is not None:
            out.quantities.append((parameter, *limits, *_unit(element.get("low") or element.get("high"))))
        elif type(element) is dict:
            out.present.append(parameter)

    return emit


def _sampled_data(parameter: str, _: str | None) -> Emit:
    def emit(sampled: Any, out: IndexValues) -> None:
        if type(sampled) is not dict:
            return
        origin = sampled.get("origin")
        limits = _sampled_limits(sampled, origin) if type(origin) is dict else None
        if limits is None:
            out.present.append(parameter)
        else:
            out.quantities.append((parameter, *limits, *_unit(origin)))

    return emit


def _range_limits(element: Any) -> tuple[Decimal | None, Decimal | None] | None:
    if type(element) is not dict:
        return None
    try:
        return range_bounds(element)
    except (DatatypeError, AttributeError):
        return None


def _sampled_limits(sampled: dict[str, Any], origin: dict[str, Any]) -> tuple[Decimal, Decimal] | None:
    """Give the lowest and highest sample: datatypes.html#SampledData; E, U and L are no measured values."""
    data = sampled.get("data")
    try:
        zero, factor = Decimal(origin.get("value", 0)), Decimal(sampled.get("factor", 1))
        points = [Decimal(point) for point in data.split() if point not in ("E", "U", "L")] if data else []
    except (InvalidOperation, TypeError, ValueError, AttributeError):
        return None
    if not points or not all(point.is_finite() for point in (zero, factor, *points)):
        return None
    ends = (zero + factor * min(points), zero + factor * max(points))
    return min(ends), max(ends)


def _unit(quantity: Any) -> tuple[str | None, str | None, str | None]:
    system, code, unit = quantity.get("system"), quantity.get("code"), quantity.get("unit")
    return (
        system if type(system) is str else None,
        code if type(code) is str else None,
        unit if type(unit) is str else None,
    )


# ---- uri: search.html#uri --------------------------------------------------------------------------------------------


def _uri(parameter: str, _: str | None) -> Emit:
    def emit(uri: Any, out: IndexValues) -> None:
        if type(uri) is str:
            out.uris.append((parameter, uri))

    return emit


# ---- which maker for which element -----------------------------------------------------------------------------------

_MAKERS: dict[tuple[str, str], Maker] = {
    ("token", "Coding"): _coding,
    ("token", "CodeableConcept"): _codeable_concept,
    ("token", "Identifier"): _identifier,
    ("token", "ContactPoint"): _contact_point,
    ("token", "code"): _code,
    ("token", "boolean"): _boolean,
    ("token", "System.Boolean"): _boolean,
    ("reference", "Reference"): _reference,
    ("reference", "canonical"): _canonical,
    ("reference", "uri"): _uri_reference,
    ("string", "HumanName"): _parts(_NAME_PARTS),
    ("string", "Address"): _parts(_ADDRESS_PARTS),
    ("date", "Period"): _bounded(period_bounds),
    ("date", "Timing"): _bounded(timing_bounds),
    ("number", "Range"): _number_range,
    ("quantity", "Money"): _money,
    ("quantity", "Range"): _quantity_range,
    ("quantity", "SampledData"): _sampled_data,
}
#: Elements whose system is written beside their code.
_WITH_SYSTEM = frozenset({"Coding", "CodeableConcept", "Identifier", "ContactPoint"})
_MAKERS |= {("token", name): _plain_token for name in ("string", "id", "uri", "url", "oid", "uuid", "canonical")}
_MAKERS |= {("string", name): _string for name in ("string", "markdown", "code", "id")}
_MAKERS |= {("date", name): _date for name in ("date", "dateTime", "instant")}
_MAKERS |= {("number", name): _number for name in ("integer", "decimal", "positiveInt", "unsignedInt")}
_MAKERS |= {("quantity", name): _quantity for name in ("Quantity", "Age", "Duration", "Count", "Distance")}
_MAKERS |= {("uri", name): _uri for name in ("uri", "url", "oid", "uuid", "canonical")}
