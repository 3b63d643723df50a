"""The one route table of the FHIR API: https://hl7.org/fhir/R4/http.html#summary

`parse` turns a method and a URL below the base into a FhirRequest. It serves HTTP requests and Bundle entries alike, so
that both know the same interactions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from hie.errors import InvalidRequest, MethodNotAllowed, NotFound, TooLarge, UnknownType
from hie.fhir import facts, operation_definitions, peers
from hie.fhir.http import Conditions, FhirRequest, Preferences


class Route(NamedTuple):
    """One line of the table; `conditional` tells that the criteria stand in the URL in place of an id."""

    interaction: str
    method: str
    path: str
    conditional: bool = False


#: Codes of https://hl7.org/fhir/R4/valueset-restful-interaction.html, and "operation". HEAD goes where GET goes.
ROUTES: tuple[Route, ...] = (
    Route("capabilities", "GET", "metadata"),
    Route("definition", "GET", "OperationDefinition/[definition]"),  # of this server's own operations
    Route("transaction", "POST", ""),  # a Bundle of type batch makes it the batch interaction
    Route("history-system", "GET", "_history"),
    Route("async-status", "GET", "_async/[id]"),
    Route("async-cancel", "DELETE", "_async/[id]"),
    Route("async-file", "GET", "_async/[id]/[file]"),
    Route("search-system", "GET", ""),
    Route("search-system", "POST", "_search"),
    Route("search-type", "GET", "[type]"),
    Route("search-type", "POST", "[type]/_search"),
    Route("create", "POST", "[type]"),
    Route("update", "PUT", "[type]", conditional=True),
    Route("patch", "PATCH", "[type]", conditional=True),
    Route("delete", "DELETE", "[type]", conditional=True),
    Route("history-type", "GET", "[type]/_history"),
    Route("read", "GET", "[type]/[id]"),
    Route("update", "PUT", "[type]/[id]"),
    Route("patch", "PATCH", "[type]/[id]"),
    Route("delete", "DELETE", "[type]/[id]"),
    Route("history-instance", "GET", "[type]/[id]/_history"),
    Route("delete-history", "DELETE", "[type]/[id]/_history"),
    Route("vread", "GET", "[type]/[id]/_history/[vid]"),
    Route("delete-history", "DELETE", "[type]/[id]/_history/[vid]"),
    Route("search-type", "GET", "[compartment]/[id]/[type]"),
    Route("search-type", "POST", "[compartment]/[id]/[type]/_search"),
    Route("search-system", "GET", "[compartment]/[id]/*"),
    Route("search-system", "POST", "[compartment]/[id]/_search"),
    Route("operation", "GET", "$[operation]"),
    Route("operation", "POST", "$[operation]"),
    Route("operation", "GET", "[type]/$[operation]"),
    Route("operation", "POST", "[type]/$[operation]"),
    Route("operation", "GET", "[type]/[id]/$[operation]"),
    Route("operation", "POST", "[type]/[id]/$[operation]"),
    Route("operation", "GET", "[type]/[id]/_history/[vid]/$[operation]"),
    Route("operation", "POST", "[type]/[id]/_history/[vid]/$[operation]"),
)

_OF_A_VERSION = "[type]/[id]/_history/[vid]/$[operation]"
SEARCHES = frozenset({"search-type", "search-system"})
#: OPTIONS is answered everywhere: it tells which of the others are (RFC 9110 section 9.3.7).
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Far above what a search needs; a longer list is an attack on the parser.
MOST_PARAMETERS = 1_000
#: Bytes of the form of a search or an operation, which may name some 30,000 values.
MOST_OF_A_FORM = 4_000_000
#: Parameters of a URL that say how to answer, whatever is asked: https://hl7.org/fhir/R4/http.html#parameters
ANSWER_PARAMETERS = frozenset({"_format", "_pretty", "_summary", "_elements"})
#: Those of what is answered whole.
_FORM = frozenset({"_format", "_pretty"})
#: Writes whose URL names what they mean, and what else it may say.
_WRITES = {
    "create": ANSWER_PARAMETERS, "update": ANSWER_PARAMETERS, "patch": ANSWER_PARAMETERS,
    "delete": ANSWER_PARAMETERS | {"_cascade"}, "delete-history": ANSWER_PARAMETERS, "transaction": ANSWER_PARAMETERS,
    "async-cancel": _FORM,
}  # fmt: skip
#: Reads, likewise; `_asOf` is this server's own, and of a version it says itself that it has none.
_READS = {
    "read": ANSWER_PARAMETERS | {"_asOf"}, "vread": ANSWER_PARAMETERS | {"_asOf"},
    "capabilities": ANSWER_PARAMETERS | {"mode"}, "definition": ANSWER_PARAMETERS, "async-status": _FORM,
    "async-file": frozenset(),
}
_ASCII = "".join(map(chr, range(128)))

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_VID = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_MOST_VERSIONS = 2**31 - 1  # what a column of the version holds
_OPERATION = re.compile(r"[a-z][A-Za-z0-9.\-]{0,63}", re.ASCII)
#: Methods allowed on each path of the table, with the interaction each stands for.
_BY_PATH: dict[str, dict[str, Route]] = {}
for _route in ROUTES:
    _BY_PATH.setdefault(_route.path, {})[_route.method] = _route
    if _route.method == "GET":
        _BY_PATH[_route.path]["HEAD"] = _route


def parse(
    method: str,
    path: str,
    query: str = "",
    *,
    resource: Any = None,
    body: bytes = b"",
    content_type: str = "",
    conditions: Conditions | None = None,
    preferences: Preferences | None = None,
    new_id: str | None = None,
) -> FhirRequest:
    """Read one request; `path` is relative to the base, percent-decoded and without its leading slash.

    `new_id` is for a create inside a transaction, which must know the ids of its resources beforehand.
    """
    if path[-1:] == "/":
        path = _without_slash(method, path)
    template, type_name, id_, last = _place(path)
    methods = _BY_PATH[template]
    route = methods.get(method)
    if route is None:
        raise wrong_method(method, path, _allowed(methods))
    if route.conditional and not query:
        raise InvalidRequest(
            f"{method} {path} needs search criteria in the URL, or an id: {method} {path}/[id].", expression="http.url"
        )
    parameters = parse_query(query) if query else ()
    vid = last if route.path.endswith("[vid]") else None
    if template == _OF_A_VERSION:
        vid, _, last = (last or "").partition("/")
    if parameters and not route.conditional:
        if route.interaction in _WRITES:
            _refuse_unheard(route, method, path, parameters)
        elif route.interaction in _READS and (preferences is None or preferences.handling != "lenient"):
            _refuse_unread(route, path, parameters)
    return FhirRequest(
        route.interaction,
        type=type_name,
        id=new_id if route.interaction == "create" else None if route.interaction in SEARCHES else id_,
        vid=vid,
        operation=last if route.interaction == "operation" else None,
        file=last if route.interaction == "async-file" else None,
        parameters=parameters,
        resource=resource,
        body=body,
        content_type=content_type,
        conditions=conditions or _NO_CONDITIONS,
        preferences=preferences or _NO_PREFERENCES,
        method=method,
        compartment=(last, id_) if last and id_ and route.interaction in SEARCHES else None,
    )


def _without_slash(method: str, path: str) -> str:
    """Return a path without the slash at its end, where it ends in one alone.

    Peers take both, and R4 itself writes `[base]/[type]/?…` (https://hl7.org/fhir/R4/http.html#cdelete). There is no
    redirect from one to the other, which would lose the body. A version that is left out would stand for all of them.
    """
    if method == "DELETE" and path.endswith("/_history/"):
        raise NotFound(f"{_shown(path)} names no version to erase; without the slash at its end it means all of them.",
                       expression="http.url")
    return path[:-1] if path[:-1] and path[-2] != "/" else path


def _refuse_unheard(route: Route, method: str, path: str, parameters: tuple[tuple[str, str], ...]) -> None:
    """Refuse a write with parameters that it would pass over: who sends criteria would be answered without them.

    https://hl7.org/fhir/R4/http.html#cond-update has criteria in place of an id, #ccreate in a header.
    """
    unheard = next((name for name, _ in parameters if name not in _WRITES[route.interaction]), None)
    if unheard is None:
        return
    told = f"{_shown(unheard)!r} stands in the URL of {method} {path or 'to the base'}, where it would mean nothing; "
    here = peers.parameter(unheard)
    if here is not None:
        told += f"{here}."
    elif route.interaction == "create":
        told += ("criteria of a conditional create stand in the header If-None-Exist, or in ifNoneExist of a Bundle's "
                 "entry.")
    elif route.path == "[type]/[id]":
        type_name = path.partition("/")[0]
        told += (f"criteria stand in place of the id, as in {method} {type_name}?identifier=…, and the version that is "
                 "meant in If-Match.")
    else:
        told += f"it takes {', '.join(sorted(_WRITES[route.interaction]))} alone."
    raise InvalidRequest(told, expression="http.url")


def _refuse_unread(route: Route, path: str, parameters: tuple[tuple[str, str], ...]) -> None:
    """Refuse a read with parameters that it would pass over: who sends `_include` would miss what it brings.

    https://hl7.org/fhir/R4/http.html#parameters
    """
    heard = _READS[route.interaction]
    unheard = next((name for name, _ in parameters if name not in heard), None)
    if unheard is None:
        return
    told = f"A {route.interaction} has no parameter {_shown(unheard)!r}; it has {', '.join(sorted(heard)) or 'none'}."
    if route.interaction == "read":
        type_name, _, id_ = path.partition("/")
        told += f" A search has others: GET {type_name}?_id={id_}&…"
    raise InvalidRequest(told, expression="http.url")


def allowed(path: str) -> tuple[str, ...]:
    """Return the methods that an address answers, for the header Allow; raises what `parse` would for a wrong one."""
    path = _without_slash("OPTIONS", path) if path[-1:] == "/" else path
    return _allowed(_BY_PATH[_place(path)[0]])


def _allowed(methods: dict[str, Route]) -> tuple[str, ...]:
    return tuple(sorted({*methods, "OPTIONS"}))


_NO_CONDITIONS = Conditions()
_NO_PREFERENCES = Preferences()


def parse_query(query: str) -> tuple[tuple[str, str], ...]:
    """Read the parameters of a URL or a form: https://hl7.org/fhir/R4/search.html#escaping"""
    if query.count("&") >= MOST_PARAMETERS:
        raise InvalidRequest(f"More than {MOST_PARAMETERS} parameters.", expression="http.url")
    try:
        pairs = tuple([_pair(part) for part in query.split("&") if part])
    except UnicodeError:
        raise InvalidRequest("The parameters are not UTF-8 under their percent encoding.",
                             expression="http.url") from None
    if "%00" in query or "\x00" in query:
        raise InvalidRequest("A parameter holds the character NUL.", expression="http.url")
    return pairs


def form(content: bytes) -> str:
    """Write a form as the query of a URL says it; TooLarge where nobody asks so much."""
    if len(content) > MOST_OF_A_FORM:
        raise TooLarge(f"The form is larger than {MOST_OF_A_FORM} bytes; ask for less at a time.")
    return escaped(content.decode("latin-1"))


def escaped(octets: str) -> str:
    """Percent-encode what is no ASCII in bytes that are given as Latin-1 (PEP 3333).

    URLs hold none (https://www.rfc-editor.org/rfc/rfc3986#section-2), but curl sends what was typed; as Latin-1 a
    search for Müller would find nobody, and say so.
    """
    return octets if octets.isascii() else quote(octets, safe=_ASCII, encoding="latin-1", errors="replace")


def _pair(part: str) -> tuple[str, str]:
    """Take one parameter apart as parse_qsl does, which is slower by all that it can do besides."""
    if "+" in part:
        part = part.replace("+", " ")
    name, _, value = part.partition("=")
    if "%" in part:
        return unquote_to_bytes(name).decode() if "%" in name else name, unquote_to_bytes(value).decode()
    return name, value


def paths(type_name: str) -> Iterator[tuple[str, str]]:
    """Give method and URL of every route, for one type: what `hie routes` prints."""
    for route in ROUTES:
        yield route.method, route.path.replace("[type]", type_name)


def _place(path: str) -> tuple[str, str | None, str | None, str | None]:
    """Return the path's template, type, id, and what else it says: a version id, operation's code or compartment.

    Of an operation on a version it is both, with a slash between them.
    """
    parts = path.split("/")
    count = len(parts)
    first = parts[0]
    if count == 2 and first in facts.RESOURCE_TYPES and parts[1][:1] not in ("$", "_", "*", "-"):
        return "[type]/[id]", first, checked_id(parts[1], first), None
    if path == "":
        return "", None, None, None
    _refuse_tricks(path, parts)
    if first in ("metadata", "_history", "_search") and count == 1:
        return first, None, None, None
    if first == "_async" and 2 <= count <= 3 and all(_ID.fullmatch(part) for part in parts[1:]):
        return ("_async/[id]", None, parts[1], None) if count == 2 else ("_async/[id]/[file]", None, parts[1], parts[2])
    if first[0] == "$" and count == 1:
        return "$[operation]", None, None, _operation(first)
    if first[0] in "$_.*" or first == "metadata":
        raise NotFound(f"{_shown(path)} is no address of the FHIR API.", expression="http.url")
    if first not in facts.RESOURCE_TYPES:
        raise UnknownType(f"{_shown(first)} is not a resource type of FHIR R4.", expression="http.url")
    return _place_in_type(path, first, parts[1:])


def _place_in_type(path: str, type_name: str, parts: list[str]) -> tuple[str, str | None, str | None, str | None]:
    if parts and operation_definitions.is_address(type_name, parts[0]):
        return _place_of_definition(path, parts)
    match parts:
        case []:
            return "[type]", type_name, None, None
        case ["_search"]:
            return "[type]/_search", type_name, None, None
        case ["_history"]:
            return "[type]/_history", type_name, None, None
        case [last] if last[0] == "$":
            return "[type]/$[operation]", type_name, None, _operation(last)
        case [id_]:
            return "[type]/[id]", type_name, checked_id(id_, type_name), None
        case [id_, "_history"]:
            return "[type]/[id]/_history", type_name, checked_id(id_, type_name), None
        case [id_, last] if last[0] == "$":
            return "[type]/[id]/$[operation]", type_name, checked_id(id_, type_name), _operation(last)
        case [id_, "_history", vid]:
            return "[type]/[id]/_history/[vid]", type_name, checked_id(id_, type_name), _checked_vid(vid, path)
        case [id_, "_history", vid, last] if last[0] == "$":
            both = f"{_checked_vid(vid, path)}/{_operation(last)}"
            return _OF_A_VERSION, type_name, checked_id(id_, type_name), both
        case [id_, *below] if below[-1:] == ["_search"] or below == ["*"] or below[0] in facts.RESOURCE_TYPES:
            return _place_in_compartment(path, type_name, checked_id(id_, type_name), below)
    raise NotFound(f"{_shown(path)} is no address of the FHIR API.", expression="http.url")


def _place_of_definition(path: str, parts: list[str]) -> tuple[str, str, str, None]:
    if len(parts) > 1:
        raise NotFound(f"{_shown(path)}: a definition of this server's own is read at its address, and is not stored: "
                       "it has no versions, no history and no operations.", expression="http.url")
    id_ = checked_id(parts[0], operation_definitions.TYPE)
    return f"{operation_definitions.TYPE}/[definition]", operation_definitions.TYPE, id_, None


def _place_in_compartment(
    path: str, compartment: str, id_: str, below: list[str]
) -> tuple[str, str | None, str | None, str | None]:
    """Read `[Compartment]/[id]/[type]`, or `*` for every type: https://hl7.org/fhir/R4/http.html#search"""
    if compartment not in facts.COMPARTMENTS:
        raise NotFound(
            f"{_shown(path)}: {compartment} makes no compartment; {', '.join(sorted(facts.COMPARTMENTS))} do.",
            expression="http.url",
        )
    match below:
        case ["*"]:
            return "[compartment]/[id]/*", None, id_, compartment
        case ["_search"]:
            return "[compartment]/[id]/_search", None, id_, compartment
        case [type_name, *rest] if rest in ([], ["_search"]) and type_name in facts.RESOURCE_TYPES:
            if type_name not in facts.COMPARTMENTS[compartment] and type_name != compartment:
                raise NotFound(f"{_shown(path)}: no {type_name} is in the compartment of a {compartment}.",
                               expression="http.url")
            template = "[compartment]/[id]/[type]"
            return template + ("/_search" if rest else ""), type_name, id_, compartment
    raise NotFound(f"{_shown(path)} is no address of the FHIR API.", expression="http.url")


def checked_id(text: str, type_name: str) -> str:
    """Return a resource id, or say what is wrong with it: https://hl7.org/fhir/R4/datatypes.html#id"""
    # "." and ".." match the pattern, but a URL with them names another resource for most clients.
    if _ID.fullmatch(text) is None or text in (".", ".."):
        raise InvalidRequest(
            f"Resource id {_shown(text) if text else '(empty)'} is invalid: 1 to 64 of A-Z, a-z, 0-9, '-' and '.'.",
            expression=f"{type_name}.id",
        )
    return text


def _checked_vid(text: str, path: str) -> str:
    if _ID.fullmatch(text) is None:
        raise InvalidRequest(f"Version id {_shown(text)} is invalid.", expression="http.url")
    if _VID.fullmatch(text) is None or int(text) > _MOST_VERSIONS:
        raise NotFound(f"There is no {_shown(path)}: versions of this server are the numbers 1, 2, 3 …",
                       expression="http.url")
    return text


def _operation(text: str) -> str:
    if _OPERATION.fullmatch(text[1:]) is None:
        raise NotFound(f"{_shown(text)} is not the name of an operation.", expression="http.url")
    return text[1:]


def _refuse_tricks(path: str, parts: list[str]) -> None:
    if "://" in path:
        raise NotFound(f"{_shown(path)} is no address of this server; its own are given relative to the FHIR base.",
                       expression="http.url")
    if "" in parts:
        raise NotFound(f"{_shown(path)} has an empty part: a slash stands first or twice.", expression="http.url")
    if not path.isascii() or not path.isprintable() or "\\" in path or "%" in path or "." in parts or ".." in parts:
        raise InvalidRequest(f"The URL {_shown(path)} holds characters or parts that no address of the FHIR API has.",
                             expression="http.url")


def wrong_method(method: str, path: str, allowed: tuple[str, ...]) -> MethodNotAllowed:
    """Build the refusal of a method that an address does not know."""
    told = ", ".join(allowed)
    refused = f"{_shown(method)} is not allowed on {_shown(path) or 'the base'}. Allowed: {told}."
    if path.endswith("_search") and method in ("GET", "HEAD"):
        below = path.removesuffix("_search").removesuffix("/") or "[base]"
        refused += f" A search by GET has another address: GET {_shown(below)}{'/*' if below.count('/') == 1 else ''}?…"
    error = MethodNotAllowed(refused, expression="http.method")
    error.headers["Allow"] = told
    return error


def _shown(text: str) -> str:
    """Cut what a client sent to a length and to characters that may stand in an answer."""
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:80])
    return printable + ("…" if len(text) > 80 else "")
