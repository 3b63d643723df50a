"""One new resource on PostgreSQL, or a few, stored and committed with their audit record by one message.

What usually happens in four round trips (BEGIN with the locks, the rows, the record, COMMIT) is sent as one text of
several statements, which PostgreSQL executes as one transaction. What would have been looked at in between is asked
inside: where a target of a reference is not there, or search parameters have changed since the index rows were made,
the statement fails by a division by zero, nothing is kept, and the way in steps finds out what is wrong. The same for a
change: hie.store.change_at_once.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT

Each connection plans each statement once. PostgreSQL would plan those with lists anew at each execution, which takes
about as long as executing them: it expects ten rows of a list that it does not know, and so less of a plan for known
ones. Every row is looked for by its key, so there is nothing that another plan could do better; nor may one that was
made for a small store, which is read quicker whole, be kept while the store grows.
https://www.postgresql.org/docs/current/runtime-config-query.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hie.store.models import audit, data_key
from hie.store.rows import CARRYING, LOCKING, ONE, STORE_ALSO, STORE_ONE, Target, columns, one_values

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

STORE_KEY = "hie_store_key"
#: A neighbour who made the patient's key first makes this one fail, and the transaction run again.
PREPARE_KEY = (
    f"PREPARE {STORE_KEY} ({', '.join(_KEY.values())}) AS INSERT INTO data_key ({', '.join(_KEY)}) "
    f"VALUES ({', '.join(f'${number}' for number, _ in enumerate(_KEY, 1))})"
)


#: Until the transaction ends, for the statements behind the one that says so.
_ONE_PLAN = (
    "SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true)"
)
PLAN, _BEGIN = "hie_plan", "hie_begin"
PREPARE_PLAN = f"PREPARE {PLAN} AS {_ONE_PLAN}"
#: It takes shared locks in the order in which they are given.
_PREPARE_BEGIN = (
    f"PREPARE {_BEGIN} (int8[]) AS {_ONE_PLAN}, pg_current_xact_id(), "
    "(SELECT count(pg_advisory_xact_lock_shared(number)) FROM unnest($1) AS number)"
)
_STORE, _ALSO = "hie_store_one", "hie_store_also"
_LOOK, _NONE_CAME = "hie_look", "hie_none_came"
_PREPARE_LOOK = f"PREPARE {_LOOK} (int8[], bool[]) AS {LOCKING.format('$1, $2')}"
_PREPARE_NONE_CAME = (
    f"PREPARE {_NONE_CAME} (int8[], int4, text[], text[]) AS SELECT 1 / CASE WHEN EXISTS (SELECT FROM ("
    f"{CARRYING.format(wanted='unnest($1)', tenant='$2')}) AS carrying "
    "WHERE (type, id) NOT IN (SELECT * FROM unnest($3, $4))) THEN 0 ELSE 1 END"
)
#: That all targets of references are there.
ALL_FOUND = "(SELECT every(there) IS NOT FALSE FROM found)"


def ending(first: int, tenant: str, condition: str) -> str:
    """Return the end of a statement: keep the audit record, and refuse what must not be committed.

    What it takes has the numbers from `first` on: the version of search parameters, the columns of the record.
    """
    record = ", ".join(f"${number}" for number, _ in enumerate(AUDIT, first + 1))
    return (
        f", record AS (INSERT INTO audit ({', '.join(AUDIT)}) VALUES ({record}))"
        f" SELECT 1 / CASE WHEN {condition}"
        f" AND coalesce((SELECT number FROM custom_version WHERE tenant = {tenant}), 0) = ${first}"
        " THEN 1 ELSE 0 END"
    )


def numbered(types: Iterable[str]) -> dict[str, str]:
    """Return how a statement writes what it takes."""
    return {name: f"${number}" for number, name in enumerate(types, 1)}


def prepared(name: str, types: dict[str, str], text: str, condition: str = ALL_FOUND) -> str:
    """Return the text that prepares a statement of `text`, where {name} stands for what it takes, and its ending."""
    numbers = numbered(types)
    all_types = ", ".join([*types.values(), "int8", *AUDIT.values()])
    end = ending(len(types) + 1, numbers["tenant"], condition.format(**numbers))
    return f"PREPARE {name} ({all_types}) AS {text.format(**numbers)}{end}"


def execute(name: str, values: Iterable[Any]) -> str:
    """Return the text that executes a prepared statement."""
    return f"EXECUTE {name} ({', '.join(map(literal, values))})"


def key_statements(keys: Iterable[NewKey]) -> list[str]:
    """Return the texts that store new data keys."""
    return [execute(STORE_KEY, [key.row[name] for name in _KEY]) for key in keys]


@dataclass(frozen=True, slots=True)
class NewResources:
    """The message that stores resources and the request's audit record (hie.store.database.Message)."""

    tenant: int
    written: Sequence[Written]
    targets: Sequence[Target]
    """What they refer to outside, all of which must be there."""
    locks: Sequence[int]
    version: int
    """Of the custom search parameters that their index rows were made with."""
    keys: Sequence[NewKey] = ()
    """Data keys that they bring."""
    looked: AtOnce | None = None
    """What was looked for and not found, and is looked for once more at the end (hie.store.looking)."""

    statements: ClassVar[dict[str, str]] = {
        _BEGIN: _PREPARE_BEGIN,
        _LOOK: _PREPARE_LOOK,
        _NONE_CAME: _PREPARE_NONE_CAME,
        _STORE: prepared(_STORE, ONE, STORE_ONE),
        _ALSO: f"PREPARE {_ALSO} ({', '.join(ONE.values())}) AS {STORE_ALSO.format(**numbered(ONE))}",
        STORE_KEY: PREPARE_KEY,
    }
    refused: ClassVar[str] = REFUSED

    def text(self, record: dict[str, Any]) -> str:
        """Return the text with the row of the audit record.

        The transaction has its number before the statement sees the version of search parameters: whoever indexes for
        a change that it does not see waits for it (hie.store.index_runs).
        """
        *others, last = self.written
        given = [*self._values(last, self.targets), self.version, *(record[name] for name in AUDIT)]
        return "; ".join([
            execute(_BEGIN, [list(self.locks)]), *self._criteria(), *key_statements(self.keys),
            *(execute(_ALSO, self._values(one, ())) for one in others), execute(_STORE, given), *self._looking(),
        ])

    def _values(self, written: Written, targets: Sequence[Target]) -> Iterable[Any]:
        return one_values(self.tenant, written, targets).values()

    def _criteria(self) -> Iterator[str]:
        if self.looked is not None:
            numbers = self.looked.criteria
            yield execute(_LOOK, [numbers, [True] * len(numbers)])

    def _looking(self) -> Iterator[str]:
        if self.looked is not None:
            own = columns(2, [(one.version.type, one.version.id) for one in self.written])
            yield execute(_LOOK, [self.looked.numbers, self.looked.alone])
            yield execute(_NONE_CAME, [self.looked.hashes, self.tenant, *own])


def literal(value: Any) -> str:
    """Write a value as PostgreSQL reads it with standard_conforming_strings, whatever type it is read as."""
    kind = type(value)
    if kind is int or kind is float:
        return f"'{value!r}'"
    if kind is str:
        return _quoted(value)
    if kind is list:
        if value and type(value[0]) is str:
            return _quoted("{" + ",".join(map(_item, value)) + "}")
        return "'{" + ",".join(map(repr, value)) + "}'"
    if value is None:
        return "NULL"
    if kind is bytes:
        return f"'\\x{value.hex()}'"
    raise TypeError(f"A message holds no {kind.__name__}.")


def _item(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
