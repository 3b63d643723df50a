"""The kinds of index rows that stand in side tables of their own, dates and numbers, and which a resource has of them.

Most resources have none: their own date is a column of the resource, and few say quantities. Presence bits tell so
without opening a resource, as whatever has such a row has a value of the parameter.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from hie.fhir.scopes import BINARY
from hie.store.crypto import Blind
from hie.store.search import date
from hie.store.search.blinding import presence_bits
from hie.store.search.index import IndexRows
from hie.store.search.plan import Plan, plan_of


class Kinds(NamedTuple):
    """Whether there are rows of dates, and of numbers."""

    dates: bool
    numbers: bool

    def __or__(self, other: Kinds) -> Kinds:
        return Kinds(self.dates or other.dates, self.numbers or other.numbers)


EVERY, NONE = Kinds(True, True), Kinds(False, False)


def of_rows(index: IndexRows) -> Kinds:
    """Return which rows there are."""
    return Kinds(bool(index.dates), bool(index.numbers))


def of_presence(blind: Blind, type_name: str, presence: int) -> Kinds:
    """Return which rows there may be, by R4's own parameters; custom ones have no bits."""
    dates, numbers = _bits(blind, type_name)
    return Kinds(bool(presence & dates) or type_name == BINARY, bool(presence & numbers))  # BINARY: security contexts


@lru_cache(maxsize=2048)
def _bits(blind: Blind, type_name: str) -> tuple[int, int]:
    bits, plan = presence_bits(blind, type_name), plan_of(type_name)

    def of(codes: Iterable[str]) -> int:
        return sum(bits[code] for code in set(codes) & bits.keys())

    return of(_with_dates(plan)), of(_with_numbers(plan))


def _with_dates(plan: Plan) -> Iterable[str]:
    """Yield the parameters whose values are rows of dates: not the type's own date, nor what is only hashed."""
    elsewhere = {plan.primary_date, "_lastUpdated", *date.BLIND}
    yield from (code for code, one in plan.parameters.items() if one.type == "date" and code not in elsewhere)
    yield from (code for code, kind in plan.composites.items() if kind == "date")


def _with_numbers(plan: Plan) -> Iterable[str]:
    yield from (code for code, one in plan.parameters.items() if one.type in ("number", "quantity"))
    yield from (code for code, kind in plan.composites.items() if kind in ("number", "quantity"))
