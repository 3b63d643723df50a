"""The FHIR API as a client meets it: Flask's test client, a token, and answers that are checked in one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from flask import Flask

from hie.app import Application, create_app
from hie.fhir import xml_format
from hie.fhir.profiles import read
from hie.jobs.worker import Worker
from hie.settings import Settings
from hie.store import administration, packages
from hie.store.check import check
from hie.store.packages import REMEMBERED_MICROSECONDS
from ml.cnn import samples
from tests import terminologies
from tests.conformance import defined
from tests.conformance.administration import Admin, make_token

TOKEN_HOURS = 10
FHIR_JSON = "application/fhir+json; charset=utf-8"
FHIR_XML = "application/fhir+xml; charset=utf-8"


@dataclass
class Answer:
    """One answer: status, headers, body."""

    status: int
    headers: Any
    content: bytes

    @property
    def json(self) -> Any:
        if self.headers.get("Content-Type") in (FHIR_XML, "application/xml; charset=utf-8"):
            return xml_format.parse(self.content)
        return json.loads(self.content)

    @property
    def id(self) -> str:
        return str(self.json["id"])

    @property
    def vid(self) -> str:
        return str(self.headers["ETag"]).removeprefix('W/"').removesuffix('"')

    def entries(self) -> list[Any]:
        return list(self.json.get("entry", []))

    def resources(self) -> list[Any]:
        return [row["resource"] for row in self.entries()]

    def link(self, relation: str) -> str | None:
        return next((row["url"] for row in self.json.get("link", []) if row["relation"] == relation), None)

    def refused(
        self, status: int, code: str, expression: str | None = None, text: str = "", content_type: str = FHIR_JSON
    ) -> None:
        """Assert a refusal: its status, and among its issues one with the code, expression and words."""
        assert self.status == status, self.content
        assert self.headers["Content-Type"] == content_type
        body = self.json
        assert body["resourceType"] == "OperationOutcome"
        found = [(one["code"], one.get("expression", [None])[0], one["diagnostics"]) for one in body["issue"]]
        assert any(c == code and (expression is None or e == expression) and text in d for c, e, d in found), found


@dataclass
class Fhir:
    """A client of the FHIR API with one token."""

    app: Flask
    token: str | None

    def __call__(self, method: str, url: str, body: Any = None, **headers: Any) -> Answer:
        """Send a request; keyword arguments are headers, with _ for -."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if isinstance(body, dict | list):
            body = json.dumps(body)
        if body is not None:
            sent.setdefault("Content-Type", "application/fhir+json")
        if sent.get("Content-Type") is None:
            sent.pop("Content-Type", None)
        path = url.removeprefix("http://localhost")
        if not path.startswith("/"):
            path = f"/fhir/{path}" if path else "/fhir"
        environ = {"CONTENT_LENGTH": sent.pop("Content-Length")} if "Content-Length" in sent else {}
        response = self.app.test_client().open(
            path, method=method, data=body, headers=sent, environ_overrides=environ
        )
        answer = Answer(response.status_code, response.headers, response.data)
        if answer.status >= 400 and method != "HEAD":
            assert answer.json["resourceType"] == "OperationOutcome", "every refusal is an OperationOutcome"
        defined.check(self.app.extensions["hie"].registry, path, answer.status, answer.headers, answer.content)
        return answer

    def get(self, url: str, **headers: Any) -> Answer:
        return self("GET", url, **headers)

    def post(self, url: str, body: Any = None, **headers: Any) -> Answer:
        return self("POST", url, body, **headers)

    def put(self, url: str, body: Any = None, **headers: Any) -> Answer:
        return self("PUT", url, body, **headers)

    def delete(self, url: str, **headers: Any) -> Answer:
        return self("DELETE", url, **headers)

    def create(self, resource: Any) -> Any:
        """Create a resource and return it as it was stored."""
        answer = self.post(resource["resourceType"], resource)
        assert answer.status == 201, answer.content
        return answer.json

    def total(self, search: str) -> int:
        """Return how many resources match."""
        joined = "&" if "?" in search else "?"
        return int(self.get(f"{search}{joined}_summary=count").json["total"])


@pytest.fixture
def app(settings: Settings, clock: Any) -> Iterator[Flask]:
    made = create_app(settings, clock=clock)
    yield made
    made.extensions["hie"].close()


@pytest.fixture
def application(app: Flask) -> Application:
    found: Application = app.extensions["hie"]
    return found


@pytest.fixture
def worker(application: Application) -> Worker:
    """A worker that does one job at each step it is told to take."""
    return Worker(application, "test")


@pytest.fixture
def do_due(worker: Worker) -> Callable[[], None]:
    """Do every job that is due."""

    def done() -> None:
        while worker.step():
            pass

    return done


@pytest.fixture
def client(app: Flask) -> Callable[..., Fhir]:
    """Make a client whose token has the given scopes."""
    application = app.extensions["hie"]

    def made(*scopes: str, name: str = "") -> Fhir:
        def unit(connection: Any) -> str:
            now, scope = application.clock(), " ".join(scopes)
            client_id = administration.add_client(connection, 1, name or f"client {scope}", now)
            expires = now + TOKEN_HOURS * 3_600_000_000
            return administration.add_token(connection, 1, client_id, scope, now, expires)[1]

        return Fhir(app, application.store.database.write(unit))

    return made


@pytest.fixture
def fhir(client: Callable[..., Fhir]) -> Fhir:
    """A client that may do everything with every type."""
    return client("system/*.cruds")


@pytest.fixture
def patient(fhir: Fhir) -> str:
    """The Patient of images, whom DICOM files call P-1: its id."""
    known = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "P-1"}],
             "birthDate": "2019-02-03", "gender": "female"}  # fmt: skip
    return str(fhir.create(known)["id"])


@pytest.fixture(scope="module")
def radiograph() -> np.ndarray:
    """A synthetic chest radiograph of the class pneumonia that the model accepts."""
    return next(pixels for label, pixels in samples.sample_radiographs(seed=1, per_class=1) if label == "pneumonia")


@pytest.fixture
def nobody(app: Flask) -> Fhir:
    """A client without a token."""
    return Fhir(app, None)


@pytest.fixture
def admin(app: Flask, application: Application) -> Admin:
    """A client of the administration API."""
    return Admin(app.test_client(), application, make_token(application, "admin", "operator"))


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    """The OpenAPI document as a client gets it."""
    answer = app.test_client().get("/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json
    return found


@pytest.fixture
def work(app: Flask, clock: Any) -> Callable[[], None]:
    """Let all jobs that are due, some time later, be done."""

    def done() -> None:
        clock.forward(30)
        while Worker(app.extensions["hie"], "test").step():
            pass

    return done


@pytest.fixture
def treat(app: Flask, clock: Any) -> Callable[[str], None]:
    """Judge writes by the profiles that they declare from now on: off, warn or reject."""

    def treat(mode: str) -> None:
        store = app.extensions["hie"].store
        store.database.write(lambda connection: packages.set_mode(connection, 1, mode))
        clock.forward(REMEMBERED_MICROSECONDS / 1e6 + 1)

    return treat


@pytest.fixture
def install(app: Flask, clock: Any) -> Callable[[bytes], None]:
    """Install a package, and let the process see it."""

    def install(content: bytes) -> None:
        store = app.extensions["hie"].store
        store.database.write(lambda connection: packages.add(connection, read(content), clock()))
        clock.forward(REMEMBERED_MICROSECONDS / 1e6 + 1)

    return install


@pytest.fixture
def clean(app: Flask) -> Callable[[], bool]:
    """Tell whether the index is what the resources say."""
    return lambda: check(app.extensions["hie"].store).problems == []


@pytest.fixture
def shades(fhir: Fhir) -> Fhir:
    """A code system of colours, a value set of its shades and a map of them are stored, each with the id `mine`."""
    for resource in (terminologies.SYSTEM, terminologies.SET, terminologies.MAP):
        assert fhir.put(f"{resource['resourceType']}/mine", resource | {"id": "mine"}).status == 201
    return fhir
