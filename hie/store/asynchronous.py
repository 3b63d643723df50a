"""Requests that are answered later, and their answers: sealed, bound to who asked, removed when they expire.

The row is written in one transaction with the job that does the request, and the answer of an interaction that writes
in one transaction with what it writes (`KeepingStore`): a worker that is lost in between neither repeats nor forgets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from hie.errors import Busy, Conflict, NotFound, Unauthenticated
from hie.fhir.http import FhirResponse
from hie.store import administration, bulk_files
from hie.store.administration import TokenRow
from hie.store.kept_answers import opened, sealed
from hie.store.models import async_request, bulk_file
from hie.store.resources import ResourceStore
from hie.store.unit_of_work import UnitOfWork

_TABLE = async_request.c
#: Who takes a request over begins it so much later at least, in microseconds; erasures change that by one each.
_TAKEN_OVER = 1_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that is answered later; `finished` None until it is done."""

    id: str
    client: str
    token: str
    expires: int
    begun: int | None
    finished: int | None


def add(
    store: ResourceStore, *, id: str, client: str, token: str, request: bytes, now: int, expires: int
) -> None:
    """Add a request to the open transaction, in which something must have been written before."""
    row = {
        "id": id, "tenant": store.tenant, "client": client, "token": token, "created": now, "expires": expires,
        "request": sealed(store.keys, "request", id, client, request),
    }  # fmt: skip
    store.connection().execute(insert(async_request), row)


_FIND = select(_TABLE.id, _TABLE.client, _TABLE.token, _TABLE.expires, _TABLE.begun, _TABLE.finished).where(
    _TABLE.id == bindparam("id"), _TABLE.tenant == bindparam("tenant"), _TABLE.expires > bindparam("now")
)


def find(store: ResourceStore, id: str) -> Asked | None:
    """Return a request; None where there is none of this id, or where it has expired."""
    parameters = {"id": id, "tenant": store.tenant, "now": store.clock()}
    row = store.connection().execute(_FIND, parameters).first()
    return None if row is None else Asked(*row)


def request_of(store: ResourceStore, asked: Asked) -> bytes | None:
    """Return what was asked; None once it is done or cancelled."""
    found = store.connection().execute(select(_TABLE.request).where(_TABLE.id == asked.id)).scalar()
    return opened(store.keys, "request", asked, found)


def result_of(store: ResourceStore, asked: Asked) -> bytes | None:
    """Return the answer; None where there is none, or none any more."""
    found = store.connection().execute(select(_TABLE.result).where(_TABLE.id == asked.id)).scalar()
    return opened(store.keys, "result", asked, found)


def begin(store: ResourceStore, asked: Asked) -> tuple[Asked, bool] | None:
    """Mark a request as begun, and tell whether this was the first time; None: it was cancelled, or done, just now."""

    def unit(connection: Connection) -> tuple[Asked, bool] | None:
        row = connection.execute(_WAITS.with_for_update(), {"id": asked.id}).one_or_none()
        if row is None:
            return None
        if row.begun is not None:
            return replace(asked, begun=row.begun), False
        now = store.clock()
        connection.execute(update(async_request).where(_TABLE.id == asked.id).values(begun=now))
        return replace(asked, begun=now), True

    return store.database.write(unit)


def begin_again(store: ResourceStore, asked: Asked) -> Asked:
    """Take a request over from a worker that began it and was lost; if it goes on, it is told (`refuse_taken_over`)."""
    now = max(store.clock(), (asked.begun or 0) + _TAKEN_OVER)  # whatever the clock of the other one says
    statement = update(async_request).where(_TABLE.id == asked.id, _TABLE.result.is_(None)).values(begun=now)
    store.database.write(lambda connection: connection.execute(statement))
    return replace(asked, begun=now)


def finish(
    store: ResourceStore, asked: Asked, result: bytes, most: int | None = None,
    see: Callable[[Connection, Asked], None] | None = None, *, has_files: bool = True,
) -> bool:
    """Keep the answer, in one transaction with the audit record of what was done. Erased.

    False: nothing was kept, as all that is kept for the client would be more than `most` bytes. `see`: what says that
    it is still to be kept, where it is not as of any other. `has_files`: files that were listed for it stay.
    """
    still = see or see_that_it_waits
    answer = _sealed(store, asked, result)
    if most is not None and kept(store, asked.client).size + len(answer) > most:
        return False
    entry = None if store.entry.recorded else store.entry  # that of an operation was committed with what it wrote

    def unit(connection: Connection) -> None:
        with suppress(Overtaken):
            still(connection, asked)
            if not has_files:
                bulk_files.forget(connection, _TABLE.id == asked.id)
            connection.execute(_finished(store, asked, answer))

    store.database.write(unit, entry)
    return True


@dataclass(frozen=True, slots=True)
class Removed:
    """How far a request was that is not kept any more."""

    begun: int | None
    finished: int | None


def remove(store: ResourceStore, id: str) -> Removed:
    """Remove a request and its answer, in one transaction with the audit record. NotFound.

    What is under way then writes nothing any more, if it does that in one transaction (`KeepingStore`).
    """
    statement = delete(async_request).where(_TABLE.id == id).returning(_TABLE.begun, _TABLE.finished)

    def unit(connection: Connection) -> Removed:
        connection.execute(_WAITS.with_for_update(), {"id": id})  # no file is added from here on
        bulk_files.forget(connection, _TABLE.id == id)
        row = connection.execute(statement).one_or_none()
        if row is None:
            raise unknown()
        return Removed(*row)

    return store.database.write(unit, store.entry)


def unknown() -> NotFound:
    """Build the refusal of an address under which there is nothing, or nothing for who asks."""
    return NotFound("There is no such request of this client, or it has expired.", expression="http.url")


def remove_expired(store: ResourceStore, before: int) -> int:
    """Remove what expired before a time, in one transaction with the audit record; return how many that were."""
    overdue = (_TABLE.tenant == store.tenant) & (_TABLE.expires <= before)
    if store.connection().execute(select(_TABLE.id).where(overdue).limit(1)).first() is None:
        return 0  # looking needs no writer's turn

    def unit(connection: Connection) -> int:
        bulk_files.forget(connection, overdue)
        return connection.execute(delete(async_request).where(overdue)).rowcount

    return store.database.write(unit, store.entry)


_CLIENTS = select(_TABLE.id, _TABLE.client).where(_TABLE.id.in_(bindparam("ids", expanding=True)))


def clients(store: ResourceStore, ids: Sequence[str]) -> dict[str, str]:
    """Return the clients of requests; those that are not there any more are left out."""
    return {row.id: row.client for row in store.connection().execute(_CLIENTS, {"ids": ids})}


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept for one client: requests in all, those that wait, and the bytes of requests and answers."""

    number: int
    waiting: int
    size: int
    first_expires: int | None


def kept(store: ResourceStore, client: str) -> Kept:
    """Return how much is kept for a client; what has expired is about to be removed and does not count."""
    found = store.connection().execute(_KEPT, {"client": client, "now": store.clock()}).one()
    return Kept(found.number, found.number - found.done, int(found.size or 0), found.first)


_FILES = select(func.sum(func.length(bulk_file.c.sealed))).where(bulk_file.c.request == _TABLE.id)
#: There is one of request and answer; neither database reads long values to tell how long they are.
_KEPT = select(
    func.count().label("number"),
    func.count(_TABLE.finished).label("done"),
    func.sum(func.coalesce(func.length(_TABLE.request), func.length(_TABLE.result), 0)
             + func.coalesce(_FILES.scalar_subquery(), 0)).label("size"),
    func.min(_TABLE.expires).label("first"),
).where(_TABLE.client == bindparam("client"), _TABLE.expires > bindparam("now"))


def refuse_revoked(connection: Connection, asked: Asked) -> TokenRow:
    """Return the token that asked; Unauthenticated where it, or its client, was revoked since."""
    row = administration.find_token_by_id(connection, asked.token)
    if row is None:
        raise Unauthenticated("The token that asked was revoked meanwhile; what was not done by then is not done.")
    return row


class Overtaken(Conflict):
    """What a request would write is taken back: another worker, which took this one for lost, did it, or the client
    cancelled it."""


def _overtaken() -> Overtaken:
    return Overtaken("The request was cancelled, or done by another worker, while this one was at it.")


class Erased(Busy):
    """What a request read may have been erased since it began: it is done anew."""


_WAITS = select(_TABLE.begun).where(_TABLE.id == bindparam("id"), _TABLE.result.is_(None))


def see_that_it_waits(connection: Connection, asked: Asked) -> None:
    """Refuse to keep an answer that nobody waits for (Overtaken), or of before an erasure (Erased).

    Nothing of that changes until the transaction ends. An erasure changes when a request began, as far as is known
    (hie.store.kept_answers); without that it is not asked for.
    """
    row = connection.execute(_WAITS.with_for_update(), {"id": asked.id}).one_or_none()
    if row is None:
        raise _overtaken()
    if asked.begun is not None and row.begun != asked.begun:
        raise Erased("Records were erased for good while this was under way.")


def refuse_taken_over(connection: Connection, asked: Asked) -> None:
    """Refuse to go on with what another worker has begun again, or nobody waits for: Overtaken.

    Nothing of that changes until the transaction ends. An erasure makes it no other: it keeps nothing of a record.
    """
    row = connection.execute(_WAITS.with_for_update(), {"id": asked.id}).one_or_none()
    if row is None or (row.begun or 0) - (asked.begun or 0) >= _TAKEN_OVER:
        raise _overtaken()


def refuse_overtaken(connection: Connection, asked: Asked) -> None:
    """Refuse to go on with what nobody waits for any more: Overtaken."""
    if connection.execute(_WAITS, {"id": asked.id}).first() is None:
        raise _overtaken()


@dataclass(frozen=True, slots=True)
class KeepingStore(ResourceStore):
    """A store whose transaction keeps its answer, as `content` makes it of what the interaction says."""

    asked: Asked | None = None
    content: Callable[[FhirResponse], bytes] | None = None

    @property
    def keeps_answer(self) -> bool:
        """It does."""
        return True

    def note(self, unit: UnitOfWork, result: object) -> None:
        """Let the audit record tell what was done, and keep the answer."""
        ResourceStore.note(self, unit, result)  # super() does not know a dataclass with slots
        if self.asked is not None and self.content is not None and isinstance(result, FhirResponse):
            refuse_revoked(unit.writing(), self.asked)
            answer = _sealed(self, self.asked, self.content(result))
            see_that_it_waits(unit.writing(), self.asked)
            unit.writing().execute(_finished(self, self.asked, answer))


def keeping(store: ResourceStore, asked: Asked, content: Callable[[FhirResponse], bytes]) -> KeepingStore:
    """Return the store of the same request that keeps the answer with what is written, both or neither."""
    return KeepingStore(store.database, store.keys, store.grant, store.entry, store.clock, store.base_url,
                        asked=asked, content=content)


def _sealed(store: ResourceStore, asked: Asked, result: bytes) -> bytes:
    return sealed(store.keys, "result", asked.id, asked.client, result)


def _finished(store: ResourceStore, asked: Asked, answer: bytes) -> Any:
    """Put the answer in place of the request, once; one that was cancelled meanwhile keeps nothing."""
    statement = update(async_request).where(_TABLE.id == asked.id, _TABLE.result.is_(None))
    return statement.values(request=None, result=answer, finished=store.clock())
