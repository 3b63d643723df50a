"""Composite search: several conditions on one element. https://hl7.org/fhir/R4/search.html#combining

Where all components but one ask for equality, these are hashed together: into one token, or into the parameter under
which the remaining number, quantity or date is indexed. Anything else is narrowed by its components and verified on
the opened resource.

Where the codes are the resource's own, each in one element, as Observation.code beside its value, only codes without
their systems are hashed with the number: whoever names a system is asked for the code's own token beside, which is the
same element's. This halves the rows of most Observations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from hie.errors import Unprocessable
from hie.fhir.search_parameters import SearchParameter
from hie.store.search import date, number, quantity, reference, token, uri
from hie.store.search.blinding import Form, Hash
from hie.store.search.clauses import CODE, Clause, Token, either
from hie.store.search.range_clauses import Interval, Number

#: Combinations of a composite in one resource; the largest official example has some dozens.
MOST_COMBINATIONS = 10_000
#: Only these forms are hashed together; `|code`, `system|` and identifiers are rare and verified instead.
COMBINED_FORMS = frozenset({"code", "pair", "to", "uri"})
_EQUALITY = frozenset({"token", "reference", "uri"})
_ORDERED = frozenset({"number", "quantity", "date"})


@dataclass(frozen=True, slots=True)
class CompositeValue:
    """One alternative: the values of the components, in their order."""

    parts: tuple[Any, ...]


def plan(parameter: SearchParameter) -> str:
    """Say how a composite is indexed: "token", the type of its ordered last component, or "" (verified only)."""
    *first, last = (component.type for component in parameter.components)
    if not _EQUALITY.issuperset(first):
        return ""
    if last in _EQUALITY:
        return "token"
    return last if last in _ORDERED else ""


def refuse_too_many(type_name: str, composites: Iterable[tuple[Any, ...]]) -> None:
    """Refuse what has so many codes beside so many that it could not be indexed at once. Unprocessable."""
    number: dict[str, int] = {}
    for code, parts, *_ in composites:
        number[code] = number.get(code, 0) + prod(map(len, parts))
        if number[code] > MOST_COMBINATIONS:
            told = " x ".join(str(len(items)) for items in parts)
            raise Unprocessable(
                f"{type_name}: the search parameter {code} combines more than {MOST_COMBINATIONS} values ({told} in "
                "one element); such a resource cannot be indexed. Say fewer codings.", expression=type_name)


def equal_forms(
    parameter: SearchParameter, values: tuple[tuple[tuple[Any, ...], ...], ...], base_url: str, at_root: bool
) -> Iterator[Form]:
    """Yield every combination of the forms of the components that ask for equality."""
    forms = [
        list(dict.fromkeys(_codes(items)) if at_root else _forms(one.type, items, base_url))
        for one, items in zip(parameter.components, values, strict=False)
    ]
    for combination in product(*forms):
        yield joined(combination)


def joined(forms: tuple[Form, ...]) -> Form:
    """Return one form for several; the count of parts keeps two combinations apart."""
    return tuple(part for form in forms for part in (str(len(form)), *form))


def _codes(items: tuple[tuple[Any, ...], ...]) -> Iterator[Form]:
    for _, code in items:
        if code is not None:
            yield "code", code


def _forms(type_name: str, items: tuple[tuple[Any, ...], ...], base_url: str) -> Iterator[Form]:
    for item in items:
        named: Any = ("", *item)
        if type_name == "token":
            found: Iterator[Form] = token.index(named) if item[1] is not None else iter(())
        elif type_name == "reference":
            found = reference.index(named, base_url)
        else:
            found = uri.index(named)
        yield from (form for form in found if form[0] in COMBINED_FORMS)


def where(
    parameter: SearchParameter, value: CompositeValue, hash_: Hash, unit_hash: Hash, at_root: bool
) -> Clause | None:
    """Return the resources with such an element; None where the index cannot tell.

    `at_root`: with codes alone, whatever their system.
    """
    kind = plan(parameter)
    if not kind:
        return None
    equal = value.parts if kind == "token" else value.parts[:-1]
    choices = [_codes_asked(part) if at_root else _asked(part) for part in equal]
    if not all(choices):
        return None
    last = value.parts[-1]
    return either([_combined(kind, joined(forms), last, hash_, unit_hash) for forms in product(*choices)])


def _combined(kind: str, form: Form, last: Any, hash_: Hash, unit_hash: Hash) -> Clause:
    if kind == "token":
        return Token(hash_(*form), CODE)

    def below(*parts: str) -> int:
        return hash_(*form, *parts)

    clause: Clause
    if kind == "date":
        clause = date.where(last, "index", below)
    elif kind == "number":
        clause = number.where(last, below)
    else:
        clause = quantity.where(last, below, unit_hash)
    assert isinstance(clause, Interval | Number)  # noqa: S101 - what the three give
    return clause


def _codes_asked(part: token.TokenValue) -> list[Form]:
    return [] if part.code is None else [("code", part.code)]


def _asked(part: Any) -> list[Form]:
    """Return the forms that one component asks for; empty where they are not hashed together."""
    if isinstance(part, token.TokenValue):
        return [part.form] if part.form[0] in COMBINED_FORMS else []
    if isinstance(part, reference.ReferenceValue):
        return [("to", target) for target in part.targets]
    return [("uri", part.uri)] if isinstance(part, uri.UriValue) else []
