"""trace(), type() and the clock: https://hl7.org/fhirpath/N1/#utility-functions"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ..compiler import Compiler
from ..errors import FhirPathError
from ..model import TYPE_INFO
from ..parts import Frame, Items, Part, singleton
from ..syntax import Expression
from ..values import moment, type_of
from .function import Function, on_items


def _trace(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
    # Nothing is written anywhere, for it would be patient data; only who evaluates and asks for it is told.
    name = compiler.compile(arguments[0])
    projection = compiler.below(base.type).compile(arguments[1]) if len(arguments) > 1 else None
    shown = base.type if projection is None else projection.type

    def run(frame: Frame, focus: Items) -> Items:
        items = base.run(frame, focus)
        if frame.watch is not None and frame.watch.trace is not None:
            seen = items if projection is None else [one for item in items for one in projection.run(frame, [item])]
            frame.watch.trace(str(singleton(name.run(frame, focus), name, "trace()")), seen, shown)
        return items

    return Part(run, base.type)


def _type(items: Items, own: str | None) -> Items:
    found = []
    for item in items:
        name = type_of(item, own)
        is_system = name.startswith("System.")
        found.append({"namespace": "System" if is_system else "FHIR", "name": name.removeprefix("System.")})
    return found


def _clock(name: str, kind: str, read: Callable[[datetime], str]) -> Function:
    def compile_(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
        def run(frame: Frame, focus: Items) -> Items:
            # One evaluation sees one time, however often it asks.
            if frame.now is None:
                frame.now = datetime.now(UTC)
            found = moment(read(frame.now), kind)
            if found is None:
                raise FhirPathError(f"{name}() has no value.")
            return [found]

        return Part(run, f"System.{kind}")

    return Function(name, (0, 0), compile_)


FUNCTIONS = (
    Function("trace", (1, 2), _trace),
    on_items("type", _type, TYPE_INFO),
    _clock("now", "DateTime", lambda now: now.isoformat(timespec="milliseconds").replace("+00:00", "Z")),
    _clock("today", "Date", lambda now: now.date().isoformat()),
    _clock("timeOfDay", "Time", lambda now: now.time().isoformat(timespec="milliseconds")),
)
