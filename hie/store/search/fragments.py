"""References to contained resources (`#x`): the parameters that look at them, and the tokens these are found by.

docs/adr/0020-contained-resources.md
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from hie.fhir.fhirpath.paths import routes
from hie.fhir.search_parameters import IndexValues
from hie.fhir.search_values import Emit
from hie.fhir.search_walk import Node, Walk
from hie.store.crypto import Blind
from hie.store.search.plan import plan_of


def referred(resource: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each parameter by which a resource refers to what it contains, with the id of that."""
    found = IndexValues(resource)
    _walk(resource["resourceType"])(resource, found)
    for code, text in found.uris:
        yield code, text[1:]


def restricted(resource: dict[str, Any]) -> set[str]:
    """Return the parameters for one type, such as patient for subject, by which it refers to what it contains."""
    aliases = plan_of(resource["resourceType"]).aliases
    if not aliases or "contained" not in resource:
        return set()
    types = {one.get("id"): one.get("resourceType") for one in resource["contained"]}
    return {alias for code, id_ in referred(resource) for alias, type_name in aliases.get(code, ())
            if types.get(id_) == type_name}


def fragment_hash(id_: str, blind: Blind) -> int:
    """Return the hash of a contained resource's id, whatever its type."""
    return blind.hash("contained", id_)


def fragment_token(type_name: str, id_: str, blind: Blind) -> int:
    """Return the token of a contained resource by its id, which may say what nobody should read in the file."""
    return blind.hash(type_name, "_id", id_)


def referred_token(type_name: str, code: str, blind: Blind) -> int:
    """Return the token of a contained resource to which its container, of a type, refers by a parameter."""
    return blind.hash(type_name, code, "contained")


@lru_cache(maxsize=256)
def _walk(type_name: str) -> Walk:
    """Return the way to the references to contained resources, which come out as uris of their parameters."""
    root = Node()
    for one in plan_of(type_name).parameters.values():
        if one.type == "reference" and one.is_indexed and not one.state:
            for route in routes(one.expression or "", type_name) or ():
                if route.type == "Reference":
                    root.add(route.hops, _emitter(one.code))
    return root.compiled()


def _emitter(code: str) -> Emit:
    def emit(element: Any, out: IndexValues) -> None:
        text = element.get("reference") if type(element) is dict else None
        if type(text) is str and text[:1] == "#":
            out.uris.append((code, text))

    return emit
