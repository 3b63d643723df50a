"""Attacks on the wire, on both databases: no 5xx, valid OperationOutcomes, and a store that stays whole.

test_wire.py tries requests at large; here they are drawn from the definitions: every kind of route, every search
parameter with its modifiers and prefixes, whole Bundles, operations, /admin and pictures.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import zipfile
from collections.abc import Iterator
from typing import Any

import brotli
import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from hie.app import create_app
from hie.fhir import facts, json_format, search_parameters, xml_format
from hie.fhir.validation import validate
from hie.jobs.worker import Worker
from hie.settings import Settings
from hie.store import administration
from hie.store.check import check
from hie.web.compression import decoded
from tests import pictures
from tests.builders import SYSTEM, bundle, encounter, entry, observation, parameters, patient, post, practitioner, put

#: A long run is asked for by hand: WIRE_EXAMPLES=5000 pytest tests/property/test_wire_fuzz.py
EXAMPLES = int(os.environ.get("WIRE_EXAMPLES", "100"))
URN = "urn:uuid:11111111-1111-1111-1111-11111111111"
YEARS = 10**6 * 3600 * 24 * 365
anything = examples(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="WIRE_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)

# ---- what is thrown ---------------------------------------------------------------------------------------------------  # noqa: E501

TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "a",
            "1",
            "-1",
            "0",
            "9" * 30,
            "1e400",
            "1e-400",
            "2020",
            "0000",
            "9999-12-31T23:59:59-14:00",
            "0001-01-01T00:00:00+14:00",
            "2020-02-30",
            "2016-12-31T23:59:60Z",
            "Patient/a",
            "Patient/a/_history/1",
            "Patient?identifier=1",
            "Patient?",
            "#a",
            "#",
            URN + "1",
            URN + "9",
            "urn:oid:1.2",
            "http://localhost/fhir/Patient/a",
            "http://other/fhir/Patient/b",
            "../Patient/a",
            "//",
            "é",
            "\u202egnp",
            "\x00",
            "\x07",
            "\ud83d",
            "\U0001f600",
            "\uffff",
            "a" * 65,
            "%",
            "%00",
            "|",
            "||",
            "$",
            ",",
            "\\",
            "final",
            "male",
            "true",
            "image/png",
            "AA==",
            "!!!",
            'W/"1"',
        ]
    ),
    st.text(max_size=12),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
TYPES = sorted(facts.RESOURCE_TYPES)
RESOURCES: list[Any] = [
    patient(
        id="a",
        identifier="1",
        contact=[{"name": {"family": "x"}}],
        managingOrganization={"reference": "#o"},
        contained=[{"resourceType": "Organization", "id": "o", "name": "x"}],
    ),
    observation(
        "Patient/a", id="o", component=[{"code": {"text": "c"}, "valueString": "x"}], derivedFrom=[{"reference": "#x"}]
    ),
    encounter("Patient/a", id="e", period={"start": "2020-01-01", "end": "2020-01-02"}),
    practitioner(id="p"),
    parameters(resource=patient(), mode=("Code", "create")),
    {"resourceType": "Binary", "id": "b", "contentType": "image/png", "data": "AAAA"},
    {
        "resourceType": "Media",
        "id": "m",
        "status": "completed",
        "subject": {"reference": "Patient/a"},
        "content": {"contentType": "image/png", "data": base64.b64encode(pictures.encoded(pictures.ramp())).decode()},
    },
    {
        "resourceType": "Basic",
        "id": "x",
        "code": {"text": "x"},
        "extension": [{"url": "http://x", "valueQuantity": {"value": 1.50}}],
    },
    {"resourceType": "ValueSet", "id": "v", "status": "draft", "compose": {"include": [{"system": "http://x"}]}},
    bundle(post(patient(), URN + "1"), post(observation(URN + "1"), URN + "2"), type_="collection"),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside a JSON value but the whole."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from places(inner, (*path, key))


def mutated(draw: st.DrawFn, original: Any, most: int = 3) -> Any:
    """A copy with some places replaced, dropped, wrapped, doubled or swapped."""
    value = json.loads(json.dumps(original))
    for _ in range(draw(st.integers(0, most))):
        found = list(places(value))
        if not found:
            break
        path = draw(st.sampled_from(found))
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        last = path[-1]
        match draw(st.sampled_from(["replace", "text", "drop", "wrap", "double", "add", "other"])):
            case "replace":
                holder[last] = draw(JSON)
            case "text":
                holder[last] = draw(TEXTS)
            case "drop":
                del holder[last]
            case "wrap":
                holder[last] = [holder[last]]
            case "double" if isinstance(holder, list):
                holder.insert(0, holder[last])
            case "add" if isinstance(holder, dict):
                holder[
                    draw(
                        st.sampled_from(
                            ["id", "extension", "meta", "contained", "_id", "reference", "x", "resourceType"]
                        )
                    )
                ] = draw(JSON)
            case _:
                other = draw(st.sampled_from(found))
                holder[last] = json.loads(json.dumps(_at(value, other)))
    return value


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


@st.composite
def searches(draw: st.DrawFn, type_name: str) -> str:
    """A query of the parameters that the type has, with modifiers, prefixes and values that need not fit."""
    known = sorted(search_parameters.for_type(type_name))
    results = [
        "_count",
        "_sort",
        "_include",
        "_revinclude",
        "_include:iterate",
        "_total",
        "_summary",
        "_elements",
        "_format",
        "_pretty",
        "_cursor",
        "_contained",
        "_since",
        "_at",
        "_type",
        "_has:Observation:patient:code",
        "subject.name",
        "nonsense",
        "",
    ]
    modifiers = [
        "exact",
        "contains",
        "missing",
        "not",
        "identifier",
        "text",
        "in",
        "below",
        "above",
        "of-type",
        "Patient",
        "Nonsense",
        "",
    ]
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(known)) if draw(st.booleans()) else draw(st.sampled_from([*known, *results]))
        if draw(st.integers(0, 3)) == 0:
            name += ":" + draw(st.sampled_from(modifiers))
        values = []
        for _ in range(draw(st.integers(1, 3))):
            prefix = draw(
                st.sampled_from(["", "", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap", "xx", "-"])
            )
            middle = draw(
                st.one_of(
                    TEXTS,
                    st.sampled_from(
                        [
                            "2020-01-01",
                            "80",
                            "80|http://unitsofmeasure.org|/min",
                            "http://loinc.org|8867-4",
                            f"{SYSTEM}|1",
                            "8867-4$gt5",
                            "a$b$c",
                            "Observation:subject",
                            "Patient:organization:Organization",
                            "*",
                            "name",
                            "count",
                            "none",
                            "accurate",
                        ]
                    ),
                )
            )
            values.append(prefix + middle)
        parts.append(f"{name}={','.join(values)}")
    return "&".join(parts)


HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Accept",
            "Content-Type",
            "Prefer",
            "If-Match",
            "If-None-Match",
            "If-Modified-Since",
            "If-None-Exist",
            "X-Request-Id",
            "X-Security-Context",
            "Content-Length",
            "Authorization",
            "Host",
            "Accept-Encoding",
            "Content-Encoding",
            "Range",
            "Origin",
            "Access-Control-Request-Method",
        ]
    ),
    st.one_of(
        st.sampled_from(
            [
                "application/fhir+json",
                "application/json;charset=utf-16",
                "*/*;q=nan",
                "text/html",
                "application/fhir+xml",
                "image/png",
                "application/dicom",
                "application/x-www-form-urlencoded",
                'W/"1"',
                'W/"99999999999999999999"',
                'W/"0"',
                "*",
                '"',
                "1",
                "return=minimal",
                "return=OperationOutcome, handling=strict",
                "return=x",
                "handling=lenient;x",
                "respond-async",
                "identifier=1",
                "_id=a&_id=b",
                "_count=1",
                "%ff",
                "=",
                "Sun, 13 Sep 2020 12:26:40 GMT",
                "Sun, 13 Sep 0000 12:26:40 GMT",
                "Fri, 31 Dec 9999 23:59:59 -2359",
                "Sun, 31 Feb 2020 99:99:99 GMT",
                "-1",
                "5",
                "999999999",
                "Bearer",
                "Bearer x",
                "Basic eDp5",
                "gzip",
                "br",
                "br;q=0, *",
                "application/fhir+xml;q=0.5, application/fhir+json;q=0.4",
                "bytes=0-1",
                "Patient/a",
            ]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=16),
    ),
    max_size=3,
)
URLS = st.one_of(
    st.sampled_from(
        [
            "",
            "/",
            "Patient",
            "Patient/a",
            "Patient/a/_history",
            "Patient/a/_history/1",
            "Patient?identifier=1",
            "Patient?",
            "Patient?name=x&_count=0",
            "Observation?subject=Patient/a",
            "_history",
            "metadata",
            "$validate",
            "Patient/$validate",
            "Patient/a/$everything",
            "Patient/a/$recommend",
            "Media/m/$diagnose",
            "Patient/_search",
            "Bundle",
            "http://localhost/fhir/Patient",
            "//x",
            "/Patient",
            "Patient/" + "a" * 65,
            "Patient/..",
            "Nonsense",
            "Patient/a?x=1",
            "?",
            "%",
        ]
    ),
    TEXTS,
)


@st.composite
def bundles(draw: st.DrawFn) -> Any:
    """A Bundle whose entries point at each other, twice at the same thing, at nothing, and are then mutated."""
    rows: list[Any] = []
    for _ in range(draw(st.integers(0, 5))):
        resource = draw(st.sampled_from(RESOURCES))
        resource = json.loads(json.dumps(resource))
        target = draw(
            st.sampled_from(
                [
                    URN + "1",
                    URN + "2",
                    URN + "9",
                    "Patient/a",
                    "Patient/nobody",
                    "Patient?identifier=1",
                    "Observation/o",
                ]
            )
        )
        if draw(st.booleans()):
            resource = draw(
                st.sampled_from(
                    [observation(target), encounter(target), {**observation(), "derivedFrom": [{"reference": target}]}]
                )
            )
        match draw(st.sampled_from(["post", "put", "any", "any"])):
            case "post":
                row = post(resource)
            case "put":
                row = put({**resource, "id": draw(st.sampled_from(["a", "b", "o"]))})
            case _:
                method = draw(st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "FOO"]))
                row = entry(method, draw(URLS), resource if draw(st.booleans()) else None)
        if draw(st.booleans()):
            row["fullUrl"] = draw(
                st.sampled_from([URN + "1", URN + "2", "http://localhost/fhir/Patient/a", "Patient/a", "x"])
            )
        for name in ("ifNoneExist", "ifMatch", "ifNoneMatch", "ifModifiedSince"):
            if draw(st.integers(0, 9)) == 0:
                row["request"][name] = draw(
                    st.one_of(st.sampled_from(["identifier=1", 'W/"1"', "2020-01-01T00:00:00Z"]), TEXTS)
                )
        rows.append(row)
    return mutated(
        draw, bundle(*rows, type_=draw(st.sampled_from(["transaction", "transaction", "batch", "history"]))), 1
    )


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A picture or something that pretends to be one, with some bytes changed, added or cut off."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("a.png", b"x")
    content = bytearray(
        draw(
            st.sampled_from(
                [
                    pictures.encoded(pictures.ramp()),
                    pictures.encoded(pictures.ramp(), "JPEG"),
                    pictures.dicom(),
                    archive.getvalue(),
                    pictures.png(20_000, 20_000, b""),
                    pictures.png(8, 8, b"x"),
                    b"GIF89a",
                    b"<svg/>",
                    b"",
                    b"\x00" * 128 + b"DICM",
                ]
            )
        )
    )
    for _ in range(draw(st.integers(0, 4))):
        if content:
            content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        del content[draw(st.integers(0, len(content))) :]
    return bytes(content)


# ---- who catches it ---------------------------------------------------------------------------------------------------  # noqa: E501


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


DOCUMENTS = [xml_format.dump(json_format.parse(json.dumps(one).encode())) for one in RESOURCES]

# ---- attacks ----------------------------------------------------------------------------------------------------------  # noqa: E501


@anything
@given(st.data())
def test_mutated_resources(target: Target, data: st.DataObject) -> None:
    resource = data.draw(st.composite(lambda draw: mutated(draw, draw(st.sampled_from(RESOURCES))))())
    known = resource if isinstance(resource, dict) else {}
    type_name, id_ = known.get("resourceType"), known.get("id")
    place = data.draw(
        st.sampled_from(
            [
                ("POST", f"/fhir/{type_name}"),
                ("PUT", f"/fhir/{type_name}/{id_}"),
                ("PUT", f"/fhir/{type_name}"),
                ("POST", f"/fhir/{type_name}/$validate"),
                ("POST", "/fhir/Patient"),
                ("POST", "/fhir"),
                ("POST", "/fhir/$validate"),
                ("POST", "/fhir/Patient/a/$everything"),
                ("PUT", "/fhir/Patient/a"),
                ("POST", "/fhir/Media/m/$diagnose"),
                ("POST", "/fhir/Patient/a/$recommend"),
                ("DELETE", f"/fhir/{type_name}/{id_}"),
            ]
        )
    )
    target(
        *place,
        query=data.draw(st.sampled_from(["", "", "identifier=1", "_pretty=true", "_format=json"])),
        body=resource,
    )


@anything
@given(st.data())
def test_mutated_xml(target: Target, data: st.DataObject) -> None:
    text = bytearray(data.draw(st.sampled_from(DOCUMENTS)))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 4))] = data.draw(
            st.sampled_from([b"", b"<", b">", b"/>", b'"', b"&", b"&#0;", b"\x00", b"\xff", b"<!DOCTYPE a>", b"id"])
        )
    body, headers = bytes(text), {"Content-Type": "application/fhir+xml"}
    packed = {"gzip": gzip.compress, "br": brotli.compress}
    if coding := data.draw(st.sampled_from([None, "gzip", "br", "zstd"])):
        body, headers = packed.get(coding, bytes)(body), {**headers, "Content-Encoding": coding}
        body = body[: data.draw(st.sampled_from([len(body), len(body) - 1]))]
    place = data.draw(st.sampled_from(["/Patient", "", "/Patient/$validate", "/Binary", "/Basic", "/Bundle"]))
    accepted = data.draw(st.sampled_from(["*/*", "application/fhir+xml"]))
    target("POST", f"/fhir{place}", "", {"Accept": accepted, "Accept-Encoding": "br", **headers}, body)


@anything
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    path=st.one_of(URLS, st.sampled_from(["", "Patient", "Patient/a", "Patient/$validate", "Media/m/$diagnose"])),
    query=st.sampled_from(["", "identifier=1", "name=a", "_count=1"]),
    resource=st.composite(lambda draw: mutated(draw, draw(st.sampled_from(RESOURCES))))(),
)
def test_answers_that_come_later(target: Target, method: str, path: str, query: str, resource: Any) -> None:
    asked = target(method, f"/fhir/{path}".removesuffix("/"), query, {"Prefer": "respond-async"}, resource)
    if asked.status_code != 202 or "Content-Location" not in asked.headers:
        return
    worker = Worker(target.application, "fuzz")
    while worker.step():
        pass
    address = asked.headers["Content-Location"].removeprefix("http://localhost")
    answer = target("GET", address)
    assert answer.status_code == 200, answer.data
    target._look_into(read(answer), (method, path, query, resource))
    assert target("DELETE", address).status_code == 202


@anything
@given(
    body=st.one_of(st.binary(max_size=60), JSON, JSON.map(lambda value: {"resourceType": "Patient", "name": value})),
    path=st.sampled_from(
        ["", "/Patient", "/Bundle", "/Binary", "/Patient/$validate", "/Patient/_search", "/Patient/a/$recommend"]
    ),
)
def test_any_body(target: Target, path: str, body: Any) -> None:
    target("POST", f"/fhir{path}", body=body)


@anything
@given(
    data=st.data(),
    type_name=st.sampled_from(TYPES),
    method=st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "DELETE", "PUT"]),
)
def test_searches(target: Target, type_name: str, method: str, data: st.DataObject) -> None:
    query = data.draw(searches(type_name))
    if method == "POST":
        target(
            method,
            f"/fhir/{type_name}/_search",
            "",
            {"Content-Type": "application/x-www-form-urlencoded"},
            query.encode("utf-8", "replace"),
        )
    else:
        target(method, f"/fhir/{type_name}", query, body={"resourceType": type_name} if method == "PUT" else b"")


@anything
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO"]),
    path=st.one_of(
        URLS.map(lambda url: "/fhir/" + url),
        st.text(max_size=12),
        st.lists(TEXTS, max_size=4).map(lambda row: "/fhir/" + "/".join(row)),
    ),
    query=TEXTS,
    headers=HEADERS,
    body=st.sampled_from([b"", json.dumps(patient(id="a")).encode(), b"a=b"]),
)
def test_urls_and_headers(
    target: Target, method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    target(method, path, query, headers, body)


@anything
@given(bundles())
def test_bundles(target: Target, resource: Any) -> None:
    target("POST", "/fhir", body=resource)


@anything
@given(
    data=st.data(),
    place=st.sampled_from(
        [
            "/fhir/$validate",
            "/fhir/Patient/$validate",
            "/fhir/Patient/a/$validate",
            "/fhir/Patient/a/$everything",
            "/fhir/Patient/a/$recommend",
            "/fhir/Media/m/$diagnose",
            "/fhir/Patient/$nonsense",
        ]
    ),
)
def test_operations(target: Target, place: str, data: st.DataObject) -> None:
    names = [
        "resource",
        "mode",
        "profile",
        "start",
        "end",
        "_since",
        "_type",
        "_count",
        "kind",
        "count",
        "model",
        "identifier",
        "_cursor",
    ]
    rows = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from(names), st.one_of(TEXTS, st.sampled_from(["5", "condition", "delete", "Patient"]))
            ),
            max_size=3,
        )
    )
    if data.draw(st.booleans()):
        target("GET", place, "&".join(f"{name}={value}" for name, value in rows))
        return
    kinds = st.sampled_from(
        [
            "valueString",
            "valueCode",
            "valueInteger",
            "valueDate",
            "valueInstant",
            "valuePositiveInt",
            "valueBoolean",
            "part",
            "resource",
        ]
    )
    row = [
        {"name": name, data.draw(kinds): data.draw(st.one_of(st.just(value), st.integers(), JSON))}
        for name, value in rows
    ]
    target("POST", place, body={"resourceType": "Parameters", "parameter": row})


@anything
@given(data=st.data())
def test_administration(target: Target, data: st.DataObject) -> None:
    names = st.sampled_from(["name", "scopes", "scope", "expires_in_days", "days", "version", "client", "id", "x"])
    values = st.one_of(
        JSON, st.sampled_from(["admin", ["system/*.cruds"], ["x"], "system/Patient.r?name=x", 1, 10**30, 1e308, -1])
    )
    path = data.draw(
        st.sampled_from(
            [
                "status",
                "clients",
                "clients/{}",
                "clients/{}/tokens",
                "clients/{}/tokens/{}",
                "models",
                "models/{}/manifest",
                "models/{}/activate",
                "models/chest-xray/activate",
                "jobs",
                "jobs/{}",
                "jobs/{}/retry",
                "jobs/{}/cancel",
                "audit",
                "{}",
            ]
        )
    )
    while "{}" in path:
        path = path.replace("{}", data.draw(TEXTS), 1)
    filters = st.sampled_from(
        [
            "count",
            "before",
            "state",
            "since",
            "until",
            "client",
            "patient",
            "entity",
            "interaction",
            "status",
            "cursor",
            "x",
        ]
    )
    query = "&".join(f"{name}={value}" for name, value in data.draw(st.lists(st.tuples(filters, TEXTS), max_size=3)))
    method = data.draw(st.sampled_from(["GET", "GET", "POST", "DELETE", "PUT", "HEAD"]))
    body = data.draw(st.one_of(st.dictionaries(names, values, max_size=3), JSON))
    target(
        method,
        f"/admin/{path}",
        query,
        {"Content-Type": "application/json"},
        body if method in ("POST", "PUT") else b"",
    )


@anything
@given(
    data=st.data(),
    content=files(),
    content_type=st.sampled_from(["image/png", "image/jpeg", "application/dicom", "text/plain", "x"]),
)
def test_pictures(target: Target, data: st.DataObject, content: bytes, content_type: str) -> None:
    if data.draw(st.booleans()):
        target("POST", "/fhir/Binary", headers={"Content-Type": content_type}, body=content)
        return
    media = {**RESOURCES[6], "content": {"contentType": content_type, "data": base64.b64encode(content).decode()}}
    if target("PUT", "/fhir/Media/m", body=media).status_code < 300:
        target("POST", "/fhir/Media/m/$diagnose")
