"""trace() and the clock: https://hl7.org/fhirpath/N1/#utility-functions"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ..compiler import Compiler, Frame, Items, Part
from ..errors import FhirPathError
from ..syntax import Expression
from ..values import moment
from .function import Function


def _trace(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
    # Nothing is written anywhere: what would be traced is patient data.
    for argument in arguments:
        compiler.below(base.type).compile(argument)
    return base


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
    _clock("now", "DateTime", lambda now: now.isoformat(timespec="milliseconds").replace("+00:00", "Z")),
    _clock("today", "Date", lambda now: now.date().isoformat()),
    _clock("timeOfDay", "Time", lambda now: now.time().isoformat(timespec="milliseconds")),
)
