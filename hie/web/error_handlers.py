"""Every refusal is an OperationOutcome, whoever raised it: https://hl7.org/fhir/R4/http.html#Status-Codes"""

from __future__ import annotations

import logging
from http import HTTPStatus

from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException

from hie.errors import FhirError, OutcomeIssue
from hie.fhir import outcome
from hie.web.negotiation import FHIR_JSON

log = logging.getLogger("hie.web")

#: Issue codes of what Werkzeug refuses by itself.
_CODES = {404: "not-found", 405: "not-supported", 413: "too-long", 415: "not-supported"}


def install(app: Flask) -> None:
    """Catch everything that leaves a view."""
    app.register_error_handler(FhirError, outcome_response)
    app.register_error_handler(HTTPException, of_werkzeug)
    app.register_error_handler(Exception, of_unexpected)


def outcome_response(error: FhirError) -> Response:
    """Answer a refusal."""
    response = _response(error.status, list(error.issues))
    for name, value in error.headers.items():
        response.headers[name] = value
    return response


def of_werkzeug(error: HTTPException) -> Response:
    """Answer what Flask or Werkzeug refused, such as an unknown URL."""
    status = error.code or 500
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Error"
    code = _CODES.get(status, "invalid" if status < 500 else "exception")
    text = "Nothing is at this address; the FHIR API is at /fhir." if status == 404 else f"{phrase}."
    response = _response(status, [OutcomeIssue(code, text)])
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def of_unexpected(error: Exception) -> Response:
    """Answer a defect of ours: what happened is for the log, not for the client."""
    request_id = g.exchange.request_id if "exchange" in g else "unknown"
    log.error("unexpected failure", exc_info=error, extra={"request_id": request_id})
    text = f"Unexpected failure; the server's log has it under request id {request_id}."
    return _response(500, [OutcomeIssue("exception", text)])


def _response(status: int, issues: list[OutcomeIssue]) -> Response:
    return Response(outcome.dump(issues), status, content_type=f"{FHIR_JSON}; charset=utf-8")
