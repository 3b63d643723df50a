"""What goes to PostgreSQL by one message is what would be stored and answered step by step (hie.store.at_once)."""

from __future__ import annotations

import base64
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, Table, event, select

from hie.app import create_app
from hie.settings import Settings
from hie.store import administration, ids, unit_of_work
from hie.store import models as tables
from hie.store.at_once import FewResources
from hie.store.check import check
from hie.store.contained import concerns
from hie.store.postgres_writer import PostgresWriter
from hie.store.resources import ResourceStore
from tests import pictures
from tests.builders import SYSTEM, bundle, entry, observation, patient, post, practitioner, put
from tests.conformance.conftest import Fhir

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"])
RESTRICTED = ("system/Patient.cruds", "system/Observation.cruds?code=http://loinc.org|8867-4", "system/Practitioner.cr")
JSON_PATCH = "application/json-patch+json"


# -- the same requests, in one message and in steps ----------------------------------------------------------------


class Instants:
    """A clock that stands still while a request is answered."""

    now = 1_767_225_600_000_000

    def __call__(self) -> int:
        return self.now


class Numbered:
    """In place of `os`, where ids come from: the same ones each time."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def urandom(self, size: int) -> bytes:
        return next(self._numbers).to_bytes(size, "big")


class Requests:
    """Random requests about a few resources, of which many are there, or deleted, or not yet."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)
        self._made = count(1)

    def next(self) -> tuple[str, str, Any, dict[str, str]]:
        """Return method, URL, body and headers."""
        if self._source.random() < 0.75:
            entries = [self._entry() for _ in range(self._source.choice((1, 2, 2, 3, 3, 4, 6)))]
            return "POST", "", bundle(*[one for some in entries for one in some]), {}
        one = self._entry()[0]
        request, headers = one["request"], {}
        if "ifMatch" in request:
            headers["If_Match"] = request["ifMatch"]
        if "ifNoneExist" in request:
            headers["If_None_Exist"] = request["ifNoneExist"]
        body = one.get("resource")
        if request["method"] == "PATCH":
            return "PATCH", request["url"], _patch(self._source.random() < 0.5), {"Content_Type": JSON_PATCH}
        return request["method"], request["url"], body, headers

    def _entry(self) -> list[dict[str, Any]]:
        pick = self._source.random()
        if pick < 0.5:
            return [put(self._content(), **self._condition())]
        if pick < 0.52:
            pixels = self._source.randrange(250, 256)
            return [post(_media(f"Patient/p{self._source.randrange(4)}", pixels))]
        if pick < 0.67:
            return [post(self._content(None), **({"ifNoneExist": self._criteria()} if pick < 0.55 else {}))]
        if pick < 0.72:
            number = next(self._made)
            url = f"urn:uuid:00000000-0000-4000-8000-{number:012d}"
            return [post(patient(f"Family{number % 3}"), url), post(observation(url, code=self._code()))]
        if pick < 0.82:
            return [entry("DELETE", self._place(), **self._condition())]
        if pick < 0.88:
            data = _encoded(self._source.random() < 0.5)
            return [entry("PATCH", self._place(), {"resourceType": "Binary", "contentType": JSON_PATCH, "data": data})]
        if pick < 0.94:
            return [entry("PUT", f"Patient?{self._criteria()}", patient(self._family(), identifier=self._value()))]
        return [entry("GET", self._place())]

    def _condition(self) -> dict[str, str]:
        return {"ifMatch": f'W/"{self._source.randrange(1, 4)}"'} if self._source.random() < 0.04 else {}

    def _place(self) -> str:
        type_name = self._source.choice(("Patient", "Observation", "Observation", "Practitioner"))
        return f"{type_name}/{type_name[0].lower()}{self._source.randrange(4)}"

    def _content(self, id_: str | None = "") -> dict[str, Any]:
        type_name, _, id_of = self._place().partition("/")
        more = {} if id_ is None else {"id": id_of}
        if type_name == "Patient":
            return patient(self._family(), identifier=self._value(), **more)
        if type_name == "Practitioner":
            return practitioner(self._value(), **more, **({"active": True} if self._source.random() < 0.5 else {}))
        if self._source.random() < 0.3:
            more["performer"] = [{"reference": self._source.choice(("Practitioner/p0", "Practitioner/p1"))}]
        if self._source.random() < 0.15:
            more["note"] = [{"text": "x", "authorReference": {"reference": f"Patient/p{self._source.randrange(4)}"}}]
        if self._source.random() < 0.1:
            more["hasMember"] = [{"reference": f"Observation/o{self._source.randrange(4)}"}]
        if self._source.random() < 0.15:
            within = {"referenceRange": [{"text": "x"}]} if self._source.random() < 0.5 else {}
            more["contained"] = [observation(None, self._source.randrange(3), id="c", **within)]
            more["hasMember"] = [{"reference": "#c"}]
        if self._source.random() < 0.04:
            more["derivedFrom"] = [{"reference": f"Observation/o1/_history/{self._source.randrange(1, 4)}"}]
        subject = f"Patient/p{self._source.randrange(4)}"
        if self._source.random() < 0.1:
            subject = f"Patient?{self._criteria()}"
        content = observation(subject, self._source.randrange(60, 63), self._code(), **more)
        if self._source.random() < 0.2:
            del content["valueQuantity"]
            content["valuePeriod"] = {"start": f"2024-0{self._source.randrange(1, 4)}-01", "end": "2024-05-01"}
        return content

    def _code(self) -> str:
        return self._source.choice(("8867-4", "8867-4", "8480-6"))

    def _family(self) -> str:
        return f"Family{self._source.randrange(3)}"

    def _value(self) -> str:
        return f"v{self._source.randrange(6)}"

    def _criteria(self) -> str:
        return f"identifier={SYSTEM}|{self._value()}"


@cache
def _media(subject: str, top: int) -> dict[str, Any]:
    """An image that asks for a Task and a job."""
    data = base64.b64encode(pictures.encoded(pictures.ramp(top=top))).decode()
    return {"resourceType": "Media", "status": "completed", "subject": {"reference": subject},
            "content": {"contentType": "image/png", "data": data}}


def _patch(adds: bool) -> list[dict[str, Any]]:
    return [{"op": "add", "path": "/language", "value": "en" if adds else "de"}]


def _encoded(adds: bool) -> str:
    return base64.b64encode(json.dumps(_patch(adds)).encode()).decode()


@pytest.fixture
def exchange(settings: Settings, postgres: Any, templates: Any, tmp_path: Path) -> Iterator[Callable[[], Flask]]:
    """Open exchanges that have the same keys, each on a database of its own."""
    opened: list[tuple[Flask, str]] = []

    def made() -> Flask:
        template = templates("postgresql", lambda: postgres)
        directory, name = tmp_path / f"exchange-{len(opened)}", postgres.create(template.postgres_name)
        shutil.copytree(template.settings.data_dir, directory)
        app = create_app(replace(template.settings, data_dir=directory, database_url=postgres.url(name)),
                         clock=Instants())
        opened.append((app, name))
        return app

    yield made
    for app, name in opened:
        app.extensions["hie"].close()
        postgres.drop(name)


def _client(app: Flask, *scopes: str) -> Fhir:
    application = app.extensions["hie"]

    def unit(connection: Any) -> str:
        now, scope = application.clock(), " ".join(scopes)
        client_id = administration.add_client(connection, 1, scope, now)
        return administration.add_token(connection, 1, client_id, scope, now, now + 10**12)[1]

    return Fhir(app, application.store.database.write(unit))


def _answered(app: Flask, seed: int, number: int) -> list[tuple[int, bytes]]:
    clock = app.extensions["hie"].clock
    clients = [_client(app, "system/*.cruds"), _client(app, *RESTRICTED)]
    source, told, which = Requests(seed), [], random.Random(seed)
    for _ in range(number):
        clock.now += 1_000_000
        method, url, body, headers = source.next()
        answer = clients[which.random() < 0.25](method, url, body, **headers)
        told.append((method, url, body, answer.status, answer.content))
    return told


def _stored(connection: Connection) -> dict[str, list[Any]]:
    """Return all rows but what differs from run to run: keys and numbers of transactions by what they stand for."""
    places = {row.key: f"{row.type}/{row.id}" for row in connection.execute(select(tables.resource))}
    parts = {row.key: (places[row.container], row.vid, row.part)
             for row in connection.execute(select(tables.contained))}
    owners = {row.id: row.owner for row in connection.execute(select(tables.data_key))}
    owners[0] = "deleted"
    numbers = sorted({
        number for table in (tables.resource, tables.resource_history, tables.past_version, tables.contained)
        for row in connection.execute(select(table)) for number in (row.written, getattr(row, "ended", None))
        if number is not None})
    order = {number: place for place, number in enumerate(numbers)} | {None: None}

    def read(table: Table, keys: dict[int, Any], *left_out: str) -> list[Any]:
        meant = {"key": keys.get, "container": places.get, "data_key": owners.get, "written": order.get,
                 "ended": order.get, "tokens": lambda tokens: tokens and sorted(tokens)}
        names = [one.name for one in table.c if one.name not in left_out]
        rows = connection.execute(select(*(table.c[name] for name in names)))
        return sorted(repr([meant.get(name, lambda value: value)(value)
                            for name, value in zip(names, row, strict=True)]) for row in rows)

    of_resources = (tables.resource, tables.resource_history, tables.date_index, tables.number_index,
                    tables.reference_index, tables.past_version, tables.date_past, tables.number_past)
    of_contained = (tables.contained, tables.contained_date, tables.contained_number)
    found = {table.name: read(table, places, "sealed") for table in of_resources}
    found |= {table.name: read(table, parts) for table in of_contained}
    found["data_key"] = read(tables.data_key, {}, "id", "wrapped")
    found["job"] = read(tables.job, {}, "id", "payload")
    found["audit"] = read(tables.audit, {}, "stream", "seq", "sealed", "mac")
    return found


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> Counter[frozenset[str]]:
    """What each message that was enough wrote."""
    told: Counter[frozenset[str]] = Counter()
    original = PostgresWriter.commit_one

    def commit_one(self: PostgresWriter, message: Any, *given: Any) -> bool:
        done = original(self, message, *given)
        if done:
            assert isinstance(message, FewResources)
            kinds = ["new" if one.replaced is None else "deleted" if one.sealed is None else "revived"
                     if one.replaced.sealed is None else "changed" for one in message.written]
            more = {"several": len(kinds) > 1, "jobs": message.jobs, "parts": any(map(concerns, message.written))}
            told[frozenset(kinds) | {name for name, found in more.items() if found}] += 1
        return done

    monkeypatch.setattr(PostgresWriter, "commit_one", commit_one)
    return told


@pytest.mark.parametrize("seed", range(3))
def test_a_message_stores_and_answers_what_steps_do(
    exchange: Callable[[], Flask], monkeypatch: pytest.MonkeyPatch, messages: Counter[frozenset[str]], seed: int
) -> None:
    told, stored = [], []
    for few in (20, 0):
        monkeypatch.setattr(ids, "os", Numbered())
        monkeypatch.setattr(unit_of_work, "FEW", few)
        app = exchange()
        told.append(_answered(app, seed, 160))
        store = app.extensions["hie"].store
        assert check(store).problems == []
        stored.append(_stored(store.database.connection()))
        if few:
            sent = messages.copy()
    assert messages == sent, "in steps no message is sent"
    for one, other in zip(*told, strict=True):
        assert one == other
    assert all(stored[0][name] for name in ("past_version", "number_past", "reference_index", "contained", "job"))
    for name, rows in stored[0].items():
        assert rows == stored[1][name], name
    assert {status for *_, status, _ in told[0]} >= {200, 201, 400, 404, 412}
    several = {kind for kinds in sent if "several" in kinds for kind in kinds}
    assert several >= {"new", "changed", "jobs", "parts"}, sent


# -- among many ----------------------------------------------------------------------------------------------------


def test_of_what_many_change_in_other_orders_no_change_is_lost(
    fhir: Fhir, clean: Callable[[], bool], monkeypatch: pytest.MonkeyPatch, messages: Counter[frozenset[str]]
) -> None:
    """Each answered change is a version of its own; nobody waits in a circle, whether by a message or in steps."""
    ended: list[object] = []
    monkeypatch.setattr("hie.store.turns.Turns.met", lambda _, error: ended.append(
        getattr(getattr(error, "orig", error), "sqlstate", None)))
    places = [f"Patient/p{number}" for number in range(4)] + [f"Observation/o{number}" for number in range(4)]
    fhir.post("", bundle(*(put(patient(id=f"p{number}")) for number in range(3))))

    def send(seed: int) -> list[tuple[str, str]]:
        source, answered = random.Random(seed), []
        for number in range(12):
            entries = []
            for place in source.sample(places, source.choice((1, 2, 3, 4))):
                id_ = place.partition("/")[2]
                content = patient(f"N{seed}-{number}", id=id_)
                if place.startswith("Observation"):
                    content = observation(f"Patient/p{source.randrange(3)}", seed * 100 + number, id=id_)
                entries.append(put(content))
            if source.random() < 0.2:
                entries += [post(patient("New"))] * 20  # too many for one message
            answer = fhir.post("", bundle(*entries))
            assert answer.status == 200, answer.content
            for one, row in zip(entries, answer.entries(), strict=True):
                if one["request"]["method"] == "PUT":
                    answered.append((one["request"]["url"], row["response"]["etag"]))
        return answered

    with ThreadPoolExecutor(8) as pool:
        answered = [one for some in pool.map(send, range(8)) for one in some]
    assert len(set(answered)) == len(answered), "no two changes are one version"
    for place, number in Counter(place for place, _ in answered).items():
        assert fhir.get(place).vid == str(number + place.startswith(("Patient/p0", "Patient/p1", "Patient/p2")))
    assert "40P01" not in ended
    assert messages[frozenset({"several", "changed"})]
    assert clean()


def test_what_changed_since_it_was_read_is_made_anew(fhir: Fhir, monkeypatch: pytest.MonkeyPatch) -> None:
    """A neighbour comes between the reading and the message: its version is kept, and the next one is made of it."""
    fhir.post("", bundle(*(put(patient(id=id_)) for id_ in ("a", "b"))))
    once = [lambda: fhir.put("Patient/b", patient("Neighbour", id="b"))]
    original = unit_of_work.UnitOfWork.commit_at_once

    def commit_at_once(self: Any, *given: Any) -> bool:
        if once:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(once.pop()).result()
        return original(self, *given)

    monkeypatch.setattr(unit_of_work.UnitOfWork, "commit_at_once", commit_at_once)
    tagged = fhir.post("", bundle(put(patient("Mine", id="a"), ifMatch='W/"1"'), put(patient("Mine", id="b"))))
    assert [row["response"]["etag"] for row in tagged.entries()] == ['W/"2"', 'W/"3"']
    versions = [one["resource"]["name"][0]["family"] for one in fhir.get("Patient/b/_history").entries()]
    assert versions == ["Mine", "Neighbour", "Smith"]
    once.append(lambda: fhir.put("Patient/b", patient("Neighbour", id="b")))
    fhir.post("", bundle(put(patient("Late", id="a")), put(patient("Late", id="b"), ifMatch='W/"3"'))).refused(
        412, "conflict", "Bundle.entry[1].request.ifMatch")
    assert fhir.get("Patient/a").vid == "2"


@pytest.mark.parametrize(("scopes", "is_there"), [(["system/*.cruds"], False), (RESTRICTED, True)],
                         ids=["made", "changed, by a token with conditions"])
def test_a_patch_of_what_came_since_it_was_looked_for_patches_that(
    fhir: Fhir, client: Callable[..., Fhir], monkeypatch: pytest.MonkeyPatch, scopes: list[str], is_there: bool
) -> None:
    content = observation(id="o")
    if is_there:
        fhir.put("Observation/o", content)
    once = [lambda: fhir.put("Observation/o", {**content, "status": "amended"})]
    read = ResourceStore.read

    def read_later(self: ResourceStore, type: str, id: str) -> Any:
        if once and id == "o":
            with ThreadPoolExecutor(1) as pool:
                pool.submit(once.pop()).result()
        return read(self, type, id)

    monkeypatch.setattr(ResourceStore, "read", read_later)
    answer = client(*scopes, name="another")("PATCH", "Observation/o", _patch(True), Content_Type=JSON_PATCH)
    assert (answer.status, answer.json["status"], answer.json["language"]) == (200, "amended", "en")
    assert answer.vid == str(2 + is_there)


@pytest.fixture
def asked(app: Flask) -> Iterator[list[str]]:
    """The statements that are executed one by one."""
    told: list[str] = []

    def before(_c: Any, _u: Any, statement: str, *_rest: Any) -> None:
        if "access_token" not in statement:
            told.append(" ".join(statement.split()))

    engine = app.extensions["hie"].store.database.engine
    event.listen(engine, "before_cursor_execute", before)
    yield told
    event.remove(engine, "before_cursor_execute", before)


def test_many_changes_are_read_by_one_question(fhir: Fhir, asked: list[str]) -> None:
    def all_(family: str) -> dict[str, Any]:
        return bundle(*(put(patient(family, id=f"p{number}")) for number in range(unit_of_work.FEW + 10)))

    fhir.post("", all_("Before"))
    asked.clear()
    assert {row["response"]["etag"] for row in fhir.post("", all_("After")).entries()} == {'W/"2"'}
    reading = [one for one in asked if one.startswith("SELECT") and "FROM resource" in one]
    assert len(reading) == 3, "which are there, their locks, their rows"
    assert len(asked) < 15, asked


def test_a_transaction_of_changes_needs_two_questions(
    fhir: Fhir, asked: list[str], messages: Counter[frozenset[str]]
) -> None:
    fhir.post("", bundle(*(put(patient(id=id_)) for id_ in "abc")))
    asked.clear()
    unchanged = put(patient(id="c"))
    assert fhir.post("", bundle(*(put(patient("New", id=id_)) for id_ in "ab"), unchanged)).status == 200
    assert fhir.post("", bundle(put(patient("New", id="a")), unchanged)).status == 200
    assert [one.split(" ")[:2] for one in asked] == [["SELECT", "found.*"]] * 2, asked
    assert messages[frozenset({"several", "changed"})] == 1, "what changes nothing writes nothing"
