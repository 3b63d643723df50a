"""URI search: the whole URI, literally. https://hl7.org/fhir/R4/search.html#uri

A canonical (`_profile`) is found by its URL with or without the version it was written with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hie.errors import InvalidSearch
from hie.fhir.search_values import UriValue as Stored
from hie.store.search.blinding import Form, Hash
from hie.store.search.clauses import CODE, Clause, Token
from hie.store.search.syntax import unescape


@dataclass(frozen=True, slots=True)
class UriValue:
    """One alternative."""

    uri: str


def index(value: Stored) -> Iterator[Form]:
    """Yield what is hashed for one URI."""
    uri = value[1]
    yield "uri", uri
    url, bar, _ = uri.partition("|")
    if bar and url:
        yield "uri", url


def parse(text: str, name: str) -> UriValue:
    """Read one alternative."""
    uri = unescape(text).strip()
    if not uri:
        raise InvalidSearch(f"{name} has an empty value.")
    return UriValue(uri)


def where(value: UriValue, hash_: Hash) -> Clause:
    """Return the resources with this URI."""
    return Token(hash_("uri", value.uri), CODE)


def matches(value: UriValue, stored: Stored) -> bool:
    """Tell whether one URI of the resource is asked for."""
    return ("uri", value.uri) in index(stored)
