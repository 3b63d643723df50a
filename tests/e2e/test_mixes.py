"""The mixes by which servers are compared do what they say: every request of an iteration is answered as expected."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from benchmarks import mixes, scripted
from benchmarks.scripted import Script, Server


def once(script: Script, requests: int) -> Script:
    """The first requests of a script that goes on for ever."""
    answer = None
    for _ in range(requests):
        answer = yield next(script) if answer is None else script.send(answer)


@pytest.mark.without_jobs
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_an_iteration_of_each_mix_is_answered_as_expected(exchange: Any) -> None:
    server = Server("127.0.0.1", exchange.port, "/fhir", exchange.token)
    imported = scripted.run(server, [once(mixes.import_(mixes.generated_bundles(1, 1), 0, 1), 1)], 60)
    harvested = mixes.Harvest()
    scripted.run(server, [mixes.harvest(harvested)], 60)
    searches = len(list(mixes.queries(mixes.random.Random(1), harvested)))
    searched = scripted.run(server, [once(mixes.search(number, harvested), searches) for number in range(2)], 60)
    crud = scripted.run(server, [once(mixes.crud(number), 36) for number in range(2)], 60)
    for results in (imported, searched, crud):
        assert dict(results.unexpected) == {}
    assert len(harvested.ids["Patient"]) == 1
    assert set(searched.outcomes) == {"string", "date", "token", "quantity", "composite", "reference"}
    assert {label: len(one.latencies) for label, one in crud.outcomes.items()} == dict.fromkeys(
        ("create", "read", "update", "delete"), 18
    )


@pytest.mark.parametrize(
    ("head", "body"),
    [("Content-Length: 5", b"hello"), ("Transfer-Encoding: chunked", b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n")],
    ids=["counted", "chunked"],
)
def test_answers_are_read_however_they_arrive(head: str, body: bytes) -> None:
    whole = f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body
    for end in range(len(whole)):
        assert scripted._answer(bytearray(whole[:end]), False) is None
    answer = scripted._answer(bytearray(whole), False)
    assert answer is not None
    assert (answer.status, answer.body) == (200, b"hello")


def test_only_plain_http_is_measured() -> None:
    assert Server.of("http://127.0.0.1:8103/fhir/R4/", "t") == Server("127.0.0.1", 8103, "/fhir/R4", "t")
    with pytest.raises(ValueError, match="without TLS"):
        Server.of("https://example.org/fhir", "t")


def test_each_seed_is_a_user_of_its_own() -> None:
    first, again, other = (next(mixes.crud(seed)).body for seed in (1, 1, 2))
    assert first == again != other
    assert len(list(itertools.islice(mixes.queries(mixes.random.Random(3), mixes.Harvest()), 99))) == 24
