"""Choosing, projecting and joining items: https://hl7.org/fhirpath/N1/#filtering-and-projection"""

from __future__ import annotations

from collections.abc import Callable
from functools import cmp_to_key, partial
from typing import Any

from ..compiler import Compiler
from ..errors import FhirPathError, FhirPathLimit
from ..operators import distinct, union
from ..parts import EMPTY, TRUE, Frame, Items, Part, Run, singleton, truth
from ..steps import box
from ..syntax import Expression, Sign, This
from ..type_tests import as_type, is_type, of_type, type_argument
from ..values import compare, key, to_system
from .function import Function, each_item, on_items

MAX_REPEATED = 100_000


def _where(criterion: Run, frame: Frame, items: Items) -> Items:
    found: Items = []
    for at, item in enumerate(items):
        frame.index = at
        answer = criterion(frame, [item])
        if answer is TRUE or truth(answer) is True:
            found.append(item)
    return found


def _select(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
    projection = compiler.below(base.type).compile(arguments[0])
    return each_item("select", _projected, projection.type).compile(compiler, base, arguments)


def _projected(projection: Run, frame: Frame, items: Items) -> Items:
    found: Items = []
    for at, item in enumerate(items):
        frame.index = at
        found.extend(projection(frame, [item]))
    return found


def _repeat(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
    start = box(base)
    projection = box(compiler.below(None).compile(arguments[0])).run

    def run(frame: Frame, focus: Items) -> Items:
        found: Items = []
        seen = set()
        waiting = start.run(frame, focus)
        follow = projection if frame.watch is None else frame.watch.over(projection)
        while waiting:
            further: Items = []
            for item in waiting:
                for one in follow(frame, [item]):
                    mark = key(to_system(one, None))
                    if mark not in seen:
                        seen.add(mark)
                        further.append(one)
            found.extend(further)
            if len(found) > MAX_REPEATED:
                raise FhirPathLimit(f"repeat() found more than {MAX_REPEATED} items.")
            waiting = further
        return found

    return Part(run, None)


def _single(items: Items, own: str | None) -> Items:
    if len(items) > 1:
        raise FhirPathError(f"single() found {len(items)} items.")
    return items


def _counted(name: str, take: Callable[[Items, int], Items]) -> Function:
    def compile_(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
        number = compiler.compile(arguments[0])

        def run(frame: Frame, focus: Items) -> Items:
            count = singleton(number.run(frame, focus), number, f"{name}()")
            if not isinstance(count, int) or isinstance(count, bool):
                raise FhirPathError(f"{name}() takes an integer.")
            return take(base.run(frame, focus), max(count, 0))

        return Part(run, base.type)

    return Function(name, (1, 1), compile_)


def _combining(name: str, join: Callable[[Items, Items, str | None], Items]) -> Function:
    def compile_(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
        other = compiler.compile(arguments[0])
        if base.type != other.type:
            base, other = box(base), box(other)
        type_name = base.type if base.type == other.type else None

        def run(frame: Frame, focus: Items) -> Items:
            items = join(base.run(frame, focus), other.run(frame, focus), type_name)
            if frame.watch is not None:
                frame.watch.spend(len(items))
            return items

        return Part(run, type_name)

    return Function(name, (1, 1), compile_)


def _intersect(left: Items, right: Items, type_name: str | None) -> Items:
    marks = {key(to_system(item, type_name)) for item in right}
    return [item for item in distinct(left, type_name) if key(to_system(item, type_name)) in marks]


def _exclude(left: Items, right: Items, type_name: str | None) -> Items:
    marks = {key(to_system(item, type_name)) for item in right}
    return [item for item in left if key(to_system(item, type_name)) not in marks]


def _union(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
    return union(base, compiler.compile(arguments[0]))


def _aggregate(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
    step = compiler.below(base.type).compile(arguments[0])
    start = compiler.compile(arguments[1]) if len(arguments) > 1 else None

    def run(frame: Frame, focus: Items) -> Items:
        outer, outer_index = frame.total, frame.index
        total = start.run(frame, focus) if start else EMPTY
        try:
            for at, item in enumerate(base.run(frame, focus)):
                if frame.watch is not None:
                    frame.watch.spend(1)
                frame.total, frame.index = total, at
                total = step.run(frame, [item])
        finally:
            frame.total, frame.index = outer, outer_index
        return total

    return Part(run, None)


# ---- sort(), newer than FHIRPath 2.0.0: https://hl7.org/fhirpath/#sortcriteria---collection ------------------------


def _sort(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
    inner = compiler.below(base.type)
    keys = [_sort_key(inner, tree) for tree in arguments or (This(),)]

    def run(frame: Frame, focus: Items) -> Items:
        items = list(base.run(frame, focus))
        if frame.watch is not None:
            frame.watch.spend(len(items) * len(keys))
        # The least important key first: Python's sort keeps the order of equals.
        for part, is_descending in reversed(keys):
            values = [singleton(part.run(frame, [item]), part, "sort()") for item in items]
            order = sorted(range(len(items)), key=cmp_to_key(partial(_ordered, values)), reverse=is_descending)
            items = [items[at] for at in order]
        return items

    return Part(run, base.type)


def _sort_key(compiler: Compiler, tree: Expression) -> tuple[Part, bool]:
    """Compile one key; a minus before it means descending, whatever its type."""
    match tree:
        case Sign("-", operand):
            return compiler.compile(operand), True
    return compiler.compile(tree), False


def _ordered(values: list[Any], left: int, right: int) -> int:
    """Compare two items by their values; one without a value comes after all others."""
    one, other = values[left], values[right]
    if one is None or other is None:
        return int(one is None) - int(other is None)
    return compare(one, other) or 0


FUNCTIONS = (
    Function("sort", (0, 8), _sort),
    each_item("where", _where),
    Function("select", (1, 1), _select),
    Function("repeat", (1, 1), _repeat),
    Function("ofType", (1, 1), lambda compiler, base, arguments: of_type(base, type_argument(arguments[0]))),
    Function("as", (1, 1), lambda compiler, base, arguments: as_type(base, type_argument(arguments[0]))),
    Function("is", (1, 1), lambda compiler, base, arguments: is_type(base, type_argument(arguments[0]))),
    on_items("single", _single),
    on_items("first", lambda items, own: items[:1]),
    on_items("last", lambda items, own: items[-1:]),
    on_items("tail", lambda items, own: items[1:]),
    _counted("skip", lambda items, count: items[count:]),
    _counted("take", lambda items, count: items[:count]),
    on_items("distinct", distinct),
    _combining("intersect", _intersect),
    _combining("exclude", _exclude),
    _combining("combine", lambda left, right, type_name: left + right),
    Function("union", (1, 1), _union),
    Function("aggregate", (1, 2), _aggregate),
)
