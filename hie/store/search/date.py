"""Date search by intervals and prefixes. https://hl7.org/fhir/R4/search.html#date

A type's primary date stands in the resource's own row, its other dates in a side table, birth and death dates only as
keyed hashes (hie.store.search.blind_date).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hie.errors import InvalidSearch
from hie.fhir import datatypes
from hie.fhir.search_values import DateValue as Stored
from hie.store.search import blind_date
from hie.store.search.blinding import Form, Hash
from hie.store.search.clauses import Clause, Token, either
from hie.store.search.intervals import matches as stands
from hie.store.search.range_clauses import Interval
from hie.store.search.syntax import prefixed

#: Parameters that tell a person apart; never stored in a form that shows them or their order.
BLIND = frozenset({"birthdate", "death-date"})


@dataclass(frozen=True, slots=True)
class DateValue:
    """One alternative: [low, high) in microseconds; for ap already widened."""

    prefix: str
    low: int
    high: int

    @property
    def needs_verification(self) -> bool:
        """Tell whether the index gives candidates only: what overlaps, of which a filter wants what holds all of it."""
        return self.prefix == "co"


def index_blind(value: Stored) -> Iterator[Form]:
    """Yield what is hashed for one date of a blind parameter."""
    for node in blind_date.nodes(value[1], value[2]):
        yield "date", node


def parse(text: str, name: str, now: int) -> DateValue:
    """Read one alternative. `now` (microseconds) gives ap its width: a tenth of the time between then and now."""
    prefix, rest = prefixed(text.strip(), name)
    if len(rest) > 16 and rest[-6] == " ":  # a + that was not percent-encoded arrives as a space
        rest = f"{rest[:-6]}+{rest[-5:]}"
    try:
        low, high = datatypes.date_bounds(rest)
    except datatypes.DatatypeError:
        raise InvalidSearch(
            f"{name}={text[:80]}: no date; a date is YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with Z or an "
            "offset, after an optional prefix such as ge."
        ) from None
    if prefix == "ap":
        today = now - now % datatypes.MICROSECONDS_PER_DAY  # so that the pages of one search agree
        width = abs(today - low) // 10
        low, high = max(low - width, datatypes.OPEN_LOW), min(high + width, datatypes.OPEN_HIGH)
    return DateValue(prefix, low, high)


def where(value: DateValue, place: str, hash_: Hash) -> Clause:
    """Return the resources with such a date, or candidates; `place`: "row", "index" or "blind"."""
    if value.needs_verification:
        value = replace(value, prefix="ap")
    if place == "blind":
        return either([Token(hash_("date", node)) for node in blind_date.cover(value.prefix, value.low, value.high)])
    if place == "row":
        return Interval("date", value.prefix, value.low, value.high)
    return Interval("index", value.prefix, value.low, value.high, hash_())


def matches(value: DateValue, stored: Stored) -> bool:
    """Tell whether one date of the resource is asked for."""
    return stands(value.prefix, value.low, value.high, stored[1], stored[2])
