"""Why no snapshot can be made of a differential, and where that stands."""

from __future__ import annotations

from collections.abc import Sequence

from hie.errors import OutcomeIssue


class SnapshotError(Exception):
    """A differential of which no snapshot can be made; `of`: the definition below where that was found out."""

    def __init__(self, issues: Sequence[OutcomeIssue], of: str | None = None) -> None:
        super().__init__(issues[0].diagnostics)
        self.issues = tuple(issues)
        self.of = of

    def below(self, url: str) -> SnapshotError:
        """Return the same said of a definition that needs the one with this URL: its places are not the other's."""
        if self.of is not None:
            return self
        base = "StructureDefinition.baseDefinition"
        return SnapshotError([OutcomeIssue(one.code, f"{url[:200]}: {one.diagnostics}", base) for one in self.issues],
                             of=url)


def refused(told: str, expression: str, code: str = "processing") -> SnapshotError:
    """Return the error of one issue."""
    return SnapshotError([OutcomeIssue(code, told, expression)])


def place(at: int | None) -> str:
    """Say where an element of the differential stands; None: nowhere by itself."""
    return "StructureDefinition.differential" + ("" if at is None else f".element[{at}]")
