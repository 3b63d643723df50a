"""Cheap sufficient conditions for invariants: where one says yes, the FHIRPath need not be evaluated.

Most invariants speak of presence: `code.empty() or system.exists()`. From such an expression a test of the JSON names
is derived; it may say "holds" or "unknown", never "fails". A few costly expressions have a hand-written one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hie.fhir import facts

Shortcut = Callable[[dict[str, Any]], bool]


def shortcut(expression: str, path: str) -> Shortcut | None:
    """Derive the shortcut of an invariant of the object at `path`; None where nothing is plain."""
    return _WRITTEN.get(expression) or _derive(expression, path)


def json_names(path: str, stem: str) -> tuple[str, ...]:
    """Give the JSON names of an element, by its name without [x], as a child of the object at `path`."""
    for element in facts.children(path):
        if element.name == stem:
            return (stem,)
        if element.name == stem + "[x]":
            return tuple(stem + one[0].upper() + one[1:] for one in element.types)
    return ()


# ---- derived ---------------------------------------------------------------------------------------------------------

_NAME = r"([A-Za-z]\w*)"
_EXISTS = re.compile(rf"{_NAME}\.exists\(\)")
_ABSENT = re.compile(rf"{_NAME}\.(?:empty\(\)|exists\(\)\.not\(\)|hasValue\(\)\.not\(\))")
_EQUAL = re.compile(rf"{_NAME} ?= ?'([^']*)'")
_DIFFERENT = re.compile(rf"{_NAME} ?!= ?'([^']*)'")
# With what stands in parentheses blanked out: a path, filtered perhaps, whose end is true of nothing.
_OF_NOTHING = re.compile(rf"{_NAME}(?:\.[A-Za-z]\w*|\.(?:where|select)\(·*\))*\.(?:empty|isDistinct|all)\(·*\)")


def _derive(expression: str, path: str) -> Shortcut | None:
    """Read an expression by its weakest operator: implies, then or, then and."""
    expression = _without_parentheses(expression.strip())
    if len(parts := _split(expression, " implies ")) > 1:
        return _derive_implies(parts, path)
    if len(_split(expression, " xor ")) > 1:
        return None
    if len(parts := _split(expression, " or ")) > 1:
        return _any([one for part in parts if (one := _derive(part, path))])
    if len(parts := _split(expression, " and ")) > 1:
        derived = [_derive(part, path) for part in parts]
        return None if None in derived else _all([one for one in derived if one])
    return _derive_atom(expression, path)


def _derive_implies(parts: list[str], path: str) -> Shortcut | None:
    if len(parts) > 2:
        return None
    condition = _without_parentheses(parts[0].strip())
    found = [_derive(parts[1], path)]
    if match := _EXISTS.fullmatch(condition):
        found.append(_names(path, match[1], _none_of))
    elif match := _EQUAL.fullmatch(condition):
        found.append(_derive_atom(f"{match[1]} != '{match[2]}'", path))
    return _any([one for one in found if one])


def _derive_atom(atom: str, path: str) -> Shortcut | None:
    if match := _EXISTS.fullmatch(atom):
        return _names(path, match[1], _some_of)
    if match := _ABSENT.fullmatch(atom):
        return _names(path, match[1], _none_of)
    if match := _EQUAL.fullmatch(atom):
        name, text = match[1], match[2]
        return lambda value: value.get(name) == text
    if match := _DIFFERENT.fullmatch(atom):
        name, text = match[1], match[2]
        return lambda value: name in value and value[name] != text
    if match := _OF_NOTHING.fullmatch(_outside_parentheses(atom)):
        return _names(path, match[1], _none_of)
    return None


def _names(path: str, stem: str, make: Callable[[frozenset[str]], Shortcut]) -> Shortcut | None:
    names = json_names(path, stem)
    return make(frozenset((*names, *("_" + name for name in names)))) if names else None


def _none_of(names: frozenset[str]) -> Shortcut:
    if len(names) == 2:
        first, second = names
        return lambda value: first not in value and second not in value
    return names.isdisjoint


def _some_of(names: frozenset[str]) -> Shortcut:
    if len(names) == 2:
        first, second = names
        return lambda value: first in value or second in value
    return lambda value: not names.isdisjoint(value)


def _any(shortcuts: list[Shortcut]) -> Shortcut | None:
    if len(shortcuts) < 2:
        return shortcuts[0] if shortcuts else None
    if len(shortcuts) == 2:
        first, second = shortcuts
        return lambda value: first(value) or second(value)
    return lambda value: any(one(value) for one in shortcuts)


def _all(shortcuts: list[Shortcut]) -> Shortcut:
    return lambda value: all(one(value) for one in shortcuts)


def _split(expression: str, operator: str) -> list[str]:
    """Split at an operator outside of parentheses and of string literals."""
    masked = _outside_parentheses(expression)
    parts, start = [], 0
    while (found := masked.find(operator, start)) >= 0:
        parts.append(expression[start:found])
        start = found + len(operator)
    return [*parts, expression[start:]]


def _outside_parentheses(expression: str) -> str:
    """Blank out what stands in parentheses or quotes, keeping every position."""
    result, depth, in_text = [], 0, False
    for character in expression:
        if character == "'":
            in_text = not in_text
        elif not in_text and character == ")":
            depth -= 1
        result.append("·" if depth or in_text else character)
        if not in_text and character == "(":
            depth += 1
    return "".join(result)


def _without_parentheses(expression: str) -> str:
    while expression.startswith("(") and "(" not in (masked := _outside_parentheses(expression))[1:] \
            and masked.endswith(")") and masked.count(")") == 1:
        expression = expression[1:-1].strip()
    return expression


# ---- written by hand, by the expression they belong to ---------------------------------------------------------------


def _period(value: dict[str, Any]) -> bool:
    """Two times written alike, in one zone, compare like text."""
    start, end = value.get("start"), value.get("end")
    if start is None or end is None:
        return True
    return bool(len(start) == len(end) and start[19:] == end[19:] and start <= end)


def _range(value: dict[str, Any]) -> bool:
    low, high = value.get("low"), value.get("high")
    if low is None or high is None:
        return True
    alike = all(low.get(name) == high.get(name) for name in ("unit", "system", "code"))
    return bool(alike and "value" in low and "value" in high and low["value"] <= high["value"])


def _ratio(value: dict[str, Any]) -> bool:
    return "numerator" in value and "denominator" in value


def _identified_or_named(value: dict[str, Any]) -> bool:
    return "identifier" in value or "name" in value


def _never_negative(name: str) -> Shortcut:
    return lambda value: (name not in value and "_" + name not in value) or value.get(name, -1) >= 0


def _entries_have(name: str, types: frozenset[str]) -> Shortcut:
    """Every entry has the element if the Bundle is of one of the types, else none has."""

    def holds(value: dict[str, Any]) -> bool:
        wanted = value.get("type") in types
        return "type" in value and all((name in entry) == wanted for entry in value.get("entry", ()))

    return holds


def _no_search_mode(value: dict[str, Any]) -> bool:
    return all("search" not in entry for entry in value.get("entry", ()))


def _no_history_url(value: dict[str, Any]) -> bool:
    return "/_history/" not in value.get("fullUrl", "")


def _distinct_urls(value: dict[str, Any]) -> bool:
    urls = [entry.get("fullUrl") for entry in value.get("entry", ()) if "fullUrl" in entry]
    return len(set(urls)) == len(urls)


_WRITTEN: dict[str, Shortcut] = {
    "start.hasValue().not() or end.hasValue().not() or (start <= end)": _period,
    "low.empty() or high.empty() or (low <= high)": _range,
    "(numerator.empty() xor denominator.exists()) and (numerator.exists() or extension.exists())": _ratio,
    "(identifier.count() + name.count()) > 0": _identified_or_named,
    "duration.exists() implies duration >= 0": _never_negative("duration"),
    "period.exists() implies period >= 0": _never_negative("period"),
    "entry.all(request.exists() = (%resource.type = 'batch' or %resource.type = 'transaction'"
    " or %resource.type = 'history'))":
        _entries_have("request", frozenset(("batch", "transaction", "history"))),
    "entry.all(response.exists() = (%resource.type = 'batch-response' or %resource.type = 'transaction-response'"
    " or %resource.type = 'history'))":
        _entries_have("response", frozenset(("batch-response", "transaction-response", "history"))),
    "(type = 'history') or entry.where(fullUrl.exists()).select(fullUrl&resource.meta.versionId).isDistinct()":
        _distinct_urls,
    "entry.search.empty() or (type = 'searchset')": _no_search_mode,
    "fullUrl.contains('/_history/').not()": _no_history_url,
}
