"""Two bounds of one value are one range: `recorded-date=ge2012-05-05&recorded-date=lt2012-05-07`.

Each alone may be that of half the store. Where a parameter has one value at most, that value must be within both, so
an index of dates or numbers gives what lies between. Where it may have several, one may be within the one bound and
another within the other: https://hl7.org/fhir/R4/search.html#combining
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hie.store.search.clauses import Clause
from hie.store.search.criteria import Criterion
from hie.store.search.plan import is_single
from hie.store.search.range_clauses import OPEN_ENDED, Interval, Number

#: Prefixes of what has a beginning.
_FROM = OPEN_ENDED | {"eq", "sa"}


def merged(criteria: Sequence[Any], clauses: Sequence[Clause], type_name: str) -> list[Clause]:
    """Return what is asked for each criterion, those of one value together."""
    found: list[Clause] = []
    groups: dict[tuple[int, ...], list[Interval | Number]] = {}
    for criterion, clause in zip(criteria, clauses, strict=True):
        of_row = isinstance(clause, Interval) and clause.where != "index"
        if (
            isinstance(clause, Interval | Number) and clause.prefix != "ne" and isinstance(criterion, Criterion)
            and (of_row or is_single(type_name, criterion.parameter.code))
        ):  # fmt: skip
            groups.setdefault(_place(clause), []).append(clause)
        else:
            found.append(clause)
    return [*found, *map(_one, groups.values())]


def _place(clause: Interval | Number) -> tuple[int, ...]:
    """Return what says which rows of an index are asked, or which column."""
    if isinstance(clause, Interval):
        return clause.parameter, ("index", "date", "updated").index(clause.where)
    return clause.parameter, clause.ranges, ("", "unit", "code").index(clause.unit), clause.unit_hash


def _one(parts: Sequence[Interval | Number]) -> Clause:
    """Let the index be read from the last lower bound on; the others say where it ends."""
    first = max((part for part in parts if part.prefix in _FROM), key=lambda part: part.low, default=parts[0])
    if isinstance(first, Number):
        return replace(first, also=tuple(part for part in parts if part is not first and isinstance(part, Number)))
    return replace(first, also=tuple(part for part in parts if part is not first and isinstance(part, Interval)))
