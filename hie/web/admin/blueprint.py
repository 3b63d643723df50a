"""/admin: from HTTP to an AdminRequest, to its handler, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from flask import Blueprint, Response, request

from hie.app import Application
from hie.errors import InvalidJson, InvalidRequest, UnsupportedMediaType
from hie.fhir import json_format, routes
from hie.fhir.json_format import JsonError
from hie.web import body, exchange, negotiation
from hie.web.admin.request import AdminRequest, AdminResponse
from hie.web.admin.routes import ROUTES, AdminRoute

PREFIX = "/admin"
JSON = "application/json"


def make(application: Application) -> Blueprint:
    """Make the blueprint of the administration API from its route table."""
    blueprint = Blueprint("admin", __name__, url_prefix=PREFIX)
    started = application.clock()
    for route in ROUTES:
        blueprint.add_url_rule(
            rule(route), route.code, _view(application, route, started), methods=[route.method],
            provide_automatic_options=False,
        )  # fmt: skip
    return blueprint


def rule(route: AdminRoute) -> str:
    """Write a route's path as Flask does."""
    return route.path.replace("{", "<").replace("}", ">")


def _view(application: Application, route: AdminRoute, started: int) -> Callable[..., Response]:
    def view(**path: str) -> Response:
        here = exchange.current()
        here.entry.interaction = route.code
        principal = here.authenticate_admin()
        if any("\x00" in value for value in path.values()):  # no text of PostgreSQL's can hold it
            raise InvalidRequest("The URL holds the character NUL.", expression="http.url")
        asked = AdminRequest(
            application=application,
            principal=principal,
            entry=here.entry,
            started=started,
            url=request.script_root + request.path,
            path=path,
            query=_query(route, request.environ),
            body=_body(application, route, request.environ),
        )
        return _response(route.handler(asked))

    return view


def _response(answer: AdminResponse) -> Response:
    response = Response(orjson.dumps(answer.content), answer.status, content_type=JSON)
    response.headers.extend(answer.headers)
    return response


def _query(route: AdminRoute, environ: dict[str, Any]) -> dict[str, str]:
    """Return the parameters of the URL; each is known, and given once."""
    known = [parameter.name for parameter in route.parameters]
    found: dict[str, str] = {}
    for name, value in routes.parse_query(environ.get("QUERY_STRING", "")):
        if name not in known:
            offered = f"known: {', '.join(known)}" if known else "this address has none"
            raise InvalidRequest(f"Parameter {name[:80]!r} is not known; {offered}.", expression=name[:80])
        if name in found:
            raise InvalidRequest(f"Parameter {name!r} is given more than once.", expression=name)
        found[name] = value
    return found


def _body(application: Application, route: AdminRoute, environ: dict[str, Any]) -> Any:
    """Return the body of a route that takes one, parsed where it is JSON; None for the others."""
    if route.takes is None and route.media is None:
        return None
    content = body.read(environ, application.settings.max_body_bytes, application.settings.threads)
    wanted = route.media or JSON
    if negotiation.media_type(environ.get("CONTENT_TYPE", "")).name != wanted:
        raise UnsupportedMediaType(f"The body must be {wanted}.", expression="http.Content-Type")
    if route.media is not None:
        return content
    try:
        return json_format.parse(content)
    except JsonError as error:
        raise InvalidJson(str(error), expression=error.expression) from error
