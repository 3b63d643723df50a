"""Whether something is there, and whether it holds: https://hl7.org/fhirpath/N1/#existence"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..compiler import Compiler
from ..errors import FhirPathError
from ..operators import distinct
from ..parts import EMPTY, FALSE, TRUE, Frame, Items, Part, Run, boolean, truth
from ..syntax import Expression
from ..values import key, to_system, unboxed
from .function import Function, each_item, on_items


def _empty(items: Items, own: str | None) -> Items:
    return FALSE if items else TRUE


def _exists(criterion: Run, frame: Frame, items: Items) -> Items:
    for at, item in enumerate(items):
        frame.index = at
        answer = criterion(frame, [item])
        if answer is TRUE or truth(answer) is True:
            return TRUE
    return FALSE


def _all(criterion: Run, frame: Frame, items: Items) -> Items:
    for at, item in enumerate(items):
        frame.index = at
        answer = criterion(frame, [item])
        if answer is not TRUE and truth(answer) is not True:
            return FALSE
    return TRUE


def _compiled_exists(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
    if arguments:
        return _EXISTS_WHERE.compile(compiler, base, arguments)
    run = base.run
    return Part(lambda frame, focus: TRUE if run(frame, focus) else FALSE, "System.Boolean")


def _booleans(items: Items) -> list[bool]:
    values = [unboxed(item) for item in items]
    if any(not isinstance(value, bool) for value in values):
        raise FhirPathError("Booleans were expected.")
    return values


def _not(items: Items, own: str | None) -> Items:
    value = truth(items)
    return EMPTY if value is None else boolean(not value)


def _count(items: Items, own: str | None) -> Items:
    return [len(items)]


def _is_distinct(items: Items, own: str | None) -> Items:
    return boolean(len(items) < 2 or len(distinct(items, own)) == len(items))


def _keys(items: Items, own: str | None) -> set[Any]:
    return {key(to_system(item, own)) for item in items}


def _comparing(name: str, holds: Callable[[set[Any], set[Any]], bool]) -> Function:
    def compile_(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
        other = compiler.compile(arguments[0])

        def run(frame: Frame, focus: Items) -> Items:
            return boolean(holds(_keys(base.run(frame, focus), base.type), _keys(other.run(frame, focus), other.type)))

        return Part(run, "System.Boolean")

    return Function(name, (1, 1), compile_)


_EXISTS_WHERE = each_item("exists", _exists, "System.Boolean")

FUNCTIONS = (
    Function("exists", (0, 1), _compiled_exists),
    on_items("empty", _empty, "System.Boolean"),
    each_item("all", _all, "System.Boolean"),
    on_items("allTrue", lambda items, own: boolean(all(_booleans(items))), "System.Boolean"),
    on_items("anyTrue", lambda items, own: boolean(any(_booleans(items))), "System.Boolean"),
    on_items("allFalse", lambda items, own: boolean(not any(_booleans(items))), "System.Boolean"),
    on_items("anyFalse", lambda items, own: boolean(not all(_booleans(items))), "System.Boolean"),
    on_items("not", _not, "System.Boolean"),
    on_items("count", _count, "System.Integer"),
    on_items("isDistinct", _is_distinct, "System.Boolean"),
    _comparing("subsetOf", lambda one, other: one <= other),
    _comparing("supersetOf", lambda one, other: one >= other),
)
