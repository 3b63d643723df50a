"""What tests of the administration API have in common: a client that holds every answer against /openapi.json."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hie.app import Application
from hie.store import administration
from hie.store.tenants import DEFAULT_TENANT
from hie.web import openapi
from hie.web.admin.blueprint import PREFIX
from hie.web.admin.routes import ROUTES

DAY = 86_400_000_000


def make_token(application: Application, scope: str, name: str = "hospital") -> str:
    store, now = application.store, application.clock()

    def unit(connection: Any) -> str:
        client = administration.client_named(connection, DEFAULT_TENANT, name)
        client = client or administration.add_client(connection, DEFAULT_TENANT, name, now)
        return administration.add_token(connection, DEFAULT_TENANT, client, scope, now, now + DAY)[1]

    return store.database.write(unit)


class Admin:
    """A client with the scope admin that holds every answer against the OpenAPI document."""

    def __init__(self, client: FlaskClient, application: Application, token: str) -> None:
        self._client, self.token = client, token
        self._document = openapi.document(application.registry)

    def __call__(self, method: str, path: str, **given: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.token}", **given.pop("headers", {})}
        response = self._client.open(PREFIX + path, method=method, headers=headers, **given)
        self._conforms(method, path.partition("?")[0], response)
        return response

    def ok(self, method: str, path: str, status: int = 200, **given: Any) -> Any:
        response = self(method, path, **given)
        assert response.status_code == status, response.text
        return response.json

    def refused(self, method: str, path: str, **given: Any) -> tuple[int, str, str]:
        """Status, issue code, and the issue's expression (or empty)."""
        response = self(method, path, **given)
        (issue,) = response.json["issue"]  # type: ignore[index]
        return response.status_code, issue["code"], (issue.get("expression") or [""])[0]

    def _conforms(self, method: str, path: str, response: TestResponse) -> None:
        for route in ROUTES:
            if route.method == method and _matches(route.path, path):
                operation = self._document["paths"][PREFIX + route.path][method.lower()]
                responses = operation["responses"]
                described = responses.get(str(response.status_code), responses["default"])["content"]
                (schema,) = [described[response.mimetype]["schema"]]
                whole = {**schema, "components": self._document["components"]}
                jsonschema_rs.validator_for(whole, validate_formats=True).validate(response.json)


def _matches(template: str, path: str) -> bool:
    wanted, found = template.split("/"), path.split("/")
    return len(wanted) == len(found) and all(w[:1] == "{" or w == f for w, f in zip(wanted, found, strict=True))
