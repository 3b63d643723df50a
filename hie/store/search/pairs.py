"""A code and a value that are asked beside each other are asked together, where a composite parameter has both.

`code=8480-6&value-quantity=gt140` means what `code-value-quantity=8480-6$gt140` means: an Observation has one code and
one value. Many resources may carry the code and many have such a value, though few both; the rows of the composite have
just these. They give where to begin (hie.store.search.drivers); what was asked is still asked of what they lead to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from hie.store.crypto import Blind
from hie.store.search import composite
from hie.store.search.blinding import hash_of
from hie.store.search.clauses import Clause, Either, either
from hie.store.search.compiling import compile_
from hie.store.search.criteria import Criterion
from hie.store.search.plan import plan_of
from hie.store.search.range_clauses import Number

#: So many alternatives at most are asked together.
_MOST = 16
#: No parameter has this hash.
_NOTHING = 0


def together(criteria: Sequence[Any], blind: Blind, type_name: str) -> Clause | None:
    """Return numbers by which everything is found that the criteria can match; None where no composite has them."""
    plan = plan_of(type_name)
    if not plan.at_root or len(criteria) < 2:
        return None
    asked = {one.parameter.code: one for one in criteria if isinstance(one, Criterion) and not one.modifier}
    for code in sorted(plan.at_root):
        components = [asked.get(component.code) for component in plan.parameters[code].components]
        if plan.composites[code] == "quantity" and all(components):
            return _pair(code, [one for one in components if one is not None], blind, type_name)
    return None


def _pair(code: str, asked: Sequence[Criterion], blind: Blind, type_name: str) -> Clause | None:
    parameter, unit = plan_of(type_name).parameters[code], hash_of(blind, type_name, "unit")
    values = list(product(*(one.values for one in asked)))
    if len(values) > _MOST:
        return None
    hash_ = hash_of(blind, type_name, code)
    found = [composite.where(parameter, composite.CompositeValue(one), hash_, unit, at_root=True) for one in values]
    if not all(found):
        return None
    return either([*(one for one in found if one is not None), *_of_ranges(asked[-1], blind, type_name)])


def _of_ranges(asked: Criterion, blind: Blind, type_name: str) -> list[Clause]:
    """Return the same numbers among ranges alone: samples are such, and no composite has them."""
    clause = compile_(asked, blind, type_name).clause
    parts = clause.parts if isinstance(clause, Either) else (clause,)
    return [replace(part, parameter=_NOTHING) for part in parts if isinstance(part, Number)]
