"""How search names what it hashes: type, parameter and form, so that equal values of two parameters differ."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

from hie.fhir import search_parameters
from hie.store.crypto import Blind

Form = tuple[str, ...]
"""What is hashed for a value after type and parameter; its first part says in which way it can be asked for."""
Hash = Callable[..., int]
"""Hashes the parts of a form under one type and parameter."""

#: Every literal reference of a resource, whatever its element: who must not be deleted.
REFERS = "refers"
COMPARTMENT = "compartment"
_BITS = 63


def hash_of(blind: Blind, type_name: str, parameter: str) -> Hash:
    """Return the hash function of one parameter of one type."""
    return partial(blind.hash, type_name, parameter)


def word_hash(blind: Blind, type_name: str, parameter: str, word: str) -> int:
    """Return the token of a word of the narrative (_text) or of other strings (_content)."""
    return blind.hash(type_name, parameter, "word", word)


@lru_cache(maxsize=2048)
def presence_bits(blind: Blind, type_name: str) -> dict[str, int]:
    """Give each parameter of a type its bit of resource.presence; which is whose only the tenant's key tells."""
    codes = sorted(code for code, one in search_parameters.for_type(type_name).items() if not one.state)
    if len(codes) > _BITS:
        raise ValueError(f"{type_name} has {len(codes)} search parameters; a presence column holds {_BITS}.")
    places = sorted(range(_BITS), key=lambda place: blind.hash(type_name, "presence", str(place)))
    return {code: 1 << place for code, place in zip(codes, places, strict=False)}
