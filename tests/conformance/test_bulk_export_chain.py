"""Exports beside writers: each shows one state, and one after the other they tell all that was written.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html#response---complete-status
"""

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from hie.app import create_app
from hie.interactions import bulk
from hie.jobs.worker import Worker
from hie.store.check import check
from hie.store.resources import ResourceStore
from tests.builders import bundle as bundle_of
from tests.builders import entry, observation, patient
from tests.conformance.administration import make_token
from tests.conformance.conftest import Fhir
from tests.conformance.later import LATER
from tests.conformance.test_bulk_export import exported, ids

WRITERS, PLACES, EXPORTS = 3, 12, 3
State = dict[str, Any]


@pytest.fixture
def going(settings, monkeypatch) -> Iterator[Any]:
    """A server with a clock that goes, and whose exports take many pages and files."""
    monkeypatch.setattr("hie.interactions.bulk.MOST_LINES", 5)
    search = ResourceStore.search
    monkeypatch.setattr(ResourceStore, "search", lambda store, query: search(store, replace(query, count=4)))
    made = create_app(settings)
    yield made.extensions["hie"], made
    made.extensions["hie"].close()


def _write(fhir: Fhir, number: int, chance: random.Random) -> None:
    """Change some places of a writer's own; the two of a pair are always changed together, and say the same."""
    place = f"w{number}-{chance.randrange(PLACES)}"
    if chance.random() < 0.3:
        answer = fhir.post("", bundle_of(entry("DELETE", f"Observation/{place}"), entry("DELETE", f"Basic/{place}")))
        assert answer.status == 200, answer.content
        return
    value = chance.randrange(1_000_000)
    basic = {"resourceType": "Basic", "id": place, "code": {"text": str(value)}, "subject": {"reference": "Patient/p"}}
    pulse = observation("Patient/p", id=place, value=value)
    both = entry("PUT", f"Observation/{place}", pulse), entry("PUT", f"Basic/{place}", basic)
    answer = fhir.post("", bundle_of(*both))
    assert answer.status == 200, answer.content


@contextmanager
def _writers(fhir: Fhir) -> Iterator[None]:
    stop, failed = threading.Event(), []

    def write(number: int) -> None:
        chance = random.Random(number)
        try:
            while not stop.is_set():
                _write(fhir, number, chance)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failed == []


def _exported(fhir: Fhir, step: Callable[[], bool], url: str) -> tuple[str, State, set[str]]:
    """Return when an export was, what it has by place, and what it says is deleted."""
    address = str(fhir.get(url, **LATER).headers["Content-Location"])
    while fhir.get(address).status == 202:
        step()
    told = fhir.get(address).json

    def lines(kind: str) -> Iterator[Any]:
        for file in told[kind]:
            content = fhir.get(file["url"]).content.decode().splitlines()
            assert len(content) == file["count"]
            yield from map(json.loads, content)

    rows = list(lines("output"))
    found = {f"{one['resourceType']}/{one['id']}": one for one in rows}
    assert len(found) == len(rows), "each once"
    gone = {one["request"]["url"] for line in lines("deleted") for one in line["entry"]}
    assert gone.isdisjoint(found)
    return told["transactionTime"], found, gone


def _is_of_one_state(found: State) -> bool:
    """Tell whether the two of each pair say the same."""
    said = {place: (one["code"]["text"] if place.startswith("Basic") else str(one["valueQuantity"]["value"]))
            for place, one in found.items() if not place.startswith("Patient")}  # fmt: skip
    return all(said.get(f"{other}/{place.partition('/')[2]}") == value
               for place, value in said.items() for other in ("Basic", "Observation"))  # fmt: skip


@pytest.mark.parametrize("url", ["$export", "Patient/$export"])
def test_exports_one_after_the_other_tell_what_is_written_beside_them(going, url):
    made, app = going
    fhir, worker = Fhir(app, make_token(made, "system/*.cruds")), Worker(made, "test")
    assert fhir.put("Patient/p", patient(id="p")).status == 201
    mine: State = {}
    query = f"{url}?_type=Patient,Observation,Basic"
    since = ""
    with _writers(fhir):
        for _ in range(EXPORTS):
            at, found, gone = _exported(fhir, worker.step, query + since)
            assert since or _is_of_one_state(found)
            mine = {place: one for place, one in (mine | found).items() if place not in gone}
            since = f"&_since={at}"
    _, found, gone = _exported(fhir, worker.step, query + since)
    mine = {place: one for place, one in (mine | found).items() if place not in gone}
    _, there, _ = _exported(fhir, worker.step, query)
    assert mine == there
    assert len(there) > 5


def test_what_is_deleted_behind_the_moment_is_there(fhir, do_due, clock, monkeypatch):
    """Its deletion is told by the next export."""
    one = fhir.create(patient())["id"]
    clock.now += 1_000_000
    since = fhir.get(f"Patient/{one}").json["meta"]["lastUpdated"]
    fhir.put(f"Patient/{one}", patient(id=one, family="Changed"))
    held = bulk.moment

    def moment(ctx):
        found = held(ctx)
        fhir.delete(f"Patient/{one}")
        return found

    monkeypatch.setattr(bulk, "moment", moment)
    url = f"$export?_type=Patient&_since={since}"
    assert ids(exported(fhir, do_due, url)) == {"Patient": [one]}
    fhir.put(f"Patient/{one}", patient(id=one, family="Again"))
    assert exported(fhir, do_due, url, "deleted") == {}
    monkeypatch.setattr(bulk, "moment", held)
    (line,) = exported(fhir, do_due, url, "deleted")["Bundle"]
    assert line["entry"][0]["request"]["url"] == f"Patient/{one}"


def test_beside_too_many_writers_to_name_the_moment_is_an_instant(fhir, do_due, clock, monkeypatch):
    """https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT lists each that is open."""
    one, two = (fhir.create(patient(family=name))["id"] for name in ("One", "Two"))

    def moment(ctx):
        found = ctx.clock()
        clock.now += 1_000_000
        fhir.delete(f"Patient/{one}")
        fhir.put(f"Patient/{two}", patient(id=two, family="Changed"))
        fhir.create(patient(family="Later"))
        return found, None

    since, held = "$export?_since=2025-01-01T00:00:00Z", bulk.moment
    monkeypatch.setattr(bulk, "moment", moment)
    told = exported(fhir, do_due, since)["Patient"]
    assert sorted((row["id"], row["name"][0]["family"]) for row in told) == sorted([(one, "One"), (two, "Two")])
    monkeypatch.setattr(bulk, "moment", held)
    assert exported(fhir, do_due, since, "deleted")["Bundle"][0]["entry"][0]["request"]["url"] == f"Patient/{one}"


@pytest.mark.parametrize("when", ["listing", "listed"])
def test_what_is_erased_while_it_is_listed_is_in_no_file(fhir, client, do_due, monkeypatch, application, when):
    one, two = (fhir.create(patient(family=name))["id"] for name in ("One", "Two"))
    whole_client = client("admin system/*.cruds")

    def erase():
        fhir.delete(f"Patient/{one}")
        assert whole_client.delete(f"Patient/{one}/_history").status == 200

    held, ended = bulk.moment, bulk._Filing.end

    def moment(ctx):
        found = held(ctx)
        if when == "listing":
            erase()
        return found

    def end(filing):
        if when == "listed":
            erase()
        ended(filing)

    monkeypatch.setattr(bulk, "moment", moment)
    monkeypatch.setattr(bulk._Filing, "end", end)
    address = str(fhir.get("$export?_type=Patient", **LATER).headers["Content-Location"])
    do_due()
    (file,) = fhir.get(address).json["output"]
    assert file["count"] == (1 if when == "listing" else 2)
    assert [json.loads(line)["id"] for line in fhir.get(file["url"]).content.splitlines()] == [two]
    assert check(application.store).problems == []
