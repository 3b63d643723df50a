"""Who catches what is thrown at the wire: a server on each database, of which every answer is looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from hie.app import create_app
from hie.fhir import json_format, xml_format
from hie.fhir.validation import validate
from hie.settings import Settings
from hie.store import administration
from hie.store.check import check
from hie.web.compression import decoded
from tests.property.thrown import RESOURCES

YEARS = 10**6 * 3600 * 24 * 365


def read(answer: Any) -> Any:
    """Read an answer in the format and the coding that it came in."""
    content = decoded(answer.data, answer.headers.get("Content-Encoding", "identity"), 2**30)
    in_xml = answer.headers["Content-Type"].startswith("application/fhir+xml")
    return xml_format.parse(content) if in_xml else json_format.parse(content)


class Target:
    """A server with some resources, asked as a WSGI server hands requests on."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.application = app.extensions["hie"]
        self.token = self.application.store.database.write(self._token)
        for resource in RESOURCES[:1] + RESOURCES[3:4] + RESOURCES[6:7]:
            assert self("PUT", f"/fhir/{resource['resourceType']}/{resource['id']}", body=resource).status_code == 201

    def _token(self, connection: Any) -> str:
        now = self.application.clock()
        client = administration.add_client(connection, 1, "fuzz", now)
        return administration.add_token(connection, 1, client, "system/*.cruds admin", now, now + YEARS)[1]

    def __call__(
        self, method: str, path: str, query: str = "", headers: dict[str, str] | None = None, body: Any = b""
    ) -> Any:
        """Send one request and look at its answer."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/fhir+json", **(headers or {})}
        environ = {"REQUEST_METHOD": method, "PATH_INFO": _wsgi(path), "QUERY_STRING": _wsgi(query)}
        if "Content-Length" in sent:
            environ["CONTENT_LENGTH"] = sent.pop("Content-Length")
        answer = self.app.test_client().open("/", method="POST", data=body, headers=sent, environ_overrides=environ)
        request = (method, path, query, headers, body[:2000])
        assert answer.status_code < 500, (answer.data[:600], request)
        if answer.status_code >= 400 and method != "HEAD":
            outcome = read(answer)
            assert outcome["resourceType"] == "OperationOutcome", (outcome, request)
            assert [issue for issue in validate(outcome) if issue.severity == "error"] == [], (outcome, request)
        elif answer.status_code == 200 and path in ("", "/fhir") and answer.data:
            self._look_into(read(answer), request)
        return answer

    def _look_into(self, answer: Any, request: Any) -> None:
        if not str(answer.get("type")).endswith("-response"):
            return  # a search over all types
        for row in answer.get("entry", []):
            assert not row["response"]["status"].startswith("5"), (row, request)


def _wsgi(text: str) -> str:
    return text.encode("utf-8", "replace").decode("latin-1")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("fuzz"), log_level="ERROR", max_page_size=50)
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        settings = Settings(
            data_dir=settings.data_dir, log_level="ERROR", max_page_size=50, database_url=server.url(server.create())
        )
    app = create_app(settings)
    made = Target(app)
    yield made
    report = check(made.application.store)
    answers = made("GET", "/fhir/metadata").status_code
    made.application.close()
    assert report.problems == []
    assert answers == 200
