"""Append-only audit records: one for every request, refused ones too (D7b).

Each process, on PostgreSQL each writing connection, keeps chains of its own: a record's `mac` is a keyed hash over its
row and the mac before it, so a record that was changed, removed from the middle or moved is found by `hie check`. What
could tell of a patient (path, query, patient) is sealed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, and_, bindparam, select

from hie.store.crypto import Blind, SealBroken, associated_data, open_, seal, seal_short
from hie.store.models import audit

GENESIS = b""
#: What the sealed part of a record tells, in this order; the last two only where there is something to tell.
_DETAIL = ("request", "type", "id", "query", "patient", "touched")
#: From so many bytes on a detail is compressed.
SHORT = 400
_CHAINED = itemgetter("stream", "seq", "tenant", "at", "client", "interaction", "status", "entity", "patient")


@dataclass(slots=True)
class AuditEntry:
    """What one request did. Filled while it is handled; `recorded` once it is committed."""

    tenant: int
    at: int
    request_id: str
    interaction: str = ""
    client: str = ""
    status: int = 0
    type: str | None = None
    id: str | None = None
    patient: str | None = None
    query: str = ""
    touched: tuple[str, ...] = ()  # Type/id of every resource that a Bundle or operation wrote
    recorded: bool = False


class AuditKeys:
    """The keys of one tenant's audit trail."""

    def __init__(self, sealing: bytes, chaining: bytes, blind: Blind) -> None:
        self.cipher, self.chaining, self.blind = AESGCM(sealing), chaining, blind

    def entity(self, type_name: str | None, id_: str | None) -> int:
        """Return the hash under which records of Type/id are found; 0: none."""
        return self.blind.hash("audit", f"{type_name}/{id_}") if type_name and id_ else 0


class AuditStream:
    """One chain of records. Used by one thread, or under one lock."""

    def __init__(self, keys: dict[int, AuditKeys]) -> None:
        self._keys = keys
        self.name = secrets.token_hex(8)
        self._seq, self._mac = 0, GENESIS

    def rows(self, entries: list[AuditEntry]) -> tuple[list[dict[str, Any]], tuple[int, bytes]]:
        """Return the rows of `entries` and the chain's end after them; `advance` to it once they are committed."""
        seq, mac, rows = self._seq, self._mac, []
        for entry in entries:
            seq += 1
            row = self._row(entry, seq)
            mac = chain(self._keys[entry.tenant].chaining, mac, row)
            row["mac"] = mac
            rows.append(row)
        return rows, (seq, mac)

    def advance(self, end: tuple[int, bytes]) -> None:
        """Move the chain's end past committed rows."""
        self._seq, self._mac = end

    def _row(self, entry: AuditEntry, seq: int) -> dict[str, Any]:
        keys = self._keys[entry.tenant]
        detail: list[Any] = [entry.request_id, entry.type, entry.id, entry.query]
        if entry.patient or entry.touched:
            detail.append(entry.patient or None)
        if entry.touched:
            detail.append(entry.touched)
        return {
            "stream": self.name,
            "seq": seq,
            "tenant": entry.tenant,
            "at": entry.at,
            "client": entry.client,
            "interaction": entry.interaction,
            "status": entry.status,
            "entity": keys.entity(entry.type, entry.id),
            "patient": keys.entity("Patient", entry.patient),
            "sealed": _sealed(keys.cipher, orjson.dumps(detail), _place(self.name, seq)),
        }


def _sealed(cipher: AESGCM, detail: bytes, place: bytes) -> bytes:
    """Seal a detail: most are short; that of a Bundle names every resource that it wrote."""
    return (seal_short if len(detail) <= SHORT else seal)(cipher, detail, place)


def chain(key: bytes, before: bytes, row: dict[str, Any]) -> bytes:
    """Return the mac of `row` after the mac `before`."""
    text = associated_data(*_CHAINED(row))
    return hashlib.blake2b(before + b"\x1e" + text + b"\x1e" + bytes(row["sealed"]), key=key, digest_size=16).digest()


def follows(keys: Mapping[int, AuditKeys], before: bytes, row: dict[str, Any]) -> bool:
    """Tell whether a record was made by who knows the chain key, after the one whose mac is `before`."""
    found = keys.get(row["tenant"])
    try:
        return found is not None and hmac.compare_digest(chain(found.chaining, before, row), row["mac"])
    except UnicodeEncodeError:  # a lone surrogate in its texts
        return False


def _place(stream: str, seq: int) -> bytes:
    return associated_data("audit", stream, seq)


def detail_of(keys: AuditKeys, row: Any) -> dict[str, Any]:
    """Open the sealed part of a record; SealBroken when it was tampered with."""
    detail = orjson.loads(open_(keys.cipher, bytes(row.sealed), _place(row.stream, row.seq)))
    if isinstance(detail, dict):  # records of earlier versions
        return detail
    found = dict(zip(_DETAIL, detail, strict=False))
    return {name: value for name, value in found.items() if value is not None or name in _DETAIL[:4]}


def find(
    connection: Connection,
    keys: AuditKeys,
    tenant: int,
    *,
    since: int | None = None,
    until: int | None = None,
    client: str | None = None,
    interaction: str | None = None,
    status: int | None = None,
    entity: tuple[str, str] | None = None,
    patient: str | None = None,
    before: tuple[int, str, int] | None = None,
    count: int = 100,
) -> list[dict[str, Any]]:
    """Return records that match every criterion given, newest first, from below the position `before`."""
    table = audit.c
    where = [table.tenant == tenant]
    if since is not None:
        where.append(table.at >= since)
    if until is not None:
        where.append(table.at < until)
    if client is not None:
        where.append(table.client == client)
    if interaction is not None:
        where.append(table.interaction == interaction)
    if status is not None:
        where.append(table.status == status)
    if entity is not None:
        where.append(table.entity == keys.entity(*entity))
    if patient is not None:
        where.append(table.patient == keys.entity("Patient", patient))
    if before is not None:
        at, stream, seq = before
        where.append(
            (table.at < at) | and_(table.at == at, table.stream < stream)
            | and_(table.at == at, table.stream == stream, table.seq < seq)
        )  # fmt: skip
    statement = select(audit).where(*where).order_by(table.at.desc(), table.stream.desc(), table.seq.desc())
    return [_opened(keys, row) for row in connection.execute(statement.limit(count))]


#: Interactions whose record names the one resource that they wrote; those of others name it where there are several.
_WRITES = ("create", "update", "patch", "delete")
#: So many records of one client are looked through.
LOOKED_THROUGH = 20_000


def written(
    connection: Connection, keys: AuditKeys, tenant: int, *, client: str, request: str, since: int
) -> list[str]:
    """Return Type/id of what a client's request wrote since a time, in order: a write is committed with its record."""
    found: dict[str, None] = {}
    for one in reversed(find(connection, keys, tenant, since=since, client=client, count=LOOKED_THROUGH)):
        if one["request"] == request and one["status"] < 300:
            named = [f"{one['type']}/{one['id']}"] if one["interaction"] in _WRITES and one["id"] else []
            found.update(dict.fromkeys([*named, *(one.get("touched") or ())]))
    return list(found)


def _opened(keys: AuditKeys, row: Any) -> dict[str, Any]:
    return {
        "stream": row.stream, "seq": row.seq, "at": row.at, "client": row.client, "interaction": row.interaction,
        "status": row.status, **detail_of(keys, row),
    }  # fmt: skip


_STREAMS = select(audit.c.stream).distinct().order_by(audit.c.stream)
_CHAIN = select(audit).where(audit.c.stream == bindparam("stream")).order_by(audit.c.seq)


def verify(connection: Connection, keys: dict[int, AuditKeys]) -> Iterator[str]:
    """Yield a sentence for each break found in the chains."""
    for stream in [row.stream for row in connection.execute(_STREAMS)]:
        expected, mac = 1, GENESIS
        for row in connection.execute(_CHAIN, {"stream": stream}):
            if row.seq != expected:
                yield f"Audit stream {stream}: record {expected} is missing before record {row.seq}."
            if row.tenant not in keys:
                yield f"Audit stream {stream}: record {row.seq} names the unknown tenant {row.tenant}."
                break
            if row.seq == expected and chain(keys[row.tenant].chaining, mac, row._asdict()) != bytes(row.mac):
                yield f"Audit stream {stream}: record {row.seq} does not follow from the record before it."
            try:
                detail_of(keys[row.tenant], row)
            except SealBroken:
                yield f"Audit stream {stream}: record {row.seq} does not open."
            expected, mac = row.seq + 1, bytes(row.mac)
