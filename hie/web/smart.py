"""SMART discovery: https://hl7.org/fhir/smart-app-launch/conformance.html

It says what is there: bearer tokens with system scopes, handed out by the operator (`hie token create`, /admin). There
is no token endpoint yet, so none is named.
"""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response, request

from hie.app import Application
from hie.web import exchange
from hie.web.cors import Cors

CONFIGURATION: dict[str, Any] = {
    "grant_types_supported": [],
    "response_types_supported": [],
    "token_endpoint_auth_methods_supported": [],
    "scopes_supported": ["system/*.cruds", "system/*.rs", "system/[type].[cruds]", "system/[type].[cruds]?[search]",
                         "admin"],
    "capabilities": ["permission-v2"],
}


def make(application: Application) -> Blueprint:
    """Make the blueprint of the discovery document, below the FHIR base and at the root."""
    blueprint = Blueprint("smart", __name__)
    cors = Cors(application.settings.allowed_origins)

    @blueprint.after_request
    def for_browsers(response: Response) -> Response:
        for name, value in cors.headers(request.environ, is_public=True):
            response.headers[name] = value
        if cors.origins:
            response.headers["Vary"] = "Origin"
        return response

    @blueprint.get("/fhir/.well-known/smart-configuration")
    @blueprint.get("/.well-known/smart-configuration")
    def smart_configuration() -> Response:
        exchange.current().audited = False
        return Response(orjson.dumps(CONFIGURATION), content_type="application/json")

    return blueprint
