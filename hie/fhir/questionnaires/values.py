"""Values of answers, options and conditions, compared: https://hl7.org/fhir/R4/valueset-questionnaire-enable-operator.html"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from hie.fhir.fhirpath.values import Amount, compare, moment

Json = dict[str, Any]


class Value(NamedTuple):
    """A value[x], answer[x] or the like: its type, as the name of the JSON property ends, and what it is."""

    kind: str
    value: Any


def read(holder: Json, stem: str) -> Value | None:
    """Read the choice `stem`; None where only an extension stands there, or nothing."""
    for name, value in holder.items():
        if name.startswith(stem) and name[len(stem) : len(stem) + 1].isupper():
            return Value(name[len(stem) :], value)
    return None


def extensions(holder: Json, name: str) -> list[Value]:
    """Read the values of an extension of R4, which may repeat."""
    url = f"http://hl7.org/fhir/StructureDefinition/{name}"
    rows = (one for one in holder.get("extension", ()) if one.get("url") == url)
    return [value for one in rows if (value := read(one, "value")) is not None]


def is_marked(holder: Json, name: str) -> bool:
    """Tell whether a boolean extension of R4 says true."""
    return any(one.value is True for one in extensions(holder, name))


def compared(one: Value, other: Value) -> int | None:
    """Tell whether a value is less (-1), the same (0) or greater (1); None where that cannot be told."""
    left, right = one.value, other.value
    if _is_number(left) and _is_number(right):
        return (left > right) - (left < right)
    if one.kind == "Quantity" == other.kind:
        return _quantities(left, right)
    if one.kind in _MOMENTS and other.kind in _MOMENTS:
        return _moments(one, other)
    return None


def same(one: Value, other: Value) -> bool | None:
    """Tell whether two values are the same; None where that cannot be told."""
    left, right = one.value, other.value
    if one.kind == "Coding" == other.kind:
        return _codings(left, right)
    if one.kind == "Reference" == other.kind:
        texts = left.get("reference"), right.get("reference")
        return None if None in texts else texts[0] == texts[1]
    if isinstance(left, str) and isinstance(right, str) and not {one.kind, other.kind} & _MOMENTS:
        return left == right
    if isinstance(left, bool) and isinstance(right, bool):
        return left == right
    order = compared(one, other)
    if order is None:
        comparable = one.kind == other.kind or {one.kind, other.kind} <= _MOMENTS
        return None if comparable else False
    return order == 0


_MOMENTS = frozenset({"Date", "DateTime", "Time"})
_UCUM = "http://unitsofmeasure.org"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _codings(left: Json, right: Json) -> bool | None:
    codes, systems = (left.get("code"), right.get("code")), (left.get("system"), right.get("system"))
    if None in codes:
        return None
    if codes[0] != codes[1]:
        return False
    return None if None in systems and systems[0] != systems[1] else systems[0] == systems[1]


def _quantities(left: Json, right: Json) -> int | None:
    first, second = left.get("value"), right.get("value")
    if first is None or second is None or "comparator" in left or "comparator" in right:
        return None
    units = [tuple(one.get(name) for name in ("system", "code")) if "code" in one else one.get("unit")
             for one in (left, right)]
    if units[0] == units[1]:
        return bool(first > second) - bool(first < second)
    if left.get("system") == right.get("system") == _UCUM and "code" in left and "code" in right:
        return compare(Amount(Decimal(first), left["code"]), Amount(Decimal(second), right["code"]))
    return None


def _moments(one: Value, other: Value) -> int | None:
    """Compare as far as both are precise; None where one is within the other, or only one has a time zone."""
    if (one.kind == "Time") != (other.kind == "Time"):
        return None
    left, right = moment(one.value, one.kind), moment(other.value, other.kind)
    return None if left is None or right is None else compare(left, right)
