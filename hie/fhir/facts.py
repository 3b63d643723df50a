"""What FHIR R4 says about types, elements, codes, search and operations, read from the facts file beside.

The file's keys are described in data/README.md. Everything is read at first use: importing this module costs nothing.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from hie.fhir.short_texts import remembered_if_short

FACTS_PATH = Path(__file__).parent / "data" / "r4-facts.json.gz"
#: What is remembered of names that a client may have made up is bounded: far more than R4 has.
NAMES_KEPT = 16_384

# Read at first use by __getattr__ below.
RESOURCE_TYPES: frozenset[str]
"""The 146 resource types that have instances: https://hl7.org/fhir/R4/resourcelist.html"""
DATA_TYPES: frozenset[str]
"""The complex data types that have instances: https://hl7.org/fhir/R4/datatypes.html"""
PRIMITIVE_TYPES: frozenset[str]
"""The 20 primitive types: https://hl7.org/fhir/R4/datatypes.html#primitive"""
SEARCH_PARAMETERS: list[dict[str, Any]]
"""Rows with code, base, type, expression, target, component, url: https://hl7.org/fhir/R4/searchparameter-registry.html"""
COMPARTMENTS: dict[str, dict[str, list[str]]]
"""Compartment -> resource type -> search parameters that make it a member: https://hl7.org/fhir/R4/compartmentdefinition.html"""
OPERATIONS: dict[str, dict[str, Any]]
"""`code@Type` -> the OperationDefinition's url, levels and parameters: https://hl7.org/fhir/R4/operationslist.html"""


class Element(NamedTuple):
    """One element of a type, from its ElementDefinition: https://hl7.org/fhir/R4/elementdefinition.html"""

    path: str
    name: str
    """The last part of the path, with [x] where the type is a choice."""
    min: int
    max: str
    types: tuple[str, ...]
    """Type codes; empty where `content_reference` says it."""
    targets: tuple[str, ...]
    """Types a Reference (or canonical) may point at; empty where every type may be."""
    content_reference: str | None
    """Path of the element whose definition this one shares."""
    is_summary: bool
    is_modifier: bool
    required_value_set: str | None

    @property
    def is_choice(self) -> bool:
        """Tell whether the element's JSON name carries its type, as in valueQuantity."""
        return self.name.endswith("[x]")

    @property
    def is_list(self) -> bool:
        """Tell whether the element is an array in JSON."""
        return self.max != "1" and self.max != "0"


@cache
def load() -> dict[str, Any]:
    """Read the facts file; the structure is shared, so nobody may change it."""
    facts: dict[str, Any] = orjson.loads(gzip.decompress(FACTS_PATH.read_bytes()))
    return facts


@cache
def elements(type_name: str) -> tuple[Element, ...]:
    """Give every element of a type at any depth, in the specification's order; KeyError for an unknown type."""
    rows = load()["elements"][type_name]
    return tuple(_element(path, row) for path, row in rows.items() if path != type_name)


@cache
def children(path: str) -> tuple[Element, ...]:
    """Give the elements directly below a type or a backbone element such as Patient.contact."""
    prefix, depth = path + ".", path.count(".") + 1
    below = elements(path.partition(".")[0])
    return tuple(one for one in below if one.path.startswith(prefix) and one.path.count(".") == depth)


@cache
def summary_elements(type_name: str) -> frozenset[str]:
    """Name the top-level elements of a type that `_summary=true` keeps; a choice keeps its [x]."""
    return frozenset(one.name for one in children(type_name) if one.is_summary)


@cache
def mandatory_elements(type_name: str) -> frozenset[str]:
    """Name the top-level elements of a type with a minimum of one; a choice keeps its [x]."""
    return frozenset(one.name for one in children(type_name) if one.min > 0)


@remembered_if_short(NAMES_KEPT)
def required_codes(value_set: str) -> dict[str, tuple[str, ...]] | None:
    """Give system -> codes of a required value set, or None where the specification's package cannot list them."""
    systems = load()["required"].get(value_set)
    return None if systems is None else {system: tuple(codes) for system, codes in systems.items()}


@remembered_if_short(NAMES_KEPT)
def type_kind(name: str) -> str | None:
    """Say "resource", "complex-type" or "primitive-type"; None for a name that R4 does not know."""
    row = load()["types"].get(name)
    return None if row is None else str(row["kind"])


def _element(path: str, row: list[Any]) -> Element:
    low, high, types, fourth, *rest = row
    reference = fourth[2:] if fourth.startswith("##") else None
    flags = rest[0] if reference else fourth
    value_set = rest[0] if rest and not reference else None
    names = tuple(one if isinstance(one, str) else one[0] for one in types)
    targets = tuple(dict.fromkeys(target for one in types if not isinstance(one, str) for target in one[1]))
    return Element(path, path.rpartition(".")[2], low, high, names, targets, reference, "s" in flags, "m" in flags,
                   value_set)


def _instantiable(kind: str) -> frozenset[str]:
    rows = load()["types"].items()
    return frozenset(name for name, row in rows if row["kind"] == kind and not row["abstract"])


_LAZY = {
    "RESOURCE_TYPES": lambda: _instantiable("resource"),
    "DATA_TYPES": lambda: _instantiable("complex-type"),
    "PRIMITIVE_TYPES": lambda: _instantiable("primitive-type"),
    "SEARCH_PARAMETERS": lambda: load()["search"],
    "COMPARTMENTS": lambda: load()["compartments"],
    "OPERATIONS": lambda: load()["operations"],
}


def __getattr__(name: str) -> Any:
    """Compute one of the tables above when it is first asked for, and keep it."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, _LAZY[name]())
