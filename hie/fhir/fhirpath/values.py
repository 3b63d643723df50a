"""The values expressions work on: typed elements, dates, quantities; when two are equal and which is less.

https://hl7.org/fhirpath/N1/#equality, https://hl7.org/fhirpath/N1/#comparison

An element is its plain JSON value wherever the compiler knows its type. Where it cannot know (choices, descendants,
contained resources) it is an Element, which carries the type, and so is a primitive that has an id or extensions.
Values of the language itself are bool, int, Decimal, str, Moment and Amount.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from hie.fhir import ucum
from hie.fhir.datatypes import DatatypeError, Precision, parse_date, parse_time
from hie.fhir.short_texts import remembered_if_short

from . import model, units
from .errors import FhirPathError, FhirPathLimit

MAX_PAIRS = 1_000_000
"""Items without order are compared each with each."""
_WIDEST_ZONE = 14 * 3600 * 1_000_000
_HOUR = 3600 * 1_000_000
_HOURS = 2 * Precision.MINUTE - 1
Typed = tuple[Any, str | None]
"""A value with its type, where that is known."""
_TEMPORAL_KINDS = {"date": "Date", "dateTime": "DateTime", "instant": "DateTime", "time": "Time"}


class Element:
    """An element together with its type, and the id and extensions of a primitive one."""

    __slots__ = ("extra", "type", "value")

    def __init__(self, value: Any, type_: str, extra: dict[str, Any] | None = None) -> None:
        self.value = value
        self.type = type_
        self.extra = extra

    def __repr__(self) -> str:
        return f"Element({self.value!r}, {self.type!r})"


class Moment(NamedTuple):
    """A date, date and time, or time of day, as far as it was given."""

    kind: str
    text: str
    low: int
    high: int
    precision: int
    """Greater is finer; only for comparing."""
    has_zone: bool


class Amount(NamedTuple):
    """A quantity of the language: a number and a UCUM or calendar unit."""

    value: Decimal
    unit: str


class Measured(Amount):
    """A quantity of data: its UCUM years and months are those of the calendar: R4/fhirpath.html#quantity.

    With literals in UCUM's own years and months it is compared all the same.
    """

    __slots__ = ()

    @property
    def calendar_unit(self) -> str:
        return units.of_data(self.unit)


def moment(text: Any, kind: str) -> Moment | None:
    """Read a Date, DateTime or Time; None if the text is none."""
    return _moment(text, kind) if isinstance(text, str) else None


@remembered_if_short(1024)  # the resources of one visit share their dates
def _moment(text: str, kind: str) -> Moment | None:
    clock = text if kind == "Time" else text.partition("T")[2]
    is_hour = len(clock) == 2  # the language lets a time stop at the hour, FHIR's own types do not
    whole = text + ":00" if is_hour else text.rstrip("T")
    try:
        low, high, given = parse_time(whole) if kind == "Time" else parse_date(whole)
    except DatatypeError:
        return None
    has_zone = clock.endswith("Z") or "+" in clock or "-" in clock
    if is_hour:
        return Moment(kind, text, low, low + _HOUR, _HOURS, has_zone)
    # Seconds with and without fraction are one precision: https://hl7.org/fhirpath/N1/#datetime-equality
    return Moment(kind, text, low, high, 2 * min(given, Precision.SECOND), has_zone)


# ---- elements as values of the language ------------------------------------------------------------------------------


def unboxed(item: Any) -> Any:
    """Give an item's plain value; None for a primitive that has extensions alone."""
    return item.value if type(item) is Element else item


def type_of(item: Any, static: str | None) -> str:
    """Name the type of an item; the compiler's knowledge helps where the item does not carry its type."""
    if type(item) is Element:
        return str(item.type)
    if static is not None and static not in ("Resource", "DomainResource"):
        return static
    if type(item) is dict:
        return str(item.get("resourceType", static or "Element"))
    return system_type(item)


def system_type(item: Any) -> str:
    """Name the type of a value of the language."""
    if isinstance(item, bool):
        return "System.Boolean"
    if isinstance(item, int):
        return "System.Integer"
    if isinstance(item, Decimal):
        return "System.Decimal"
    if isinstance(item, Moment):
        return f"System.{item.kind}"
    return "System.Quantity" if isinstance(item, Amount) else "System.String"


def to_system(item: Any, static: str | None) -> Any:
    """Give what an element means to operators: dates as moments, Quantities as amounts, other things as they are."""
    type_name = item.type if type(item) is Element else static
    value = item.value if type(item) is Element else item
    if type(value) is int:
        return value
    if type(value) is str:
        kind = _TEMPORAL_KINDS.get(type_name or "")
        if kind is not None:
            return moment(value, kind) or value
    elif type(value) is dict and type_name is not None and model.is_a(type_name, "Quantity"):
        return amount(value) or value
    return value


def amount(quantity: dict[str, Any]) -> Amount | None:
    """Read a FHIR Quantity; None without a number, or with a comparator, which no number equals."""
    value = quantity.get("value")
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or quantity.get("comparator"):
        return None
    unit = quantity.get("code") or quantity.get("unit") or "1"
    return (Measured if quantity.get("system") == ucum.SYSTEM else Amount)(Decimal(value), str(unit))


# ---- equality --------------------------------------------------------------------------------------------------------


def equal(left: Any, right: Any) -> bool | None:
    """Tell whether two values are equal; None if their precision or units do not let us know."""
    if type(left) is str and type(right) is str:
        return bool(left == right)
    left, right = _aligned(left, right)
    if isinstance(left, Moment) and isinstance(right, Moment):
        return _moments_equal(left, right)
    if isinstance(left, Amount) and isinstance(right, Amount):
        order = _amounts_compared(left, right)
        return None if order is None else order == 0
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | Decimal) and isinstance(right, int | Decimal):
        return left == right
    return type(left) is type(right) and bool(left == right)


def equivalent(left: Any, right: Any, types: tuple[str | None, str | None] = (None, None)) -> bool:
    """Tell whether two values mean the same: case, white space and digits beyond the shorter number do not count.

    What R4 adds for its types (https://hl7.org/fhir/R4/fhirpath.html#changes) needs to know which `types` they are.
    """
    left, right = _aligned(left, right)
    if isinstance(left, str) and isinstance(right, str):
        return " ".join(left.lower().split()) == " ".join(right.lower().split())
    if isinstance(left, Moment) and isinstance(right, Moment):
        return left.precision == right.precision and _moments_equal(left, right) is True
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | Decimal) and isinstance(right, int | Decimal):
        return _rounded_equal(Decimal(left), Decimal(right))
    if isinstance(left, Amount) and isinstance(right, Amount):
        factor = units.equivalent_factor(right.unit, left.unit)
        return factor is not None and _rounded_equal(left.value, right.value * factor)
    if isinstance(left, list) and isinstance(right, list):
        return equivalent_collections([(one, types[0]) for one in left], [(one, types[1]) for one in right])
    if isinstance(left, dict) and isinstance(right, dict):
        return _structures_equivalent(left, right, types)
    return bool(left == right)


def _structures_equivalent(left: dict[str, Any], right: dict[str, Any], types: tuple[str | None, str | None]) -> bool:
    """Compare elements: Codings by system and code, CodeableConcepts by any of these, others by all but their ids."""
    if types == ("Coding", "Coding"):
        return (left.get("system"), left.get("code")) == (right.get("system"), right.get("code"))
    if types == ("CodeableConcept", "CodeableConcept") and (left.get("coding") or right.get("coding")):
        return not _codes(left).isdisjoint(_codes(right))
    if left.keys() - {"id"} != right.keys() - {"id"}:
        return False
    known, others = (model.property_types(one or "") for one in types)
    return all(equivalent(left[name], right[name], (known.get(name), others.get(name)))
               for name in left if name != "id")


def _codes(concept: dict[str, Any]) -> set[tuple[str, str]]:
    codings = concept.get("coding")
    rows = [one for one in codings if isinstance(one, dict)] if isinstance(codings, list) else []
    return {(str(one.get("system")), str(one.get("code"))) for one in rows}


def equivalent_collections(left: Sequence[Typed], right: Sequence[Typed]) -> bool:
    """Tell whether two collections hold equivalent items, in whatever order; each item stands with its type."""
    if len(left) * len(right) > MAX_PAIRS:
        raise FhirPathLimit(f"~ compares at most {MAX_PAIRS} pairs of items.")
    rest = list(right)
    for item, type_ in left:
        for at, (other, other_type) in enumerate(rest):
            if equivalent(item, other, (type_, other_type)):
                del rest[at]
                break
        else:
            return False
    return not rest


def key(value: Any) -> Any:
    """Give a hashable stand-in such that equal keys mean equal values, as far as precision lets us know."""
    if isinstance(value, dict):
        return tuple(sorted((name, key(item)) for name, item in value.items()))
    if isinstance(value, list):
        return tuple(key(item) for item in value)
    if isinstance(value, Moment):
        return (value.kind == "Time", value.low, value.precision, value.has_zone)
    if isinstance(value, Amount):
        return ("Amount", *units.base(value.value, value.unit))
    return (isinstance(value, bool), value)


def _rounded_equal(left: Decimal, right: Decimal) -> bool:
    places = max(int(left.as_tuple().exponent), int(right.as_tuple().exponent))
    unit = Decimal((0, (1,), min(places, 0)))
    try:
        return left.quantize(unit) == right.quantize(unit)
    except InvalidOperation:  # more digits than the context keeps
        return left == right


def _moments_equal(left: Moment, right: Moment) -> bool | None:
    if (left.kind == "Time") != (right.kind == "Time"):
        return False
    if left.precision == right.precision and left.has_zone == right.has_zone:
        return left.low == right.low
    return False if _moments_compared(left, right) else None


def _aligned(left: Any, right: Any) -> tuple[Any, Any]:
    """Let a date written as a string meet a date, and a plain number an amount without unit."""
    if isinstance(left, Moment) and isinstance(right, str):
        return left, moment(right, left.kind) or right
    if isinstance(right, Moment) and isinstance(left, str):
        return moment(left, right.kind) or left, right
    if isinstance(left, Amount) and isinstance(right, int | Decimal) and not isinstance(right, bool):
        return left, Amount(Decimal(right), "1")
    if isinstance(right, Amount) and isinstance(left, int | Decimal) and not isinstance(left, bool):
        return Amount(Decimal(left), "1"), right
    return left, right


# ---- comparison ------------------------------------------------------------------------------------------------------


def compare(left: Any, right: Any) -> int | None:
    """Give -1, 0 or 1 as left is less, equal or greater; None if undecided; FhirPathError if they cannot compare."""
    left, right = _aligned(left, right)
    if isinstance(left, Moment) and isinstance(right, Moment):
        return _moments_compared(left, right)
    if isinstance(left, Amount) and isinstance(right, Amount):
        return _amounts_compared(left, right)
    if isinstance(left, bool) or isinstance(right, bool):
        raise FhirPathError("Booleans have no order.")
    numbers = isinstance(left, int | Decimal) and isinstance(right, int | Decimal)
    if numbers or (isinstance(left, str) and isinstance(right, str)):
        return int(left > right) - int(left < right)
    raise FhirPathError(f"A {_described(left)} cannot be compared with a {_described(right)}.")


def _moments_compared(left: Moment, right: Moment) -> int | None:
    if (left.kind == "Time") != (right.kind == "Time"):
        raise FhirPathError("A time of day cannot be compared with a date.")
    if left.precision == right.precision and left.has_zone == right.has_zone:
        return int(left.low > right.low) - int(left.low < right.low)
    slack = _WIDEST_ZONE if left.has_zone != right.has_zone else 0
    if left.high + slack <= right.low:
        return -1
    if right.high + slack <= left.low:
        return 1
    return None


def _amounts_compared(left: Amount, right: Amount) -> int | None:
    of_data = isinstance(left, Measured) or isinstance(right, Measured)
    factor = (units.equivalent_factor if of_data else units.factor)(right.unit, left.unit)
    if factor is None:
        return None
    other = right.value * factor
    return int(left.value > other) - int(left.value < other)


def _described(value: Any) -> str:
    return "structure" if isinstance(value, dict | list) else system_type(value).removeprefix("System.")
