"""AND, OR and NOT over criteria, as `_filter` combines them: https://hl7.org/fhir/R4/search_filter.html

Where the index decides about a part, the whole is one clause. Where it only narrows, an OR or a NOT is verified on the
opened resource; where that cannot be done either, because a chain stands beside, the part is found first and its ids
are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hie.fhir.search_parameters import IndexValues
from hie.store.crypto import Blind
from hie.store.search import compiling, verifying
from hie.store.search.clauses import EVERYTHING, Clause, both, either, negation
from hie.store.search.criteria import Compiled, Criterion, Verify


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part, each a criterion, a chain or one of these."""

    parts: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One part at least."""

    parts: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class NotOf:
    """Not the part."""

    part: Any


@dataclass(frozen=True, slots=True)
class Differs:
    """The parameter has a value that the criterion does not ask for."""

    criterion: Criterion


@dataclass(frozen=True, slots=True)
class Opened:
    """The parameter has a value that the criterion asks for, as only opened resources tell."""

    criterion: Criterion


Logic = AllOf | AnyOf | NotOf | Differs | Opened
LOGIC = (AllOf, AnyOf, NotOf, Differs, Opened)

Compile = Callable[[Any], Compiled]
Resolve = Callable[[Compiled], Clause]
"""Finds what matches, by opening the candidates."""


def compile_(asked: Any, blind: Blind, type_name: str, compile_one: Compile, resolve: Resolve) -> Compiled:
    """Return what the index is asked, and the test of what it cannot decide."""

    def compiled(part: Any) -> Compiled:
        return compile_(part, blind, type_name, compile_one, resolve) if isinstance(part, LOGIC) else compile_one(part)

    match asked:
        case AllOf(parts):
            return _all([compiled(part) for part in parts])
        case AnyOf(parts):
            return _any(asked, type_name, [compiled(part) for part in parts], resolve)
        case NotOf(part):
            return _not(asked, type_name, compiled(part), resolve)
        case Differs(criterion) | Opened(criterion):
            return Compiled(compiling.present(criterion.parameter, blind, type_name), _verify(asked, type_name))
    raise TypeError(f"{asked!r} is no combination of criteria.")


def _all(parts: list[Compiled]) -> Compiled:
    tests = [part.verify for part in parts if part.verify is not None]
    verify = (lambda found: all(test(found) for test in tests)) if tests else None
    return Compiled(both([part.clause for part in parts]), verify)


def _any(asked: AnyOf, type_name: str, parts: list[Compiled], resolve: Resolve) -> Compiled:
    if all(part.verify is None for part in parts):
        return Compiled(either([part.clause for part in parts]))
    if is_testable(asked):
        return Compiled(either([part.clause for part in parts]), _verify(asked, type_name))
    return Compiled(either([_decided(part, resolve) for part in parts]))


def _not(asked: NotOf, type_name: str, part: Compiled, resolve: Resolve) -> Compiled:
    if part.verify is None:
        return Compiled(negation(part.clause))
    if is_testable(asked):
        return Compiled(EVERYTHING, _verify(asked, type_name))
    return Compiled(negation(_decided(part, resolve)))


def _decided(part: Compiled, resolve: Resolve) -> Clause:
    return part.clause if part.verify is None else resolve(part)


# ---- testing an opened resource --------------------------------------------------------------------------------------


def is_testable(asked: Any) -> bool:
    """Tell whether the resource alone says whether it matches, which of a chain it does not."""
    match asked:
        case AllOf(parts) | AnyOf(parts):
            return all(is_testable(part) for part in parts)
        case NotOf(part):
            return is_testable(part)
    return isinstance(asked, Differs | Opened | Criterion)


def _verify(asked: Any, type_name: str) -> Verify:
    return lambda found: _holds(asked, type_name, found)


def _holds(asked: Any, type_name: str, found: IndexValues) -> bool:
    match asked:
        case AllOf(parts):
            return all(_holds(part, type_name, found) for part in parts)
        case AnyOf(parts):
            return any(_holds(part, type_name, found) for part in parts)
        case NotOf(part):
            return not _holds(part, type_name, found)
        case Differs(criterion):
            return verifying.has_another(criterion, type_name, found)
        case Opened(criterion):
            return verifying.holds(criterion, type_name, found)
    return verifying.holds(asked, type_name, found)
