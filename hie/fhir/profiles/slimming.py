"""Definitions without what is only for people to read, most of a package by far."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from hie.fhir import structures

Json = dict[str, Any]

_OF_ELEMENTS = frozenset(
    {"id", "min", "max", "type", "binding", "constraint", "slicing", "contentReference", "mustSupport", "maxLength"}
)
_VALUES = ("fixed", "pattern", "minValue", "maxValue")
_PLACES = frozenset({"path", "sliceName"})
_OF_DEFINITIONS = frozenset(
    {"resourceType", "url", "version", "name", "type", "kind", "derivation", "context", "contextInvariant"}
)
_WORDS = frozenset({"text", "description", "purpose", "copyright", "contact", "useContext", "jurisdiction", "mapping"})
_SLICE = re.compile(r":[^.]*")


def slim(resource: Json) -> Json:
    """Return what validation needs of a profile with a snapshot, or of a value set or code system."""
    if resource["resourceType"] != "StructureDefinition":
        return {name: value for name, value in resource.items() if name not in _WORDS}
    return _kept(resource) | {"snapshot": {"element": [_element(one) for one in resource["snapshot"]["element"]]}}


def slim_base(resource: Json) -> Json:
    """Return what snapshots for validation are made of: a definition as it was published, with a snapshot or without.
    """
    name = "snapshot" if resource.get("snapshot", {}).get("element") else "differential"
    elements = [_element(one) | {key: one[key] for key in _PLACES if key in one}
                for one in resource.get(name, {}).get("element", [])]
    kept = _kept(resource) | {key: resource[key] for key in ("baseDefinition",) if key in resource}
    return kept | {name: {"element": elements}}


def as_base(resource: Json) -> Json:
    """Return a slim profile as what others are made of: its elements have their places again, which are in their ids.
    """
    if "snapshot" not in resource:
        return resource
    elements = [_placed(one) for one in resource["snapshot"]["element"]]
    return {**resource, "snapshot": {"element": elements}}


def base_of_r4(canonical: str) -> Json | None:
    """Return a definition of R4 itself as a base for validation; None where R4 has none. Nobody may change it."""
    return _base_of_r4(canonical.partition("|")[0]) if is_of_r4(canonical) else None


def is_of_r4(canonical: str) -> bool:
    """Tell whether R4 itself has a definition with this canonical URL."""
    url, _, version = canonical.partition("|")
    return url in structures.index() and version in ("", structures.VERSION)


@lru_cache(maxsize=64)
def _base_of_r4(url: str) -> Json | None:
    found = structures.find(url)
    return None if found is None or "snapshot" not in found else slim_base(found)


def _kept(resource: Json) -> Json:
    return {name: value for name, value in resource.items() if name in _OF_DEFINITIONS}


def _element(element: Json) -> Json:
    found = {name: value for name, value in element.items() if name in _OF_ELEMENTS or name.startswith(_VALUES)}
    if element.get("path") == "Extension" and "isModifier" in element:  # of an element it is the base's to say
        found["isModifier"] = element["isModifier"]
    return found


def _placed(element: Json) -> Json:
    identifier = str(element["id"])
    named = identifier.rpartition(".")[2].partition(":")[2]
    place = {"path": _SLICE.sub("", identifier)} | ({"sliceName": named} if named else {})
    return {**element, **place}
