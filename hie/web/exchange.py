"""One HTTP request on its way: its id, its principal, its audit record, its line in the log.

https://hl7.org/fhir/R4/http.html#custom (X-Request-Id, X-Correlation-Id)
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from random import getrandbits
from typing import Any, cast

from flask import Flask, Response, g, request

from hie.app import Application
from hie.errors import Busy, FhirError, Forbidden
from hie.fhir import routes
from hie.security.authentication import Principal
from hie.store.audit import AuditEntry
from hie.store.tenants import DEFAULT_TENANT
from hie.web import error_handlers, logs, metrics, negotiation
from hie.web.reply import Headers, Reply

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,64}", re.ASCII)
#: One that the server does not take comes back as X-Correlation-Id, where it is no markup.
_RETURNED_ID = re.compile(r"[!#-;=?-~]{1,200}", re.ASCII)
#: Far above any query that a person or program writes; the audit record keeps its beginning.
AUDITED_QUERY = 4_000


@dataclass(slots=True)
class Exchange:
    """What is known of the request that this thread answers."""

    application: Application
    environ: dict[str, Any]
    request_id: str
    started: int
    entry: AuditEntry
    principal: Principal | None = None
    audited: bool = True

    @classmethod
    def begin(cls, application: Application, environ: dict[str, Any]) -> Exchange:
        """Begin to answer a request."""
        request_id = environ.get("HTTP_X_REQUEST_ID")
        if request_id is None or _REQUEST_ID.fullmatch(request_id) is None:
            request_id = f"{getrandbits(128):032x}"  # names a request in logs and is no secret
        query = environ.get("QUERY_STRING", "")
        if not query.isascii():
            query = environ["QUERY_STRING"] = routes.escaped(query)
        entry = AuditEntry(DEFAULT_TENANT, application.clock(), request_id, interaction="unknown",
                           query=query[:AUDITED_QUERY])
        return cls(application, environ, request_id, time.perf_counter_ns(), entry)

    def authenticate(self) -> Principal:
        """Find out who asks; Unauthenticated otherwise."""
        principal = self.application.authenticator.principal(self.environ.get("HTTP_AUTHORIZATION"))
        self.principal = principal
        self.entry.tenant, self.entry.client = principal.tenant, principal.client_id
        return principal

    def authenticate_admin(self) -> Principal:
        """Find out who asks, and refuse whoever has not the scope `admin`."""
        principal = self.authenticate()
        if not principal.grant.admin:
            raise Forbidden("This needs a token with the scope admin.")
        return principal

    def headers(self) -> Headers:
        """Return what every answer carries."""
        found = [("X-Request-Id", self.request_id), ("X-Content-Type-Options", "nosniff"),
                 ("Cache-Control", "no-store")]
        correlation = self.environ.get("HTTP_X_CORRELATION_ID")
        if correlation is not None and _REQUEST_ID.fullmatch(correlation) is not None:
            found.append(("X-Correlation-Id", correlation))
        own = self.environ.get("HTTP_X_REQUEST_ID", self.request_id)
        if correlation is None and own != self.request_id and _RETURNED_ID.fullmatch(own) is not None:
            found.append(("X-Correlation-Id", own))
        return found

    def finish(self, status: int) -> Reply | None:
        """Commit the audit record before the answer leaves; what cannot be recorded is not answered (D7b).

        Returns the refusal that goes out instead, or None.
        """
        entry, refusal = self.entry, None
        if self.audited and not entry.recorded:
            entry.status = status
            refusal = self._recorded()
            status = status if refusal is None else refusal.status
        seconds = (time.perf_counter_ns() - self.started) / 1e9
        metrics.count(entry.interaction, status, seconds)
        logs.answered(self.request_id, entry.interaction, entry.type, status, seconds, entry.client)
        return refusal

    def _recorded(self) -> Reply | None:
        try:
            self.application.store.database.record(self.entry)
        except FhirError as error:
            return self.refused(error)
        except Exception:
            error_handlers.log.exception("an audit record could not be committed",
                                         extra={"request_id": self.request_id})
            return self.refused(Busy("The request could not be recorded, so it is not answered."))
        return None

    def refused(self, error: FhirError) -> Reply:
        """Answer a refusal in the form that was asked for."""
        if self.entry.interaction == "$graphql" and self.wants_json():
            return error_handlers.refusal_of_graphql(error, pretty=self.wants_lines())
        return error_handlers.refusal(error, xml=self.wants_xml(), pretty=self.wants_lines())

    def wants_xml(self) -> bool:
        """Tell whether a refusal is written as XML."""
        return negotiation.of_refusal(self.environ.get("HTTP_ACCEPT"), self.environ.get("QUERY_STRING", ""))

    def wants_json(self) -> bool:
        """Tell whether JSON was asked for that is not FHIR's own."""
        return negotiation.accepted(self.environ.get("HTTP_ACCEPT")).generic == negotiation.JSON

    def wants_lines(self) -> bool:
        """Tell whether a refusal is indented."""
        return "_pretty=true" in self.environ.get("QUERY_STRING", "").split("&")


def current() -> Exchange:
    """Return the exchange of the request that a Flask view answers."""
    return cast(Exchange, g.exchange)


def install(app: Flask, application: Application) -> None:
    """Begin and finish an exchange around every Flask view."""

    def begin() -> None:
        g.exchange = Exchange.begin(application, request.environ)

    def finish(response: Response) -> Response:
        here = current()
        refusal = here.finish(response.status_code)
        if refusal is not None:
            response = error_handlers.response(refusal)
        for name, value in here.headers():
            response.headers.setdefault(name, value)
        return response

    app.before_request(begin)
    app.after_request(finish)
