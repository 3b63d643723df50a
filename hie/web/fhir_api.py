"""/fhir: from HTTP to a FhirRequest, to its interaction, and back.

A WSGI layer ahead of Flask's own: for a read, Flask's routing, contexts and response objects would cost as much as all
the rest. Everything outside /fhir goes on to Flask. The route table of the FHIR API is hie.fhir.routes, which Bundle
entries go through as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from hie.app import Application
from hie.context import Context
from hie.errors import FhirError, InvalidRequest, NotSupported, OutcomeIssue
from hie.fhir import binary, bundle_stream, operation_definitions, patching, resource, routes
from hie.fhir.conditions import refuse_unasked
from hie.fhir.http import Conditions, FhirRequest
from hie.fhir.scopes import Grant
from hie.interactions import asynchronous, delete, operation
from hie.interactions.dispatch import dispatch
from hie.web import body, compression, error_handlers, exchange, negotiation, turns
from hie.web.cors import Cors, is_preflight
from hie.web.exchange import Exchange
from hie.web.reply import Reply
from hie.web.responses import refuse_unshapable, respond

PREFIX = "/fhir"
#: Interactions that answer anybody: https://hl7.org/fhir/R4/http.html#capabilities
PUBLIC = frozenset({"capabilities", "definition"})
#: Their addresses, of which anybody is told what is wrong too.
_OPEN = frozenset({"metadata", "metadata/"})
_OPEN_BELOW = f"{operation_definitions.TYPE}/{operation_definitions.PREFIX}"
NO_GRANT = Grant(())

_HOST = re.compile(r"[A-Za-z0-9.\-_]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?", re.ASCII)
_ENCODED_SEPARATOR = re.compile(r"%(?:2f|5c|00)", re.IGNORECASE)
_NO_CONDITIONS = (None, None, None, None, None)
_PUBLIC = (f"{PREFIX}/metadata", f"{PREFIX}/{_OPEN_BELOW}")
_TURN = "hie.turn"  # in environ: whether this request has a turn to leave
_PATIENT_PARAMETERS = frozenset({"patient", "subject"})

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class FhirApi:
    """The WSGI application of /fhir; what lies outside of it is answered by `elsewhere`."""

    def __init__(self, application: Application, elsewhere: Wsgi) -> None:
        self._application, self._elsewhere = application, elsewhere
        self._cors = Cors(application.settings.allowed_origins)
        self._vary = ("Vary", "Accept, Accept-Encoding" + (", Origin" if self._cors.origins else ""))

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX) or path[5:6] not in ("", "/") or path.startswith("/fhir/.well-known/"):
            return self._elsewhere(environ, start_response)
        here = Exchange.begin(self._application, environ)
        try:
            reply = _replied(here, _decoded(path[6:]))
        finally:
            if environ.pop(_TURN, False):
                turns.leave()
        reply = here.finish(reply.status) or reply
        encodings = environ.get("HTTP_ACCEPT_ENCODING")
        if encodings is not None and len(reply.body) >= compression.WORTHWHILE:
            reply = compression.compressed(reply, encodings)
        headers = [*reply.headers, *here.headers(), self._vary]
        if self._cors.origins:
            headers += self._cors.headers(environ, is_public=path.startswith(_PUBLIC))
        if reply.status != 304:
            headers.append(("Content-Length", str(len(reply.body))))
        start_response(reply.line, headers)
        return [b""] if environ["REQUEST_METHOD"] == "HEAD" else [reply.body]


def _decoded(path: str) -> str:
    """Return the path as text; WSGI gives its bytes as Latin-1 (PEP 3333)."""
    return path if path.isascii() else path.encode("latin-1", "replace").decode("utf-8", "replace")


def _replied(here: Exchange, path: str) -> Reply:
    """Answer, whatever happens."""
    try:
        return _answered(here, path)
    except FhirError as error:
        return here.refused(error)
    except Exception as error:
        return error_handlers.unexpected(error, here.request_id, xml=here.wants_xml())


def _answered(here: Exchange, path: str) -> Reply:
    environ = here.environ
    if environ["REQUEST_METHOD"] == "OPTIONS":
        return _options(here, path)
    request = _parsed(here, path)
    accept = environ.get("HTTP_ACCEPT")
    accepted = negotiation.wants_fhir(accept, request.once("_format") if request.parameters else None)
    if not accepted.fhir and not _has_own_format(request, accept):
        negotiation.refuse_unacceptable(accepted, accept)
    if "HTTP_X_PROVENANCE" in environ and request.method not in ("GET", "HEAD"):
        request = replace(request, provenance=_filled("X-Provenance", environ["HTTP_X_PROVENANCE"]))
    if request.method in ("POST", "PUT", "PATCH"):
        request = _with_body(here, request)
        if request.interaction in routes.SEARCHES or request.interaction == "operation":  # a form may say _format, too
            accepted = negotiation.wants_fhir(accept, request.once("_format"))
    elif request.interaction == "delete" and "HTTP_X_CASCADE" in environ:
        request = _with_cascade(request, environ["HTTP_X_CASCADE"].strip())
    if "HTTP_X_CASCADE" in environ and request.interaction in ("transaction", "batch", "delete-history"):
        raise NotSupported("X-Cascade is for DELETE by id or criteria; an entry of a Bundle has _cascade=delete in its "
                           "URL.", expression="http.X-Cascade")
    ctx = _context(here)
    is_later = request.preferences.respond_async and asynchronous.is_meant(request)
    if request.parameters:
        refuse_unshapable(request, is_later=is_later)
    if is_later:
        asked = replace(request, interaction="async-status")  # what is answered now is no resource that was asked for
        return respond(asked, asynchronous.ask(request, ctx, in_xml=accepted.xml), ctx.base_url, accepted)
    return respond(request, dispatch(request, ctx), ctx.base_url, accepted)


def _has_own_format(request: FhirRequest, accept: str | None) -> bool:
    """Tell whether what is asked for is in a format that is not one of resources, and may be wanted."""
    if request.interaction == "async-file":
        return negotiation.takes_ndjson(accept)
    return request.type == "Binary" and request.interaction in ("read", "vread")


def _with_cascade(request: FhirRequest, text: str) -> FhirRequest:
    """Return a DELETE with what its header X-Cascade says, which _cascade may say as well."""
    if text not in delete.CASCADES:
        raise InvalidRequest(f"X-Cascade is {text[:40]!r}; it must be {' or '.join(delete.CASCADES)}.",
                             expression="http.X-Cascade")
    given = request.once(delete.CASCADE)
    if given not in (None, text):
        raise InvalidRequest(f"X-Cascade is {text}, and _cascade is {given[:40]!r}; say it once.",
                             expression="http.X-Cascade")
    return request if given else replace(request, parameters=(*request.parameters, (delete.CASCADE, text)))


def _options(here: Exchange, path: str) -> Reply:
    """Tell which methods an address answers, and of one that there is none, as /metadata tells everybody.

    It touches no record, so that it leaves none in the audit trail.
    """
    here.audited = False
    if is_preflight(here.environ):  # the page's own request gets the real answer
        return Reply(200, [("Allow", ", ".join(sorted(routes.METHODS)))], b"")
    allowed = routes.allowed(path)
    if "$" in path:
        allowed = operation.allowed(routes.parse("POST", path), here.application.registry)
    headers = [("Allow", ", ".join(allowed))]
    if "PATCH" in allowed:
        headers.append(("Accept-Patch", patching.ACCEPTED))
    return Reply(200, headers, b"")


def _parsed(here: Exchange, path: str) -> FhirRequest:
    """Read the request line and find out who asks; a wrong URL is told only to those who may ask at all."""
    environ = here.environ
    try:
        _refuse_encoded_separators(environ)
        conditions = _conditions(environ)
        request = routes.parse(
            environ["REQUEST_METHOD"],
            path,
            environ.get("QUERY_STRING", ""),
            conditions=conditions,
            preferences=negotiation.preferences(environ.get("HTTP_PREFER"), "representation" if path else "minimal"),
        )
    except FhirError as error:
        if path not in _OPEN and not path.startswith(_OPEN_BELOW):
            here.authenticate()
        raise operation.of_method(error, environ["REQUEST_METHOD"], path, here.application.registry) from None
    _note(here, request)
    if request.interaction not in PUBLIC:
        here.authenticate()
    if conditions is not None:
        refuse_unasked(request.interaction, conditions)
    return request


def _note(here: Exchange, request: FhirRequest) -> None:
    """Fill the audit record with what the URL says."""
    entry = here.entry
    entry.interaction, entry.type, entry.id = request.interaction, request.type, request.id
    if request.operation is not None:
        entry.interaction = f"${request.operation}"
    if request.compartment is not None and request.compartment[0] == "Patient":
        entry.patient = request.compartment[1]
    elif request.type == "Patient":
        entry.patient = request.id
    elif request.parameters:
        entry.patient = next((value.removeprefix("Patient/") for name, value in request.parameters
                              if name in _PATIENT_PARAMETERS and "," not in value), None)


def _context(here: Exchange) -> Context:
    principal, base_url = here.principal, _base_url(here)
    if principal is None:  # a public interaction: it is given no grant at all
        return here.application.context(grant=NO_GRANT, request_id=here.request_id, base_url=base_url, entry=here.entry)
    return here.application.context(principal, request_id=here.request_id, base_url=base_url, entry=here.entry)


def _base_url(here: Exchange) -> str:
    """Return the base of all links: the setting, or else what the client called us."""
    application, environ = here.application, here.environ
    if application.settings.base_url:
        return application.base_url
    host = environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    return _base(environ["wsgi.url_scheme"], host, environ.get("SCRIPT_NAME", ""))


@lru_cache(maxsize=64)
def _base(scheme: str, host: str, root: str) -> str:
    if _HOST.fullmatch(host) is None:
        raise InvalidRequest("The Host header is not a host.", expression="http.Host")
    return f"{scheme}://{host}{root}{PREFIX}"


def _conditions(environ: dict[str, Any]) -> Conditions | None:
    criteria = environ.get("HTTP_IF_NONE_EXIST")
    if criteria is not None:
        criteria = routes.escaped(_filled("If-None-Exist", criteria))
    found = (environ.get("HTTP_IF_MATCH"), environ.get("HTTP_IF_NONE_MATCH"), environ.get("HTTP_IF_MODIFIED_SINCE"),
             criteria, environ.get("HTTP_IF_UNMODIFIED_SINCE"))
    return None if found == _NO_CONDITIONS else Conditions(*found)


def _filled(name: str, value: str) -> str:
    """Return what a header says; InvalidRequest where it came empty, as granian gives one that is not ASCII."""
    if not value.strip():
        raise InvalidRequest(f"{name} is empty; a header is ASCII: percent-encode what is none.",
                             expression=f"http.{name}")
    return value


def _refuse_encoded_separators(environ: dict[str, Any]) -> None:
    """Refuse an encoded slash, which a proxy and we could read differently; only some servers show it to us."""
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if raw and "%" in raw and _ENCODED_SEPARATOR.search(raw.partition("?")[0]):
        raise InvalidRequest("The URL holds an encoded slash, backslash or NUL.", expression="http.url")


# ---- the body --------------------------------------------------------------------------------------------------------


def _with_body(here: Exchange, request: FhirRequest) -> FhirRequest:
    """Return the request with what its body says."""
    environ = here.environ
    content_type = environ.get("CONTENT_TYPE") or None
    if request.interaction in routes.SEARCHES:
        return _with_form(here, request, content_type)
    if request.interaction == "patch" and (format_ := _patch_format(content_type)) is not None:
        return replace(request, resource=patching.read(format_, _in_turn(here)), content_type=format_)
    if request.interaction == "operation" and (name := _own_format(here, request, content_type)) is not None:
        return replace(request, body=_whole(here), content_type=name)
    if request.interaction == "operation" and negotiation.is_form(content_type):
        return _with_form(here, request, content_type)
    in_json = negotiation.is_json(content_type)
    is_binary = request.type == "Binary" and request.interaction in ("create", "update")
    in_xml = not in_json and negotiation.is_xml(content_type, is_binary=is_binary)
    if is_binary and not in_json and not in_xml:
        return _with_binary(here, request, content_type, _whole(here))
    content = _body(here)
    if is_binary and content and not binary.is_resource(content, xml=in_xml):
        return _with_binary(here, request, content_type, _counted(here, content))
    if not content and request.interaction == "operation":
        return request
    environ[_TURN] = turns.take(len(content))
    if content and not in_json and not in_xml:
        raise (patching if request.interaction == "patch" else negotiation).unsupported(content_type)
    if request.interaction == "transaction" and in_json and len(content) >= bundle_stream.LARGE:
        is_later = request.preferences.respond_async  # then what cannot be read is told now
        parsed = (bundle_stream.sound if is_later else bundle_stream.begin)(content) or resource.parse(content)
    elif request.interaction == "patch" and in_json:
        parsed = patching.read_resource(content)
    elif in_xml and _tells_of_body(here, request):
        unread: list[OutcomeIssue] = []
        parsed = resource.parse_xml(content, unread)
        request = replace(request, unread=tuple(unread))
    else:
        parsed = resource.parse_xml(content) if in_xml else resource.parse(content)
    if is_binary:
        binary.refuse_other_context(parsed, _context_header(environ))
    if request.interaction == "transaction" and parsed.get("type") == "batch":
        here.entry.interaction = "batch"
        return replace(request, interaction="batch", resource=parsed)
    return replace(request, resource=parsed)


def _own_format(here: Exchange, request: FhirRequest, content_type: str | None) -> str | None:
    """Return the media type of a body that the operation reads itself; None where it is read as any other."""
    found = here.application.registry.operation(request.operation or "", request.type)
    name = negotiation.media_type(content_type or "").name
    return name if found is not None and name in found.takes_body else None


def _tells_of_body(here: Exchange, request: FhirRequest) -> bool:
    if request.interaction != "operation":
        return False
    found = here.application.registry.operation(request.operation or "", request.type)
    return found is not None and found.tells_of_body


def _patch_format(content_type: str | None) -> str | None:
    """Return the format of a patch that is no resource; None where it is one (FHIRPath Patch) or unknown."""
    return next((name for name in patching.DOCUMENTS if negotiation.is_patch(content_type, name)), None)


def _body(here: Exchange) -> bytes:
    settings = here.application.settings
    return body.read(here.environ, settings.max_body_bytes, settings.threads)


def _in_turn(here: Exchange) -> bytes:
    """Read a body, and wait for its turn where it is large."""
    content = _body(here)
    here.environ[_TURN] = turns.take(len(content))
    return content


def _with_form(here: Exchange, request: FhirRequest, content_type: str | None) -> FhirRequest:
    """Add the parameters of a form: https://hl7.org/fhir/R4/http.html#search, operations.html#executing"""
    content = _whole(here)
    if content and not negotiation.is_form(content_type):
        raise negotiation.unsupported(content_type, negotiation.FORM)
    text = routes.form(content)
    parameters = routes.parse_query(text) if text else ()
    query = "&".join(part for part in (here.entry.query, text) if part)
    here.entry.query = query[: exchange.AUDITED_QUERY]
    request = replace(request, parameters=request.parameters + parameters)
    _note(here, request)
    return request


def _with_binary(here: Exchange, request: FhirRequest, content_type: str | None, content: bytes) -> FhirRequest:
    """Wrap content into a Binary resource, of any type, FHIR's own too: https://hl7.org/fhir/R4/binary.html#rest"""
    if content_type is None:
        raise negotiation.unsupported(None, f"{negotiation.FHIR_JSON}, {negotiation.FHIR_XML} or that of the content")
    wrapped = binary.wrapped(content, content_type, _context_header(here.environ), request.id)
    return replace(request, resource=wrapped, content_type=content_type)


def _context_header(environ: dict[str, Any]) -> str | None:
    found = environ.get(binary.CONTEXT_IN_ENVIRON)
    return None if found is None else _filled(binary.CONTEXT_HEADER, found)


def _whole(here: Exchange) -> bytes:
    """Read a body that has no end mark of its own, so that only its length tells whether all of it came."""
    return _counted(here, _body(here))


def _counted(here: Exchange, content: bytes) -> bytes:
    if content and not body.is_counted(here.environ):
        raise InvalidRequest("A body in this format needs a Content-Length: without it, a part could pass for the "
                             "whole.", expression="http.Content-Length")
    return content
