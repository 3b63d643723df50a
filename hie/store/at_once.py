"""A few resources on PostgreSQL, stored, changed or deleted, and committed with the audit record by one message.

What usually happens in many round trips (BEGIN, locks, rows, checks, the record, COMMIT) is sent as one text of several
statements, which PostgreSQL executes as one transaction, in the order of the way in steps. What would have been looked
at in between is asked inside: where a row is not at the version that was read, a target of a reference is not there,
something refers to what is deleted, or search parameters have changed since the index rows were made, a statement fails
by a division by zero, nothing is kept, and the way in steps finds out what is wrong.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from hie.store.change_at_once import changed_values, deleted_values
from hie.store.contained import concerns
from hie.store.contained_at_once import ended_values, kept_values
from hie.store.jobs import NEW
from hie.store.literals import execute
from hie.store.rows import columns, one_values
from hie.store.statements_at_once import (
    ADD_JOB,
    AUDIT,
    BEGIN,
    END_CONTAINED,
    HOLD,
    KEEP_CONTAINED,
    KEY,
    LOCK,
    NONE_CAME,
    OF_ALL,
    OF_MORE,
    PLAN,
    REFUSED,
    SEE_UNREFERENCED,
    STORE_KEY,
    WRITING,
    named,
)

if TYPE_CHECKING:
    from hie.store.keys import NewKey
    from hie.store.locks import Locks
    from hie.store.looking import AtOnce
    from hie.store.reference_targets import Target
    from hie.store.search.kinds import Kinds
    from hie.store.unit_of_work import Written


@dataclass(frozen=True, slots=True)
class FewResources:
    """The message that writes resources and the request's audit record (hie.store.writers.Message)."""

    tenant: int
    written: Sequence[Written]
    kinds: Sequence[Kinds]
    """What each has, or had, of index rows in tables of their own."""
    held: Sequence[tuple[int, int, int, int]]
    """Key, version, its time and presence bits of what must be as it was read, in the order in which all lock them."""
    made: list[int]
    """Locks of ids that were nowhere, where others may be locked with them."""
    locks: Locks
    """Those of the targets of references, and of what is deleted."""
    targets: Sequence[Target]
    """What they refer to outside, all of which must be there."""
    version: int
    """Of the custom search parameters that their index rows were made with."""
    keys: Sequence[NewKey] = ()
    """Data keys that they bring."""
    freed: Sequence[int] = ()
    """The places under which references to what is deleted are found."""
    looked: AtOnce | None = None
    """What was looked for and not found, and is looked for once more at the end (hie.store.looking)."""
    jobs: Sequence[dict[str, Any]] = ()

    refused: ClassVar[str] = REFUSED

    @property
    def statements(self) -> Mapping[str, str]:
        """What it executes."""
        is_plain = len(self.written) == 1 and not self.jobs and not concerns(self.written[0])
        *others, last = zip(self.written, self.kinds, strict=True)
        names = {*(self._name_also(*one) for one in others), self._name_last(*last)}
        return _statements(tuple(sorted(names)), is_plain)

    def text(self, record: dict[str, Any]) -> str:
        """Return the text with the row of the audit record.

        Each statement sees what was committed before it began, so rows are locked by one of its own: what indexed them
        anew meanwhile is seen, or what came to refer to them. The transaction has its number before the last one sees
        the version of search parameters: whoever indexes for a change that it does not see waits for it
        (hie.store.index_runs).
        """
        *others, last = zip(self.written, self.kinds, strict=True)
        return "; ".join([
            *self._begin(),
            *(execute(STORE_KEY, [key.row[name] for name in KEY]) for key in self.keys),
            *(execute(self._name_also(*one), self._values(*one, ())) for one in others),
            self._last(*last, record),
            *self._contained(),
            *(execute(ADD_JOB, [job[name] for name in NEW]) for job in self.jobs),
            *self._end(),
        ])

    def _begin(self) -> Iterator[str]:
        holds = self.held or self.made
        yield f"EXECUTE {PLAN}" if holds else execute(BEGIN, [self.locks.numbers])
        for numbers in (self.looked.criteria if self.looked is not None else (), self.made):
            if numbers:
                yield execute(LOCK, [numbers, [True] * len(numbers)])
        if holds:
            yield execute(HOLD, [*columns(4, self.held), *self.locks])

    def _name_also(self, written: Written, kinds: Kinds) -> str:
        return named(f"{_verb(written)}_also", kinds)

    def _name_last(self, written: Written, kinds: Kinds) -> str:
        return named(_verb(written), kinds, refers=bool(self.targets) and written.sealed is not None)

    def _last(self, written: Written, kinds: Kinds, record: dict[str, Any]) -> str:
        values = self._values(written, kinds, self.targets)
        return execute(self._name_last(written, kinds), [*values, self.version, *(record[one] for one in AUDIT)])

    def _values(self, written: Written, kinds: Kinds, targets: Sequence[Target]) -> Iterable[Any]:
        if written.replaced is None:
            return one_values(self.tenant, written, targets, kinds).values()
        if written.sealed is not None:
            return changed_values(self.tenant, written, targets, kinds)
        # Of several it is asked at the end who refers to them, and of none where that does not matter.
        asks_here = len(self.written) == 1 and bool(self.freed)
        return deleted_values(self.tenant, written, self.freed[0] if asks_here else None)

    def _contained(self) -> Iterator[str]:
        """Yield what follows where the resources are stored; what a version contained ends before the next begins."""
        for one in self.written:
            if concerns(one):
                yield from (execute(END_CONTAINED, values) for values in ended_values(one))
                yield from (execute(KEEP_CONTAINED, values) for values in kept_values(self.tenant, one))

    def _end(self) -> Iterator[str]:
        if self.freed and len(self.written) > 1:
            yield execute(SEE_UNREFERENCED, [self.freed, self.tenant])
        if self.looked is not None:
            own = columns(2, [(one.version.type, one.version.id) for one in self.written])
            yield execute(LOCK, [self.looked.numbers, self.looked.alone])
            yield execute(NONE_CAME, [self.looked.hashes, self.tenant, *own])


def _verb(written: Written) -> str:
    if written.replaced is None:
        return "store"
    return "delete" if written.sealed is None else "change"


@lru_cache(maxsize=256)
def _statements(names: tuple[str, ...], is_plain: bool) -> Mapping[str, str]:
    """Return what a message executes that writes by these statements."""
    return {**OF_ALL, **({} if is_plain else OF_MORE), **{name: WRITING[name] for name in names}}
