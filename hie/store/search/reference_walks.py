"""The way to the references of one search parameter, for who needs these alone: https://hl7.org/fhir/R4/search.html#reference"""

from __future__ import annotations

from functools import lru_cache

from hie.fhir import search_parameters
from hie.fhir.fhirpath.paths import routes
from hie.fhir.search_parameters import answering
from hie.fhir.search_values import emitter, entry_emitter
from hie.fhir.search_walk import Node, Walk
from hie.store.search.literal_references import SELF_CONTAINED
from hie.store.search.plan import plan_of


def reference_walk(type_name: str, code: str | None) -> Walk:
    """Return the way to the references of one parameter alone (None: of all), shorter than extracting everything."""
    return _reference_walk(type_name, code, search_parameters.installed().of(type_name))


@lru_cache(maxsize=4096)
def _reference_walk(type_name: str, code: str | None, _custom: object) -> Walk:
    root = Node()
    parameters = plan_of(type_name).parameters
    every = (one.code for one in parameters.values() if one.type == "reference" and type_name not in SELF_CONTAINED)
    for answer in dict.fromkeys(one for each in ([code] if code else every) for one in answering(parameters, each)):
        for route in routes(parameters[answer].expression or "", type_name) or ():
            emit = emitter("reference", route.type, answer) or entry_emitter(answer, parameters[answer].targets)
            root.add(route.hops, emit)
    return root.compiled()
