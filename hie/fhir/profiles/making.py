"""Profiles that come with a differential alone: their snapshots, as far as validation needs them.

https://hl7.org/fhir/R4/profiling.html#snapshot
"""

from __future__ import annotations

from hie.fhir import snapshots
from hie.fhir.snapshots import Allowance, Definitions, SnapshotError

from . import judging
from .slimming import Json, slim

#: More of the reasons would not be read.
MOST_TOLD = 1_000


class NotMade(Exception):
    """No snapshot can be made; the text says why. `is_costly`: of too much, not of what is wrong."""

    def __init__(self, told: str, *, is_costly: bool = False) -> None:
        super().__init__(told[:MOST_TOLD])
        self.is_costly = is_costly


def made(definition: Json, definitions: Definitions, allowance: Allowance | None = None) -> Json:
    """Return a profile with a snapshot that resources can be judged by; NotMade."""
    try:
        found = snapshots.generated(definition, definitions, allowance)
    except SnapshotError as error:
        told = "; ".join(f"{one.expression}: {one.diagnostics}" for one in error.issues[:judging.MOST_PROBLEMS])
        is_costly = any(one.code == "too-costly" for one in error.issues)
        raise NotMade(f"no snapshot can be made of it: {told}", is_costly=is_costly) from None
    wrong = judging.problems(found)
    if wrong:
        raise NotMade(f"the snapshot made of it cannot be used: {'; '.join(wrong)}")
    return slim(found)
