"""Whether an opened resource is what a criterion asks for, where the index only narrows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hie.fhir.search_parameters import IndexValues, SearchParameter
from hie.store.search import (
    composite,
    date,
    fragments,
    near,
    number,
    quantity,
    reference,
    string,
    token,
    uri,
    words,
)
from hie.store.search.criteria import Criterion, Value, Verify
from hie.store.search.plan import indexed_by


def anything(_: IndexValues) -> bool:
    """Stand for a test that `any_of` makes of all alternatives."""
    return True


#: How a value asked for is found among those extracted from a resource, by the parameter's type, and of tokens by what
#: a modifier made of the value.
_MATCHES: dict[str | type, tuple[str, Callable[[Any, Any], bool]]] = {
    "token": ("tokens", token.matches),
    "string": ("strings", string.matches),
    "reference": ("references", reference.matches),
    "date": ("dates", date.matches),
    "number": ("numbers", number.matches),
    "quantity": ("quantities", quantity.matches),
    "uri": ("uris", uri.matches),
    token.TypedIdentifier: ("identifier_types", token.matches_typed),
    token.Words: ("texts", token.matches_text),
    token.MediaType: ("tokens", token.matches_media),
}


def holds(criterion: Criterion, type_name: str, found: IndexValues) -> bool:
    """Tell from the values of an opened resource whether it is what a criterion asks for."""
    parameter = criterion.parameter
    if criterion.modifier == "missing":
        return _is_present(parameter, type_name, found) is (criterion.values == ("false",))
    if parameter.code == "_id":
        return (found.root.get("id") in criterion.values) is not (criterion.modifier == "not")
    answers = indexed_by(type_name, parameter)
    if parameter.restricts and criterion.modifier == "identifier":
        code, type_ = parameter.restricts
        stored = [one for one in found.references if one[0] == code and reference.is_of(one, type_)]
        asked = [value for value in criterion.values if isinstance(value, reference.ReferenceValue)]
        return any(reference.matches(value, one) for value in asked for one in stored)
    matched = any(_has(answer, value, found) for answer in answers for value in criterion.values)
    return matched is not (criterion.modifier == "not")


def has_another(criterion: Criterion, type_name: str, found: IndexValues) -> bool:
    """Tell whether a parameter has a value besides those that a criterion asks for."""
    if criterion.parameter.code == "_id":
        return found.root.get("id") not in criterion.values
    for answer in indexed_by(type_name, criterion.parameter):
        if answer.type == "composite":
            asked = [value for value in criterion.values if isinstance(value, composite.CompositeValue)]
            pairs = [one[1] for one in found.composites if one[0] == answer.code]
            return not all(any(_has_all(answer, value, pair) for value in asked) for pair in pairs)
        kind, matches = _MATCHES[answer.type]
        stored = [one for one in getattr(found, kind) if one[0] == answer.code and _is_of(criterion.parameter, one)]
        values = [value for value in criterion.values if _is_of_version(value, found)]
        if not all(any(matches(value, one) for value in values) for one in stored):
            return True
    return False


def _is_present(parameter: SearchParameter, type_name: str, found: IndexValues) -> bool:
    if parameter.code in ("_id", "_lastUpdated"):
        return True
    codes = {one.code for one in indexed_by(type_name, parameter)}
    if parameter.restricts:
        return parameter.code in fragments.restricted(found.root) or any(
            stored[0] in codes and _is_of(parameter, stored) for stored in found.references)
    kinds = (found.tokens, found.references, found.strings, found.dates, found.numbers, found.quantities, found.uris,
             found.composites)  # fmt: skip
    return not codes.isdisjoint(found.present) or any(stored[0] in codes for kind in kinds for stored in kind)


def _is_of(parameter: SearchParameter, stored: Any) -> bool:
    """Tell whether a value is one of a parameter that looks at references to one type alone."""
    return not parameter.restricts or stored[1] == parameter.restricts[1]


def any_of(parameters: list[SearchParameter], values: tuple[Value, ...]) -> Verify:
    """Return the test that a resource has a value that one of the alternatives asks for."""

    def verify(found: IndexValues) -> bool:
        return any(_has(parameter, value, found) for parameter in parameters for value in values)

    return verify


def _is_of_version(value: Any, found: IndexValues) -> bool:
    """Tell whether a resource has the version that is asked for beside its URL, if one is."""
    if not isinstance(value, uri.UriValue) or value.version is None or value.modifier:
        return True
    return any(one[0] == "version" and uri.is_own(value, one[2]) for one in found.tokens)


def _has(parameter: SearchParameter, value: Any, found: IndexValues) -> bool:
    if isinstance(value, words.FullText):
        return words.matches(value, found.root)
    if isinstance(value, near.Near):
        return near.matches(value, found.root)
    if parameter.type == "composite":
        return any(
            stored[0] == parameter.code and _has_all(parameter, value, stored[1]) for stored in found.composites
        )
    if not _is_of_version(value, found):
        return False
    kind, matches = _MATCHES.get(type(value)) or _MATCHES[parameter.type]
    if any(stored[0] == parameter.code and matches(value, stored) for stored in getattr(found, kind)):
        return True
    if not isinstance(value, token.TokenValue):
        return False
    return any(stored[0] == parameter.code and token.matches_system(value, stored) for stored in found.systems)


def _has_all(parameter: SearchParameter, value: composite.CompositeValue, stored: tuple[list[Any], ...]) -> bool:
    return all(
        any(_is_value(component.type, part, item) for item in items)
        for component, part, items in zip(parameter.components, value.parts, stored, strict=True)
    )


def _is_value(kind: str, part: Any, item: tuple[Any, ...]) -> bool:
    if isinstance(part, token.TokenValue) and item[1] is None:
        return token.matches_system(part, ("", item[0]))
    return bool(_MATCHES[kind][1](part, ("", *item)))
