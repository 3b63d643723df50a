"""/fhir: from HTTP to a FhirRequest, to its interaction, and back.

One catch-all view: the route table of the FHIR API is hie.fhir.routes, which Bundle entries go through as well.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, request

from hie.app import Application
from hie.context import Context
from hie.errors import FhirError, InvalidRequest
from hie.fhir import binary, resource, routes
from hie.fhir.http import Conditions, FhirRequest
from hie.fhir.scopes import Grant
from hie.interactions.dispatch import dispatch
from hie.web import body, exchange, negotiation
from hie.web.exchange import Exchange
from hie.web.responses import respond

NO_GRANT = Grant(())
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
#: Interactions that answer anybody: https://hl7.org/fhir/R4/http.html#capabilities
PUBLIC = frozenset({"capabilities"})

_FORM = "application/x-www-form-urlencoded"
_HOST = re.compile(r"[A-Za-z0-9.\-_]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?", re.ASCII)
_ENCODED_SEPARATOR = re.compile(r"%(?:2f|5c|00)", re.IGNORECASE)
_PATIENT_PARAMETERS = frozenset({"patient", "subject"})


def make(application: Application) -> Blueprint:
    """Make the blueprint of the FHIR API."""
    blueprint = Blueprint("fhir", __name__)

    def fhir(path: str = "") -> Response:
        return _answer(application, request.environ, path)

    for rule in ("/fhir", "/fhir/<path:path>"):
        blueprint.add_url_rule(rule, "fhir", fhir, methods=METHODS, provide_automatic_options=False)
    return blueprint


def _answer(application: Application, environ: dict[str, Any], path: str) -> Response:
    here = exchange.current()
    fhir_request = _parsed(here, environ, path)
    accept = environ.get("HTTP_ACCEPT")
    accepted = negotiation.wants_fhir(accept, fhir_request.parameter("_format") if fhir_request.parameters else None)
    if not (fhir_request.type == "Binary" and fhir_request.interaction in ("read", "vread")):
        negotiation.refuse_unacceptable(accepted, accept)
    fhir_request = _with_body(application, here, environ, fhir_request)
    ctx = _context(application, here, environ)
    answer = dispatch(fhir_request, ctx)
    return respond(fhir_request, answer, ctx.base_url, accepted)


def _parsed(here: Exchange, environ: dict[str, Any], path: str) -> FhirRequest:
    """Read the request line and find out who asks; a wrong URL is told only to those who may ask at all."""
    refusal: FhirError | None = None
    fhir_request: FhirRequest | None = None
    try:
        _refuse_encoded_separators(environ)
        fhir_request = routes.parse(
            environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), conditions=_conditions(environ)
        )
        _note(here, fhir_request)
    except FhirError as error:
        refusal = error
    if fhir_request is None or fhir_request.interaction not in PUBLIC:
        here.authenticate()
    if fhir_request is None:
        assert refusal is not None  # noqa: S101 - one of both is there
        raise refusal
    default = "minimal" if fhir_request.interaction == "transaction" else "representation"
    preferences = negotiation.preferences(environ.get("HTTP_PREFER"), default)
    return replace(fhir_request, preferences=preferences)


def _note(here: Exchange, fhir_request: FhirRequest) -> None:
    """Fill the audit record with what the URL says."""
    entry = here.entry
    entry.interaction, entry.type, entry.id = fhir_request.interaction, fhir_request.type, fhir_request.id
    if fhir_request.operation is not None:
        entry.interaction = f"${fhir_request.operation}"
    if fhir_request.type == "Patient":
        entry.patient = fhir_request.id
    else:
        entry.patient = next((value.removeprefix("Patient/") for name, value in fhir_request.parameters
                              if name in _PATIENT_PARAMETERS and "," not in value), None)


def _context(application: Application, here: Exchange, environ: dict[str, Any]) -> Context:
    principal = here.principal
    if principal is None:  # a public interaction: it is given no grant at all
        return application.context(grant=NO_GRANT, request_id=here.request_id, base_url=_base_url(application, environ),
                                   entry=here.entry)
    return application.context(principal, request_id=here.request_id, base_url=_base_url(application, environ),
                               entry=here.entry)


def _base_url(application: Application, environ: dict[str, Any]) -> str:
    """Return the base of all links: the setting, or else what the client called us."""
    if application.settings.base_url:
        return application.base_url
    host = environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    if _HOST.fullmatch(host) is None:
        raise InvalidRequest("The Host header is not a host.", expression="http.Host")
    return f"{environ['wsgi.url_scheme']}://{host}/fhir"


def _conditions(environ: dict[str, Any]) -> Conditions | None:
    found = (environ.get("HTTP_IF_MATCH"), environ.get("HTTP_IF_NONE_MATCH"), environ.get("HTTP_IF_MODIFIED_SINCE"),
             environ.get("HTTP_IF_NONE_EXIST"))
    return Conditions(*found) if any(one is not None for one in found) else None


def _refuse_encoded_separators(environ: dict[str, Any]) -> None:
    """Refuse an encoded slash, which a proxy and we could read differently; only some servers show it to us."""
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if raw and "%" in raw and _ENCODED_SEPARATOR.search(raw.partition("?")[0]):
        raise InvalidRequest("The URL holds an encoded slash, backslash or NUL.", expression="http.url")


# ---- the body --------------------------------------------------------------------------------------------------------


def _with_body(
    application: Application, here: Exchange, environ: dict[str, Any], fhir_request: FhirRequest
) -> FhirRequest:
    """Return the request with what its body says."""
    if fhir_request.method not in ("POST", "PUT"):
        return fhir_request
    content_type = environ.get("CONTENT_TYPE") or None
    if fhir_request.interaction == "search-type":
        return _with_form(application, here, environ, fhir_request, content_type)
    in_json = negotiation.is_json(content_type)
    if not in_json and fhir_request.type == "Binary" and fhir_request.interaction in ("create", "update"):
        return _with_binary(application, environ, fhir_request, content_type)
    content = body.read(environ, application.settings.max_body_bytes)
    if not content and fhir_request.interaction == "operation":
        return fhir_request
    if content and not in_json:
        raise negotiation.unsupported(content_type)
    parsed = resource.parse(content)
    if fhir_request.interaction == "transaction" and parsed.get("type") == "batch":
        here.entry.interaction = "batch"
        return replace(fhir_request, interaction="batch", resource=parsed)
    return replace(fhir_request, resource=parsed)


def _with_form(
    application: Application, here: Exchange, environ: dict[str, Any], fhir_request: FhirRequest,
    content_type: str | None,
) -> FhirRequest:  # fmt: skip
    """Add the parameters of a form: https://hl7.org/fhir/R4/http.html#search"""
    content = _whole(application, environ)
    if content and (content_type is None or negotiation.media_type(content_type).name != _FORM):
        error = negotiation.unsupported(content_type)
        raise type(error)(error.diagnostics.replace(negotiation.FHIR_JSON, _FORM), expression="http.Content-Type")
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        raise InvalidRequest("The form holds bytes that are not percent-encoded.") from None
    parameters = routes.parse_query(text) if text else ()
    here.entry.query = "&".join(part for part in (here.entry.query, text[:exchange.AUDITED_QUERY]) if part)
    return replace(fhir_request, parameters=fhir_request.parameters + parameters)


def _with_binary(
    application: Application, environ: dict[str, Any], fhir_request: FhirRequest, content_type: str | None
) -> FhirRequest:
    """Wrap content of any other type into a Binary resource: https://hl7.org/fhir/R4/binary.html#rest"""
    if content_type is None:
        raise negotiation.unsupported(None)
    content = _whole(application, environ)
    wrapped = binary.wrapped(content, content_type, environ.get("HTTP_X_SECURITY_CONTEXT"), fhir_request.id)
    return replace(fhir_request, resource=wrapped, content_type=content_type)


def _whole(application: Application, environ: dict[str, Any]) -> bytes:
    """Read a body that has no end mark of its own, so that only its length tells whether all of it came."""
    content = body.read(environ, application.settings.max_body_bytes)
    if content and not body.is_counted(environ):
        raise InvalidRequest("A body in this format needs a Content-Length: without it, a part could pass for the "
                             "whole.", expression="http.Content-Length")
    return content
