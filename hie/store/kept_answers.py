"""How answers that come later are sealed, and what an erasure takes out of them (hie.store.asynchronous).

They lie under the job key of the tenant: erasing a version, or destroying the key of a patient, does not reach them by
itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select, update

from hie.errors import IntegrityFailure, OutcomeIssue
from hie.fhir import json_format, outcome
from hie.store.crypto import SealBroken, associated_data, open_, seal
from hie.store.models import async_request
from hie.store.tenants import Tenant

_TABLE = async_request.c
#: So many bytes of answers are taken apart by one erasure, as on SQLite nobody else writes meanwhile; further ones lose
#: all that they bring. Clients may keep gigabytes.
MOST_TAKEN_APART = 8_000_000
#: What is wrapped or worded anew need not name the resource that it tells of: $graphql, $fhirpath, $validate.
_WORDED = (b'"resourceType":"Binary"', b'"resourceType":"Parameters"', b'"outcome":')
_BROUGHT = (b'"resource":', b'"outcome":')
#: What an answer by bulk files begins with: the files bring nothing that is erased (hie.store.bulk_files), and what
#: lists them names what was asked alone.
BULK = b"bulk\n"
_RESPONSE, _END = b'"response":', b"}]}"
_ERASED = OutcomeIssue("deleted", "Records were erased for good since, and what was answered here may tell of them, so "
                       "that it is not kept. Ask again.", severity="warning")  # fmt: skip


def sealed(tenant: Tenant, what: str, id: str, client: str, plain: bytes) -> bytes:
    """Seal the `request` or `result` of this id and client."""
    return seal(tenant.job_cipher, plain, _place(tenant, what, id, client))


def opened(tenant: Tenant, what: str, of: Any, sealed: Any) -> bytes | None:
    """Open the `request` or `result` of a row; IntegrityFailure where it is not the one of this id and client."""
    if sealed is None:
        return None
    try:
        return open_(tenant.job_cipher, bytes(sealed), _place(tenant, what, of.id, of.client))
    except SealBroken as error:
        raise IntegrityFailure(f"The {what} of an asynchronous request does not open.") from error


def _place(tenant: Tenant, what: str, id: str, client: str) -> bytes:
    return associated_data("async", what, tenant.id, id, client)


def each(connection: Connection, tenant: Tenant, *, answers: bool = False) -> Iterator[Any]:
    """Yield what is kept, one row after the other: together they may be larger than memory.

    `answers`: those that have come, which then stay as they are until the transaction ends.
    """
    ids = select(_TABLE.id).where(_TABLE.tenant == tenant.id).order_by(_TABLE.id)
    for id_ in connection.execute(ids).scalars().all():
        one = select(async_request).where(_TABLE.id == id_)
        if answers:
            one = one.where(_TABLE.result.is_not(None)).with_for_update()
        row = connection.execute(one).one_or_none()
        if row is not None:  # else it was removed just now
            yield row


def erase(connection: Connection, tenant: Tenant, id: str) -> None:
    """Take out of all answers what may tell of a resource of this id; their statuses and places stay.

    A request under way has begun a microsecond later from now on: so it sees that it may have read what is erased.
    """
    under_way = (_TABLE.tenant == tenant.id) & _TABLE.begun.is_not(None) & _TABLE.result.is_(None)
    connection.execute(update(async_request).where(under_way).values(begun=_TABLE.begun + 1))
    most = MOST_TAKEN_APART
    for row in each(connection, tenant, answers=True):
        try:
            content = opened(tenant, "result", row, row.result) or b""
        except IntegrityFailure:
            continue  # nobody can read it; `hie check` tells
        left = _without(content, id.encode(), most)
        if left is not content:
            most -= len(content) if len(content) <= most else 0
            result = sealed(tenant, "result", row.id, row.client, left)
            connection.execute(update(async_request).where(_TABLE.id == row.id).values(result=result))


def emptied(content: bytes) -> bytes:
    """Return an answer without all that it brings; its statuses and places stay."""
    return _without(content, None, MOST_TAKEN_APART)


def _without(content: bytes, id: bytes | None, most: int) -> bytes:
    """Return an answer without what may tell of a resource, None: of any; the same object where nothing does.

    One of more than `most` bytes loses all that it brings.
    """
    if content.startswith(BULK) or not _may_tell(content, id):
        return content
    if len(content) > most:  # what it says of the whole stands at its end
        response = json_format.parse(content[content.rindex(_RESPONSE) + len(_RESPONSE) : -len(_END)])
        bundle = {"resourceType": "Bundle", "type": "batch-response", "entry": [_emptied({"response": response})]}
        return json_format.dump(bundle)
    bundle = json_format.parse(content)
    bundle["entry"] = [_entry_without(row, id) for row in bundle["entry"]]
    return json_format.dump(bundle)


def _entry_without(row: dict[str, Any], id: bytes | None) -> dict[str, Any]:
    inner = row.get("resource", {})
    if inner.get("type") in ("batch-response", "transaction-response") and "entry" in inner:
        return row | {"resource": inner | {"entry": [_entry_without(one, id) for one in inner["entry"]]}}
    content = json_format.dump(row)
    is_refused = str(row["response"]["status"]) >= "4"  # which says what is wrong with what was sent
    if is_refused:
        return _emptied(row) if id is not None and id in content else row
    return _emptied(row) if _may_tell(content, id) else row


def _may_tell(content: bytes, id: bytes | None) -> bool:
    found = _BROUGHT if id is None else (id, *_WORDED)
    return any(one in content for one in found)


def _emptied(row: dict[str, Any]) -> dict[str, Any]:
    response = row["response"] | {"outcome": outcome.outcome([_ERASED])}
    return {name: value for name, value in row.items() if name != "resource"} | {"response": response}
