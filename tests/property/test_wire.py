"""Whatever arrives is answered: never by a 5xx, every refusal by an OperationOutcome, and the server goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hie.app import create_app
from hie.fhir import xml_format
from hie.settings import Settings
from hie.store import administration
from tests.builders import bundle, encounter, observation, parameters, patient, post, put

#: A long run is asked for by hand: WIRE_EXAMPLES=20000 pytest tests/property/test_wire.py
EXAMPLES = int(os.environ.get("WIRE_EXAMPLES", "150"))
RESOURCES = [
    patient(), patient(identifier="1"), observation("Patient/a"), encounter("Patient/a"),
    parameters(resource=patient()),
    bundle(post(patient(), "urn:uuid:11111111-1111-1111-1111-111111111111"), put(patient(id="a"))),
    bundle(post(observation("urn:uuid:11111111-1111-1111-1111-111111111111")), type_="batch"),
    {"resourceType": "Binary", "contentType": "text/plain", "data": "eA=="},
]  # fmt: skip
WORDS = st.sampled_from([
    "Patient", "Observation", "Bundle", "Binary", "a", "1", "_history", "_search", "metadata", "$everything",
    "$validate", "$diagnose", "..", "", "%2e", "*", "A_B", "Patients", "2", "0", "\x00", "é", "a" * 65,
    "_cursor", ".well-known",
])  # fmt: skip
NAMES = st.sampled_from([
    "_id", "name", "family", "birthdate", "_lastUpdated", "identifier", "subject", "value-quantity", "code", "_count",
    "_sort", "_include", "_revinclude", "_total", "_summary", "_elements", "_format", "_pretty", "_cursor", "_since",
    "_at", "mode", "profile", "_type", "family:exact", "subject:Patient", "subject:identifier", "code:not", "x",
    "name:missing", "_has:Observation:subject:code", "subject.name", "combo-code-value-quantity", "_tag", "_profile",
])  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(["", "a", "1", "-1", "2020", "ge2020-01-01", "x|y", "|", "a,b", "a\\,b", "$", "true", "Patient/a",
                     "Observation:subject", "json", "xml", "count", "9" * 30, "1e400", "nan", "0.0",
                     "\x00", "é", "\ud83d"]),
    st.text(max_size=12),
)  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(["Accept", "Content-Type", "Prefer", "If-Match", "If-None-Match", "If-Modified-Since",
                     "If-None-Exist", "X-Request-Id", "X-Security-Context", "Host", "Content-Length"]),
    st.one_of(
        st.sampled_from(["application/fhir+json", "application/fhir+xml", "application/json; charset=latin-1", "*/*",
                         "image/png",
                         'W/"1"', "*",
                         "return=minimal", "handling=lenient", "identifier=1", "Sun, 13 Sep 2020 12:26:40 GMT", "5",
                         "application/x-www-form-urlencoded", "application/dicom"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    ),
    max_size=4,
)  # fmt: skip
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A resource in which some places were replaced, dropped or doubled."""
    value = json.loads(json.dumps(draw(st.sampled_from(RESOURCES))))
    for _ in range(draw(st.integers(0, 2))):
        path = draw(st.sampled_from([place for place in places(value) if place]))
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        kind = draw(st.sampled_from(["replace", "drop", "wrap"]))
        if kind == "drop":
            del holder[path[-1]]
        else:
            holder[path[-1]] = draw(JSON) if kind == "replace" else [holder[path[-1]]]
        if not any(True for place in places(value) if place):
            break
    return json.dumps(value).encode()


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    app = create_app(Settings(data_dir=tmp_path_factory.mktemp("wire"), log_level="WARNING"))
    application = app.extensions["hie"]

    def unit(connection: Any) -> str:
        now = application.clock()
        client = administration.add_client(connection, 1, "fuzz", now)
        return administration.add_token(connection, 1, client, "system/*.cruds", now, now + 10**12)[1]

    yield app, application.store.database.write(unit)
    application.close()


def answer(exchange: tuple[Any, str], method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Any:
    """Send one request past every client's own carefulness, as a WSGI server hands it on."""
    app, token = exchange
    environ = {
        "REQUEST_METHOD": method, "QUERY_STRING": query.encode("utf-8", "replace").decode("latin-1"),
        "PATH_INFO": path.encode("utf-8", "replace").decode("latin-1"),
    }  # fmt: skip
    sent = {"Authorization": f"Bearer {token}", **headers}
    if "Content-Length" in sent:
        environ["CONTENT_LENGTH"] = sent.pop("Content-Length")
    response = app.test_client().open("/fhir", method="POST", data=body, headers=sent, environ_overrides=environ)
    assert response.status_code < 500, (response.data, method, path, query, headers, body)
    if response.status_code >= 400 and method != "HEAD":
        in_xml = response.headers["Content-Type"].startswith("application/fhir+xml")
        found = xml_format.parse(response.data) if in_xml else response.get_json(force=True)
        assert found["resourceType"] == "OperationOutcome"
    return response


anything = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@anything
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "FOO"]),
    parts=st.lists(WORDS, max_size=4), parameters=st.lists(st.tuples(NAMES, VALUES), max_size=3), headers=HEADERS,
    body=st.one_of(st.just(b""), st.binary(max_size=40), mutated()),
)  # fmt: skip
def test_no_request_breaks_the_server(exchange, method, parts, parameters, headers, body):
    query = "&".join(f"{name}={value}" for name, value in parameters)
    answer(exchange, method, "/".join(["/fhir", *parts]), query, headers, body)


@anything
@given(parameters=st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=3),
       type_name=st.sampled_from(["Patient", "Observation", "Encounter", "Location", "ValueSet"]))
def test_no_search_breaks_the_server(exchange, parameters, type_name):
    query = "&".join(f"{name}={value}" for name, value in parameters)
    answer(exchange, "GET", f"/fhir/{type_name}", query, {}, b"")


@anything
@given(body=mutated(), path=st.sampled_from(["", "/Patient", "/Observation", "/Patient/a", "/Patient/$validate",
                                             "/Bundle", "/Binary"]))
def test_no_resource_breaks_the_server(exchange, body, path):
    method = "PUT" if path == "/Patient/a" else "POST"
    answer(exchange, method, f"/fhir{path}", "", {"Content-Type": "application/fhir+json"}, body)
