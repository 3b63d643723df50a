"""The binary operators: https://hl7.org/fhirpath/N1/#operations"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

from .arithmetic import ADDITIVE, EXACT, MAX_TEXT, NUMERIC, bounded
from .errors import FhirPathError, FhirPathUnsupported
from .parts import EMPTY, FALSE, TEXTS, TRUE, Frame, Items, Part, Run, boolean, constant, singleton, truth
from .steps import box
from .values import (
    Element,
    Moment,
    compare,
    equal,
    equivalent_collections,
    key,
    to_system,
    type_of,
    unboxed,
)


def operation(operator: str, left: Part, right: Part) -> Part:
    """Compile one binary operator; between literals it is done at once."""
    part = _operation(operator, left, right)
    if not left.value or not right.value:
        return part
    try:
        return constant(part.run(Frame([], None, None, None), []), part.type)
    except FhirPathError:
        return part  # to be told when it is evaluated


def _operation(operator: str, left: Part, right: Part) -> Part:
    if operator == "|":
        return union(left, right)
    if operator in ("+", "-") and "System.String" not in (left.type, right.type):
        return Part(_on_values(operator, left, right, ADDITIVE[operator]), None)
    make = _OPERATORS.get(operator)
    if make is None:
        raise FhirPathUnsupported(f"The operator {operator} is not supported.")
    run, type_name = make(operator, left, right)
    return Part(run, type_name)


# ---- Booleans: https://hl7.org/fhirpath/N1/#boolean-logic ------------------------------------------------------------


def _and(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    first, second = left.run, right.run

    def run(frame: Frame, focus: Items) -> Items:
        one = truth(first(frame, focus))
        if one is False:
            return FALSE
        other = truth(second(frame, focus))
        if other is False:
            return FALSE
        return EMPTY if one is None or other is None else TRUE

    return run, "System.Boolean"


def _or(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    first, second = left.run, right.run

    def run(frame: Frame, focus: Items) -> Items:
        one = truth(first(frame, focus))
        if one is True:
            return TRUE
        other = truth(second(frame, focus))
        if other is True:
            return TRUE
        return EMPTY if one is None or other is None else FALSE

    return run, "System.Boolean"


def _xor(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    def run(frame: Frame, focus: Items) -> Items:
        one, other = truth(left.run(frame, focus)), truth(right.run(frame, focus))
        return EMPTY if one is None or other is None else boolean(one != other)

    return run, "System.Boolean"


def _implies(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    def run(frame: Frame, focus: Items) -> Items:
        one = truth(left.run(frame, focus))
        if one is False:
            return TRUE
        other = truth(right.run(frame, focus))
        if other is True:
            return TRUE
        return EMPTY if one is None or other is None else FALSE

    return run, "System.Boolean"


# ---- equality: https://hl7.org/fhirpath/N1/#equality -----------------------------------------------------------------


def _equals(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    negated = operator == "!="
    first, second = left.run, right.run
    as_texts = left.type in TEXTS and right.type in TEXTS
    same, other = (FALSE, TRUE) if negated else (TRUE, FALSE)

    def is_text(frame: Frame, focus: Items) -> Items:
        one = first(frame, focus)
        if len(one) == 1 and type(one[0]) is str:
            return same if one[0] == wanted else other
        return run(frame, focus)

    def run(frame: Frame, focus: Items) -> Items:
        one = first(frame, focus)
        if not one:
            return EMPTY
        two = second(frame, focus)
        if not two:
            return EMPTY
        if as_texts and len(one) == 1 and len(two) == 1:
            return same if unboxed(one[0]) == unboxed(two[0]) else other
        answer = _equal_collections(one, left.type, two, right.type)
        return EMPTY if answer is None else same if answer else other

    if as_texts and right.value:
        wanted = right.value[0]
        return is_text, "System.Boolean"
    return run, "System.Boolean"


def _equal_collections(left: Items, left_type: str | None, right: Items, right_type: str | None) -> bool | None:
    if len(left) != len(right):
        return False
    unknown = False
    for one, other in zip(left, right, strict=True):
        answer = equal(to_system(one, left_type), to_system(other, right_type))
        if answer is False:
            return False
        unknown = unknown or answer is None
    return None if unknown else True


def _equivalent(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    negated = operator == "!~"

    def run(frame: Frame, focus: Items) -> Items:
        one = [(to_system(item, left.type), type_of(item, left.type)) for item in left.run(frame, focus)]
        other = [(to_system(item, right.type), type_of(item, right.type)) for item in right.run(frame, focus)]
        same = len(one) == len(other) and equivalent_collections(one, other)
        return boolean(same != negated)

    return run, "System.Boolean"


# ---- comparison: https://hl7.org/fhirpath/N1/#comparison -------------------------------------------------------------

_NUMBERS = frozenset({int, Decimal})
_ORDERS: dict[str, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    ">": lambda order: order > 0,
    "<=": lambda order: order <= 0,
    ">=": lambda order: order >= 0,
}


def _compared(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    holds = _ORDERS[operator]
    first, second = left.run, right.run

    def run(frame: Frame, focus: Items) -> Items:
        one = singleton(first(frame, focus), left, operator)
        other = singleton(second(frame, focus), right, operator)
        if one is None or other is None:
            return EMPTY
        if type(one) in _NUMBERS and type(other) in _NUMBERS:
            order: int | None = (one > other) - (one < other)
        else:
            order = compare(one, other)
        return EMPTY if order is None else TRUE if holds(order) else FALSE

    return run, "System.Boolean"


# ---- collections: https://hl7.org/fhirpath/N1/#collections-2 ---------------------------------------------------------


def union(left: Part, right: Part) -> Part:
    """Compile `|`: both collections without repetitions."""
    if left.type != right.type:
        left, right = box(left), box(right)
    type_name = left.type if left.type == right.type else None

    def run(frame: Frame, focus: Items) -> Items:
        items = left.run(frame, focus) + right.run(frame, focus)
        if frame.watch is not None:
            frame.watch.spend(len(items))
        return distinct(items, type_name)

    return Part(run, type_name)


def distinct(items: Items, type_name: str | None) -> Items:
    """Keep the first of items that are equal."""
    if len(items) < 2:
        return items
    if type_name in TEXTS:
        try:
            return list(dict.fromkeys(items)) if Element not in map(type, items) else _distinct(items, type_name)
        except TypeError:  # a structure where a text belongs
            pass
    return _distinct(items, type_name)


def _distinct(items: Items, type_name: str | None) -> Items:
    seen = set()
    kept = []
    for item in items:
        mark = key(to_system(item, type_name))
        if mark not in seen:
            seen.add(mark)
            kept.append(item)
    return kept


def contains_item(items: Items, item: Any) -> bool:
    """Tell whether a collection of language values holds one equal to the item."""
    return any(equal(one, item) is True for one in items)


def _in(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    item, collection = (left, right) if operator == "in" else (right, left)

    def run(frame: Frame, focus: Items) -> Items:
        one = singleton(item.run(frame, focus), item, operator)
        if one is None:
            return EMPTY
        items = collection.run(frame, focus)
        return boolean(contains_item([to_system(other, collection.type) for other in items], one))

    return run, "System.Boolean"


# ---- mathematics and text: https://hl7.org/fhirpath/N1/#math ---------------------------------------------------------


def _on_values(operator: str, left: Part, right: Part, apply: Callable[[Any, Any], Any]) -> Run:
    exact = EXACT.get(operator)
    first, second = left.run, right.run

    def run(frame: Frame, focus: Items) -> Items:
        one = singleton(first(frame, focus), left, operator)
        other = singleton(second(frame, focus), right, operator)
        if one is None or other is None:
            return EMPTY
        if type(one) is int and type(other) is int and exact is not None:
            return [bounded(exact(one, other))]
        try:
            with localcontext(prec=40):
                result = apply(one, other)
        except (ArithmeticError, ValueError) as error:
            raise FhirPathError(f"{operator} has no result here: {type(error).__name__}.") from None
        return EMPTY if result is None else [bounded(result)]

    return run


def _numeric(operator: str, left: Part, right: Part) -> tuple[Run, None]:
    return _on_values(operator, left, right, NUMERIC[operator]), None


def _plus_text(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    return _on_values(operator, left, right, ADDITIVE["+"]), "System.String"


def _ampersand(operator: str, left: Part, right: Part) -> tuple[Run, str]:
    first, second = left.run, right.run

    def run(frame: Frame, focus: Items) -> Items:
        one = singleton(first(frame, focus), left, "&")
        other = singleton(second(frame, focus), right, "&")
        if type(one) is str and type(other) is str:
            return [bounded(one + other)] if len(one) + len(other) > MAX_TEXT else [one + other]
        if not isinstance(one, str | None) or not isinstance(other, str | None):
            one, other = (value.text if isinstance(value, Moment) else value for value in (one, other))
            if not isinstance(one, str | None) or not isinstance(other, str | None):
                raise FhirPathError("& joins strings.")
        return [bounded((one or "") + (other or ""))]

    return run, "System.String"


_OPERATORS: dict[str, Callable[[str, Part, Part], tuple[Run, str | None]]] = {
    "and": _and,
    "or": _or,
    "xor": _xor,
    "implies": _implies,
    "=": _equals,
    "!=": _equals,
    "~": _equivalent,
    "!~": _equivalent,
    "in": _in,
    "contains": _in,
    "&": _ampersand,
    "+": _plus_text,
    **dict.fromkeys(_ORDERS, _compared),
    **dict.fromkeys(NUMERIC, _numeric),
}
