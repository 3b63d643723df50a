"""Whether a value is the fixed one, or has the pattern: https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.pattern_x_"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from .tree import Node

FIXED, PATTERN = "fixed", "pattern"

Count = Callable[[int], None]
"""Is told how many values of lists are compared with how many."""


def is_fixed(value: Any, wanted: Any) -> bool:
    """Tell whether a value is exactly the wanted one."""
    if isinstance(wanted, dict):
        return (
            isinstance(value, dict)
            and value.keys() == wanted.keys()
            and all(is_fixed(value[key], one) for key, one in wanted.items())
        )
    if isinstance(wanted, list):
        return (
            isinstance(value, list)
            and len(value) == len(wanted)
            and all(is_fixed(one, other) for one, other in zip(value, wanted, strict=True))
        )
    return _same(value, wanted)


def has_pattern(value: Any, wanted: Any, count: Count) -> bool:
    """Tell whether a value has all of the pattern: more is allowed, at any depth."""
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(has_pattern(value.get(key), one, count) for key, one in wanted.items())
    if isinstance(wanted, list):
        if not isinstance(value, list):
            return False
        count(len(value) * len(wanted))
        return all(any(has_pattern(one, other, count) for one in value) for other in wanted)
    return _same(value, wanted)


def constrained(node: Node) -> bool:
    """Tell whether an element has a fixed value or a pattern."""
    return node.value_of(FIXED) is not None or node.value_of(PATTERN) is not None


def matches(node: Node, value: Any, count: Count) -> bool:
    """Tell whether a value has an element's fixed value and pattern."""
    fixed, pattern = node.value_of(FIXED), node.value_of(PATTERN)
    return (fixed is None or is_fixed(value, fixed)) and (pattern is None or has_pattern(value, pattern, count))


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, int | Decimal) and isinstance(wanted, int | Decimal):
        return value == wanted
    return type(value) is type(wanted) and bool(value == wanted)
