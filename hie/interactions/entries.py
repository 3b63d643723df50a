"""What batch and transaction share: an entry read as the request it stands for.

https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.request
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from hie.context import Context
from hie.errors import FhirError, InvalidRequest, NotSupported
from hie.fhir import binary, bundle, bundle_stream, json_format, patching, summary
from hie.fhir.bundle import RequestEntry, Room
from hie.fhir.conditions import refuse_unasked
from hie.fhir.http import Conditions, FhirRequest, FhirResponse
from hie.fhir.json_format import Fragment
from hie.fhir.resource import validated
from hie.fhir.routes import ANSWER_PARAMETERS, SEARCHES, form, parse, parse_query
from hie.interactions import operation

_NOT_INSIDE = frozenset({"transaction", "delete-history", "async-status", "async-cancel", "async-file"})
_WITH_RESOURCE = frozenset({"create", "update", "patch"})
#: Bytes that the entries of one Bundle may answer together, while they are done: then no further one is.
MOST_ANSWERED = 128_000_000
#: Where the criteria of a conditional entry stand.
_CRITERIA = {"create": "http.If-None-Exist", "update": "http.url", "patch": "http.url", "delete": "http.url"}
_FORM = "application/x-www-form-urlencoded"
#: How one begins that tells of what was done; one that is stored has an id there.
_OUTCOME = b'{"resourceType":"OperationOutcome","issue":'
_PARAMETERS = b'{"resourceType":"Parameters"'


def read(request: FhirRequest, ctx: Context) -> Iterable[RequestEntry]:
    """Return the entries of a batch or transaction whose Bundle is sound around their resources.

    Those of a large one come one by one, and NotStreamed may still say that it must be read whole.
    """
    entries = request.resource.get("entry")
    if isinstance(entries, bundle_stream.Entries):
        return entries.requests(ctx.settings.max_bundle_entries)
    return bundle.request_entries(request.resource, request.interaction, ctx.settings.max_bundle_entries)


def as_request(
    entry: RequestEntry, outer: FhirRequest, ctx: Context, *, new_id: str | None = None
) -> FhirRequest:
    """Read an entry through the same route table as a request of its own.

    A transaction gives `new_id`, the id that a create must store under, and sees to ifNoneExist itself.
    """
    row = entry.request
    method = row["method"]
    path, _, query = str(row["url"]).removeprefix(f"{ctx.base_url}/").partition("?")
    path = _decoded(path.removeprefix("/"))
    try:
        request = parse(method, path, query, resource=entry.resource, preferences=outer.preferences, new_id=new_id)
    except FhirError as error:
        raise operation.of_method(error, method, path, ctx.registry) from None
    if len(row) > 2:
        request = replace(request, conditions=_conditions(row, request, new_id is None))
    if request.interaction in _NOT_INSIDE:
        raise NotSupported(f"{method} {path or 'to the base'} is not supported inside a Bundle.",
                           expression="http.url")
    if request.interaction in _WITH_RESOURCE and entry.resource is None:
        raise InvalidRequest(f"The entry has no resource; {method} needs one.", expression=f"{request.type}")
    if request.interaction == "patch":
        request = _with_patch(request)
    elif request.interaction in SEARCHES and entry.resource is not None:
        request = _with_form(request)
    elif request.interaction == "read" and entry.resource is not None:
        request = replace(request, resource=None)
    return request


def _with_form(request: FhirRequest) -> FhirRequest:
    """Take the parameters of a search by POST out of the Binary that carries its form."""
    carried = request.resource
    if request.method != "POST":
        return replace(request, resource=None)
    if not isinstance(carried, dict) or carried.get("resourceType") != "Binary":
        raise InvalidRequest("A search by POST has its parameters in the URL, or in a Binary of the contentType "
                             f"{_FORM}.", expression=f"{request.type}")
    validated(carried, "Binary")
    content, content_type = binary.opened(carried)
    if _format(content_type) != _FORM:
        raise InvalidRequest(f"contentType {content_type[:80]!r} is no form; {_FORM} is.",
                             expression="Binary.contentType")
    parameters = parse_query(form(content))
    return replace(request, resource=None, parameters=request.parameters + parameters)


def _format(content_type: str) -> str:
    """Return the media type of what a Binary carries; another character set than UTF-8 is refused, as in a header."""
    name, *parameters = (part.strip() for part in content_type.lower().split(";"))
    for one in parameters:
        key, _, value = one.partition("=")
        if key.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8"):
            raise NotSupported(f"contentType {content_type[:80]!r}: forms and patches are UTF-8.",
                               expression="Binary.contentType")
    return name


def with_resource(request: FhirRequest, resource: Any) -> FhirRequest:
    """Return the request with a resource that was read again."""
    request = replace(request, resource=resource)
    return _with_patch(request) if request.interaction == "patch" else request


def _with_patch(request: FhirRequest) -> FhirRequest:
    """Take a patch that is no resource out of the Binary that carries it: https://hl7.org/fhir/R4/http.html#patch"""
    carried = request.resource
    if not isinstance(carried, dict) or carried.get("resourceType") != "Binary":
        return replace(request, content_type=patching.FHIR_JSON)
    validated(carried, "Binary")
    content, content_type = binary.opened(carried)
    format_ = _format(content_type)
    if format_ not in patching.DOCUMENTS:
        raise InvalidRequest(f"contentType {content_type[:80]!r} is no patch that a Binary carries; "
                             f"{', '.join(patching.DOCUMENTS)} are.", expression="Binary.contentType")
    try:
        document = patching.read(format_, content)
    except InvalidRequest as error:
        raise type(error)(error.diagnostics, expression="Binary.data") from None
    return replace(request, resource=document, content_type=format_)


def refused(error: FhirError, entry: RequestEntry, request: FhirRequest | None) -> FhirError:
    """Return an error placed in its entry; what a patch makes of a resource has no place in the Bundle of its own.

    What an entry without a resource does wrong, it does in its URL.
    """
    if request is not None and not entry.has_resource:
        error = type(error)(error.diagnostics, issues=[
            one if (one.expression or "").startswith(("http.", "Bundle")) else replace(one, expression="http.url")
            for one in error.issues])
    if request is not None and request.interaction in _CRITERIA:
        place = _CRITERIA[request.interaction]
        error = type(error)(error.diagnostics, issues=[
            replace(one, expression="http.url") if one.expression in ANSWER_PARAMETERS else
            replace(one, expression=place) if _is_parameter(one.expression) else one for one in error.issues])
    if request is not None and request.interaction == "patch":
        here = ("Parameters", "http.", "Bundle")
        error = type(error)(error.diagnostics, issues=[
            one if (one.expression or "").startswith(here) else replace(one, expression=None) for one in error.issues])
    return error.within(entry.expression)


def _is_parameter(expression: str | None) -> bool:
    """Tell a search parameter from a place in a resource, which begins with its type."""
    if expression is None or "." in expression or expression == "resourceType":
        return False
    return expression[:1].islower() or expression[:1] == "_"


def _conditions(row: dict[str, Any], request: FhirRequest, with_if_none_exist: bool) -> Conditions:
    """Read the conditions of an entry; what its interaction would pass over is refused."""
    found = Conditions(row.get("ifMatch"), row.get("ifNoneMatch"), row.get("ifModifiedSince"), row.get("ifNoneExist"))
    refuse_unasked(request.interaction, found)
    if found.if_modified_since is not None and request.method not in ("GET", "HEAD"):
        raise NotSupported(
            f"ifModifiedSince is a condition of reads; {request.method} has ifMatch.",
            expression="http.If-Modified-Since",
        )
    return found if with_if_none_exist else replace(found, if_none_exist=None)


def _decoded(path: str) -> str:
    if "%" not in path:
        return path
    decoded = unquote(path, errors="replace")
    if decoded.count("/") != path.count("/"):
        raise InvalidRequest("The URL holds an encoded slash.", expression="http.url")
    return decoded


def room(ctx: Context, most_read: int | None = None) -> Room:
    """Return how much the entries of a Bundle may answer, which whoever dispatches it may have bounded further."""
    return Room(MOST_ANSWERED, most_read) if ctx.room is None else ctx.room.anew()


def _reads(request: FhirRequest, ctx: Context) -> bool:
    if request.interaction == "operation":
        return not operation.changes(request, ctx.registry)
    return request.method in ("GET", "HEAD") or request.interaction in SEARCHES


def dispatched(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Do what an entry asks; of a HEAD the resource stays away, of others what _summary or _elements leave out."""
    if ctx.room is not None:
        ctx.room.refuse_more(reads=_reads(request, ctx))
    selection = summary.of_one(request) if request.parameters else None  # what means nothing is refused, not done
    answer = ctx.dispatch(request, ctx)
    if request.method == "HEAD":
        return replace(answer, content=None)
    if selection is None or answer.content is None or answer.content.startswith(_OUTCOME):
        return answer
    return replace(answer, content=json_format.dump(selection.of(json_format.parse(answer.content))))


def response(answer: FhirResponse, ctx: Context, request: FhirRequest) -> dict[str, Any]:
    """Build the entry of the response Bundle.

    A resource goes in its place, an OperationOutcome that tells of what was done beside the status; that of an
    operation, as of $validate, is both: what was asked for, and what clients look for there.
    """
    told = Fragment(answer.content) if answer.content is not None and answer.content.startswith(_OUTCOME) else None
    if answer.content is not None and answer.content_type != "application/fhir+json":  # in its own format
        carried = binary.wrapped(answer.content, answer.content_type, None, None)
        answer = replace(answer, content=json_format.dump(carried), entity=None)
    if ctx.room is not None and answer.content is not None:
        ctx.room.take(len(answer.content))
    full_url = None
    if answer.entity is not None and told is None and _is_of_its_entity(answer):
        full_url = f"{ctx.base_url}/{answer.entity[0]}/{answer.entity[1]}"
    row = bundle.response_entry(answer, ctx.base_url, full_url=full_url, outcome=told)
    return {"resource": told, **row} if told is not None and request.interaction == "operation" else row


def _is_of_its_entity(answer: FhirResponse) -> bool:
    """Tell the resource itself from what tells about it: a history, $everything, $meta."""
    if answer.content is None:
        return True
    return answer.version_id is not None and not answer.content.startswith(_PARAMETERS)


def refusal(status: int, resource: dict[str, Any]) -> dict[str, Any]:
    """Build the entry of a request that failed."""
    return {"response": {"status": bundle.response_status(status), "outcome": resource}}
