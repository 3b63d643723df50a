"""Every refusal is an OperationOutcome, whoever raised it: https://hl7.org/fhir/R4/http.html#Status-Codes"""

from __future__ import annotations

import logging
from http import HTTPStatus

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from hie.errors import FhirError, OutcomeIssue
from hie.fhir import graphql_errors, json_format, outcome, resource
from hie.store import away
from hie.web import logs, negotiation
from hie.web.negotiation import FHIR_JSON, FHIR_XML
from hie.web.reply import Reply

log = logging.getLogger("hie.web")

#: What is forbidden, a scope that the token lacks would allow: https://www.rfc-editor.org/rfc/rfc6750#section-3
_LACKS_SCOPE = 'Bearer realm="fhir", error="insufficient_scope"'
#: Issue codes of what Werkzeug refuses by itself.
_CODES = {404: "not-found", 405: "not-supported", 413: "too-long", 415: "not-supported"}


def refusal(error: FhirError, *, xml: bool = False, pretty: bool = False) -> Reply:
    """Answer a refusal."""
    headers = error.headers if error.status != 403 else {"WWW-Authenticate": _LACKS_SCOPE, **error.headers}
    return _reply(error.status, error.issues, headers, xml, pretty)


def refusal_of_graphql(error: FhirError, *, pretty: bool = False) -> Reply:
    """Answer a refusal to a client of GraphQL: https://hl7.org/fhir/R4/graphql.html#errors"""
    plain = refusal(error)
    kept = [header for header in plain.headers if header[0] != "Content-Type"]
    content = json_format.dump(graphql_errors.refusal(error), pretty=pretty)
    return Reply(plain.status, [("Content-Type", negotiation.JSON), *kept], content)


def unexpected(error: Exception, request_id: str, *, xml: bool = False) -> Reply:
    """Answer a defect of ours, or a database that is away: what happened is for the log, not for the client."""
    if (busy := away.refusal(error)) is not None:
        # Where each of the many requests of an outage failed tells nothing.
        reason = logs.class_of(getattr(error, "orig", None) or error)
        log.error("the database takes no request now", extra={"request_id": request_id, "reason": reason})
        return refusal(busy, xml=xml)
    log.error("unexpected failure", exc_info=error, extra={"request_id": request_id})
    text = f"Unexpected failure; the server's log has it under request id {request_id}."
    return _reply(500, (OutcomeIssue("exception", text),), {}, xml)


def response(reply: Reply) -> Response:
    """Return a reply as Flask wants it."""
    return Response(reply.body, reply.status, reply.headers)


def install(app: Flask) -> None:
    """Catch everything that leaves a Flask view, and what Flask or Werkzeug refuse, such as an unknown URL."""

    def of_fhir(error: FhirError) -> Response:
        return response(refusal(error))

    def of_unexpected(error: Exception) -> Response:
        return response(unexpected(error, g.exchange.request_id if "exchange" in g else "unknown"))

    app.register_error_handler(FhirError, of_fhir)
    app.register_error_handler(HTTPException, of_werkzeug)
    app.register_error_handler(Exception, of_unexpected)


def of_werkzeug(error: HTTPException) -> Response:
    """Answer what Flask or Werkzeug refused."""
    status = error.code or 500
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Error"
    code = _CODES.get(status, "invalid" if status < 500 else "exception")
    text = "Nothing is at this address; the FHIR API is at /fhir." if status == 404 else f"{phrase}."
    allowed = getattr(error, "valid_methods", None)
    headers = {"Allow": ", ".join(sorted(allowed))} if allowed else {}
    if headers:
        text = f"{request.method} is not allowed on {request.path}. Allowed: {headers['Allow']}."
    return response(_reply(status, (OutcomeIssue(code, text),), headers))


def _reply(
    status: int, issues: tuple[OutcomeIssue, ...], headers: dict[str, str], xml: bool = False, pretty: bool = False
) -> Reply:
    content, content_type = outcome.dump(issues, pretty=pretty), FHIR_JSON
    if xml:
        content, content_type = resource.as_xml(content, pretty=pretty), FHIR_XML
    return Reply(status, [("Content-Type", f"{content_type}; charset=utf-8"), *headers.items()], content)
