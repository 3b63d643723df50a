"""Requests that are answered later, by `Prefer: respond-async`: https://hl7.org/fhir/R5/async-bundle.html

The request is kept and a job does it: the same interaction function, under the grant of the token that asked. R4 knows
the pattern for bulk data (https://hl7.org/fhir/R4/async.html), R5 for every interaction; the answer is R5's, a Bundle
of type batch-response.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.errors import FhirError, IntegrityFailure, NotFound, NotSupported, OutcomeIssue, TooManyRequests
from hie.fhir import bundle, outcome
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.instants import http_date, instant
from hie.fhir.scopes import Grant, parse_grant
from hie.interactions import bulk, entries, kept_requests, operation
from hie.store import administration, asynchronous, audit, kept_answers
from hie.store.asynchronous import Asked, Erased, Kept, Overtaken, Removed
from hie.store.audit import AuditEntry
from hie.store.resources import ResourceStore

JOB, EXPIRY_JOB = "async", "async-expiry"
#: Requests of one client that wait at the same time, and those kept with their answers.
MOST_WAITING, MOST_KEPT = 100, 1_000
_HOUR, _MINUTE = 3_600_000_000, 60_000_000
#: Seconds after which one of many requests that wait may have been done.
_SOON = 10
#: Interactions that are answered at once whatever is preferred.
_AT_ONCE = frozenset({"capabilities", "definition", "async-status", "async-cancel", "async-file"})
#: So many of the resources that an interrupted batch wrote are told by one issue.
_TOGETHER = 50
#: Interactions that write in one transaction, so that their answer joins it.
_ONE_TRANSACTION = frozenset({"create", "update", "patch", "delete", "delete-history", "transaction"})


def is_meant(request: FhirRequest) -> bool:
    """Tell whether a request that prefers it is answered later; a preference may be ignored (RFC 7240 section 2)."""
    return request.preferences.respond_async and request.interaction not in _AT_ONCE and request.method != "HEAD"


# ---- asking ----------------------------------------------------------------------------------------------------------


def ask(request: FhirRequest, ctx: Context, *, in_xml: bool = False) -> FhirResponse:
    """Keep the request and the job that does it; answer 202 with the address of its status.

    Who asks in XML is answered so, whatever is said when polling (async-bundle.html): the address says it.
    """
    # who is told 202 waits for what an operation that is not here never gives
    in_files = bulk.asked_for(request, ctx) is not None
    if not in_files and request.parameter("_outputFormat") is not None:
        raise NotSupported("_outputFormat asks for bulk files, which $export answers; this answer is a Bundle.",
                           expression="_outputFormat")
    id_, now = secrets.token_hex(16), ctx.clock()
    expires = now + ctx.settings.async_hours * _HOUR
    kept = kept_requests.packed(request, {
        "entry": _noted(ctx.store.entry), "base_url": ctx.base_url, "own_base_url": ctx.store.base_url,
        "request_id": ctx.request_id})  # fmt: skip

    def unit(store: ResourceStore) -> FhirResponse:
        client = ctx.principal.client_id
        store.lock("async", [("client", client)])  # who asks at the same time is counted
        _refuse_more(asynchronous.kept(store, client), ctx)
        store.enqueue(JOB, {"request": id_})
        store.enqueue(EXPIRY_JOB, {"request": id_}, run_after=expires)
        asynchronous.add(store, id=id_, client=client, token=ctx.principal.token_id, request=kept, now=now,
                         expires=expires)
        address = f"{ctx.base_url}/_async/{id_}{'?_format=xml' if in_xml and not in_files else ''}"
        told = outcome.dump([outcome.information(f"Accepted; GET {address} tells how far it is, and then the answer.")])
        return FhirResponse(202, told, headers={"Content-Location": address, "Preference-Applied": "respond-async"})

    return ctx.store.transact(unit)


def _refuse_more(kept: Kept, ctx: Context) -> None:
    """Refuse to keep more for a client than its share."""
    if kept.waiting >= MOST_WAITING:
        raise _later(f"{MOST_WAITING} requests of this client wait already; ask for their answers first.", _SOON)
    most = ctx.settings.async_client_bytes
    if kept.number >= MOST_KEPT:
        told = f"{kept.number} requests and answers of this client are kept, and no more than {MOST_KEPT} are"
    elif kept.size >= most:
        told = f"The requests and answers kept for this client have {kept.size} bytes, and no more than {most} are kept"
    else:
        return
    first = kept.first_expires or 0
    raise _later(f"{told}; DELETE the addresses of answers that you have read, or wait: the oldest is removed at "
                 f"{instant(first)}.", max(_SOON, -((ctx.clock() - first) // 1_000_000)))


def _later(told: str, seconds: int) -> TooManyRequests:
    error = TooManyRequests(told)
    error.headers["Retry-After"] = str(seconds)
    return error


def _noted(entry: AuditEntry) -> dict[str, Any]:
    """Return what the audit record of the doing says as that of the asking does."""
    return {"interaction": entry.interaction, "type": entry.type, "id": entry.id, "patient": entry.patient,
            "query": entry.query}  # fmt: skip


# ---- how far it is, and taking it back -------------------------------------------------------------------------------


def status(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Tell how far a request is (202), or answer it (200)."""
    asked = _own(request, ctx)
    if asked.finished is not None:
        answer = asynchronous.result_of(ctx.store, asked)
        if answer is None:
            raise asynchronous.unknown()  # removed just now
        headers = {"Expires": http_date(asked.expires)}
        return bulk.answered(answer, headers) or FhirResponse(200, answer, headers=headers)
    progress = "waiting" if asked.begun is None else f"in progress since {instant(asked.begun)}"
    told = outcome.dump([outcome.information(f"The request is {progress}.")])
    return FhirResponse(202, told, headers={"X-Progress": progress, "Retry-After": "1"})


def file(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return one of the files of a request that was done."""
    return bulk.file(request, ctx, _own)


def cancel(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Forget a request that is not done, or its answer."""
    asked = _own(request, ctx)
    ctx.store.entry.status = 202
    removed = asynchronous.remove(ctx.store, asked.id)
    return FhirResponse(202, outcome.dump([outcome.information(_cancelled(removed))]))


def _cancelled(removed: Removed) -> str:
    if removed.finished is not None:
        return "The request was done before; its answer was removed."
    if removed.begun is None:
        return "Cancelled; it was not begun."
    return ("Cancelled; what is under way ends unanswered. A single write or a transaction is taken back; the entries "
            "of a batch that were done, and what an operation wrote in steps of its own, stay; those to come are not.")


def _own(request: FhirRequest, ctx: Context) -> Asked:
    """Return the request that this client asked with this grant; any other is as good as none."""
    principal = ctx.principal
    asked = asynchronous.find(ctx.store, request.id or "")
    if asked is None or asked.client != principal.client_id:
        raise asynchronous.unknown()
    if asked.token != principal.token_id:
        scope = administration.token_scope(ctx.store.connection(), asked.token)
        if scope is None or not _are_same(parse_grant([scope]), principal.grant):
            raise asynchronous.unknown()
    return asked


def _are_same(one: Grant, other: Grant) -> bool:
    return set(one.scopes) == set(other.scopes) and one.admin == other.admin


# ---- doing: what the jobs call ---------------------------------------------------------------------------------------


def perform(payload: dict[str, Any], ctx: Context) -> None:
    """Do a kept request as its client, and keep the answer; what was cancelled, or is done, is left alone."""
    asked = asynchronous.find(ctx.store, payload["request"])
    kept = None if asked is None else asynchronous.request_of(ctx.store, asked)
    if asked is None or kept is None:
        return
    request, mine = kept_requests.unpacked(kept), _of_client(asked, kept, ctx)
    del kept  # a large one is held once
    once, begun = _is_done_once(request, ctx), asynchronous.begin(ctx.store, asked)
    if begun is None:
        return
    asked, is_first = begun
    in_files = _is_in_files(request, ctx)
    if in_files and not is_first:
        asked = asynchronous.begin_again(ctx.store, asked)
    if request.interaction == "delete-history":
        asked = replace(asked, begun=None)  # what it erases itself it has not read
    try:
        mine = _granted(asked, mine)
        if once and not is_first:
            raise _interrupted(asked, mine)
        if in_files:
            _keep_files(request, asked, mine)
            return
        answer = _done(request, asked, mine)
        if not mine.store.entry.recorded:
            _refuse_revoked(asked, mine)
    except Overtaken as taken_back:
        mine.store.entry.status = taken_back.status
        ctx.store.database.record(mine.store.entry)
        return
    except FhirError as refused:
        if refused.status >= 500 and not once:
            raise  # it is tried again; `gave_up` tells when no try is left
        _refuse(asked, refused, mine, in_files=in_files)
        return
    if not mine.store.entry.recorded or request.interaction not in _ONE_TRANSACTION:  # else kept with what was written
        mine.store.entry.status = answer.status
        content = _content(entries.response(answer, mine, request), mine)
        del answer  # a large one is held once
        _keep(asked, content, mine, may_be_refused=not once)


def _keep(asked: Asked, content: bytes, ctx: Context, *, may_be_refused: bool) -> None:
    """Keep an answer; one that may be asked for again is not kept where it is beyond its client's share."""
    most = ctx.settings.async_client_bytes
    try:
        is_kept = asynchronous.finish(ctx.store, asked, content, most if may_be_refused else None)
    except Erased:
        if may_be_refused:
            raise  # it is done anew
        is_kept = asynchronous.finish(ctx.store, replace(asked, begun=None), kept_answers.emptied(content))
    if not is_kept:
        _refuse(asked, TooManyRequests(
            f"The answer has {len(content)} bytes; with what is kept for this client already that is, sealed, more "
            f"than {most}. DELETE the addresses of answers that you have read, and ask again, perhaps for less."), ctx)


def _is_in_files(request: FhirRequest, ctx: Context) -> bool:
    return request.interaction == "operation" and operation.offered(request, ctx.registry).files is not None


def _keep_files(request: FhirRequest, asked: Asked, ctx: Context) -> None:
    """List the files of a request, and keep what tells of them; beyond its client's share they are not kept."""
    manifest = bulk.made(request, asked, ctx)
    ctx.store.entry.status = 200
    most = ctx.settings.async_client_bytes
    if not asynchronous.finish(ctx.store, asked, manifest, most, asynchronous.refuse_taken_over):
        raise TooManyRequests(f"With what is kept for this client already, these files are more than {most} bytes, "
                              "sealed. DELETE the addresses of answers that you have read, and ask again.")


def gave_up(payload: dict[str, Any], reason: str, ctx: Context) -> None:
    """Answer a request that failed for good."""
    asked = asynchronous.find(ctx.store, payload["request"])
    if asked is None or asked.finished is not None:
        return
    mine, in_files = ctx, False
    with suppress(IntegrityFailure):  # then what it asked nobody knows any more
        kept = asynchronous.request_of(ctx.store, asked)
        if kept is not None:
            mine = _of_client(asked, kept, ctx)
            in_files = _is_in_files(kept_requests.unpacked(kept), ctx)
    _refuse(asked, FhirError(f"The request failed for good: {reason}"), mine, in_files=in_files)


def owners(payloads: list[dict[str, Any]], ctx: Context) -> list[str]:
    """Return the clients of kept requests; nobody's are those that were cancelled."""
    ids = [payload["request"] for payload in payloads]
    clients = asynchronous.clients(ctx.store, ids)
    return [clients.get(one, "") for one in ids]


def expire(payload: dict[str, Any], ctx: Context) -> None:
    """Remove a request and its answer, unless the client did."""
    with suppress(NotFound):
        asynchronous.remove(ctx.store, payload["request"])


def _interrupted(asked: Asked, ctx: Context) -> FhirError:
    """Build the answer of what was left half done and is not repeated: what it wrote its audit records tell."""
    store = ctx.store
    written = audit.written(store.connection(), store.keys.audit_keys, store.tenant, client=asked.client,
                            request=ctx.request_id, since=(asked.begun or 0) - _MINUTE)
    below = "what it wrote is told below" if written else "no record tells that it wrote anything"
    told = ("The server was stopped while it did this: some of it may be done, some not. Nothing was repeated; "
            f"{below}.")
    return FhirError(told, issues=[OutcomeIssue(FhirError.code, told), *(
        outcome.information(f"Written: {', '.join(written[at : at + _TOGETHER])}.")
        for at in range(0, len(written), _TOGETHER))])


def _done(request: FhirRequest, asked: Asked, ctx: Context) -> FhirResponse:
    """Do it; an interaction that writes in one transaction keeps its answer there.

    The answer of a Bundle that writes is kept whatever its size, so that it may not read more than the client's share.
    """
    if request.interaction in ("batch", "transaction"):
        left = ctx.settings.async_client_bytes - asynchronous.kept(ctx.store, asked.client).size
        ctx = replace(ctx, room=entries.room(ctx, max(0, left)))
    if request.interaction not in _ONE_TRANSACTION:
        granted = _while_granted(asked, ctx)
        return entries.dispatched(request, granted)

    def content(answer: FhirResponse) -> bytes:
        return _content(entries.response(answer, ctx, request), ctx)

    return ctx.dispatch(request, replace(ctx, store=asynchronous.keeping(ctx.store, asked, content)))


def _while_granted(asked: Asked, ctx: Context) -> Context:
    """Return the context whose every interaction, such as each entry of a batch, needs that the token was not revoked
    and the request not cancelled."""

    def dispatch(request: FhirRequest, inner: Context) -> FhirResponse:
        _refuse_revoked(asked, inner)
        asynchronous.refuse_overtaken(inner.store.connection(), asked)
        return ctx.dispatch(request, inner)

    return replace(ctx, dispatch=dispatch)


def _refuse_revoked(asked: Asked, ctx: Context) -> None:
    asynchronous.refuse_revoked(ctx.store.connection(), asked)


def _is_done_once(request: FhirRequest, ctx: Context) -> bool:
    """Tell whether a second try could do things twice: a batch, and an operation that writes in steps of its own."""
    if request.interaction == "batch":
        return not _only_reads(request.resource.get("entry"))
    return request.interaction == "operation" and operation.changes(request, ctx.registry)


def _only_reads(rows: Any) -> bool:
    """Tell whether all entries of a batch are GET or HEAD; a large one, which is not read yet, has others."""
    if not isinstance(rows, list):
        return False
    requests = [row.get("request") for row in rows if isinstance(row, dict)]
    return all(one.get("method") in ("GET", "HEAD") for one in requests if isinstance(one, dict))


def _of_client(asked: Asked, kept: bytes, ctx: Context) -> Context:
    """Return the job's context with the audit record and the addresses of the client's request."""
    known = kept_requests.beside(kept)
    entry = AuditEntry(ctx.store.tenant, ctx.clock(), known["request_id"], client=asked.client, **known["entry"])
    # earlier versions did not note it; a worker on another machine need not know the address of the server
    store = replace(ctx.store, entry=entry, base_url=known.get("own_base_url", ctx.store.base_url))
    return replace(ctx, base_url=known["base_url"], request_id=known["request_id"], store=store)


def _granted(asked: Asked, ctx: Context) -> Context:
    """Return the context with the grant of the token that asked; one that was revoked since grants nothing."""
    row = asynchronous.refuse_revoked(ctx.store.connection(), asked)
    grant = parse_grant([row.scope])
    principal = replace(ctx.principal, client_id=row.client, client_name=row.client_name, token_id=row.id,
                        tenant=row.tenant, grant=grant)
    return replace(ctx, principal=principal, store=replace(ctx.store, grant=grant))


def _refuse(asked: Asked, refused: FhirError, ctx: Context, *, in_files: bool = False) -> None:
    """Keep a refusal as the answer, and no files."""
    ctx.store.entry.status = refused.status
    told = outcome.of_error(refused)
    if in_files:
        content, see = bulk.refused(refused.status, told), asynchronous.refuse_taken_over
        asynchronous.finish(ctx.store, asked, content, see=see, has_files=False)
        return
    asked = replace(asked, begun=None)  # it tells nothing that could be erased
    content = _content(entries.refusal(refused.status, told), ctx)
    asynchronous.finish(ctx.store, asked, content, has_files=False)


def _content(row: dict[str, Any], ctx: Context) -> bytes:
    return bundle.listing("batch-response", ctx.new_id(), ctx.clock(), (), [row])
