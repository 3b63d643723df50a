"""What a function is to the compiler, and makers for the common shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..arithmetic import MAX_TEXT
from ..compiler import Compiler
from ..errors import FhirPathLimit
from ..parts import EMPTY, FALSE, TRUE, Frame, Items, Part, Run, singleton
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
    name: str, apply: Callable[..., Any], type_name: str | None, arguments: tuple[int, int] = (0, 0),
    *, may_be_empty: bool = False,
) -> Function:
    """Make a function of one value of the language and of arguments that are such values.

    Without the value or an argument the answer is empty; `apply` returning None makes it empty too. With `may_be_empty`
    a last argument that is empty is one that is not given.
    """

    def compile_(compiler: Compiler, base: Part, expressions: tuple[Expression, ...]) -> Part:
        parts = [compiler.compile(expression) for expression in expressions]
        # Arguments that are literals are read once.
        fixed = [part.value[0] for part in parts if part.value]
        own = base.run
        given = fixed if len(fixed) == len(parts) else None

        def run(frame: Frame, focus: Items) -> Items:
            value = singleton(own(frame, focus), base, name)
            if value is None:
                return EMPTY
            if given is not None:
                result = apply(value, *given)
            else:
                values = [singleton(part.run(frame, focus), part, name) for part in parts]
                if may_be_empty and len(values) > arguments[0] and values[-1] is None:
                    values.pop()
                if None in values:
                    return EMPTY
                result = apply(value, *values)
            if type(result) is str and len(result) > MAX_TEXT:
                raise FhirPathLimit(f"{name}() would make a text of more than {MAX_TEXT} characters.")
            return TRUE if result is True else FALSE if result is False else EMPTY if result is None else [result]

        return Part(run, type_name)

    return Function(name, arguments, compile_)


Gather = Callable[[Run, Frame, Items], Items]


def each_item(name: str, gather: Gather, type_name: str | None = "") -> Function:
    """Make a function whose argument is evaluated for every item, with $this and $index.

    `gather` is given that criterion and the items. An error ends the whole evaluation, so it need not put things right.
    """

    def compile_(compiler: Compiler, base: Part, expressions: tuple[Expression, ...]) -> Part:
        criterion = compiler.below(base.type).compile(expressions[0]).run
        own = base.run

        def run(frame: Frame, focus: Items) -> Items:
            items = own(frame, focus)
            outer = frame.index
            found = gather(criterion if frame.watch is None else frame.watch.over(criterion), frame, items)
            frame.index = outer
            return found

        return Part(run, base.type if type_name == "" else type_name)

    return Function(name, (1, 1), compile_)
