"""Why no snapshot can be made of a differential, and where that stands."""

from __future__ import annotations

from collections.abc import Sequence

from hie.errors import OutcomeIssue


class SnapshotError(Exception):
    """A differential of which no snapshot can be made."""

    def __init__(self, issues: Sequence[OutcomeIssue]) -> None:
        super().__init__(issues[0].diagnostics)
        self.issues = tuple(issues)


def refused(told: str, expression: str, code: str = "processing") -> SnapshotError:
    """Return the error of one issue."""
    return SnapshotError([OutcomeIssue(code, told, expression)])


def place(at: int | None) -> str:
    """Say where an element of the differential stands; None: nowhere by itself."""
    return "StructureDefinition.differential" + ("" if at is None else f".element[{at}]")
