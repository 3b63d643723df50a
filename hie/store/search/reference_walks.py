"""The way to the references of one search parameter, for who needs these alone: https://hl7.org/fhir/R4/search.html#reference"""

from __future__ import annotations

from functools import lru_cache

from hie.fhir import search_parameters
from hie.fhir.search_extraction import definition_of, walk_of
from hie.fhir.search_parameters import answering
from hie.fhir.search_walk import Walk
from hie.store.search.literal_references import SELF_CONTAINED
from hie.store.search.plan import plan_of


def reference_walk(type_name: str, code: str | None) -> Walk:
    """Return the way to the references of one parameter alone (None: of all), shorter than extracting everything."""
    return _reference_walk(type_name, code, search_parameters.installed().of(type_name))


@lru_cache(maxsize=4096)
def _reference_walk(type_name: str, code: str | None, _custom: object) -> Walk:
    parameters = plan_of(type_name).parameters
    every = (one.code for one in parameters.values() if one.type == "reference" and type_name not in SELF_CONTAINED)
    answers = dict.fromkeys(one for each in ([code] if code else every) for one in answering(parameters, each))
    return walk_of(definition_of(parameters[one]) for one in answers)
