"""The types of R4 itself, as profiles name them: https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.type"""

from __future__ import annotations

from hie.fhir.fhirpath import model

_BASE = "http://hl7.org/fhir/StructureDefinition/"
SIMPLE_QUANTITY = f"{_BASE}SimpleQuantity"
_QUANTITIES = frozenset({"SimpleQuantity", "MoneyQuantity"})
_ABSTRACT = frozenset({"Resource", "DomainResource", "Element", "BackboneElement"})


def is_base(canonical: str) -> bool:
    """Tell whether a canonical names a type of R4 itself rather than a profile."""
    return base_type(canonical) is not None


def base_type(canonical: str) -> str | None:
    """Give the type of R4 that a canonical names; R4 counts its two profiles of Quantity among its types."""
    name = canonical.removeprefix(_BASE).partition("|")[0]
    if not canonical.startswith(_BASE):
        return None
    return name if model.is_type(name) else "Quantity" if name in _QUANTITIES else None


def is_of(type_name: str, code: str) -> bool:
    """Tell whether a value's type is the one that is meant: valueCode is no valueString, though codes are strings."""
    if code.startswith("http://hl7.org/fhirpath/"):
        return True
    return type_name == code or (code in _ABSTRACT and model.is_a(type_name, code))
