"""The administration API through HTTP: every answer is held against its schema in the OpenAPI document."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hie.app import Application, create_app
from hie.fhir import validation
from hie.fhir.profiles import read
from hie.settings import Settings
from hie.store import administration, packages
from hie.store.tenants import DEFAULT_TENANT
from hie.web import openapi
from hie.web.admin.blueprint import PREFIX
from hie.web.admin.routes import ROUTES
from ml.recommender import History, Item
from ml.recommender.train import train
from tests.one_database import ONE_DATABASE
from tests.packages import BASE, element, manifest, profile, tarball

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


@pytest.fixture
def admin(app: Flask, application: Application) -> Admin:
    return Admin(app.test_client(), application, make_token(application, "admin", "operator"))


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


# ---- packages --------------------------------------------------------------------------------------------------------


def test_packages_are_told_and_removed_and_declared_profiles_are_switched(
    admin: Admin, application: Application, clock: Any
) -> None:
    profile_ = profile("named", "Patient", element("Patient.name", min=1))
    application.store.database.write(lambda c: packages.add(c, read(tarball(profile_)), 7))
    found = admin.ok("GET", "/packages")
    assert found["validation"] == "off"
    assert [(one["name"], one["version"], one["profiles"]) for one in found["packages"]] == [
        ("example.profiles", "1.0.0", {"Patient": [BASE + "named"]})
    ]
    assert admin.ok("POST", "/packages/validation", json={"validation": "reject"})["validation"] == "reject"
    clock.forward(3)
    assert application.profiles.mode(DEFAULT_TENANT) == "reject"
    assert application.profiles.mode(DEFAULT_TENANT + 1) == "off"
    refused = admin.refused("POST", "/packages/validation", json={"validation": "perhaps"})
    assert refused == (400, "invalid", "validation")
    assert admin.ok("DELETE", "/packages/example.profiles/1.0.0")["packages"] == []
    assert admin.refused("DELETE", "/packages/example.profiles/1.0.0") == (404, "not-found", "")


def test_a_package_is_installed_from_its_file(admin: Admin, application: Application, client: Any, clock: Any) -> None:
    content = tarball(profile("named", "Patient", element("Patient.name", min=1)))
    sent = {"data": content, "headers": {"Content-Type": "application/gzip"}}
    for _ in range(2):  # the same file again changes nothing
        found = admin.ok("POST", "/packages", **sent)["packages"]
        told = [(one["name"], one["profiles"]) for one in found]
        assert told == [("example.profiles", {"Patient": [BASE + "named"]})]
    assert application.profiles.library().find(BASE + "named") is not None
    other = tarball(profile("other", "Patient", element("Patient.name")))
    assert admin.refused("POST", "/packages", **{**sent, "data": other}) == (409, "conflict", "")
    wrong = tarball(profile("wrong", "Patient", element("Patient.colour")))
    for refused, status, code in ((b"x", 422, "processing"), (b"", 422, "processing"), (wrong, 422, "processing"),
                                  (content[:200], 422, "processing"), (bytes(32_000_001), 413, "too-long")):
        assert admin.refused("POST", "/packages", **{**sent, "data": refused})[:2] == (status, code)
    json = {"data": content, "headers": {"Content-Type": "application/json"}}
    assert admin.refused("POST", "/packages", **json) == (415, "not-supported", "http.Content-Type")
    assert client("system/*.cruds").post("/admin/packages", content, Content_Type="application/gzip").status == 403
    alone = {key: one for key, one in profile("alone", "Patient").items() if key != "snapshot"} | {
        "baseDefinition": BASE + "nobody", "differential": {"element": [{"path": "Patient"}]}}
    above = tarball(alone, package=manifest("example.above"))
    (told,) = admin.ok("POST", "/packages", **{**sent, "data": above})["unusable"]
    assert f"The base definition {BASE}nobody is not known here" in told
    admin.ok("DELETE", "/packages/example.above/1.0.0")
    alone = {key: one for key, one in profile("alone", "Patient").items() if key != "snapshot"} | {
        "baseDefinition": BASE + "nobody", "differential": {"element": [{"path": "Patient"}]}}
    above = tarball(alone, package=manifest("example.above"))
    (told,) = admin.ok("POST", "/packages", **{**sent, "data": above})["unusable"]
    assert f"The base definition {BASE}nobody is not known here" in told
    admin.ok("DELETE", "/packages/example.above/1.0.0")
    assert admin.ok("DELETE", "/packages/example.profiles/1.0.0")["packages"] == []


@pytest.mark.parametrize("path", ["/packages/a/%00", "/packages/%00/1", "/clients/%00", "/models/a%00/manifest"])
def test_an_address_with_a_nul_is_refused_and_not_asked_of_the_database(admin: Admin, path: str) -> None:
    method = "DELETE" if "packages" in path else "GET"
    assert admin.refused(method, path) == (400, "invalid", "http.url")


# ---- models ----------------------------------------------------------------------------------------------------------


def _two_versions(application: Application) -> None:
    for version in ("1", "2"):
        application.store.database.write(
            lambda connection, version=version: administration.add_model(connection, "example", version, 7)
        )


def test_another_version_of_a_model_can_be_made_the_active_one(admin: Admin, application: Application) -> None:
    _two_versions(application)
    activated = admin.ok("POST", "/models/example/activate", json={"version": "2"})
    assert activated["active"] is True
    active = {row["version"]: row["active"] for row in admin.ok("GET", "/models")["models"] if row["name"] == "example"}
    assert active == {"1": False, "2": True}
    assert {"name": "example", "version": "2"} in admin.ok("GET", "/status")["models"]


def test_a_version_that_is_not_known_cannot_be_activated(admin: Admin, application: Application) -> None:
    _two_versions(application)
    assert admin.refused("POST", "/models/example/activate", json={"version": "3"}) == (404, "not-found", "")
    assert [row["version"] for row in _rows(admin, "example") if row["active"]] == ["1"]


def _rows(admin: Admin, name: str) -> list[dict[str, Any]]:
    return [row for row in admin.ok("GET", "/models")["models"] if row["name"] == name]


def own_version(settings: Settings) -> str:
    """Train a small recommender into the data directory and return its version."""
    items = [Item("condition", "urn:codes", str(number)) for number in range(6)]
    people = [History(str(n), "female", "1970", tuple(items[n % 3 : n % 3 + 3])) for n in range(12)]
    made = train(people, min_patients=2)
    made.save(settings.data_dir / "models" / "recommender" / "mine")
    return made.version


@pytest.fixture
def with_own(settings: Settings, clock: Any) -> Iterator[tuple[str, Application, Admin]]:
    """The version of a site's own model, and an application that has found it."""
    version = own_version(settings)
    app = create_app(settings, clock=clock)
    application = app.extensions["hie"]
    yield version, application, Admin(app.test_client(), application, make_token(application, "admin", "operator"))
    application.close()


def test_a_version_of_ones_own_is_known_and_judges_once_it_is_active(
    with_own: tuple[str, Application, Admin], clock: Any
) -> None:
    version, application, admin = with_own
    shipped = application.models["recommender"].version
    assert {row["version"]: row["active"] for row in _rows(admin, "recommender")} == {shipped: True, version: False}
    admin.ok("POST", "/models/recommender/activate", json={"version": version})
    clock.forward(3)
    assert application.models["recommender"].version == version
    assert admin.ok("GET", "/models/recommender/manifest")["version"] == version
    admin.ok("POST", "/models/recommender/activate", json={"version": shipped})
    clock.forward(3)
    assert application.models["recommender"].version == shipped


@pytest.mark.parametrize("damage", ["weights", "directory"])
def test_an_active_version_that_cannot_be_loaded_is_replaced_by_no_other(
    with_own: tuple[str, Application, Admin], settings: Settings, clock: Any, damage: str
) -> None:
    version, _, admin = with_own
    directory = settings.data_dir / "models" / "recommender" / "mine"
    if damage == "weights":
        (directory / "weights.npz").write_bytes(b"damaged")
    else:
        shutil.rmtree(directory)
    admin.ok("POST", "/models/recommender/activate", json={"version": version})
    clock.forward(3)
    assert admin.refused("GET", "/models/recommender/manifest")[:2] == (503, "transient")


def test_the_shipped_version_takes_the_place_of_an_active_one_that_is_gone(settings: Settings, clock: Any) -> None:
    first = create_app(settings, clock=clock).extensions["hie"]
    first.store.database.write(lambda c: administration.add_model(c, "recommender", "gone", 1))
    first.store.database.write(lambda c: administration.activate_model(c, "recommender", "gone", 2))
    first.close()
    second = create_app(settings, clock=clock).extensions["hie"]
    active = {row["name"]: row["version"] for row in _models(second) if row["active"]}
    assert active["recommender"] != "gone"
    assert second.models["recommender"].version == active["recommender"]
    second.close()


def _models(application: Application) -> list[dict[str, Any]]:
    return administration.models(application.store.database.connection())


def test_the_manifest_says_what_the_model_is(admin: Admin) -> None:
    manifest = admin.ok("GET", "/models/chest-xray/manifest")
    assert manifest["name"] == "chest-xray"
    assert "sha256" in manifest["data"]
    assert admin.refused("GET", "/models/nothing/manifest") == (404, "not-found", "")


# ---- jobs ------------------------------------------------------------------------------------------------------------


def enqueue(application: Application, number: int) -> list[int]:
    for _ in range(number):
        ctx = application.context()
        ctx.store.transact(lambda store: store.enqueue("kind", {"patient": "Patient/secret"}))
    return sorted(job["id"] for job in application.store.jobs.list(count=number))


def test_jobs_are_paged_newest_first_without_their_payload(admin: Admin, application: Application) -> None:
    numbers = enqueue(application, 5)
    first = admin("GET", "/jobs?count=2&state=ready")
    assert "secret" not in first.text
    seen = [job["id"] for job in first.json["jobs"]]  # type: ignore[index]
    following = first.json["next"]  # type: ignore[index]
    while following:
        page = admin.ok("GET", following.removeprefix(PREFIX))
        seen += [job["id"] for job in page["jobs"]]
        following = page["next"]
    assert seen == sorted(numbers, reverse=True)


def test_jobs_are_filtered_by_state(admin: Admin, application: Application) -> None:
    one, two = enqueue(application, 2)
    admin.ok("POST", f"/jobs/{one}/cancel")
    assert [job["id"] for job in admin.ok("GET", "/jobs?state=cancelled")["jobs"]] == [one]
    assert [job["id"] for job in admin.ok("GET", "/jobs?state=ready")["jobs"]] == [two]


def test_a_failed_job_shows_its_error_and_can_be_retried(admin: Admin, application: Application) -> None:
    (number,) = enqueue(application, 1)
    claimed = application.store.jobs.claim("worker", application.clock())
    assert claimed is not None
    application.store.jobs.fail(claimed, "it broke", application.clock(), final=True)
    job = admin.ok("GET", f"/jobs/{number}")
    assert (job["state"], job["error"]) == ("failed", "it broke")
    assert admin.refused("POST", f"/jobs/{number}/cancel") == (409, "conflict", "")
    assert admin.ok("POST", f"/jobs/{number}/retry")["state"] == "ready"
    assert admin.refused("POST", f"/jobs/{number}/retry") == (409, "conflict", "")


@pytest.mark.parametrize(
    ("method", "path", "refusal"),
    [
        ("GET", "/jobs?state=lost", (400, "invalid", "state")),
        ("GET", "/jobs?count=0", (400, "invalid", "count")),
        ("GET", "/jobs?count=1001", (400, "invalid", "count")),
        ("GET", "/jobs?before=x", (400, "invalid", "before")),
        ("GET", "/jobs/x", (400, "invalid", "job")),
        ("GET", "/jobs/99999999999999999999", (400, "invalid", "job")),
        ("GET", "/jobs/999999", (404, "not-found", "")),
        ("POST", "/jobs/999999/retry", (404, "not-found", "")),
        ("POST", "/jobs/999999/cancel", (404, "not-found", "")),
    ],
)
def test_jobs_that_are_not_there_or_not_numbers_are_refused(
    admin: Admin, method: str, path: str, refusal: tuple[int, str, str]
) -> None:
    assert admin.refused(method, path) == refusal


# ---- audit -----------------------------------------------------------------------------------------------------------


def events(admin: Admin, query: str = "") -> list[dict[str, Any]]:
    bundle = admin.ok("GET", f"/audit{query}")
    return [entry["resource"] for entry in bundle.get("entry", [])]


def interactions(found: list[dict[str, Any]]) -> list[str]:
    return [event["subtype"][0]["code"] for event in found]


def test_requests_to_the_administration_are_audited_refused_ones_too(
    admin: Admin, app: Flask, application: Application
) -> None:
    admin.ok("GET", "/status")
    app.test_client().get("/admin/clients")
    headers = {"Authorization": f"Bearer {make_token(application, 'system/*.rs')}"}
    app.test_client().get("/admin/clients", headers=headers)
    admin.ok("POST", "/clients", 201, json={"name": "new"})
    found = events(admin)
    assert interactions(found)[:4] == ["client-create", "admin-clients", "admin-clients", "admin-status"]
    assert [event["outcomeDesc"] for event in found[:4]] == ["HTTP 201", "HTTP 403", "HTTP 401", "HTTP 200"]
    assert found[2]["agent"][0]["who"] == {"display": "not authenticated"}


def test_the_audit_trail_is_found_by_patient_entity_client_status_and_interaction(
    admin: Admin, app: Flask, application: Application
) -> None:
    headers = {"Authorization": f"Bearer {make_token(application, 'system/*.cruds', 'reader')}"}
    client = app.test_client()
    for path in ("/fhir/Patient/one", "/fhir/Patient/two", "/fhir/Observation/one"):
        assert client.get(path, headers=headers).status_code == 404
    reader = administration.client_named(application.store.database.connection(), DEFAULT_TENANT, "reader")
    assert len(events(admin, f"?client={reader}")) == 3
    assert len(events(admin, "?patient=Patient/one")) == 1
    assert len(events(admin, "?patient=two")) == 1
    assert len(events(admin, "?entity=Observation/one")) == 1
    assert len(events(admin, f"?status=404&interaction=read&client={reader}")) == 3
    assert events(admin, f"?status=200&client={reader}") == []
    (event,) = events(admin, "?patient=Patient/one")
    assert {"what": {"reference": "Patient/one"}} in event["entity"]


def test_the_audit_trail_is_cut_by_time(admin: Admin) -> None:
    admin.ok("GET", "/status")
    assert events(admin, "?until=2001-01-01") == []
    assert events(admin, "?since=2999-01-01") == []
    assert interactions(events(admin, "?since=2001-01-01&until=2999&interaction=admin-status")) == ["admin-status"]
    assert interactions(events(admin, "?since=2001-01-01T00:00:00+01:00&interaction=admin-status")) == ["admin-status"]


def test_pages_of_the_audit_trail_hold_every_record_once(admin: Admin) -> None:
    for _ in range(5):
        admin.ok("GET", "/status")
    query: str | None = "?interaction=admin-status&count=2"
    seen: list[str] = []
    while query is not None:
        bundle = admin.ok("GET", f"/audit{query}")
        seen += [entry["resource"]["id"] for entry in bundle["entry"]]
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        query = following[0].removeprefix(f"{PREFIX}/audit") if following else None
    assert len(seen) == len(set(seen)) == 5


def test_audit_events_are_valid_resources(admin: Admin, app: Flask, application: Application) -> None:
    headers = {"Authorization": f"Bearer {make_token(application, 'system/*.cruds')}"}
    app.test_client().get("/fhir/Patient/one?_format=json", headers=headers)
    app.test_client().get("/fhir/Patient?name=x", headers=headers)
    found = events(admin)
    assert len(found) >= 2
    for event in found:
        issues = validation.validate(event)
        assert [issue for issue in issues if issue.severity in ("error", "fatal")] == []


@ONE_DATABASE
@pytest.mark.parametrize(
    ("query", "expression"),
    [
        ("since=yesterday", "since"),
        ("until=2020-13-01", "until"),
        ("status=ok", "status"),
        ("entity=Patient", "entity"),
        ("entity=Paciente/1", "entity"),
        ("patient=Observation/1", "patient"),
        ("cursor=abc", "cursor"),
        ("count=-1", "count"),
    ],
)
def test_a_filter_of_the_audit_trail_that_cannot_be_read_is_refused(
    admin: Admin, query: str, expression: str
) -> None:
    status, code, found = admin.refused("GET", f"/audit?{query}")
    assert (status, code) == (400, "invalid")
    assert found == expression or (query, found) == ("entity=Patient", "Patient.id")
