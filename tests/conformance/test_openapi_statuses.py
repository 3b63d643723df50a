"""/openapi.json is true status by status: each that it describes is met, and no other."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from flask import Flask

from hie.app import create_app
from hie.fhir.profiles import read
from hie.interactions import asynchronous
from hie.registry import Model, Registry, built_in, with_plugins
from hie.settings import Settings
from hie.store import administration, packages
from tests.conformance.described import filled, is_of_fhir
from tests.conformance.probes import NAMED, admin_probes, async_probes, fhir_probes, general_probes


def prepared(app: Flask) -> tuple[str, str, int]:
    """Store what the probes need; return a client, its token's id, and a job."""
    application = app.extensions["hie"]

    def work(store: Any) -> None:
        for id_, value in (("one", "one"), ("gone", "gone"), ("held", "held"), ("t1", "twin"), ("t2", "twin")):
            resource = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": value}]}
            store.update("Patient", id_, resource)
        holder = {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": "Patient/held"}}
        store.create("Basic", holder)
        for id_ in ("one", "leaving"):
            store.update("Group", id_, {"resourceType": "Group", "type": "person", "actual": True})
        store.enqueue("kind", {})

    application.context().store.transact(work)
    job = application.store.jobs.list(count=1)[0]["id"]
    application.context().store.transact(lambda store: store.delete("Patient", "gone"))

    def administer(connection: Any) -> tuple[str, str]:
        now = application.clock()
        administration.add_model(connection, "example", "1", now)
        packages.add(connection, read(NAMED), now)
        client_id = administration.add_client(connection, 1, "probed", now)
        return client_id, administration.add_token(connection, 1, client_id, "admin", now, 2 * now)[0]

    client_id, token_id = application.store.database.write(administer)
    return client_id, token_id, job


class Example:
    """A model with nothing but a manifest."""

    manifest: ClassVar[dict[str, str]] = {"name": "example", "version": "1"}


@pytest.fixture
def app(settings: Settings, clock: Any) -> Iterator[Flask]:
    built = with_plugins(built_in())
    example = Model("example", lambda _settings: Example())
    registry = Registry(built.operations, built.triggers, built.jobs, (*built.models, example))
    made = create_app(replace(settings, max_body_bytes=100_000), registry=registry, clock=clock)
    yield made
    made.extensions["hie"].close()


def test_every_status_that_is_described_is_met_and_no_other(
    app: Flask, document: dict[str, Any], client: Callable[..., Any]
) -> None:
    fhir, admin = client("system/*.cruds"), client("admin")
    both = client("system/*.cruds", "admin")
    patient = itertools.cycle(client("system/*.cruds", name=f"later {n}") for n in range(4))  # each may wait for 100
    client_id, token_id, job = prepared(app)
    etag = fhir.get("Patient/t1").headers["ETag"]
    later = [fhir.get("Patient", Prefer="respond-async").headers["Content-Location"].rpartition("/")[2] for _ in "ab"]
    for url in ("$export?_type=Patient", "Group/leaving/$export"):
        later.append(fhir.get(url, Prefer="respond-async").headers["Content-Location"].rpartition("/")[2])
    assert fhir.delete("Group/leaving").status == 200
    for one in (later[0], *later[2:]):
        asynchronous.perform({"request": one}, app.extensions["hie"].context())
    probes = [
        *async_probes(*later),
        *general_probes(document, b" " * 100_001),
        *fhir_probes(etag),
        *admin_probes(client_id, token_id, job),
    ]
    met: set[tuple[str, str, int]] = set()
    wrong = []
    for path, method, status, given in probes:
        given = dict(given)
        right, other = (fhir, admin) if is_of_fhir(path) else (admin, fhir)
        if "Prefer" in given.get("headers", ()):
            right = next(patient)
        token = {"nobody": None, "stranger": other.token, "both": both.token}.get(given.pop("as", ""), right.token)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        content = given.pop("json", None)
        if content is not None:
            given["data"] = json.dumps(content)
            headers["Content-Type"] = "application/fhir+json" if is_of_fhir(path) else "application/json"
        headers |= given.pop("headers", {})
        url, query = given.pop("path", filled(path)), given.pop("query", "")
        answer = app.test_client().open(url, method=method, headers=headers, query_string=query, **given)
        if answer.status_code != status:
            wrong.append((method, url, query, status, answer.status_code, answer.text[:300]))
        told = document["paths"][path][method.lower()]["responses"].get(str(answer.status_code), {}).get("headers", {})
        wrong += [(method, url, query, status, name) for name, one in told.items()
                  if one.get("required") and name not in answer.headers]
        met.add((path, method, answer.status_code))
    assert wrong == []
    documented = {
        (path, method.upper(), int(status))
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for status in operation["responses"]
        if status != "default"
    }
    assert set(document["paths"]["/fhir/{type}"]["post"]["responses"]["201"]["headers"]) == {
        "ETag", "Last-Modified", "Location", "X-Request-Id"}  # fmt: skip
    # What an operation answers beside the refusals that all have is tested with the operation.
    plain = {row for row in documented if "$" not in row[0]}
    assert {row for row in met if "$" not in row[0]} == plain
    assert {row for row in met if "$" in row[0]} <= documented
