"""The resource store, bound to one request's tenant, grant and audit entry (D11: the grant is in every query)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from sqlalchemy import Connection, bindparam, func, select

from hie.errors import Forbidden, Gone, NotFound
from hie.fhir.conditions import IfMatch
from hie.fhir.http import FhirResponse
from hie.fhir.scopes import Grant
from hie.fhir.search_parameters import extract
from hie.store import (
    contents,
    index_runs,
    jobs,
    locks,
    looking,
    reference_targets,
    row_statements,
    rows,
    transacting,
    writes,
)
from hie.store.audit import AuditEntry
from hie.store.database import Database
from hie.store.history import HistoryPage, history_page
from hie.store.ids import new_id
from hie.store.models import CREATED, ERASED, UPDATED, resource
from hie.store.opening import each_opened
from hie.store.search import conditions, contained, engine, grants, instant
from hie.store.search.index import IndexRows, place
from hie.store.search.reading import Reading
from hie.store.search.seen import Seen
from hie.store.tenants import Tenant
from hie.store.unit_of_work import UnitOfWork
from hie.store.versions import StoredVersion, served
from hie.store.writes import Draft, live

if TYPE_CHECKING:
    from hie.store.search.engine import SearchPage
    from hie.store.search.query import SearchQuery

T = TypeVar("T")

_COUNTS = (
    select(resource.c.type, func.count())
    .where(resource.c.tenant == bindparam("tenant"), resource.c.sealed.is_not(None))
    .group_by(resource.c.type)
)


@dataclass(frozen=True, slots=True)
class ResourceStore:
    """Reads, searches and writes of one request."""

    database: Database
    keys: Tenant
    grant: Grant
    entry: AuditEntry
    clock: Callable[[], int]
    base_url: str = ""
    unit: UnitOfWork | None = None
    at: int | None = None
    """The instant (microseconds) as of which everything is read; None: as it is now."""
    seen: Seen | None = None
    """What a first page saw, at that instant: everything is read as it saw it."""
    reading: Reading | None = None
    """The first page that is being read, on PostgreSQL."""

    @property
    def tenant(self) -> int:
        """The tenant's number, in every row and key derivation."""
        return self.keys.id

    @property
    def blind(self) -> Any:
        """The tenant's keyed hash."""
        return self.keys.blind

    @property
    def in_transaction(self) -> bool:
        """Whether this store writes into an open transaction."""
        return self.unit is not None

    @property
    def keeps_answer(self) -> bool:
        """Whether what the request answers is stored in its transaction (hie.store.asynchronous)."""
        return False

    def connection(self) -> Connection:
        """Return the connection to read on: the open transaction's, or this thread's."""
        return self.unit.connection() if self.unit is not None else self.database.connection()

    def seal_text(self, text: str) -> str:
        """Return `text` encrypted for a link."""
        return self.keys.seal_text(text)

    def open_text(self, sealed: str) -> str:
        """Return what `seal_text` was given; SealBroken when it was changed."""
        return self.keys.open_text(sealed)

    def open(self, found: Iterable[Any]) -> list[StoredVersion]:
        """Open rows that were selected with all columns of a version."""
        return [*self.each_opened(found)]

    def each_opened(self, found: Iterable[Any]) -> Iterator[StoredVersion]:
        """Open each row as it is asked for."""
        return each_opened(self.connection(), self.keys, found, None if self.unit is None else self.unit.met_keys)

    def whole(self, version: StoredVersion) -> StoredVersion:
        """Return a version with the content that was let go meanwhile (hie.store.search.opened_order). Gone."""
        if version.content is not None:
            return version
        (opened,) = self.open([contents.read(self.connection(), self.tenant, version)])
        return opened if version.fragment is None else contained.part_of(opened, version.fragment)

    def as_of(self, at: int, seen: Seen | None = None) -> ResourceStore:
        """Return the store as it was at an instant, or as the first page of a search saw it then, for reading."""
        return replace(self, at=at, seen=seen)

    def for_page(self, reading: Reading) -> ResourceStore:
        """Return the store for the first page of a search, outside of transactions."""
        return ResourceStore(self.database, self.keys, self.grant, self.entry, self.clock, self.base_url, None, self.at,
                             None, reading)

    # -- reading ---------------------------------------------------------------------------------------------------

    def read(self, type: str, id: str) -> StoredVersion:
        """Return the current version, or the one that was so at the store's instant. NotFound, Gone, Forbidden."""
        if self.at is not None:
            return self.open([instant.row_of(self, type, id)])[0]
        store = self if self.unit is None else self._beside(self.unit, type, id)
        return live(store._current(type, id))

    def _current(self, type_name: str, id_: str) -> StoredVersion:
        row = self._permitted_row(type_name, id_)
        return self.open([row])[0]

    def _beside(self, unit: UnitOfWork, type_name: str, id_: str | None = None) -> ResourceStore:
        """Return the store that reads what an open transaction has not touched without storing what it buffers."""
        if self.grant.is_whole and unit.is_open and unit.reads_beside(type_name, id_):
            return replace(self, unit=None)
        return self

    def _permitted_row(self, type_name: str, id_: str) -> Any:
        under = grants.read(self, type_name)
        if under is None:
            row = rows.current(self.connection(), self.tenant, type_name, id_)
            if row is not None and self.unit is None and self.database.dialect == "postgresql":
                self.keys.recent.keep(row)
        else:
            parameters = {"tenant": self.tenant, "type": type_name, "id": id_}
            row = under.statement.first(self.connection(), parameters | under.values)
        if row is None:
            raise NotFound(f"{type_name}/{id_} is not known here.", expression=type_name)
        return row

    def vread(self, type: str, id: str, vid: int) -> StoredVersion:
        """Return one version. NotFound; Gone where that version is the deletion."""
        row = self._permitted_row(type, id)
        if row.vid != vid:
            row = row_statements.old(self, type, id, vid)
        if row is None:
            raise NotFound(f"{type}/{id} has no version {vid}.", expression=type)
        version = self.open([row])[0]
        if version.method == ERASED:
            raise Gone(f"Version {vid} of {type}/{id} was erased for good.", expression=type)
        if version.content is None:
            raise Gone(f"{type}/{id} was deleted in version {vid}.", expression=type)
        return version

    def read_many(self, targets: Iterable[tuple[str, str]]) -> dict[tuple[str, str], StoredVersion]:
        """Return those of `targets` that exist and that the grant lets through; those of a type are read together."""
        return {(version.type, version.id): version for version in self.each_read(targets)}

    def each_read(self, targets: Iterable[tuple[str, str]]) -> Iterator[StoredVersion]:
        """Yield the same, each opened as it is asked for."""
        return self.each_opened(self.rows_of(targets))

    def rows_of(self, targets: Iterable[tuple[str, str]]) -> list[Any]:
        """Return the rows of the same, to be opened; they tell what is there."""
        if self.at is not None:
            return instant.rows_of(self, targets)
        by_type: dict[str, list[str]] = {}
        for type_name, id_ in targets:
            by_type.setdefault(type_name, []).append(id_)
        found: list[Any] = []
        for type_name, ids in by_type.items():
            try:
                each = row_statements.many(self, type_name, ids)
            except Forbidden:
                continue
            read: list[Any] = []
            for some in each:
                if self.reading is not None:
                    self.reading.included(some)
                read += some
            found += sorted(read, key=instant.id_of)  # as of then in the same order
        return found

    def history(
        self,
        type: str | None = None,
        id: str | None = None,
        *,
        since: int | None = None,
        count: int = 20,
        cursor: str | None = None,
        during: tuple[int, int] | None = None,
        listed: str | None = None,
        counts: bool = True,
        types: frozenset[str] | None = None,
        offset: int = 0,
    ) -> HistoryPage:
        """Return versions, newest first; NotFound where an instance never was.

        `during`: those current in that time; `listed`: those that the List of this id names; `counts`: tell how many
        there are in all; `types`: of the system, those of these types; `offset`: so many are left out by the first
        page.
        """
        if type is not None and id is not None:
            self._permitted_row(type, id)
        return history_page(self, type, id, since=since, count=count, cursor=cursor, during=during,
                            listed=listed, counts=counts, types=types, offset=offset)

    def search(self, query: SearchQuery) -> SearchPage:
        """Return one page of a search."""
        return engine.search(self, query)

    def counts(self) -> dict[str, int]:
        """Return the number of live resources of each type that the grant may search without restriction."""
        allowed = {name for name in self.grant.types("s") if self.grant.covers_all(name, "s")}
        return {
            name: number
            for name, number in self.connection().execute(_COUNTS, {"tenant": self.tenant})
            if name in allowed
        }

    # -- writing ---------------------------------------------------------------------------------------------------

    def transact(self, work: Callable[[ResourceStore], T], *, is_last: bool = False) -> T:
        """Run `work` in one transaction and commit it with the request's audit record.

        Inside an open transaction this only calls `work`. After a conflict with a neighbour `work` runs again.
        `is_last`: the request has nothing left to compute but its answer (hie.store.waiting).
        """
        if self.at is not None:
            raise RuntimeError("The past is read, not written.")
        if self.unit is not None:
            return work(self)
        return transacting.run(self, work, is_last=is_last)

    def rehearse(self, work: Callable[[ResourceStore], object]) -> None:
        """Run `work` in a transaction of its own that is taken back; it raises what a commit would be refused by."""
        if self.unit is not None:
            raise RuntimeError("An open transaction cannot take a part of it back.")
        transacting.rehearse(self, work)

    def within(self, unit: UnitOfWork) -> ResourceStore:
        """Return the store that reads and writes in an open transaction."""
        return ResourceStore(self.database, self.keys, self.grant, self.entry, self.clock, self.base_url, unit)

    def note(self, unit: UnitOfWork, result: object) -> None:
        """Let the audit record tell what the transaction wrote and answers."""
        if isinstance(result, FhirResponse):
            self.entry.status = result.status
        touched = tuple(f"{type_name}/{id_}" for type_name, id_ in unit.touched)
        if len(touched) == 1 and self.entry.id is None:
            self.entry.type, self.entry.id = next(iter(unit.touched))
        elif len(touched) > 1:
            self.entry.touched = touched
        self.entry.patient = self.entry.patient or unit.patient

    def _open_unit(self) -> UnitOfWork:
        if self.unit is None:
            raise RuntimeError("Writing needs a transaction: call inside ResourceStore.transact.")
        return self.unit

    def lock(self, type: str, criteria: Sequence[tuple[str, str]]) -> None:
        """Let transactions that look by the same criteria follow each other (conditional interactions, D14)."""
        locks.lock(self._open_unit().writing(), self.keys, *_lock_of(type, criteria))

    def ahead(self, type: str, criteria: Sequence[tuple[str, str]]) -> ResourceStore | None:
        """Return the store by which something may be looked for before the transaction begins.

        None: that was in vain, or the transaction may have written what matches.
        """
        unit = self._open_unit()
        if not unit.reads_ahead:
            return None
        if not unit.is_open:
            return self
        store = self if looking.looked(type, criteria).leads_on else self._beside(unit, type)
        return None if store is self else store

    @property
    def looks_again(self) -> bool:
        """Whether what was not found is looked for again before the commit; SQLite has one writer instead."""
        return self.database.dialect == "postgresql"

    def rely_on(self, found: StoredVersion) -> None:
        """Change what was found at this version only; the transaction runs again where there is another by then."""
        self._open_unit().relied[found.type, found.id] = found.vid

    def look(self, type: str, criteria: Sequence[tuple[str, str]]) -> None:
        """Commit only if what was looked for and not found has not come meanwhile (hie.store.looking)."""
        unit = self._open_unit()
        unit.looked.setdefault(type, []).append(looking.looked(type, criteria))
        unit.criteria.add(locks.number_of(self.keys, *_lock_of(type, criteria)))

    def create(
        self, type: str, content: dict[str, Any], *, id: str | None = None, method: int = CREATED
    ) -> StoredVersion:
        """Store a new resource under `id`, or under an id of our own; its history tells of `method`."""
        if id is None:
            id = new_id()
            self._open_unit().newborn.add(id)
        return self.write(self.draft(type, id, content, method))

    def draft(
        self, type: str, id: str, content: dict[str, Any], method: int = CREATED, letter: str = "c",
        said: set[str] | None = None,
    ) -> Draft:
        """Return a new resource as it will be stored; Forbidden where the grant for `letter` does not cover it.

        `said`: the texts of all its references, where they are known.
        """
        return writes.draft(self, self._open_unit(), type, id, content, method, letter, said)

    def write(self, draft: Draft) -> StoredVersion:
        """Store a new resource."""
        return writes.write(self, self._open_unit(), draft)

    def update(
        self, type: str, id: str, content: dict[str, Any], *, if_match: IfMatch | None = None, only_new: bool = False,
        method: int = UPDATED, keeping: Sequence[str] = (), keeps_labels: bool = False,
    ) -> StoredVersion:
        """Store the next version, or the first where there was none; one that changes nothing is not stored.

        `only_new`: only where there is none. `method` is what its history tells of it, unless it brings to life what
        was deleted. `keeping`: elements that stay as they were where the content has none; `keeps_labels`: so do tags
        and security labels.
        """
        return writes.update(
            self, self._open_unit(), type, id, content, if_match, only_new, method, keeping, keeps_labels)

    def read_to_change(self, type: str, id: str, *, if_match: IfMatch | None = None) -> StoredVersion:
        """Return the current version; nobody else changes it until the transaction ends. NotFound, Gone, Forbidden."""
        return writes.read_to_change(self, self._open_unit(), type, id, if_match)

    def delete(self, type: str, id: str, *, if_match: IfMatch | None = None) -> StoredVersion | None:
        """Store the deletion as a version of its own; None where there is nothing to delete."""
        return writes.delete(self, self._open_unit(), type, id, if_match)

    def erase_history(self, type: str, id: str, vid: int | None = None) -> int:
        """Erase the superseded versions, or one of them; tell how many. NotFound, Forbidden, Conflict."""
        return writes.erase_history(self, self._open_unit(), type, id, vid)

    def referring(self, targets: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return what refers to the targets, whether or not the token may see it: for deleting, never for showing."""
        places = [place(*target, self.blind) for target in targets]
        found = reference_targets.referring(self._open_unit().writing(), self.tenant, places)
        return list(dict.fromkeys((row.type, row.id) for row in found if row.type not in reference_targets.WITNESSES))

    def foresee(self, places: Iterable[tuple[str, str]], steps: int) -> None:
        """Say what the open transaction of so many steps will change, to lock it in the order in which all lock."""
        self._open_unit().foresee(places, steps)

    @contextmanager
    def rewriting(self, places: Collection[tuple[str, str]], steps: int) -> Iterator[None]:
        """Write resources several times in the open transaction: what counts is what each refers to in the end.

        Nobody else changes them from here on, so that what is read of them stays so.
        """
        unit = self._open_unit()
        unit.foresee(places, steps)
        unit.beginning()
        unit.integrity.latest = {}
        yield
        unit.integrity.settle()

    def expect(self, ids: Iterable[str]) -> None:
        """Say which ids, made just now, new resources will be stored under."""
        self._open_unit().newborn.update(ids)

    def touched(self) -> frozenset[tuple[str, str]]:
        """Return what the open transaction has written or deleted so far."""
        return frozenset(self._open_unit().touched)

    def watch(self, types: Iterable[str]) -> dict[str, dict[str, IndexRows]]:
        """Keep the index rows of what the open transaction will write of some types, by id."""
        watched = self._open_unit().watched
        watched.update((one, {}) for one in types)
        return watched

    def await_(self, type: str, id: str) -> None:
        """Let references lead to a resource that the grant does not show only if the open transaction stores it."""
        self._open_unit().integrity.awaited.add((type, id))

    def unstored(self, id: str, content: dict[str, Any]) -> conditions.Unstored:
        """Return a valid resource as searches will see it once it is stored."""
        resource_ = served(content, id, 1, self._open_unit().now)
        return conditions.Unstored(id, writes.index_of(self, resource_, is_new=True), extract(resource_))

    def permit(self, letter: str, content: dict[str, Any]) -> None:
        """Forbidden where the grant for `letter` does not cover a new resource; nothing is stored."""
        writes.permit_new(self, content, letter)

    def enqueue(self, kind: str, payload: dict[str, Any], *, run_after: int | None = None) -> None:
        """Add a job in this transaction; workers see it when the transaction is committed."""
        unit = self._open_unit()
        unit.wrote = True
        unit.jobs.append(jobs.new(self.keys, kind, payload, unit.now, run_after))

    def start_index_run(self, types: Sequence[str]) -> int:
        """Add a run that indexes all resources of some types (none named: of all types) anew; its number."""
        unit = self._open_unit()
        unit.wrote = True
        return index_runs.add(unit.writing(), self.keys, types, unit.now)

    def index_anew(self, type: str, id: str) -> bool:
        """Write the index rows of one resource anew; False where it is not there."""
        unit = self._open_unit()
        row = rows.current(unit.writing(), self.tenant, type, id, lock=True)
        if row is None or row.sealed is None:
            return False
        unit.wrote = True
        index_runs.one(unit.writing(), self.keys, type, id, self.base_url)
        return True


def _lock_of(type_name: str, criteria: Sequence[tuple[str, str]]) -> tuple[str, str]:
    return type_name, urlencode(sorted(criteria))
