"""How many resources match, from a sample, where counting all of them costs much.

Some resources are asked the whole question, and what matches among them stands for the rest, for tokens from which
nothing is hidden: which resources these are, and what share of all, others decide, and who knows how much of it may be
seen would learn how much there is. Other tokens are told the count to two digits. Statistics of the database are not
asked: what they expect of two criteria is made of how often each of them holds in the whole store (docs/search.md).
https://hl7.org/fhir/R4/search.html#total
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import FromClause, Select, bindparam, func, literal_column, select
from sqlalchemy.types import BigInteger, Double

from hie.store.models import DELETED, resource
from hie.store.prepared import Prepared
from hie.store.search import joins
from hie.store.search.clauses import AnyToken, Both, Clause, Either, Negation, Shaped, Token
from hie.store.search.sql import Sql
from hie.store.search.sqlite_sql import unindexed
from hie.store.search.statements import prepared, sql_for
from hie.store.search.tables import COLUMNS, place

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: Up to so many matches the total is exact: of those that tokens alone tell, about a microsecond each, more; of those
#: of one token, of which SQLite counts twenty in a microsecond, many more; of those that must be opened fewer.
EXACT, EXACT_TOKENS, EXACT_TOKEN, EXACT_OPENED = 5_000, 20_000, 200_000, 1_000
#: Resources that are asked, whether they match or not; fewer where what the index finds must be opened.
ASKED, ASKED_OPENED = 8_192, 2_048
#: They lie together in so many places (SQLite), all over the store.
SLICES = 256
#: With fewer matches among them the sample says too little.
FEWEST = 50
#: The fractions of its multiples lie evenly in [0, 1): places that fall in with no period of what was stored.
_GOLDEN = 0.618033988749895

#: Given rows of COLUMNS, tells how many match.
Judge = Callable[[Sequence[Any]], int]


@dataclass(frozen=True, slots=True)
class Sample:
    """What matches among a share of all resources."""

    found: int
    share: float

    def total(self, least: int) -> int | None:
        """Return the number that it stands for, to two digits, as more would say what it does not know.

        `least` is known to match; None: the sample is too small to tell.
        """
        return None if self.found < FEWEST else rounded(round(self.found / self.share), least)


def rounded(number: int, least: int) -> int:
    """Return a number to two digits; `least` is known to match."""
    return max(least, round(number, 2 - len(str(number))))


def exact(store: ResourceStore, clause: Clause, type_name: str | None, *, opened: bool) -> int:
    """Return up to how many matches are counted."""
    if opened:
        return EXACT_OPENED
    if isinstance(clause, Token) and type_name is not None and store.database.dialect == "sqlite":
        return EXACT_TOKEN
    return EXACT_TOKENS if joins.is_of_tokens(clause) else EXACT


def is_possible(clause: Clause) -> bool:
    """Tell whether a resource can be asked by itself: of long lists each would be compared with all of the list."""
    if isinstance(clause, Both | Either):
        return all(is_possible(part) for part in clause.parts)
    if isinstance(clause, Negation):
        return is_possible(clause.part)
    return not (isinstance(clause, AnyToken) and clause.is_long)


def sample(store: ResourceStore, clause: Clause, type_name: str | None, judge: Judge | None) -> Sample:
    """Ask some of all resources; with `judge`, what the index finds among them is opened and judged."""
    ends = _ENDS.first(store.connection(), {})
    low, high = (ends.low, ends.high) if ends is not None and ends.low is not None else (0, 0)
    share = min(1.0, (ASKED if judge is None else ASKED_OPENED) / (high - low + 1))
    bound: dict[str, Any] = {"tenant": store.tenant} | ({} if type_name is None else {"type": type_name})
    counts = judge is None
    if store.database.dialect == "postgresql":
        statement, names = _of_blocks(Shaped(clause), type_name is not None, counts)
        parts: Iterator[dict[str, Any]] = iter([{"percent": 100 * share}])
    else:
        statement, names = _of_slices(Shaped(clause), type_name is not None, counts)
        parts = _slices(low, high, share)
    bound |= zip(names, clause.values(), strict=True)
    found = 0
    for part in parts:
        rows = statement.all(store.connection(), {**bound, **part}, prepare=False)
        found += rows[0][0] if judge is None else judge(rows)
    return Sample(found, share)


_ENDS = prepared(select(
    select(func.min(resource.c.key)).scalar_subquery().label("low"),
    select(func.max(resource.c.key)).scalar_subquery().label("high"),
))  # fmt: skip


def _slices(low: int, high: int, share: float) -> Iterator[dict[str, Any]]:
    """Yield ranges of keys, always the same ones of the same store, so that asking again tells no more."""
    number = SLICES if share < 1 else 1
    stride = (high - low + 1) / number
    width = max(1, round(stride * share))
    for index in range(number):
        start = low + int(index * stride + (index * _GOLDEN % 1) * (stride - width))
        yield {"slice_from": start, "slice_to": start + width}


# ---- statements ------------------------------------------------------------------------------------------------------

Statement = tuple[Prepared, tuple[str, ...]]
_COUNT: tuple[Any, ...] = (func.count().label("found"),)


@lru_cache(maxsize=256)
def _of_slices(shaped: Shaped, typed: bool, counts: bool) -> Statement:
    """Return what asks the resources of a range of keys, one after another (SQLite)."""
    sql = sql_for("sqlite")
    where = [*map(unindexed, place(sql.tables.row, typed)), *sql.tables.live, shaped.clause.sql(sql)]
    within = [resource.c.key >= bindparam("slice_from", type_=BigInteger()),
              resource.c.key < bindparam("slice_to", type_=BigInteger())]  # fmt: skip
    return _statement(sql, resource, select(*(_COUNT if counts else COLUMNS)).where(*within, *where))


@lru_cache(maxsize=256)
def _of_blocks(shaped: Shaped, typed: bool, counts: bool) -> Statement:
    """Return what asks the resources of some blocks of the table, always the same ones (PostgreSQL)."""
    sql = sql_for("postgresql")
    blocks = resource.tablesample(func.system(bindparam("percent", type_=Double())), seed=literal_column("1"))
    with joins.at(sql, blocks, blocks.c.key):
        asked = shaped.clause.sql(sql)
    columns = _COUNT if counts else [blocks.c[str(one.key)] for one in COLUMNS]
    live = blocks.c.method != literal_column(str(DELETED))
    return _statement(sql, blocks, select(*columns).where(*place(blocks, typed), live, asked))


def _statement(sql: Sql, source: FromClause, asked: Select[Any]) -> Statement:
    return prepared(asked.select_from(source)), tuple(bind.key for bind in sql.binds)
