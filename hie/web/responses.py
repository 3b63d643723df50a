"""From FhirResponse to HTTP: the one place that knows ETag, Last-Modified, Location and how bodies are cut or indented.

https://hl7.org/fhir/R4/http.html#versions
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import lru_cache
from threading import Lock
from typing import NamedTuple

from hie.errors import InvalidSearch
from hie.fhir import binary, json_format, resource, summary
from hie.fhir.conditions import etag
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.instants import http_date
from hie.web.negotiation import FHIR_JSON, FHIR_XML, Accepted, media_type
from hie.web.reply import Headers, Reply

_FHIR_JSON_UTF8 = f"{FHIR_JSON}; charset=utf-8"
FHIR_XML_UTF8 = f"{FHIR_XML}; charset=utf-8"
#: Answers of so many bytes are written anew one at a time in a process: read for that, each takes ten times its size,
#: and one thread computes at a time anyway.
LARGE = 1_000_000
_rewriting = Lock()
_ONE_RESOURCE = frozenset({"read", "vread", "capabilities", "definition"})
#: What a write answers with Prefer: return=OperationOutcome; it is never cut.
_OUTCOME = "OperationOutcome"
#: What answers with no resource of its own, and is done before it is answered.
_ALSO_SHAPED = frozenset({"batch", "delete", "delete-history", "transaction"})


class _Form(NamedTuple):
    """How a resource is answered; `of_outcomes`: an OperationOutcome is what was asked for, so it is cut as well."""

    selection: summary.Selection | None
    pretty: bool
    xml: bool
    of_outcomes: bool


def refuse_unshapable(request: FhirRequest, *, is_later: bool) -> None:
    """Refuse what cannot be said of an answer before anything is done: else it would be done, and told to be refused.

    https://hl7.org/fhir/R4/http.html#parameters. What is wrong with a read that is done later its answer tells.
    """
    _pretty(request)
    if request.interaction in _ALSO_SHAPED:
        summary.asked(request)
    elif not is_later or request.interaction not in _ONE_RESOURCE:
        summary.of_one(request)


def respond(request: FhirRequest, answer: FhirResponse, base_url: str, accepted: Accepted) -> Reply:
    """Turn what an interaction answered into an HTTP answer."""
    content, content_type = answer.content, answer.content_type
    headers = _headers(answer, base_url)
    if content is None:
        return Reply(answer.status, headers, b"")
    if request.interaction in _ONE_RESOURCE and request.type == "Binary" and not _wants_resource(
            request, answer, accepted):
        return _raw_binary(answer, headers)
    if content_type == FHIR_JSON and (request.parameters or accepted.xml):
        form = _Form(summary.of_one(request), _pretty(request), accepted.xml, request.type == _OUTCOME)
        with _rewriting if len(content) >= LARGE else nullcontext():
            content = (_statement if request.interaction == "capabilities" else _in_form)(content, form)
    if accepted.xml and content_type == FHIR_JSON:
        headers.append(("Content-Type", _utf8(accepted.generic) if accepted.generic else FHIR_XML_UTF8))
        return Reply(answer.status, headers, content)
    if content_type == FHIR_JSON:
        content_type = _utf8(accepted.generic) if accepted.generic else _FHIR_JSON_UTF8
    headers.append(("Content-Type", content_type))
    return Reply(answer.status, headers, content)


def _utf8(generic: str) -> str:
    """Return the Content-Type of who asked by a media type that is not FHIR's own."""
    return f"{generic}; charset=utf-8"


def _headers(answer: FhirResponse, base_url: str) -> Headers:
    headers = list(answer.headers.items())
    if answer.version_id is not None:
        headers.append(("ETag", etag(answer.version_id)))
    if answer.last_modified is not None:
        headers.append(("Last-Modified", http_date(answer.last_modified)))
    if answer.location is not None:
        headers.append(("Location", f"{base_url}/{answer.location}"))
    return headers


def _in_form(content: bytes, form: _Form) -> bytes:
    """Cut a resource to _summary or _elements, indent it for _pretty, write it as XML."""
    selection = form.selection
    if selection is not None or (form.pretty and not form.xml):
        whole = json_format.parse(content)
        if selection is not None and (whole["resourceType"] != _OUTCOME or form.of_outcomes):
            whole = selection.of(whole)
        content = json_format.dump(whole, pretty=form.pretty and not form.xml)
    return resource.as_xml(content, pretty=form.pretty) if form.xml else content


#: Anybody may ask for a statement, and one in XML takes a hundred times what is read.
_statement = lru_cache(maxsize=4)(_in_form)


def _pretty(request: FhirRequest) -> bool:
    text = request.once("_pretty")
    if text not in (None, "true", "false"):
        raise InvalidSearch(f"_pretty is {str(text)[:80]!r}; it must be true or false.", expression="_pretty")
    return text == "true"


def _wants_resource(request: FhirRequest, answer: FhirResponse, accepted: Accepted) -> bool:
    """Tell whether a Binary is wanted as a resource; who asks for JSON as such, wants content that is JSON itself.

    Content has no parts that _summary or _elements could mean. https://hl7.org/fhir/R4/binary.html#rest
    """
    if request.parameters and summary.of_one(request) is not None:
        return True
    if not accepted.named or not accepted.generic:
        return accepted.named
    held = json_format.parse(answer.content or b"{}").get("contentType", "")
    return media_type(held).name != accepted.generic


def _raw_binary(answer: FhirResponse, headers: Headers) -> Reply:
    """Answer with the content of a Binary in its own format; a browser must neither run nor guess it."""
    held = json_format.parse(answer.content or b"{}")
    content, content_type = binary.opened(held)
    context = binary.told_context(held)
    if context is not None:
        headers.append(("X-Security-Context", context))
    headers += [("Content-Type", content_type), ("Content-Disposition", "attachment"),
                ("Content-Security-Policy", "sandbox; default-src 'none'")]
    return Reply(answer.status, headers, content)
