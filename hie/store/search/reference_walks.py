"""The way to the values of some search parameters, for who needs these alone: shorter than extracting everything.

https://hl7.org/fhir/R4/search.html#reference
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from hie.fhir import search_parameters
from hie.fhir.search_extraction import definition_of, walk_of
from hie.fhir.search_parameters import IndexValues, answering
from hie.fhir.search_walk import Walk
from hie.store.search.literal_references import SELF_CONTAINED
from hie.store.search.plan import plan_of


def reference_walk(type_name: str, code: str | None) -> Walk:
    """Return the way to the references of one parameter alone (None: of all)."""
    return _reference_walk(type_name, code, search_parameters.installed().of(type_name))


@lru_cache(maxsize=4096)
def _reference_walk(type_name: str, code: str | None, _custom: object) -> Walk:
    parameters = plan_of(type_name).parameters
    every = (one.code for one in parameters.values() if one.type == "reference" and type_name not in SELF_CONTAINED)
    answers = dict.fromkeys(one for each in ([code] if code else every) for one in answering(parameters, each))
    return walk_of(definition_of(parameters[one]) for one in answers)


def values_by(codes: frozenset[str], resource: dict[str, Any]) -> IndexValues:
    """Return the values of a resource by some parameters of its type."""
    values, type_name = IndexValues(resource), resource["resourceType"]
    _walk_to(type_name, codes, search_parameters.installed().of(type_name))(resource, values)
    return values


@lru_cache(maxsize=1024)
def _walk_to(type_name: str, codes: frozenset[str], _custom: object) -> Walk:
    parameters = plan_of(type_name).parameters
    answers = dict.fromkeys(one for code in sorted(codes) for one in answering(parameters, code))
    return walk_of(definition_of(parameters[one]) for one in answers)
