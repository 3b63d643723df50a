"""What a statement saw of the writes of all others, as numbers: further pages show what the first page's statement saw.

Each version has the number of the transaction that wrote it, and of the one that ended it. On PostgreSQL that is the
transaction's own, and what a statement saw is its snapshot. On SQLite, which has one writer at a time, transactions
that change resources are counted, and a new resource has its key for a number, below zero so that the two differ; a
statement saw what is numbered up to the last of each. docs/adr/0018-record-as-of-an-instant.md
https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Text, and_, bindparam, func, literal_column, or_

Condition = ColumnElement[bool]

#: What began so long before a page was read is over: only younger versions are asked for their numbers.
LONGEST_WRITE = 86_400_000_000
#: So many writes under way a cursor names, in some 3 kB; beside more, further pages go by the moment of the first.
MOST_UNSEEN = 1_000


class Seen(NamedTuple):
    """The transactions that a statement saw: those below a number, but for some that had not ended."""

    below: int
    unseen: tuple[int, ...] = ()
    last_key: int = 0
    """SQLite: the key of the last new resource."""
    at_instant: bool = False
    """Whether it is the record as of an instant that was seen (`_asOf`)."""

    def to_json(self) -> list[int]:
        """Return it for a cursor: the numbers that were not seen as what lies between them."""
        if not self.unseen:
            return [self.below, self.last_key]
        gaps = [right - left for left, right in pairwise([*self.unseen, self.below])]
        return [self.below, self.last_key, *reversed(gaps)]

    def misses(self, later: Seen) -> bool:
        """Tell whether another statement saw what this one did not."""
        if self.last_key != later.last_key or later.below - self.below > MOST_UNSEEN:
            return True
        since = {*self.unseen, *range(self.below, later.below)}
        return not since.issubset(later.unseen)

    def bounds(self, at: int) -> dict[str, Any]:
        """Return the values of the conditions; `at` is the moment at which it was seen."""
        return {
            "seen_below": self.below, "seen_least": min(self.unseen, default=self.below), "seen_key": -self.last_key,
            "seen_unseen": list(self.unseen), "seen_low": at - LONGEST_WRITE,
        }  # fmt: skip


def from_json(written: list[int], *, at_instant: bool) -> Seen:
    """Return what a cursor carries."""
    below, last_key, *gaps = written
    unseen = [below - distance for distance in accumulate(gaps)]
    return Seen(below, tuple(reversed(unseen)), last_key, at_instant)


def told(value: str, own: int | None = None) -> Seen | None:
    """Return what a statement of PostgreSQL told; None where more writes were under way than a cursor names.

    `own`: the number of the transaction that it was a part of, which sees itself. It may be beyond all that had ended:
    then those between had not.
    """
    _, end, unseen = value.split(":")
    below, numbers = int(end), tuple(map(int, unseen.split(","))) if unseen else ()
    if own is not None and own >= below:
        if own - below > MOST_UNSEEN:
            return None
        numbers, below = (*numbers, *range(below, own)), own + 1
    return Seen(below, numbers) if len(numbers) <= MOST_UNSEEN else None


# ---- SQL -------------------------------------------------------------------------------------------------------------

#: PostgreSQL: what a statement sees; it is worked out once, not for each row.
SEEN_POSTGRES = "(SELECT pg_current_snapshot()::text)"
#: The column in which it tells that.
TOLD: ColumnElement[str] = literal_column(SEEN_POSTGRES, type_=Text()).label("seen")
#: SQLite: the key of the last new resource, and the number of the last transaction that changed one.
SEEN_SQLITE = (
    "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'resource'), 0), (SELECT number FROM write_count)"
)
_BELOW: Any = bindparam("seen_below", type_=BigInteger())
_KEY: Any = bindparam("seen_key", type_=BigInteger())
_LEAST: Any = bindparam("seen_least", type_=BigInteger())
_UNSEEN: Any = bindparam("seen_unseen", type_=ARRAY(BigInteger))
#: The moment before which versions were begun, or ended, by what is over.
LOW: Any = bindparam("seen_low", type_=BigInteger())


def is_seen(number: ColumnElement[int], dialect: str) -> Condition:
    """Return whether the transaction of a number was seen."""
    if dialect == "sqlite":
        return and_(number >= _KEY, number < _BELOW)
    return and_(number < _BELOW, number != func.all(_UNSEEN))


def is_unseen(number: ColumnElement[int], dialect: str) -> Condition:
    """Return whether that of a change was not, in a form that an index of numbers answers."""
    if dialect == "sqlite":
        return number >= _BELOW
    return and_(number >= _LEAST, or_(number >= _BELOW, number == func.any(_UNSEEN)))
