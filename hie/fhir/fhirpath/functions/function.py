"""What a function is to the compiler, and makers for the common shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..compiler import EMPTY, Compiler, Frame, Items, Part, boolean, singleton
from ..syntax import Expression

Compile = Callable[[Compiler, Part, tuple[Expression, ...]], Part]


@dataclass(frozen=True, slots=True)
class Function:
    """A function: its name, the least and most arguments it takes, and how a call of it is compiled."""

    name: str
    arguments: tuple[int, int]
    compile: Compile


def on_items(name: str, apply: Callable[[Items, str | None], Items], type_name: str | None = "") -> Function:
    """Make a function of the whole collection without arguments; "" as type: the items keep theirs."""

    def compile_(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
        run, own = base.run, base.type
        return Part(lambda frame, focus: apply(run(frame, focus), own), own if type_name == "" else type_name)

    return Function(name, (0, 0), compile_)


def on_value(
    name: str, apply: Callable[..., Any], type_name: str | None, arguments: tuple[int, int] = (0, 0)
) -> Function:
    """Make a function of one value of the language and of arguments that are such values.

    Without the value or an argument the answer is empty; `apply` returning None makes it empty too.
    """

    def compile_(compiler: Compiler, base: Part, expressions: tuple[Expression, ...]) -> Part:
        parts = [compiler.compile(expression) for expression in expressions]

        def run(frame: Frame, focus: Items) -> Items:
            value = singleton(base.run(frame, focus), base, f"{name}()")
            if value is None:
                return EMPTY
            values = [singleton(part.run(frame, focus), part, f"{name}()") for part in parts]
            if any(one is None for one in values):
                return EMPTY
            result = apply(value, *values)
            return boolean(result) if isinstance(result, bool | None) else [result]

        return Part(run, type_name)

    return Function(name, arguments, compile_)


def each_item(
    name: str,
    apply: Callable[[Items, Callable[[Any, int], Items]], Items],
    type_name: str | None = "",
    arguments: tuple[int, int] = (1, 1),
) -> Function:
    """Make a function whose argument is evaluated for every item, with $this and $index."""

    def compile_(compiler: Compiler, base: Part, expressions: tuple[Expression, ...]) -> Part:
        criteria = compiler.below(base.type).compile(expressions[0]).run if expressions else None

        def run(frame: Frame, focus: Items) -> Items:
            items = base.run(frame, focus)
            if not items or criteria is None:
                return apply(items, _itself)
            outer = frame.index

            def evaluate(item: Any, index: int) -> Items:
                frame.index = index
                return criteria(frame, [item])

            try:
                return apply(items, evaluate)
            finally:
                frame.index = outer

        return Part(run, base.type if type_name == "" else type_name)

    return Function(name, arguments, compile_)


def _itself(item: Any, index: int) -> Items:
    return [item]
