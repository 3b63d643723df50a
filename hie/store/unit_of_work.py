"""What one transaction writes: buffered while it runs, flushed in bulk, checked as a whole, committed once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection

from hie.fhir import search_parameters
from hie.store import at_once, custom_parameters, jobs, locks, looking, rows, waiting
from hie.store.audit import AuditEntry
from hie.store.conflicts import Again
from hie.store.crypto import place_of_version, seal
from hie.store.database import Database
from hie.store.integrity import Integrity
from hie.store.keys import MetKeys, NewKey
from hie.store.looking import Looked
from hie.store.search import kinds
from hie.store.search.index import IndexRows
from hie.store.search.index import place as hashed_place
from hie.store.search.kinds import Kinds
from hie.store.spool import Spool
from hie.store.tenants import Tenant
from hie.store.versions import StoredVersion
from hie.store.writers import Message, WriteTransaction

#: So many locks are taken with the BEGIN itself; more go by one statement of their own.
MOST_LOCKS_AT_ONCE = 20


#: Content beyond so many bytes goes as a value of its own: in a message it is twice as long, as text.
MOST_IN_A_MESSAGE = 1_000_000
#: So many resources are read ahead, and go by one message if they are all that is written: more are quicker copied.
FEW = 20
#: Of those that are locked when the transaction begins so many are read by one question.
READ_AT_ONCE = 100
#: New versions beyond so many wait in a file.
MANY = 2_000


@dataclass(slots=True)
class Written:
    """One version that this transaction writes."""

    version: StoredVersion
    key_id: int
    sealed: bytes | None
    index: IndexRows
    replaced: rows.Current | None  # the row that was there before
    replaced_index: IndexRows | None
    past_index: IndexRows | None = None  # what the past keeps of it (hie.store.past)


@dataclass(slots=True)
class UnitOfWork:
    """The open transaction of one request.

    It begins late: what is read before the first write is read as any request reads, and writes are buffered until
    something must see them. A large Bundle so prepares without keeping other writers of a SQLite file from their turn;
    what must not change between reading and writing is read under `writing` (conditional interactions), or looked at
    again once nobody else can change it (`to_change`: updates and deletions).
    """

    database: Database
    tenant: Tenant
    clock: Callable[[], int]
    base_url: str = ""
    reads_ahead: bool = True
    """Whether what is to change is read before the transaction begins; not where a neighbour changed it meanwhile."""
    recalls: bool = False
    """Whether what is to change may be remembered instead (hie.store.recent): who runs it runs it again where not."""
    recalled: bool = False
    """Whether something was."""
    is_sent: bool = False
    """Whether a message was, and with it all may have been committed."""
    is_admin: bool = False
    """Whether who writes may give tokens."""
    now: int = 0
    newborn: set[str] = field(default_factory=set)
    """Ids that were made here just now, so that nobody has a data key under them."""
    _ahead: dict[tuple[str, str], rows.Current | None] = field(default_factory=dict)
    _readings: int = 0  # the questions by which that was read, and others beside what is buffered, on PostgreSQL
    relied: dict[tuple[str, str], int] = field(default_factory=dict)
    """The versions at which something was found by criteria."""
    is_large: bool = False
    """Whether others would have to wait too long for it to take its turn."""
    _foreseen: tuple[tuple[str, str], ...] = ()
    _is_foreseen_few: bool = False  # so that they may be read ahead
    _absent: set[tuple[str, str]] = field(default_factory=set)  # of these those that are nowhere, and stay so
    _held: dict[tuple[str, str], rows.Current | None] = field(default_factory=dict)  # the others; None: not read yet
    _transaction: WriteTransaction | None = None
    _pending: dict[tuple[str, str], Written] = field(default_factory=dict)
    _unsealed: list[tuple[Written, AESGCM]] = field(default_factory=list)
    _spool: Spool | None = None  # new versions beyond MANY; only while there are pending ones
    _new_keys: dict[str, NewKey] = field(default_factory=dict)
    _stored_keys: list[NewKey] = field(default_factory=list)
    _met: MetKeys = field(default_factory=MetKeys)
    touched: dict[tuple[str, str], None] = field(default_factory=dict)
    integrity: Integrity = field(init=False)
    new_references: dict[str, str] = field(default_factory=dict)
    """What a token with conditions newly refers to, and what refers to it first (hie.store.referring)."""
    new_contexts: set[str] = field(default_factory=set)
    """Those of them that are securityContexts of Binaries."""
    watched: dict[str, dict[str, IndexRows]] = field(default_factory=dict)
    """Of some types what is written, by id: what conditional entries of a Bundle look for must not be among it."""
    looked: dict[str, list[Looked]] = field(default_factory=dict)
    """What conditional entries looked for and did not find, by type."""
    criteria: set[int] = field(default_factory=set)
    """The locks of these criteria, taken when the transaction begins."""
    named: dict[str, set[str]] = field(default_factory=dict)
    """The identifiers of what is written of the types that were looked for."""
    wrote: bool = False
    jobs: list[dict[str, Any]] = field(default_factory=list)
    """Rows of new jobs that are not stored yet."""
    #: SearchParameters that were written; None: deleted
    parameters: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    patient: str | None = None  # the one patient of what was written; None when there are several, or none
    _patients: set[str] = field(default_factory=set)
    _known: Any = None  # the custom search parameters that index rows were made with

    def __post_init__(self) -> None:
        self.now = self.clock() // 1000 * 1000
        self._known = search_parameters.installed()
        self.integrity = Integrity(self.tenant)

    @property
    def is_open(self) -> bool:
        """Whether what it wrote, or its transaction, must be read by a connection of its own.

        So it is where several were read ahead: what is read beside them is read when they cannot change any more.
        """
        if self._transaction is not None or self._pending or self._new_keys or self.jobs:
            return True
        return len(self._ahead) > 1 and self.database.dialect == "postgresql"

    def connection(self) -> Connection:
        """Return a connection on which everything written so far can be read."""
        return self.writing() if self.is_open else self.database.connection()

    def writing(self) -> Connection:
        """Return the transaction's connection; from now on, on SQLite, nobody else writes."""
        ready = None
        self._seal()
        if self._transaction is None:
            ready = rows.ready(self.database.dialect, self.tenant.id, self._pending.values())
        connection = self.beginning()
        if self._pending or self._new_keys or self.jobs:
            self._flush(ready)
        return connection

    def beginning(self) -> Connection:
        """Return the same connection before what is buffered is stored: for reading what this unit has not touched."""
        if self._transaction is None:
            if self.recalled:
                raise Again("What is remembered is of use to a message alone.")
            self._transaction = self.database.begin()
            if not self.is_large and self.tenant.turns.are_taken:
                locks.lock(self._transaction.connection, self.tenant, "turn")
            if self.criteria:
                locks.lock_numbers(self._transaction.connection, self.criteria)
            if self.database.dialect == "postgresql":
                self._hold_rows(self._transaction.connection)
            else:
                self._see_that_no_row_moved(self._transaction.connection)
        return self._transaction.connection

    @property
    def met_keys(self) -> MetKeys | None:
        """The keys that were read in its transaction; None before that has begun."""
        return None if self._transaction is None else self._met

    @property
    def unflushed(self) -> Connection:
        """A connection for reading what this unit has not touched; no transaction is begun for it."""
        return self._transaction.connection if self._transaction is not None else self.database.connection()

    def reads_beside(self, type_name: str, id_: str | None = None) -> bool:
        """Tell whether what is asked of a type, or of one resource, may be asked beside what is buffered.

        On PostgreSQL, which sees to it at the end that what was read ahead is as it was.
        """
        if self._transaction is not None or self.database.dialect != "postgresql":
            return False
        if any(one == type_name and id_ in (None, other) for one, other in self.touched):
            return False
        self._readings += 1
        return True

    def foresee(self, places: Iterable[tuple[str, str]], steps: int) -> None:
        """Say what will be changed: of several on PostgreSQL all are locked when the transaction begins.

        In an order of their own, two units with the same resources would wait for each other, until the database ends
        one of them. A few are read by one question, and locked in that order all the same. `steps`: how much is done in
        all.
        """
        self.is_large, self.recalls = steps > MANY, False
        if self.database.dialect != "postgresql" or self._transaction is not None:
            return
        self._is_foreseen_few = steps <= FEW and self.reads_ahead
        self._foreseen = (*self._foreseen, *places)

    def to_change(self, type_name: str, id_: str) -> rows.Current | None:
        """Return a row that nobody else changes until this unit ends, or the unit must run again."""
        place = (type_name, id_)
        if self._is_read_ahead(place):
            if place not in self._ahead:
                self._read_ahead(place)
            return self._as_found(place, self._ahead[place])
        connection, is_touched = self.beginning(), place in self.touched
        if place in self._absent and not is_touched:
            return self._as_found(place, None)
        if is_touched or len(self._pending) >= MANY:
            connection = self.writing()
        if place in self._held and not is_touched:
            return self._as_found(place, self._held_row(connection, place))
        return self._as_found(place, self._locked(connection, type_name, id_))

    def _held_row(self, connection: Connection, place: tuple[str, str]) -> rows.Current | None:
        """Return a row that was locked when the transaction began; those behind it are read with it."""
        if self._held[place] is None:
            unread = (one for one, row in self._held.items() if row is None and one != place)
            self._held.update(rows.several(connection, self.tenant.id, [place, *islice(unread, READ_AT_ONCE - 1)]))
        return self._held.pop(place)

    def _is_read_ahead(self, place: tuple[str, str]) -> bool:
        if self._transaction is not None or not self.reads_ahead:
            return False
        if len(self._foreseen) > 1 and not self._is_foreseen_few:
            return False
        if self.database.dialect != "postgresql":
            return not self._pending
        return place not in self.touched and (place in self._ahead or len(self._ahead) < FEW)

    def _read_ahead(self, place: tuple[str, str]) -> None:
        """Read a row before the transaction begins, and those with it that were foreseen."""
        if self.recalls and not self._ahead:
            row = self.tenant.recent.take(*place)
            if row is not None:
                self._ahead[place], self.recalled = row, True
                return
        connection, foreseen = self.unflushed, self._foreseen if self._is_foreseen_few else ()
        wanted = [one for one in dict.fromkeys((place, *foreseen)) if one not in self._ahead]
        if len(wanted) == 1:
            self._ahead[place] = rows.current(connection, self.tenant.id, *place)
        else:
            found = rows.several(connection, self.tenant.id, wanted)
            self._ahead.update((one, found.get(one)) for one in wanted)
        self._readings += self.database.dialect == "postgresql"

    def _as_found(self, place: tuple[str, str], row: rows.Current | None) -> rows.Current | None:
        if place in self.relied and (row is None or row.vid != self.relied[place]):
            raise Again(f"{'/'.join(place)} was changed since it was found.")
        return row

    def _locked(self, connection: Connection, type_name: str, id_: str) -> rows.Current | None:
        row = rows.current(connection, self.tenant.id, type_name, id_, lock=True)
        if row is None:  # nobody else makes it
            locks.lock(connection, self.tenant, "id", type_name, id_)
            row = rows.current(connection, self.tenant.id, type_name, id_, lock=True)
        return row

    def _hold_rows(self, connection: Connection) -> None:
        """PostgreSQL: lock what was foreseen or read ahead, in an order that all keep to.

        What was read ahead and is not what it was lets the unit begin again.
        """
        ahead, self._ahead = self._ahead, {}
        places = {*self._foreseen, *ahead}
        if len(places) > 1 or ahead:
            held = rows.hold(connection, self.tenant, places)
            self._absent, self._held = places - held.keys(), dict.fromkeys(one for one in self._foreseen if one in held)
            if any(held.get(place) != (read and read.vid) for place, read in ahead.items()):
                raise Again("What was read ahead was changed meanwhile.")

    def _see_that_no_row_moved(self, connection: Connection) -> None:
        """SQLite: begin again where what was read ahead is not what it was.

        What is replaced finds that out by itself when it is written (hie.store.rows).
        """
        ahead, self._ahead = self._ahead, {}
        for place, read in ahead.items():
            written = self._pending.get(place)
            if written is not None and written.replaced is not None and written.replaced is read:
                continue
            found = self._locked(connection, *place)
            if (found and found.vid) != (read and read.vid):
                raise Again(f"{'/'.join(place)} was changed meanwhile.")

    # -- writing ---------------------------------------------------------------------------------------------------

    def write(
        self,
        version: StoredVersion,
        content: dict[str, Any] | None,
        index: IndexRows,
        replaced: rows.Current | None,
        replaced_index: IndexRows | None,
        past_index: IndexRows | None = None,
    ) -> None:
        """Buffer one version; `content` None deletes."""
        patient = None if content is None else index.patient
        place = (version.type, version.id)
        written = Written(version, 0, None, index, replaced, replaced_index, past_index)
        if version.content is not None:
            written.key_id, cipher = self._data_key(patient)
            self._unsealed.append((written, cipher))
        if len(self._pending) < MANY or replaced is not None:
            self._pending[place] = written
        else:
            self._seal()
            self._spool = self._spool or Spool()
            self._spool.add(written)
        self.touched[place] = None
        self.relied.pop(place, None)  # from here on it is this unit's
        self.wrote = True
        if version.type in self.watched:
            self.watched[version.type][version.id] = index
        if content is not None and version.type in self.looked:
            self.named.setdefault(version.type, set()).update(looking.identifiers(content))
        if version.type == "SearchParameter":
            self.parameters[version.id] = content
        if patient is not None:
            self._patients.add(patient)
            self.patient = patient if len(self._patients) == 1 else None
        if content is None:
            self.integrity.took_away(place)
        else:
            self.integrity.wrote(place, index.refers)

    def _seal(self) -> None:
        """Seal what was buffered, all of it in one go: the compressor's tables then stay in the processor's caches."""
        for written, cipher in self._unsealed:
            version = written.version
            assert version.content is not None  # noqa: S101 - `write` buffers nothing else to be sealed
            where = place_of_version(self.tenant.id, version.type, version.id, version.vid, written.key_id)
            written.sealed = seal(cipher, version.content, where)
        self._unsealed.clear()

    def _data_key(self, patient: str | None) -> tuple[int, Any]:
        owner = patient or ""
        made = self._new_keys.get(owner) or next((key for key in self._stored_keys if key.owner == owner), None)
        if made is not None:
            return made.id, made.cipher
        if owner not in self.newborn or not self.reads_ahead:
            known = self.tenant.data_keys.of_owner(self.unflushed, owner, self.met_keys)
            if known is not None:
                return known
        made = self._new_keys[owner] = self.tenant.data_keys.new(owner, self.now)
        return made.id, made.cipher

    def _flush(self, ready: rows.NewRows | None) -> None:
        assert self._transaction is not None  # noqa: S101 - connection() began it
        connection = self._transaction.connection
        keys, self._new_keys = list(self._new_keys.values()), {}
        rows.insert_keys(connection, keys)
        self._stored_keys += keys
        written, self._pending = list(self._pending.values()), {}
        rows.store(connection, self.tenant.id, written, ready)
        if self._spool is not None:
            spool, self._spool = self._spool, None
            for some in spool.drain(Written):
                rows.store(connection, self.tenant.id, some)
        new_jobs, self.jobs = self.jobs, []
        jobs.add(connection, new_jobs)

    # -- the end ---------------------------------------------------------------------------------------------------

    def remember(self) -> None:
        """SQLite: remember what the one resource is found by that is written, not those of Bundles: too many."""
        if self.database.dialect == "sqlite" and len(self._pending) == 1 and len(self.touched) == 1:
            ((_, written),) = self._pending.items()
            version, content = written.version, written.version.content
            if content is not None:
                words = self.tenant.content_words
                self.tenant.indexed.keep(version.type, content, self.base_url, written.index, words=words)

    def commit_at_once(self, entry: AuditEntry, is_last: bool) -> bool:
        """Store, check and commit by one message where that holds it all; False: it has to be done in steps."""
        written = self._few() if self.wrote and looking.tell_identifiers(self) else []
        version = self.tenant.parameters.version_of(self._known)
        if not written or version is None:
            return False
        message = self._message(written, version)
        if is_last:
            waiting.let_go()
        self.is_sent = True
        if not self.database.commit_one(message, entry):
            return False
        for one in written:
            if one.replaced is not None:
                self.tenant.recent.keep(_as_stored(one, one.replaced))
        self.database.wrote(len(written))
        for key in self._new_keys.values():
            self.tenant.data_keys.adopt(key)
        return True

    def _message(self, written: list[Written], version: int) -> Message:
        targets, deleted = self.integrity.targets_outside(), self.integrity.deleted
        read = sorted(self._ahead.items(), key=lambda one: one[0])
        made = locks.id_locks(self.tenant, [place for place, row in read if row is None] if len(read) > 1 else [])
        return at_once.FewResources(
            tenant=self.tenant.id, written=written, kinds=[self._kinds(one, version) for one in written],
            held=[(row.key, row.vid, row.updated, row.presence) for _, row in read if row is not None],
            made=made, locks=locks.target_locks(self.tenant, targets, deleted), targets=targets, version=version,
            keys=list(self._new_keys.values()), freed=[hashed_place(*one, self.tenant.blind) for one in deleted],
            looked=looking.at_once(self) if self.looked else None, jobs=self.jobs,
        )  # fmt: skip

    def _kinds(self, written: Written, version: int) -> Kinds:
        """Return which index rows in tables of their own a resource has, or may have had.

        Of those by custom parameters, which have come and gone, the presence bits say nothing.
        """
        now, replaced = kinds.of_rows(written.index), written.replaced
        if replaced is None:
            return now
        had = kinds.EVERY if version else kinds.of_presence(self.tenant.blind, replaced.type, replaced.presence)
        return now | had

    def _few(self) -> list[Written]:
        """Return what is written where one message can hold it and all that must hang together: else nothing."""
        if self._transaction is not None or self._spool is not None:
            return []
        if self.parameters or self.integrity.versions or self.integrity.awaited:
            return []
        if not 0 < len(self._pending) <= FEW or len(self.jobs) > FEW:
            return []
        if len(self.integrity.targets_outside()) > MOST_LOCKS_AT_ONCE:
            return []
        if any(row is None and place not in self._pending for place, row in self._ahead.items()):
            return []  # what is not there has no row that could be locked
        written = list(self._pending.values())
        self._seal()
        if sum(len(one.sealed or b"") for one in written) > MOST_IN_A_MESSAGE:
            return []
        return written if sum(len(one.index.contained) for one in written) <= FEW else []

    def finish(self) -> None:
        """Flush, and check that what was written hangs together."""
        if not self.wrote:
            if self._readings > 1:  # answers tell of several that were read one after the other
                self.beginning()
            return
        written = self._few() if self.database.dialect == "postgresql" else []
        if len(written) == 1 and self._is_nothing_but_new(written[0]):
            self._store_one(written[0])
        else:
            self._store_all()
        self._see_that_nothing_moved()

    def _is_nothing_but_new(self, written: Written) -> bool:
        if self._new_keys or self.jobs or len(self._ahead) > 1:
            return False
        return written.replaced is None and not written.index.contained

    def _store_all(self) -> None:
        connection = self.writing()
        if self.parameters and not custom_parameters.apply(
                connection, self.tenant, self.parameters, self.now, is_admin=self.is_admin):
            self.parameters.clear()
        self.integrity.check(connection)

    def _see_that_nothing_moved(self) -> None:
        """Begin again where index rows were made with other custom search parameters than there are now.

        Asked last, when the rows are written: a run for a change that is not known here yet will wait for them. On
        SQLite the writer itself is asked: what any run has written by then by a change that is not known here yet would
        stay, as tokens are taken out one by one.
        """
        known = self.tenant.parameters
        if self.database.dialect == "sqlite" and not known.is_current(self.writing(), self.tenant, self._known):
            known.expire()
        known.fresh(self.database.connection, self.tenant)
        if search_parameters.installed() is not self._known:
            raise Again("Search parameters changed since index rows were made.")

    def _store_one(self, written: Written) -> None:
        """PostgreSQL: lock, store and check with two round trips instead of five, and find out what is missing."""
        targets = self.integrity.targets_outside()
        self._transaction = self.database.begin(locks.target_locks(self.tenant, targets, ()).numbers)
        self._pending = {}
        found = rows.insert_one(self._transaction.connection, self.tenant.id, written, targets)
        self.integrity.refuse_missing(targets, found)

    def commit(self, entry: AuditEntry) -> None:
        """Commit everything with the audit record; without any write only the record."""
        if self._transaction is None:
            self.database.record(entry)
            return
        self._transaction.commit(entry)
        self.tenant.recent.forget(self.touched)
        self.database.wrote(len(self.touched))
        if self.parameters:
            self.tenant.parameters.expire()
        for key in (*self._stored_keys, *self._met.by_id.values()):
            self.tenant.data_keys.adopt(key)

    def rollback(self) -> None:
        """Forget everything."""
        if self._spool is not None:
            self._spool.discard()
        if self._transaction is not None:
            self._transaction.rollback()


def _as_stored(written: Written, replaced: rows.Current) -> rows.Current:
    """Return the row of a version that was stored just now."""
    v = written.version
    return rows.Current(
        replaced.key, v.type, v.id, v.vid, v.method, v.updated, written.key_id, written.sealed, written.index.presence)
