"""One HTTP request on its way: its id, its principal, its audit record, its line in the log.

https://hl7.org/fhir/R4/http.html#custom (X-Request-Id)
"""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from typing import Any, cast

from flask import Flask, Response, g, request

from hie.app import Application, new_id
from hie.errors import Busy, FhirError, Forbidden
from hie.security.authentication import Principal
from hie.store.audit import AuditEntry
from hie.store.tenants import DEFAULT_TENANT
from hie.web import error_handlers, metrics

log = logging.getLogger("hie.web")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,64}", re.ASCII)
_HEADERS = (("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"))
#: Far above any query that a person or program writes; the audit record keeps its beginning.
AUDITED_QUERY = 4_000


@dataclass(slots=True)
class Exchange:
    """What is known of the request that this thread answers."""

    application: Application
    request_id: str
    started: int
    entry: AuditEntry
    principal: Principal | None = None
    audited: bool = True

    def authenticate(self) -> Principal:
        """Find out who asks; Unauthenticated otherwise."""
        principal = self.application.authenticator.principal(request.environ.get("HTTP_AUTHORIZATION"))
        self.principal = principal
        self.entry.tenant, self.entry.client = principal.tenant, principal.client_id
        return principal

    def authenticate_admin(self) -> Principal:
        """Find out who asks, and refuse whoever has not the scope `admin`."""
        principal = self.authenticate()
        if not principal.grant.admin:
            raise Forbidden("This needs a token with the scope admin.")
        return principal


def current() -> Exchange:
    """Return the exchange of the request that this thread answers."""
    return cast(Exchange, g.exchange)


def install(app: Flask, application: Application) -> None:
    """Begin and finish every exchange, whoever answers it."""

    def begin() -> None:
        g.exchange = _begun(request.environ, application)

    def finish(response: Response) -> Response:
        return _finished(g.exchange, response)

    app.before_request(begin)
    app.after_request(finish)


def _begun(environ: dict[str, Any], application: Application) -> Exchange:
    request_id = environ.get("HTTP_X_REQUEST_ID")
    if request_id is None or _REQUEST_ID.fullmatch(request_id) is None:
        request_id = new_id()
    entry = AuditEntry(DEFAULT_TENANT, application.clock(), request_id, interaction=environ["REQUEST_METHOD"][:16],
                       query=environ.get("QUERY_STRING", "")[:AUDITED_QUERY])
    return Exchange(application, request_id, time.perf_counter_ns(), entry)


def _finished(exchange: Exchange, response: Response) -> Response:
    entry = exchange.entry
    if exchange.audited and not entry.recorded:
        entry.status = response.status_code
        response = _recorded(exchange, response)
    headers = response.headers
    headers["X-Request-Id"] = exchange.request_id
    for name, value in _HEADERS:
        headers.setdefault(name, value)
    seconds = (time.perf_counter_ns() - exchange.started) / 1e9
    metrics.count(entry.interaction, response.status_code, seconds)
    if log.isEnabledFor(logging.INFO):
        log.info("answered", extra={
            "request_id": exchange.request_id, "interaction": entry.interaction, "type": entry.type,
            "status": response.status_code, "ms": round(seconds * 1000, 2), "client": entry.client or None,
        })  # fmt: skip
    return response


def _recorded(exchange: Exchange, response: Response) -> Response:
    """Commit the audit record before the answer leaves; what cannot be recorded is not answered (D7b)."""
    try:
        exchange.application.store.database.record(exchange.entry)
    except FhirError as error:
        return error_handlers.outcome_response(error)
    except Exception:
        log.exception("an audit record could not be committed", extra={"request_id": exchange.request_id})
        return error_handlers.outcome_response(Busy("The request could not be recorded, so it is not answered."))
    return response
