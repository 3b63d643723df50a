"""Composite search: several conditions on one element. https://hl7.org/fhir/R4/search.html#combining

Where all components but one ask for equality, these are hashed together: into one token, or into the parameter under
which the remaining number, quantity or date is indexed. Anything else is narrowed by its components and verified on
the opened resource.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from hie.fhir.search_parameters import SearchParameter
from hie.store.search import reference, token, uri
from hie.store.search.blinding import Form

#: Only these forms are hashed together; `|code`, `system|` and identifiers are rare and verified instead.
COMBINED_FORMS = frozenset({"code", "pair", "to", "uri"})
_EQUALITY = frozenset({"token", "reference", "uri"})
_ORDERED = frozenset({"number", "quantity", "date"})


def plan(parameter: SearchParameter) -> str:
    """Say how a composite is indexed: "token", the type of its ordered last component, or "" (verified only)."""
    *first, last = (component.type for component in parameter.components)
    if not _EQUALITY.issuperset(first):
        return ""
    if last in _EQUALITY:
        return "token"
    return last if last in _ORDERED else ""


def equal_forms(
    parameter: SearchParameter, values: tuple[tuple[tuple[Any, ...], ...], ...], base_url: str
) -> Iterator[Form]:
    """Yield every combination of the forms of the components that ask for equality."""
    forms = [
        list(_forms(component.type, items, base_url))
        for component, items in zip(parameter.components, values, strict=False)
    ]
    for combination in product(*forms):
        yield joined(combination)


def joined(forms: tuple[Form, ...]) -> Form:
    """Return one form for several; the count of parts keeps two combinations apart."""
    return tuple(part for form in forms for part in (str(len(form)), *form))


def _forms(type_name: str, items: tuple[tuple[Any, ...], ...], base_url: str) -> Iterator[Form]:
    for item in items:
        named: Any = ("", *item)
        if type_name == "token":
            found: Iterator[Form] = token.index(named)
        elif type_name == "reference":
            found = reference.index(named, base_url)
        else:
            found = uri.index(named)
        yield from (form for form in found if form[0] in COMBINED_FORMS)
