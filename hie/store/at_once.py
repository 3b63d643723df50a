"""One new resource on PostgreSQL, stored and committed with its audit record by one message.

What usually happens in four round trips (BEGIN with the locks, the rows, the record, COMMIT) is sent as one text of
several statements. What would have been looked at in between is asked inside: where a target of a reference is not
there, or search parameters have changed since the index rows were made, the statement fails by a division by zero,
nothing is kept, and the way in steps finds out what is wrong.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar

from hie.store.models import audit
from hie.store.rows import ONE, STORE_ONE, Target, one_values

if TYPE_CHECKING:
    from hie.store.unit_of_work import Written

_AUDIT = {
    "stream": "text", "seq": "int8", "tenant": "int4", "at": "int8", "client": "text", "interaction": "text",
    "status": "int2", "entity": "int8", "patient": "int8", "sealed": "bytea", "mac": "bytea",
}  # fmt: skip
assert list(_AUDIT) == list(audit.c.keys())  # noqa: S101 - a column that is added there belongs here


def _statement() -> str:
    """Return the statement with numbers for what it takes: a resource, the version of parameters, an audit record."""
    numbers = {name: f"${number}" for number, name in enumerate(ONE, 1)}
    version = f"${len(ONE) + 1}"
    record = ", ".join(f"${number}" for number, _ in enumerate(_AUDIT, len(ONE) + 2))
    return (
        STORE_ONE.format(**numbers)
        + f", record AS (INSERT INTO audit ({', '.join(_AUDIT)}) VALUES ({record}))"
        + f" SELECT 1 / CASE WHEN (SELECT count(*) FROM found) = cardinality({numbers['ti']})"
        + f" AND coalesce((SELECT number FROM custom_version WHERE tenant = {numbers['tenant']}), 0) = {version}"
        + " THEN 1 ELSE 0 END"
    )


_TYPES = ", ".join([*ONE.values(), "int8", *_AUDIT.values()])


@dataclass(frozen=True, slots=True)
class NewResource:
    """The message that stores a resource and its audit record (hie.store.database.Message)."""

    tenant: int
    written: Written
    targets: Sequence[Target]
    """What it refers to outside, all of which must be there."""
    locks: Sequence[int]
    version: int
    """Of the custom search parameters that its index rows were made with."""

    name: ClassVar[str] = "hie_store_one"
    prepare: ClassVar[str] = f"PREPARE {name} ({_TYPES}) AS {_statement()}"
    refused: ClassVar[str] = "22012"  # division_by_zero

    def text(self, record: dict[str, Any]) -> str:
        """Return the text with the row of the audit record.

        The transaction has its number before the statement sees the version of search parameters: whoever indexes for
        a change that it does not see waits for it (hie.store.index_runs).
        """
        held = "".join(f", pg_advisory_xact_lock_shared({number:d})" for number in self.locks)
        resource = one_values(self.tenant, self.written, self.targets).values()
        given = ", ".join(map(literal, [*resource, self.version, *(record[name] for name in _AUDIT)]))
        return f"BEGIN; SELECT pg_current_xact_id(){held}; EXECUTE {self.name} ({given}); COMMIT"


def literal(value: Any) -> str:
    """Write a value as PostgreSQL reads it with standard_conforming_strings, whatever type it is read as."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    if isinstance(value, list):
        return _quoted("{" + ",".join(map(_item, value)) + "}")
    return _quoted(_plain(value))


def _item(value: Any) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return _plain(value)


def _plain(value: Any) -> str:
    if value in (inf, -inf):
        return "Infinity" if value > 0 else "-Infinity"
    return value if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
