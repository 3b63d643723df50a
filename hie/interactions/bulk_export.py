"""What an operation lists that is answered by bulk files: https://hl7.org/fhir/uv/bulkdata/STU2/export.html"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from hie.context import Context
from hie.errors import OutcomeIssue


class Listed(NamedTuple):
    """A resource that stands in a file; `size`: bytes of its line, about."""

    type: str
    id: str
    size: int


class Removed(NamedTuple):
    """A resource that was deleted since the client asked before."""

    type: str
    id: str


Entry = Listed | Removed | OutcomeIssue
"""What a file has a line for; an issue tells of what could not be listed."""


@dataclass(frozen=True, slots=True)
class Export:
    """What was asked for, checked: `listed` yields it from the record as it was at one moment."""

    listed: Callable[[Context], Iterator[Entry]]
    elements: tuple[tuple[str | None, str], ...] = ()
    """The elements that are wanted, as of a search (hie.fhir.summary); empty: all."""
    left_out: tuple[OutcomeIssue, ...] = ()
    """What is told of that was asked for and is left out."""
