"""Every route needs a token unless it stands in a short list, and the list is what the documents say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from hie.app import create_app
from hie.fhir import routes
from hie.settings import Settings

#: Nothing of a record, and what a client must know before it has a token.
OPEN = {
    ("GET", "/fhir/metadata"),
    ("GET", "/fhir/OperationDefinition/-hie-Patient-everything"),
    ("GET", "/health"),
    ("GET", "/openapi.json"),
    ("GET", "/.well-known/smart-configuration"),
    ("GET", "/fhir/.well-known/smart-configuration"),
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    made = create_app(Settings(data_dir=tmp_path / "data"))
    yield made
    made.extensions["hie"].close()


def _addresses(app: Flask) -> set[str]:
    """An address of every rule of the web application, and of every path of the FHIR API."""
    rules = {re.sub(r"<[^>]+>", "x", rule.rule) for rule in app.url_map.iter_rules()}
    return rules | {f"/fhir/{path}".rstrip("/") for path in _fhir_paths()}


def _fhir_paths() -> Iterator[str]:
    for route in routes.ROUTES:
        for operation in ("everything", "validate", "diagnose", "unheard-of"):
            path = route.path.replace("[operation]", operation).replace("[compartment]", "Patient")
            path = path.replace("[definition]", "-hie-Patient-everything").replace("[file]", "Patient.1.ndjson")
            yield path.replace("[type]", "Patient").replace("[id]", "one").replace("[vid]", "1")


def test_every_route_answers_401_without_a_token_unless_it_is_listed(app: Flask) -> None:
    client = app.test_client()
    wrong = []
    for address in sorted(_addresses(app)):
        for method in METHODS:
            answer = client.open(address, method=method)
            if method == "OPTIONS" and answer.status_code == 200 and answer.data == b"":
                continue  # Flask tells the methods, and nothing else
            listed = (method, address) in OPEN or (method == "HEAD" and ("GET", address) in OPEN)
            if listed != (answer.status_code == 200) or answer.status_code not in (200, 401, 404, 405):
                wrong.append((method, address, answer.status_code))
    assert wrong == []


def test_without_a_token_no_address_of_the_fhir_api_tells_what_there_is(app: Flask) -> None:
    client = app.test_client()
    for address in ("/fhir/Patient/one", "/fhir/Paciente/one", "/fhir/a/b/c/d", "/fhir/Patient/A_B", "/fhir/$x"):
        assert client.get(address).status_code == 401, address


def test_an_invented_token_opens_nothing(app: Flask) -> None:
    headers = {"Authorization": "Bearer hie_" + "A" * 43}
    for address in ("/fhir/Patient/one", "/admin/status", "/metrics"):
        assert app.test_client().get(address, headers=headers).status_code == 401
