"""A few resources on PostgreSQL, stored, changed or deleted, and committed with the audit record by one message.

What usually happens in many round trips (BEGIN, locks, rows, checks, the record, COMMIT) is sent as one text of several
statements, which PostgreSQL executes as one transaction, in the order of the way in steps. What would have been looked
at in between is asked inside: where a row is not at the version that was read, a target of a reference is not there,
something refers to what is deleted, or search parameters have changed since the index rows were made, a statement fails
by a division by zero, nothing is kept, and the way in steps finds out what is wrong.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT

Each connection plans each statement once. PostgreSQL would plan those with lists anew at each execution, which takes
about as long as executing them: it expects ten rows of a list that it does not know, and so less of a plan for known
ones. Every row is looked for by its key, so there is nothing that another plan could do better; nor may one that was
made for a small store, which is read quicker whole, be kept while the store grows.
https://www.postgresql.org/docs/current/runtime-config-query.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hie.store.change_at_once import CHANGE, CHANGED, DELETE, DELETED_ONE, UNREFERENCED, changed_values, deleted_values
from hie.store.contained import concerns
from hie.store.contained_at_once import END, ENDED, KEEP, KEPT, ended_values, kept_values
from hie.store.jobs import NEW
from hie.store.literals import execute
from hie.store.models import audit, data_key
from hie.store.rows import CARRYING, LOCKING, ONE, STORE_ALSO, STORE_ONE, TARGETS, Locks, Target, columns, one_values

if TYPE_CHECKING:
    from hie.store.keys import NewKey
    from hie.store.looking import AtOnce
    from hie.store.unit_of_work import Written

#: The SQLSTATE of a statement that refuses what it met: division_by_zero.
REFUSED = "22012"
AUDIT = {
    "stream": "text", "seq": "int8", "tenant": "int4", "at": "int8", "client": "text", "interaction": "text",
    "status": "int2", "entity": "int8", "patient": "int8", "sealed": "bytea", "mac": "bytea",
}  # fmt: skip
assert list(AUDIT) == list(audit.c.keys())  # noqa: S101 - a column that is added there belongs here
_KEY = {"id": "int8", "tenant": "int4", "owner": "text", "wrapped": "bytea", "kek": "int4", "created": "int8"}
assert list(_KEY) == list(data_key.c.keys())  # noqa: S101 - likewise

#: That all targets of references are there.
_ALL_FOUND = "(SELECT every(there) IS NOT FALSE FROM found)"


def _numbered(types: Iterable[str]) -> dict[str, str]:
    return {name: f"${number}" for number, name in enumerate(types, 1)}


def _prepare(name: str, types: Mapping[str, str], text: str) -> str:
    """Return the text that prepares a statement of `text`, where {name} stands for what it takes."""
    return f"PREPARE {name} ({', '.join(types.values())}) AS {text.format(**_numbered(types))}"


def _prepare_last(name: str, types: Mapping[str, str], text: str, condition: str) -> str:
    """Do so for the last of those that write: it keeps the audit record, and refuses what must not be committed."""
    record = ", ".join(f"{{{column}_}}" for column in AUDIT)
    end = (
        f", record AS (INSERT INTO audit ({', '.join(AUDIT)}) VALUES ({record}))"
        f" SELECT 1 / CASE WHEN {condition}"
        " AND coalesce((SELECT number FROM custom_version WHERE tenant = {tenant}), 0) = {version}"
        " THEN 1 ELSE 0 END"
    )
    of_record = {f"{column}_": type_ for column, type_ in AUDIT.items()}
    return _prepare(name, {**types, "version": "int8", **of_record}, text + end)


#: Until the transaction ends, for the statements behind the one that says so.
_ONE_PLAN = (
    "SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true)"
)
_PLAN, _BEGIN, _HOLD = "hie_plan", "hie_begin", "hie_hold"
_PREPARE_PLAN = f"PREPARE {_PLAN} AS {_ONE_PLAN}"
#: It takes shared locks in the order in which they are given.
_PREPARE_BEGIN = (
    f"PREPARE {_BEGIN} (int8[]) AS {_ONE_PLAN}, pg_current_xact_id(), "
    "(SELECT count(pg_advisory_xact_lock_shared(number)) FROM unnest($1) AS number)"
)
#: Rows by key and version, then locks: in the order in which they are given. What is selected is worked out one after
#: the other, when the rows were locked.
_PREPARE_HOLD = (
    f"PREPARE {_HOLD} (int8[], int4[], int8[], bool[]) AS "
    "SELECT 1 / CASE WHEN count(*) = cardinality($1) THEN 1 ELSE 0 END, pg_current_xact_id(), "
    "(SELECT count(CASE WHEN alone THEN pg_advisory_xact_lock(number) ELSE pg_advisory_xact_lock_shared(number) END) "
    "FROM unnest($3, $4) AS lock (number, alone)) "
    "FROM (SELECT FROM unnest($1, $2) WITH ORDINALITY AS read (key, vid, place) "
    "JOIN resource ON resource.key = read.key AND resource.vid = read.vid "
    "ORDER BY read.place FOR UPDATE OF resource) AS held"
)
_LOCK, _NONE_CAME = "hie_lock", "hie_none_came"
_PREPARE_LOCK = f"PREPARE {_LOCK} (int8[], bool[]) AS {LOCKING.format('$1, $2')}"
_PREPARE_NONE_CAME = (
    f"PREPARE {_NONE_CAME} (int8[], int4, text[], text[]) AS SELECT 1 / CASE WHEN EXISTS (SELECT FROM ("
    f"{CARRYING.format(wanted='unnest($1)', tenant='$2')}) AS carrying "
    "WHERE (type, id) NOT IN (SELECT * FROM unnest($3, $4))) THEN 0 ELSE 1 END"
)
_STORE_KEY = "hie_store_key"
#: A neighbour who made the patient's key first makes this one fail, and the transaction run again.
_PREPARE_KEY = _prepare(
    _STORE_KEY, _KEY, f"INSERT INTO data_key ({', '.join(_KEY)}) VALUES ({', '.join(f'{{{name}}}' for name in _KEY)})"
)
_ADD_JOB = "hie_add_job"
_PREPARE_JOB = _prepare(
    _ADD_JOB, NEW, f"INSERT INTO job ({', '.join(NEW)}) VALUES ({', '.join(f'{{{name}}}' for name in NEW)})"
)
_STORE, _CHANGE, _DELETE = "hie_store_one", "hie_change_one", "hie_delete_one"
_STORE_ALSO, _CHANGE_ALSO, _DELETE_ALSO = "hie_store_also", "hie_change_also", "hie_delete_also"
_UNREFERENCED, _END, _KEEP = "hie_unreferenced", "hie_end_contained", "hie_keep_contained"
#: What refers to itself is no hindrance. OFFSET: what is asked says nothing of how much will be found.
_NOT_BY_OTHERS = UNREFERENCED.format(wanted="(SELECT {place} OFFSET 0)", tenant="{tenant}") + (
    " WHERE (type, id) <> ({type}, {id})"
)
_PREPARE_UNREFERENCED = (
    f"PREPARE {_UNREFERENCED} (int8[], int4) AS SELECT 1 / CASE WHEN "
    f"NOT EXISTS ({UNREFERENCED.format(wanted='unnest($1)', tenant='$2')}) THEN 1 ELSE 0 END"
)
_FOUND = f", found AS ({TARGETS})"


@dataclass(frozen=True, slots=True)
class FewResources:
    """The message that writes resources and the request's audit record (hie.store.writers.Message)."""

    tenant: int
    written: Sequence[Written]
    held: Sequence[tuple[int, int]]
    """Keys and versions of what must be as it was read, in the order in which all lock them."""
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

    _of_one: ClassVar[dict[str, str]] = {
        _PLAN: _PREPARE_PLAN,
        _BEGIN: _PREPARE_BEGIN,
        _HOLD: _PREPARE_HOLD,
        _LOCK: _PREPARE_LOCK,
        _NONE_CAME: _PREPARE_NONE_CAME,
        _STORE_KEY: _PREPARE_KEY,
        _STORE: _prepare_last(_STORE, ONE, STORE_ONE, _ALL_FOUND),
        _CHANGE: _prepare_last(_CHANGE, CHANGED, CHANGE + _FOUND, _ALL_FOUND),
        _DELETE: _prepare_last(_DELETE, DELETED_ONE, DELETE, f"NOT EXISTS ({_NOT_BY_OTHERS})"),
    }
    _of_all: ClassVar[dict[str, str]] = {
        **_of_one,
        _STORE_ALSO: _prepare(_STORE_ALSO, ONE, STORE_ALSO),
        _CHANGE_ALSO: _prepare(_CHANGE_ALSO, CHANGED, f"{CHANGE} SELECT"),
        _DELETE_ALSO: _prepare(_DELETE_ALSO, DELETED_ONE, f"{DELETE} SELECT"),
        _UNREFERENCED: _PREPARE_UNREFERENCED,
        _END: _prepare(_END, ENDED, END),
        _KEEP: _prepare(_KEEP, KEPT, KEEP),
        _ADD_JOB: _PREPARE_JOB,
    }
    refused: ClassVar[str] = REFUSED

    @property
    def statements(self) -> Mapping[str, str]:
        """What it executes."""
        is_plain = len(self.written) == 1 and not self.jobs and not concerns(self.written[0])
        return self._of_one if is_plain else self._of_all

    def text(self, record: dict[str, Any]) -> str:
        """Return the text with the row of the audit record.

        Each statement sees what was committed before it began, so rows are locked by one of its own: what indexed them
        anew meanwhile is seen, or what came to refer to them. The transaction has its number before the last one sees
        the version of search parameters: whoever indexes for a change that it does not see waits for it
        (hie.store.index_runs).
        """
        *others, last = self.written
        return "; ".join([
            *self._begin(),
            *(execute(_STORE_KEY, [key.row[name] for name in _KEY]) for key in self.keys),
            *(execute(*self._also(one)) for one in others),
            self._last(last, record),
            *self._contained(),
            *(execute(_ADD_JOB, [job[name] for name in NEW]) for job in self.jobs),
            *self._end(),
        ])

    def _begin(self) -> Iterator[str]:
        holds = self.held or self.made
        yield f"EXECUTE {_PLAN}" if holds else execute(_BEGIN, [self.locks.numbers])
        for numbers in (self.looked.criteria if self.looked is not None else (), self.made):
            if numbers:
                yield execute(_LOCK, [numbers, [True] * len(numbers)])
        if holds:
            yield execute(_HOLD, [*columns(2, self.held), *self.locks])

    def _also(self, written: Written) -> tuple[str, Iterable[Any]]:
        if written.replaced is None:
            return _STORE_ALSO, one_values(self.tenant, written, ()).values()
        if written.sealed is None:
            return _DELETE_ALSO, deleted_values(self.tenant, written, None)
        return _CHANGE_ALSO, changed_values(self.tenant, written, ())

    def _last(self, written: Written, record: dict[str, Any]) -> str:
        values: Iterable[Any]
        if written.replaced is None:
            name, values = _STORE, one_values(self.tenant, written, self.targets).values()
        elif written.sealed is None:
            place = self.freed[0] if len(self.written) == 1 else None  # of several it is asked at the end
            name, values = _DELETE, deleted_values(self.tenant, written, place)
        else:
            name, values = _CHANGE, changed_values(self.tenant, written, self.targets)
        return execute(name, [*values, self.version, *(record[column] for column in AUDIT)])

    def _contained(self) -> Iterator[str]:
        """Yield what follows where the resources are stored; what a version contained ends before the next begins."""
        for one in self.written:
            if concerns(one):
                yield from (execute(_END, values) for values in ended_values(one))
                yield from (execute(_KEEP, values) for values in kept_values(self.tenant, one))

    def _end(self) -> Iterator[str]:
        if self.freed and len(self.written) > 1:
            yield execute(_UNREFERENCED, [self.freed, self.tenant])
        if self.looked is not None:
            own = columns(2, [(one.version.type, one.version.id) for one in self.written])
            yield execute(_LOCK, [self.looked.numbers, self.looked.alone])
            yield execute(_NONE_CAME, [self.looked.hashes, self.tenant, *own])
