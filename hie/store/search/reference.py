"""Reference search: by id, `Type/id`, URL, canonical and `:identifier`. https://hl7.org/fhir/R4/search.html#reference"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hie.errors import InvalidSearch
from hie.fhir import references
from hie.fhir.search_values import ReferenceValue as Stored
from hie.store.search import token
from hie.store.search.blinding import Form, Hash
from hie.store.search.clauses import CODE, IDENTIFIER, REFERENCE, Clause, Token, either
from hie.store.search.syntax import unescape
from hie.store.search.uri import is_below

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
#: Types that so many resources refer to that a reference to one narrows a search little.
_HUBS = frozenset({"Organization", "Practitioner", "PractitionerRole", "Location", "Device", "Medication"})


@dataclass(frozen=True, slots=True)
class ReferenceValue:
    """One alternative: the targets one of which is referred to; or an identifier (`:identifier`)."""

    targets: tuple[str, ...] = ()
    identifier: token.TokenValue | None = None
    below: str | None = None
    """How the version begins that a canonical names beside its URL (`:below`)."""


def relative(url: str, base_url: str) -> str:
    """Return a URL below this server's own base as Type/id; anything else as it is."""
    return url[len(base_url) + 1 :] if base_url and url.startswith(base_url + "/") else url


def target(value: Stored, base_url: str) -> str | None:
    """Name what a reference points at: Type/id on this server, or a URL; None for an identifier alone."""
    _, type_name, id_, url, _, _ = value
    if url is not None:
        return relative(url, base_url)
    return None if id_ is None else f"{type_name}/{id_}"


def index(value: Stored, base_url: str = "") -> Iterator[Form]:
    """Yield what is hashed for one reference."""
    to = target(value, base_url)
    if to is not None:
        yield "to", to
        if value[5] is not None and value[2] is None:
            yield "to", f"{to}|{value[5]}"  # a canonical with its version
    for form in index_identifier(value):
        yield "identifier", *form


def index_identifier(value: Stored) -> Iterator[Form]:
    """Yield every form under which the identifier can be asked for that a reference says."""
    if value[4] is None:
        return
    system, code = value[4]
    if code is None:
        yield token.index_system(system)
    else:
        yield from token.index((value[0], system, code))


def is_of(value: Stored, type_name: str) -> bool:
    """Tell whether a reference may point at a type: one that says an identifier alone need not say of what."""
    return value[1] == type_name or value[1] is None


def parse(
    text: str, modifier: str, types: Iterable[str], name: str, base_url: str, *, is_canonical: bool = False
) -> ReferenceValue:
    """Read one alternative; `types` are those that the parameter, or `:[type]`, allows.

    Behind a place on this server a canonical may name a version, as behind a URL.
    """
    if modifier == "identifier":
        return ReferenceValue(identifier=token.parse(text, name))
    given = unescape(text).strip()
    value = relative(given, base_url)
    if not value:
        raise InvalidSearch(f"{name} has an empty value.")
    if modifier == "below":
        return _below(value, name)
    allowed = sorted(types)
    if ID.fullmatch(value):
        return ReferenceValue(tuple(f"{type_name}/{value}" for type_name in allowed))
    place, bar, version = value.partition("|") if is_canonical else (value, "", "")
    parsed = references.parse(place if version or not bar else value)
    if parsed.version:
        without = parsed.url or f"{parsed.type}/{parsed.id}"
        raise InvalidSearch(f"{name}={text[:200]}: references are searched without a version; use {without[:200]}.")
    is_opaque = is_canonical and parsed.kind == "absolute"  # what stands in a canonical URL says nothing of a type
    if parsed.type is not None and parsed.type not in allowed and not is_opaque:
        raise InvalidSearch(f"{name} cannot refer to a {parsed.type}, only to {_listed(allowed)}.")
    if parsed.kind in ("relative", "absolute", "urn", "url"):
        return ReferenceValue(tuple(dict.fromkeys((value, given))))  # somebody may have stored our own URL whole
    raise InvalidSearch(f"{name}={text[:200]}: a reference is an id, Type/id or a URL, here to {_listed(allowed)}.")


def _below(canonical: str, name: str) -> ReferenceValue:
    """Read a canonical with the beginning of a version, or none: https://hl7.org/fhir/R4/search.html#versions"""
    url, _, version = canonical.partition("|")
    if ":" not in url:
        raise InvalidSearch(f"{name}={canonical[:200]}: a canonical URL is expected, with the beginning of a version "
                            "behind | or none.")
    return ReferenceValue((url,), below=version or None)


def _listed(types: list[str]) -> str:
    return ", ".join(types) if len(types) <= 12 else f"{', '.join(types[:12])} and {len(types) - 12} more"


def where(value: ReferenceValue, hash_: Hash) -> Clause:
    """Return the resources that refer there."""
    if value.identifier is not None:
        return Token(hash_("identifier", *value.identifier.form), IDENTIFIER)
    return either([Token(hash_("to", one), _rank(one)) for one in value.targets])


def _rank(one: str) -> int:
    return CODE if one.partition("/")[0] in _HUBS else REFERENCE


def matches(value: ReferenceValue, stored: Stored, base_url: str = "") -> bool:
    """Tell whether one reference of the resource is asked for."""
    if value.identifier is not None:
        return ("identifier", *value.identifier.form) in index(stored, base_url)
    if value.below is not None and not is_below(stored[5] or "", value.below):
        return False
    return any(form[0] == "to" and form[1] in value.targets for form in index(stored, base_url))
