"""The administration API through HTTP: status, clients and their tokens, who may ask, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from hie.app import Application
from hie.settings import Settings
from hie.store import administration
from hie.web.admin.blueprint import PREFIX
from hie.web.admin.routes import ROUTES
from tests.conformance.administration import Admin, make_token
from tests.one_database import ONE_DATABASE

# ---- status ----------------------------------------------------------------------------------------------------------


def test_status_tells_versions_counts_queue_and_database(admin: Admin, application: Application) -> None:
    writing = application.context()
    writing.store.transact(lambda store: store.create("Basic", {"resourceType": "Basic", "code": {"text": "x"}}))
    writing = application.context()
    writing.store.transact(lambda store: store.enqueue("kind", {"patient": "secret"}))
    status = admin.ok("GET", "/status")
    assert status["resources"] == {"total": 1, "byType": {"Basic": 1}}
    assert status["jobs"]["ready"] == 1
    assert status["database"]["kind"] == application.store.database.dialect
    assert status["fhirVersion"] == "4.0.1"


def test_status_holds_no_secret(admin: Admin, settings: Settings) -> None:
    text = admin("GET", "/status").text
    key = settings.root_key_file.read_text()
    assert settings.sqlalchemy_url not in text
    assert str(settings.data_dir) not in text
    assert not any(part in text for part in key.split('"') if len(part) > 20)


# ---- clients and tokens ----------------------------------------------------------------------------------------------


def test_a_client_is_made_found_and_revoked(admin: Admin) -> None:
    made = admin("POST", "/clients", json={"name": "  St. Elsewhere "})
    assert made.status_code == 201
    client = made.json
    assert made.headers["Location"] == f"/admin/clients/{client['id']}"  # type: ignore[index]
    assert client["name"] == "St. Elsewhere"  # type: ignore[index]
    assert admin.ok("GET", f"/clients/{client['id']}") == client  # type: ignore[index]
    assert client in admin.ok("GET", "/clients")["clients"]
    assert admin.ok("DELETE", f"/clients/{client['id']}")["revoked"] is not None  # type: ignore[index]
    assert admin.refused("DELETE", f"/clients/{client['id']}") == (404, "not-found", "")  # type: ignore[index]


def test_two_clients_cannot_have_one_name(admin: Admin) -> None:
    admin.ok("POST", "/clients", 201, json={"name": "twin"})
    assert admin.refused("POST", "/clients", json={"name": "twin"}) == (409, "conflict", "")


def test_a_token_is_shown_once_and_works(admin: Admin, app: Flask) -> None:
    client = admin.ok("POST", "/clients", 201, json={"name": "new"})
    made = admin.ok("POST", f"/clients/{client['id']}/tokens", 201, json={"scope": "system/Patient.rs"})
    listed = admin("GET", f"/clients/{client['id']}/tokens")
    assert made["token"] not in listed.text
    assert listed.json == {"tokens": [{name: value for name, value in made.items() if name != "token"}]}
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert app.test_client().get("/fhir/Patient/nobody", headers=headers).status_code == 404
    assert app.test_client().get("/fhir/Observation/nothing", headers=headers).status_code == 403


@pytest.mark.parametrize(("days", "seconds"), [(0.5, 43_200), (30, 2_592_000)])
def test_a_token_lives_as_long_as_asked_for(
    admin: Admin, application: Application, days: float, seconds: int
) -> None:
    client = admin.ok("POST", "/clients", 201, json={"name": "new"})
    path = f"/clients/{client['id']}/tokens"
    made = admin.ok("POST", path, 201, json={"scope": "admin", "expiresInDays": days})
    row = administration.find_token(application.store.database.connection(), made["token"], application.clock())
    assert row is not None
    assert abs(row.expires - application.clock() - seconds * 1_000_000) < 60_000_000


def test_a_revoked_token_is_refused(admin: Admin, app: Flask) -> None:
    client = admin.ok("POST", "/clients", 201, json={"name": "new"})
    made = admin.ok("POST", f"/clients/{client['id']}/tokens", 201, json={"scope": "system/*.rs"})
    revoked = admin.ok("DELETE", f"/clients/{client['id']}/tokens/{made['id']}")
    assert revoked["revoked"] is not None
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert app.test_client().get("/fhir/Patient/nobody", headers=headers).status_code == 401
    assert admin.refused("DELETE", f"/clients/{client['id']}/tokens/{made['id']}")[0] == 404


def test_a_token_of_a_revoked_client_is_refused(admin: Admin, app: Flask) -> None:
    client = admin.ok("POST", "/clients", 201, json={"name": "new"})
    made = admin.ok("POST", f"/clients/{client['id']}/tokens", 201, json={"scope": "system/*.rs"})
    admin.ok("DELETE", f"/clients/{client['id']}")
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert app.test_client().get("/fhir/Patient/nobody", headers=headers).status_code == 401
    assert admin.refused("POST", f"/clients/{client['id']}/tokens", json={"scope": "admin"})[0] == 404


def test_a_token_is_not_revoked_under_the_name_of_another_client(admin: Admin, app: Flask) -> None:
    one = admin.ok("POST", "/clients", 201, json={"name": "one"})
    two = admin.ok("POST", "/clients", 201, json={"name": "two"})
    made = admin.ok("POST", f"/clients/{one['id']}/tokens", 201, json={"scope": "system/*.rs"})
    assert admin.refused("DELETE", f"/clients/{two['id']}/tokens/{made['id']}") == (404, "not-found", "")
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert app.test_client().get("/fhir/Patient/nobody", headers=headers).status_code == 404


# ---- what is refused -------------------------------------------------------------------------------------------------


@ONE_DATABASE
@pytest.mark.parametrize(
    ("path", "body", "refusal"),
    [
        ("/clients", {}, (400, "invalid", "name")),
        ("/clients", [], (400, "invalid", "")),
        ("/clients", {"name": ""}, (400, "invalid", "name")),
        ("/clients", {"name": 3}, (400, "invalid", "name")),
        ("/clients", {"name": "x" * 201}, (400, "invalid", "name")),
        ("/clients", {"name": "a\nb"}, (400, "invalid", "name")),
        ("/clients", {"name": "a", "admin": True}, (400, "invalid", "admin")),
        ("/clients/none/tokens", {"scope": "admin"}, (404, "not-found", "")),
        ("/clients/none/tokens", {"scope": "root"}, (400, "invalid", "scope")),
        ("/clients/none/tokens", {"scope": "system/Paciente.rs"}, (400, "invalid", "scope")),
        ("/clients/none/tokens", {"scope": "admin", "expiresInDays": 0}, (400, "invalid", "expiresInDays")),
        ("/clients/none/tokens", {"scope": "admin", "expiresInDays": True}, (400, "invalid", "expiresInDays")),
        ("/clients/none/tokens", {"scope": "admin", "expiresInDays": 1e9}, (400, "invalid", "expiresInDays")),
    ],
)
def test_wrong_input_is_refused_by_name(admin: Admin, path: str, body: Any, refusal: tuple[int, str, str]) -> None:
    assert admin.refused("POST", path, json=body) == refusal


def test_a_body_must_be_json_and_say_so(admin: Admin) -> None:
    json_type = {"Content-Type": "application/json"}
    assert admin.refused("POST", "/clients", data='{"name": "a"}')[0] == 415
    assert admin.refused("POST", "/clients", data="{", headers=json_type)[:2] == (400, "structure")
    assert admin.refused("POST", "/clients", data='{"name": "a", "name": "b"}', headers=json_type)[1] == "structure"


def test_a_body_that_is_too_large_is_refused(admin: Admin, settings: Settings) -> None:
    data = b" " * (settings.max_body_bytes + 1)
    headers = {"Content-Type": "application/json"}
    assert admin.refused("POST", "/clients", data=data, headers=headers)[:2] == (413, "too-long")


@ONE_DATABASE
@pytest.mark.parametrize("path", ["/status?verbose=1", "/jobs?count=5&count=6", "/clients?_format=xml"])
def test_an_unknown_or_repeated_parameter_is_refused(admin: Admin, path: str) -> None:
    assert admin.refused("GET", path)[:2] == (400, "invalid")


@pytest.mark.parametrize("path", ["/packages/a/%00", "/packages/%00/1", "/clients/%00", "/models/a%00/manifest"])
def test_an_address_with_a_nul_is_refused_and_not_asked_of_the_database(admin: Admin, path: str) -> None:
    method = "DELETE" if "packages" in path else "GET"
    assert admin.refused(method, path) == (400, "invalid", "http.url")


# ---- who may ---------------------------------------------------------------------------------------------------------


@ONE_DATABASE
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.code)
def test_every_route_asks_for_the_scope_admin(app: Flask, application: Application, route: Any) -> None:
    path = PREFIX + route.path.replace("{", "").replace("}", "")
    client = app.test_client()
    without = client.open(path, method=route.method)
    assert (without.status_code, without.json["issue"][0]["code"]) == (401, "login")  # type: ignore[index]
    headers = {"Authorization": f"Bearer {make_token(application, 'system/*.cruds')}"}
    wrong = client.open(path, method=route.method, headers=headers)
    assert (wrong.status_code, wrong.json["issue"][0]["code"]) == (403, "forbidden")  # type: ignore[index]


def test_the_scope_admin_opens_nothing_of_the_record(app: Flask, application: Application) -> None:
    headers = {"Authorization": f"Bearer {make_token(application, 'admin')}"}
    assert app.test_client().get("/fhir/Patient/one", headers=headers).status_code == 403
