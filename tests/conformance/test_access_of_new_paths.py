"""What a token may not see changes no answer: two exchanges that differ in hidden records alone answer it alike.

One question for every path at once, rather than one assertion for each: whatever is asked, a status, a text, a count,
an order or an ETag that follows from a hidden record tells the two apart.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import make_url

from hie.app import create_app
from hie.fhir.instants import instant
from hie.settings import Settings
from hie.store import administration, audit, packages
from hie.store.check import check

from .conftest import TOKEN_HOURS, Answer, Fhir
from .hidden_records import EXAM, FEMALE, GRANTS, MALE, READS, WRITES, absent, an_observation, hidden, person, shown

#: What every server says anew each time.
_CHANGING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}"
    r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[0-9.]*(?:Z|[+-]\d\d:\d\d)|_cursor=[^\"&]+"
)
_HEADERS = ("ETag", "Location", "Content-Location", "Allow", "WWW-Authenticate", "Content-Type")


class World:
    """One exchange with its records, and a client for each grant."""

    def __init__(self, app: Flask, *, is_one: bool) -> None:
        self.app, self._application = app, app.extensions["hie"]
        self._application.store.database.write(lambda connection: packages.set_mode(connection, 1, "reject"))
        full = self.full = self.client("system/*.cruds")
        kept_back = list(hidden(is_one))
        practitioner, patient, exam, base = kept_back
        first = [practitioner, patient]
        for one in [*first, next(iter(shown())), exam, base, *list(shown())[1:], *(absent() if is_one else ())]:
            self._put(full, one)
        for profile in ("on-changed", "on-absent"):  # so that what may be kept of them is kept
            full.get(f"Patient/m/$validate?profile=http://example.org/{profile}")
        for number in range(2 if is_one else 1):  # so that versions differ too
            for one in (patient, practitioner, exam):
                self._put(full, one | {"language": f"de-x{number}"})
        if is_one:  # what is deleted has no values, and so matches every :not
            self._put(full, an_observation(EXAM, "Patient/m", 55, id="gone"))
            assert full.delete("Observation/gone").status == 200
        self.clients = {name: self.client(*scopes) for name, scopes in GRANTS.items()}

    def client(self, *scopes: str) -> Fhir:
        def unit(connection: Any) -> str:
            now, scope = self._application.clock(), " ".join(scopes)
            client_id = administration.add_client(connection, 1, f"client {scope}", now)
            return administration.add_token(connection, 1, client_id, scope, now, now + TOKEN_HOURS * 3_600_000_000)[1]

        return Fhir(self.app, self._application.store.database.write(unit))

    def _put(self, full: Fhir, resource: dict[str, Any]) -> None:
        answer = full.put(f"{resource['resourceType']}/{resource['id']}", resource)
        assert answer.status < 300, answer.content


@pytest.fixture
def worlds(
    settings: Settings, clock: Callable[[], int], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[World, World]]:
    settings = replace(settings, token_cache_seconds=60)  # as 12,000 requests are made with the same few tokens
    shutil.copytree(settings.data_dir, tmp_path / "other")
    other = replace(settings, data_dir=tmp_path / "other")
    server = request.getfixturevalue("postgres") if settings.database_url else None
    name = server.create(make_url(settings.database_url).database) if server else ""
    if server:
        other = replace(other, database_url=server.url(name))
    apps = [create_app(one, clock=clock) for one in (settings, other)]
    yield World(apps[0], is_one=True), World(apps[1], is_one=False)
    for one in apps:
        one.extensions["hie"].close()
    if server:
        server.drop(name)


def _told(answer: Answer) -> tuple[Any, ...]:
    """What a client can tell from an answer."""
    body = _CHANGING.sub("~", answer.content.decode())
    return answer.status, body, [_CHANGING.sub("~", str(answer.headers.get(name))) for name in _HEADERS]


#: PostgreSQL is asked with some grants; the statements of the others differ by values alone.
ASKED = {"sqlite": tuple(GRANTS), "postgresql": ("granular", "all-but", "all-others")}


def test_hidden_records_change_no_answer(
    worlds: tuple[World, World], database_kind: str, clock: Callable[[], int]
) -> None:
    one, other = worlds
    now = instant(clock())
    requests: list[Any] = [*(("GET", url, None, {}) for url in READS), *WRITES]
    found, answered, recorded = [], dict.fromkeys(GRANTS, 0), dict[str, int]()
    for name in ASKED[database_kind]:
        for method, url, body, headers in requests:
            url = url.replace("NOW", now)
            here, there = (world.clients[name](method, url, body, **headers) for world in (one, other))
            answered[name] += here.status < 400
            if url != "$graphql" and (url or body["type"] != "batch"):  # which leave one for each part too
                recorded[here.headers["X-Request-Id"]] = 1
            if here.status >= 500 or _told(here) != _told(there):
                found.append((name, method, url, headers, _told(here), _told(there)))
    assert not found
    assert answered["granular"] > 90, "most of what is asked here is answered"
    graph = one.clients["graphs"].get("Patient/m/$graph?graph=Whole").resources()
    assert [row["id"] for row in graph[:3]] == ["m", "lab1", "lab2"]
    assert len(graph[-1]["issue"]) > 5  # what it lacks is hidden, or absent
    made = one.clients["profiles"].get("Patient/m/$validate?profile=http://example.org/on-changed")
    made.refused(400, "not-supported", "profile", "The base definition http://example.org/changed-base is not known")
    for world, seen in ((one, []), (other, ["required"])):
        told = world.full.get("Patient/m/$validate?profile=http://example.org/led").json["issue"]
        assert [row["code"] for row in told if row["severity"] == "error" and row["code"] == "required"] == seen
    whole = one.full.post("Patient", {"resourceType": "Patient", "photo": [{"title": "x"}] * 2,
                                      "meta": {"profile": ["http://example.org/on-changed"]}})
    whole.refused(422, "structure", "Patient.photo", "At most 1")
    store = one.app.extensions["hie"].store
    assert check(store).problems == []
    records = audit.find(store.database.connection(), store.tenants[1].audit_keys, 1, count=100_000)
    left = Counter(record["request"] for record in records)
    assert {id_: left[id_] for id_ in recorded} == recorded, "one audit record for every request"


def test_a_cursor_belongs_to_the_grant_it_was_given_to(client, fhir):
    for number in range(3):
        fhir.create(person(f"p{number}", "Many", "1950-01-01", **(MALE if number else FEMALE)))
    page = fhir.get("Patient?_count=1&_total=accurate&_sort=_id").link("next")
    narrow = client("system/Patient.rs?gender=male")
    narrow.get(page).refused(400, "invalid", "_cursor")
    assert client("system/*.cruds", name="again").get(page).json["total"] == 3


def test_who_may_read_what_may_not_be_deleted_is_told(client, fhir):
    fhir.put("Patient/f", person("f", "X", "1950", **FEMALE))
    client("system/Patient.rs", "system/Patient.d?gender=male").delete("Patient/f").refused(403, "forbidden")
    client("system/Patient.rs").delete("Patient/f").refused(403, "forbidden")
    narrow = client("system/Patient.d?gender=male")
    assert "not there" in narrow.delete("Patient/f").json["issue"][0]["diagnostics"]
    narrow.delete("Patient/f", If_Match='W/"1"').refused(412, "conflict")
    assert fhir.get("Patient/f").status == 200
