"""The first page of a search shows one state of the store, however many statements it takes.

On SQLite its statements are those of one transaction, which sees the same until it ends. On PostgreSQL that would take
two more round trips. There most pages take one statement, which tells what it saw (hie.store.search.seen), and so does
a count, and what reads includes. Where a page has several parts, or nothing is included, it is asked once more in the
end. Only if something was committed in between the page is read again, within a transaction. Matches that are opened
batch by batch are read within one in any case.

A search inside a transaction that writes sees what that wrote. SQLite has one writer, so that nothing moves there.
PostgreSQL's transactions that write see at each statement what was committed before it; where that would make a page
of two states, it is read as of what one statement saw, as further pages are (hie.store.search.instant).
https://www.postgresql.org/docs/current/transaction-iso.html#XACT-REPEATABLE-READ, https://sqlite.org/isolation.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, literal_column, select

from hie.store.connections import is_lost
from hie.store.prepared import Prepared, driver_of, libpq
from hie.store.search import seen
from hie.store.search.seen import Seen

if TYPE_CHECKING:
    from hie.store.database import Database
    from hie.store.resources import ResourceStore

T = TypeVar("T")


#: So many pages with includes are read within a transaction after one had to be read again.
WARY = 20
_SEEN = Prepared(select(seen.TOLD), ["seen"])
_OWN = Prepared(select(literal_column("pg_current_xact_id_if_assigned()::text")), ["number"])


class Moved(Exception):
    """Something was committed between two statements of a page: it is read again."""


class Reading:
    """The statements of one first page on a connection of PostgreSQL."""

    __slots__ = ("_connection", "_database", "_has_asked", "_is_held", "_is_ours", "_is_unconfirmed", "_told")

    def __init__(self, database: Database, connection: Connection) -> None:
        self._database, self._connection = database, connection
        self._told: str | None = None
        self._has_asked = self._is_unconfirmed = self._is_held = self._is_ours = False

    @property
    def is_held(self) -> bool:
        """Whether all statements see the same, without telling it."""
        return self._is_held

    @property
    def seen(self) -> Seen | None:
        """What the page saw; None where that is too much to tell."""
        return None if self._told is None else seen.told(self._told)

    def begin(self) -> None:
        """Ask what is seen before the first statement, where that may find nothing and so tell nothing."""
        if self._told is None:
            self._told = self._asked()

    def asks(self) -> bool:
        """Return whether the statement that comes must tell what it sees."""
        if self._is_held:
            return False
        if self._told is not None:
            self._is_unconfirmed = True
            return False
        if self._has_asked:  # and found nothing
            self.hold()
        self._has_asked = True
        return True

    def take(self, told: str) -> None:
        """Take what a statement told. Moved where it saw another state than the first."""
        self._is_unconfirmed = False  # what came between saw the same as well
        if self._told is None:
            self._told = told
        elif self._told != told and _misses(self._told, told):
            self._hold()
            self._database.wary_pages = WARY
            raise Moved

    def include(self) -> None:
        """Go on with what is included; hold what is seen where neighbours are known to write just now."""
        if not self._is_held and self._database.wary_pages > 0:
            self._database.wary_pages -= 1
            self.hold()

    def included(self, rows: Sequence[Any]) -> None:
        """Take what a further statement told by its last column, if it found anything."""
        if self._is_held:
            return
        if rows:
            self.take(rows[0][-1])
        else:
            self._is_unconfirmed = True

    def confirm(self) -> None:
        """See that all statements saw the same. Moved where something was committed since the first."""
        if self._is_unconfirmed and not self._is_held:
            self.take(self._asked())

    def hold(self) -> None:
        """See the same until the end, whatever follows. Moved where that is not what was seen before."""
        if self._is_held:
            return
        before, told = self._told, self._hold()
        has_begun = self._has_asked or before is not None
        if has_begun and (before is None or (before != told and _misses(before, told))):
            raise Moved

    def _asked(self) -> str:
        told: str = _SEEN.all(self._connection, {})[0].seen
        return told

    def _hold(self) -> str:
        """Begin, and return what is seen from now on."""
        self._is_ours = libpq().of(self._connection).is_idle  # else a search that another makes
        text = _BEGIN + _SEE if self._is_ours else _SEE
        self._told = libpq().value(driver_of(self._connection), text)
        self._is_held = True
        return self._told

    def end(self, *, failed: bool) -> None:
        """End the transaction, if there is one."""
        if self._is_ours and not is_lost(self._connection):
            libpq().execute(driver_of(self._connection), "ROLLBACK" if failed else "COMMIT")


class ReadingInside(Reading):
    """The statements of a page within a transaction that writes: nothing is held there, and its own writes are seen."""

    __slots__ = ()

    @property
    def seen(self) -> Seen | None:
        """What the page saw, the transaction's own number included, which it does not tell."""
        if self._told is None:
            return None
        own = _OWN.all(self._connection, {})[0].number
        return seen.told(self._told, None if own is None else int(own))

    def hold(self) -> None:
        """Say that this cannot be: the page is read as of what it saw."""
        raise Moved

    def _hold(self) -> str:
        raise Moved


_SEE = f"SELECT {seen.SEEN_POSTGRES}"
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "


def _misses(before: str, after: str) -> bool:
    first, later = seen.told(before), seen.told(after)
    return first is None or later is None or first.misses(later)


def one_state(store: ResourceStore, read: Callable[[ResourceStore], T]) -> T:
    """Read a first page so that all its statements see the same."""
    if store.unit is not None and store.unit.is_open:
        return _inside(store, read)
    with Held(store, begins=False) as held:
        try:
            return read(held.store)
        except Moved:
            return read(held.store)


def still(store: ResourceStore, read: Callable[[ResourceStore], T]) -> T:
    """Read a further page so that nothing is replaced between its statements; a transaction that writes sees to none.
    """
    if store.unit is not None and store.unit.is_open:
        return read(store)
    with Held(store) as held:
        return read(held.store)


class Held:
    """One state of the store, for whatever is read from `store` until the end.

    `begins` False: on PostgreSQL it is held as soon as that is needed.
    """

    __slots__ = ("_driver", "_reading", "store")

    def __init__(self, store: ResourceStore, *, begins: bool = True) -> None:
        self._driver: Any = None
        self._reading: Reading | None = None
        self.store = store
        if begins and store.unit is not None and store.unit.is_open:
            self.store = _as_it_is(store)
        elif store.database.dialect == "sqlite":
            driver = driver_of(store.connection())
            if not driver.in_transaction:  # else of a search that makes another
                driver.execute("BEGIN")
                self._driver = driver
        else:
            connection = store.database.connection()
            self._reading = Reading(store.database, connection)
            self.store = store.for_page(self._reading)
            if begins:
                self._reading.hold()

    def __enter__(self) -> Held:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.end(failed=kind is not None)

    def end(self, *, failed: bool) -> None:
        """Let it go."""
        if self._driver is not None:
            self._driver.execute("COMMIT")
        if self._reading is not None:
            self._reading.end(failed=failed)


def _inside(store: ResourceStore, read: Callable[[ResourceStore], T]) -> T:
    """Read a page within a transaction that writes."""
    if store.database.dialect == "sqlite":
        return read(store)
    try:
        return read(replace(store, reading=ReadingInside(store.database, store.connection())))
    except Moved:
        return read(_as_it_is(store))


def _as_it_is(store: ResourceStore) -> ResourceStore:
    """Return what a transaction sees at this moment, itself included, whatever is committed after it.

    Beside more writes than a cursor names: what each statement sees.
    """
    if store.database.dialect == "sqlite":
        return store
    reading = ReadingInside(store.database, store.connection())
    reading.begin()
    saw = reading.seen
    if saw is None:
        return store
    return store.as_of(store.clock(), saw) if store.at is None else store.as_of(store.at, saw._replace(at_instant=True))


def seen_by_page(store: ResourceStore) -> Seen | None:
    """Return what the first page that is being read sees; None where that is too much to tell."""
    if store.reading is not None:
        return store.reading.seen
    if store.seen is not None or store.database.dialect != "sqlite":
        return store.seen
    last_key, number = driver_of(store.connection()).execute(seen.SEEN_SQLITE).fetchone()
    return Seen(number + 1, (), last_key)
