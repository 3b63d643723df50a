"""The state of the store that a query is answered by, however many reads and searches it takes.

docs/adr/0018-record-as-of-an-instant.md: all levels show one state, and those below a further page of a connection what
its first page saw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hie.context import Context
from hie.fhir import facts
from hie.operations.graphql.checking import searched
from hie.operations.graphql.document import Field, Selection
from hie.operations.page_state import page_state


@contextmanager
def one_state(ctx: Context, selections: Sequence[Selection], *, of_system: bool) -> Iterator[Context]:
    """Yield the context to read by; a query that reads once needs none held."""
    if _reads(selections, most=2) + (not of_system) < 2:
        yield ctx
        return
    with page_state(ctx, None) as state:
        yield state.then


def _reads(selections: Sequence[Selection], most: int) -> int:
    """Count what is read and searched for, up to so many."""
    found = 0
    for one in selections:
        if isinstance(one, Field):
            found += one.name == "resource" or one.name in facts.RESOURCE_TYPES or searched(one.name)[0] is not None
        found += _reads(one.selections, most - found) if found < most else 0
        if found >= most:
            break
    return found
