"""Quantity search: a number, with or without its unit. https://hl7.org/fhir/R4/search.html#quantity

`5.4`, `5.4|http://unitsofmeasure.org|mg`, `5.4||mg` (the code, or the unit as people read it); system and code are
optional, so that `5.4||`, as HAPI's client writes a number alone, is `5.4`, and `5.4|system|` is that in any unit of
the system, which the index does not tell apart: it is verified on opened resources. With the UCUM system,
`5|…|g` also finds 5000 mg: such quantities are indexed a second time in the canonical unit of their kind, under a
parameter of that kind. The digits that are asked for count in the unit that is asked for. A unit that is no
convertible UCUM unit (hie.fhir.ucum) is compared as it is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from hie.errors import InvalidSearch
from hie.fhir import ucum
from hie.fhir.search_values import QuantityValue as Stored
from hie.store.search import number
from hie.store.search.blinding import Form, Hash
from hie.store.search.clauses import Clause
from hie.store.search.range_clauses import Number
from hie.store.search.syntax import split, unescape


@dataclass(frozen=True, slots=True)
class QuantityValue:
    """One alternative; system "": code, or text of the unit; code "": any unit of the system; both "": any unit."""

    number: number.NumberValue
    system: str = ""
    code: str = ""
    canonical: str = ""
    """The unit that `number` is converted to; empty: it is in the unit asked for."""

    @property
    def needs_verification(self) -> bool:
        """Whether the index gives more than what is asked for: it has no system without a code."""
        return bool(self.system) and not self.code


class Converted(NamedTuple):
    """A stored quantity in the canonical unit of its kind."""

    unit: str
    low: float
    high: float


def unit_hashes(system: str | None, code: str | None, unit: str | None, hash_: Hash) -> tuple[int, int, int]:
    """Return the hashes of system with code, of the code, and of the unit's text; 0 where absent."""
    return (
        hash_("unit", system, code) if system and code else 0,
        hash_("unit", code) if code else 0,
        hash_("unit", unit) if unit else 0,
    )


def converted(
    low: Decimal | None, high: Decimal | None, system: str | None, code: str | None
) -> Converted | None:
    """Return a quantity in the canonical unit of its kind; None where its unit cannot be converted."""
    unit = ucum.unit(code) if code and system == ucum.SYSTEM else None
    if unit is None:
        return None
    return Converted(unit.canonical, *number.bounds(low, high, unit.convert))


def canonical_form(unit: str) -> Form:
    """Return the parts under which quantities of a canonical unit stand, behind those of their parameter."""
    return "canonical", unit


def parse(text: str, name: str) -> QuantityValue:
    """Read one alternative."""
    parts = [unescape(part).strip() for part in split(text, "|")]
    _, system, code = (*parts, "", "")[:3]
    # A system alone is a URI: `5|mg` would find nothing where `5||mg` is meant.
    if len(parts) > 3 or parts[1:] == [""] or (system and not code and ":" not in system):
        raise InvalidSearch(f"{name}={text[:80]}: a quantity is number, number|system|code, number||code or "
                            "number|system|, the system a URI.")
    prefix, value = number.read(parts[0], name)
    unit = ucum.unit(code) if system == ucum.SYSTEM else None
    if unit is None:
        return QuantityValue(number.scaled(prefix, value), system, code)
    return QuantityValue(number.scaled(prefix, value, unit.convert), system, code, unit.canonical)


def where(value: QuantityValue, hash_: Hash, unit_hash: Hash) -> Clause:
    """Return the resources with such a quantity."""
    n = value.number
    if value.canonical:
        form = canonical_form(value.canonical)
        return Number(hash_(*form), hash_(*form, "range"), n.prefix, n.value, n.low, n.high)
    unit = ("unit" if value.system else "code") if value.code else ""
    named = unit_hash("unit", *filter(None, (value.system, value.code))) if unit else 0
    return Number(hash_(), hash_("range"), n.prefix, n.value, n.low, n.high, unit, named)


def matches(value: QuantityValue, stored: Stored) -> bool:
    """Tell whether one quantity of the resource is asked for."""
    _, low, high, system, code, unit = stored
    if value.canonical:
        its = converted(low, high, system, code)
        return its is not None and its.unit == value.canonical and number.stands(value.number, its.low, its.high)
    if value.system and value.system != system:
        return False
    if value.code and value.code not in ((code,) if value.system else (code, unit)):
        return False
    return number.stands(value.number, *number.bounds(low, high))
