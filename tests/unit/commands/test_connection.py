"""The connection of commands: how long it waits, and how much it reads."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest

from hie.commands import connection
from hie.commands.connection import AnswerLost, AnswerTooLarge, Connection, ExchangeError
from tests.sources import Source, impatient, outcome


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    yield from impatient(monkeypatch, 3)


def asked(server: Source, *, largest_answer: int = 100_000, method: str = "GET", **given: Any) -> Any:
    one = Connection(server.url, {"Authorization": "Bearer t"}, largest_answer=largest_answer)
    try:
        return one.request(method, f"{server.url}/x", **given)
    finally:
        one.close()


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(("size", "fits"), [(100_000, True), (100_001, False), (50_000_000, False)])
def test_no_more_of_an_answer_is_read_than_may_be(server, packed, size, fits):
    content = b" " * size
    headers = {"Content-Encoding": "gzip"} if packed else {}
    server.routes["/fhir/x"] = 200, headers, gzip.compress(content) if packed else content
    if fits:
        assert asked(server).content == content
    else:
        with pytest.raises(AnswerTooLarge, match="answers more than 0 MB at once"):
            asked(server)
    assert server.headers[0]["Accept-Encoding"] == "gzip"


def test_gzip_that_ends_early_is_no_answer(server):
    whole = gzip.compress(b"x" * 1_000)
    broken, packed = whole[:-9], {"Content-Encoding": "gzip"}
    server.routes["/fhir/x"] = [(200, packed, broken), (200, packed, whole)]
    assert asked(server, repeatable=True).content == b"x" * 1_000
    server.routes["/fhir/x"] = 200, packed, broken
    with pytest.raises(AnswerLost, match="ends before its gzip does"):
        asked(server)


@pytest.mark.parametrize(("asked_for", "least", "most"), [
    ("7", 7, 7), ("99999999999999999999", 300, 300), ("-1", 0, 1), ("soon", 0, 1), ("", 0, 1), (200, 150, 200),
    (9_000, 300, 300), (-9_000, 0, 1), ("Thu, 99 Foo 2024", 0, 1), ("\u00b2", 0, 1),
])  # fmt: skip
def test_a_busy_server_says_how_long_it_wants_to_be_left_alone(server, monkeypatch, asked_for, least, most):
    pauses: list[float] = []
    monkeypatch.setattr(Connection, "pause", lambda self, seconds: pauses.append(seconds))
    text = asked_for if isinstance(asked_for, str) else formatdate(time.time() + asked_for, usegmt=True)
    server.routes["/fhir/x"] = [(503, {"Retry-After": text}, b""), (200, {}, b"{}")]
    assert asked(server).status == 200
    assert len(pauses) == 1
    assert least <= pauses[0] <= most


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_stays_busy_is_left_in_the_end(server, status):
    server.routes["/fhir/x"] = status, {"Retry-After": "0"}, outcome("transient", "busy")
    answer = asked(server)
    assert (answer.status, len(server.asked)) == (status, 3)
    assert connection.outcome_text(answer.json()) == "busy"


def test_what_may_not_be_sent_twice_is_not(server):
    server.posted = 0, {}, None
    with pytest.raises(AnswerLost):
        asked(server, method="POST", content=b"{}")
    assert len(server.asked) == 1
    with pytest.raises(AnswerLost):
        asked(server, method="POST", content=b"{}", repeatable=True)
    assert len(server.asked) == 4


@pytest.mark.parametrize("body", [{}, {"issue": None}, {"issue": [7]}, {"issue": [{"details": "x"}]}, {"issue": {}}])
def test_an_outcome_that_is_none_is_no_error_of_ours(server, body):
    server.routes["/fhir/x"] = 401, {}, body
    with pytest.raises(ExchangeError, match="refuses the token: "):
        asked(server)


@pytest.mark.parametrize(("other", "is_ours"), [
    ("http://here.example/x", True), ("http://HERE.example:80/x", True), ("https://here.example/x", False),
    ("http://here.example:8080/x", False), ("http://here.example.evil/x", False), ("http://a@here.example/x", False),
    ("/x", False), ("http://[", False),
])  # fmt: skip
def test_an_origin_is_scheme_host_and_port(other, is_ours):
    one = Connection("http://here.example/fhir", {})
    assert one.has(other) == is_ours
    one.close()
