"""SQLite: the rows of resources, written out as statements before it is their turn to write.

While a transaction writes a SQLite file nobody else does, in no process. So what can be made before is made before: the
values of all rows, with keys that are counted from the last one there is, which is known only then. And each statement
inserts many rows: the driver gives up Python's lock around each step, and at each of a thousand steps other threads,
which parse or validate, came in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hie.store.search.index import IndexRows
    from hie.store.unit_of_work import Written

RESOURCE_COLUMNS = "key, tenant, type, id, vid, method, updated, date_low, date_high, presence, data_key, sealed"
RESOURCE = f"resource ({RESOURCE_COLUMNS})"
TOKEN = "token (key, hash)"  # noqa: S105 - a table
DATES = "date_index (key, parameter, low, high)"
NUMBERS = "number_index (key, parameter, low, high, unit, code, text)"
LINKS = "reference_index (key, parameter, target)"

#: So many rows are inserted by one statement, the rest by smaller ones: three texts for each table.
_TOGETHER = (100, 10, 1)
#: AUTOINCREMENT's own counter: a deleted key is never given again.
_LAST_KEY = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'resource'"
_Insert = tuple[str, list[Any]]
"""A text, and its values, of which the first is added to every key."""


class NewRows:
    """The rows of new resources."""

    def __init__(self, tenant: int, new: Sequence[Written]) -> None:
        resources = [resource_values(tenant, key, w) for key, w in enumerate(new, 1)]
        self._inserts = [*_inserts(RESOURCE, resources), *_of_index((key, w.index) for key, w in enumerate(new, 1))]

    def insert(self, driver: Any) -> None:
        """Insert them behind the last key there is."""
        last = driver.execute(_LAST_KEY).fetchone()[0]
        for text, values in self._inserts:
            values[0] = last
            driver.execute(text, values)


def next_number(driver: Any) -> int:
    """Count a transaction that changes resources, and return its number (hie.store.search.seen)."""
    driver.execute("UPDATE write_count SET number = number + 1")
    return int(driver.execute("SELECT number FROM write_count").fetchone()[0])


def resource_values(tenant: int, key: int, w: Written) -> tuple[Any, ...]:
    """Return the row of a version in the order of RESOURCE."""
    v, index = w.version, w.index
    return (
        key, tenant, v.type, v.id, v.vid, v.method, v.updated, index.date_low, index.date_high, index.presence,
        w.key_id, w.sealed,
    )  # fmt: skip


def _of_index(indexed: Iterable[tuple[int, IndexRows]]) -> Iterator[_Insert]:
    tokens: list[tuple[int, int]] = []
    dates: list[tuple[Any, ...]] = []
    numbers: list[tuple[Any, ...]] = []
    links: list[tuple[Any, ...]] = []
    for key, index in indexed:
        tokens += [(hash_, key) for hash_ in index.tokens]
        dates += [(key, *row) for row in index.dates]
        numbers += [(key, *row) for row in index.numbers]
        links += [(key, *row) for row in index.links]
    tokens.sort()  # neighbours of the table, which is sorted by hash, one after the other
    yield from _inserts(TOKEN, [(key, hash_) for hash_, key in tokens])
    for target, rows in ((DATES, dates), (NUMBERS, numbers), (LINKS, links)):
        yield from _inserts(target, rows)


def insert(driver: Any, target: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows that are known whole."""
    for text, values in _inserts(target, rows):
        driver.execute(text, values)


def exchange(driver: Any, target: str, wanted: Iterable[tuple[int, Sequence[tuple[Any, ...]]]]) -> None:
    """Give resources the rows that they should have, by key: what stays is not written again."""
    table, _, columns = target.partition(" ")
    names = columns.strip("()").split(", ")
    read = f"SELECT {', '.join(names[1:])} FROM {table} WHERE key = ?"
    gone: list[tuple[Any, ...]] = []
    new: list[tuple[Any, ...]] = []
    for key, rows in wanted:
        there, keep = set(driver.execute(read, (key,))), set(rows)
        gone += [(key, *row) for row in there - keep]
        new += [(key, *row) for row in rows if row not in there]
    if gone:
        condition = " AND ".join(f"{name} = ?" for name in names)
        driver.executemany(f"DELETE FROM {table} WHERE {condition}", gone)
    insert(driver, target, new)


def _inserts(target: str, rows: Sequence[tuple[Any, ...]]) -> Iterator[_Insert]:
    """Yield statements. OR FAIL: a row that cannot be undoes nothing by itself, as the whole transaction is rolled back
    then; to undo it alone SQLite would copy every page that a statement changes."""
    start = 0
    for size in _TOGETHER:
        end = len(rows) - (len(rows) - start) % size
        if end > start:
            row = "(?1+?" + ",?" * (len(rows[start]) - 1) + ")"
            text = f"INSERT OR FAIL INTO {target} VALUES " + ",".join([row] * size)
            for first in range(start, end, size):
                yield text, [0, *chain.from_iterable(rows[first : first + size])]
        start = end
