"""Versions on their way to a server that takes some, and refuses others in its own ways."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from hie.commands.connection import ExchangeError
from hie.commands.following import sending
from hie.commands.following.gathered import Gathered
from hie.commands.following.receiver import Receiver
from hie.commands.following.sending import Sending, Sent
from hie.commands.following.versions import Version
from tests.sources import Answer, Source, impatient, outcome


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    yield from impatient(monkeypatch, 2)


def taken(body: Any) -> Answer:
    response = {"status": "200", "etag": 'W/"1"', "lastModified": "2024-01-01T00:00:00Z"}
    return 200, {}, {"resourceType": "Bundle", "entry": [{"response": response} for _ in body["entry"]]}


def refused(code: str, index: int | None, status: int = 422) -> Answer:
    told = outcome(code, "no")
    if index is not None:
        told["issue"][0]["expression"] = [f"Bundle.entry[{index}].resource"]
    return status, {}, told


class Sender:
    """Sends versions (Type/id, number, second), and keeps what each Bundle that was taken had and what was reached."""

    def __init__(self, server: Source) -> None:
        self._server = server
        self.bundles: list[list[str]] = []
        self.reached: list[int] = []

    def __call__(self, versions: list[tuple[str, int, int]], answer: Any = taken, size: int = 2) -> Sent:
        def answered(body: Any) -> Answer:
            made: Answer = answer(body)
            if made[0] == 200:
                self.bundles.append([names(row) for row in reversed(body["entry"])])
            return made

        self._server.posted = answered
        with closing(Receiver(self._server.url, "t")) as receiver, Gathered() as gathered:
            for place, number, second in versions:
                type_name, _, id_ = place.partition("/")
                gathered.add(Version((type_name, id_), str(number), "PUT", second * 1_000_000,
                                     f"http://there.example/{place}", b'"' + b"x" * size + b'"'), 0)
            gathered.settle()
            return Sending(gathered, receiver, self.reached.append, lambda count, sent: None).run()


@pytest.fixture
def send(server: Source) -> Sender:
    return Sender(server)


def names(row: Any) -> str:
    return f"{row['request']['url']} {row['response']['etag'][3:-1]}"


def of_second(second: int, *ids: str) -> list[tuple[str, int, int]]:
    return [(f"Patient/{id_}", 1, second) for id_ in ids]


def test_bundles_end_where_the_time_changes(send, monkeypatch):
    monkeypatch.setattr(sending, "BUNDLE_VERSIONS", 3)
    send([*of_second(3, "g"), *of_second(2, "f", "e", "d", "c", "b"), *of_second(1, "a")])
    assert send.bundles == [[f"Patient/{id_} 1" for id_ in "abcdef"], ["Patient/g 1"]]
    assert send.reached == [2_000_000, 3_000_000]


@pytest.mark.parametrize(("name", "most", "size"), [("MOST_VERSIONS", 2, 1), ("MOST_BYTES", 21_000, 10_000)])
def test_no_bundle_is_larger_than_servers_take(send, monkeypatch, name, most, size):
    monkeypatch.setattr(sending, name, most)
    send(of_second(1, *"edcba"), size=size)
    assert [len(bundle) for bundle in send.bundles] == [2, 2, 1]


def test_a_server_that_takes_less_is_sent_less_from_then_on(send, server, monkeypatch):
    monkeypatch.setattr(sending, "BUNDLE_VERSIONS", 100)
    versions = [(f"Patient/p{n}", 1, n) for n in range(400)]
    sent = send(versions, lambda body: taken(body) if len(body["entry"]) <= 30 else (413, {}, b"<html>"))
    assert sent.stored == 400
    assert len(server.asked) - len(send.bundles) == 3  # of 100, and twice of 50
    assert len(send.bundles) == 16


@pytest.mark.parametrize("code", ["too-costly", "too-long", "timeout"])
def test_what_is_too_much_together_is_not_the_fault_of_the_entry_that_is_named(send, code):
    sent = send(of_second(1, *"edcba"), lambda body: refused(code, 1) if len(body["entry"]) > 2 else taken(body))
    assert (sent.stored, sent.refusals, sent.settled) == (5, 0, {})
    sent = send(of_second(1, "a"), lambda body: refused(code, 0))
    assert list(sent.settled) == ["Patient/a/_history/1"]


def test_a_refusal_without_a_name_is_found_by_halves(send):
    def answer(body: Any) -> Answer:
        is_bad = any(names(row) == "Patient/c 1" for row in body["entry"])
        return refused("processing", None) if is_bad else taken(body)

    sent = send(of_second(1, *"gfedcba"), answer)
    assert (sent.stored, sent.notes) == (6, ["refused, left out: Patient/c/_history/1 processing: no"])


@pytest.mark.parametrize(("code", "status"), [("exception", 500), ("forbidden", 403), ("not-found", 400)])
def test_later_versions_wait_with_one_that_waits(send, code, status):
    def answer(body: Any) -> Answer:
        bad = [n for n, row in enumerate(body["entry"]) if names(row) == "Patient/a 2"]
        return refused(code, bad[0], status) if bad else taken(body)

    sent = send([("Patient/a", number, number) for number in (3, 2, 1)] + of_second(5, "b"), answer)
    assert send.bundles == [["Patient/a 1", "Patient/b 1"]]
    assert send.reached == []
    assert sent.waiting == {"Patient/a": 2_000_000}
    assert [line.split(":")[0] for line in sent.notes] == ["refused, waits"] * 2
    assert sent.settled == {}


def test_a_server_that_refuses_everything_is_told_before_all_was_tried(send, server):
    with pytest.raises(ExchangeError, match="refuses one version after the other, the last with 500: Patient/"):
        send(of_second(1, *(f"p{n}" for n in range(500))), lambda body: refused("exception", None, 500))
    assert len(server.asked) < 80


@pytest.mark.parametrize(("answer", "text"), [
    (lambda body: (200, {}, {"entry": []}), "answered 0 of 1 entries"),
    (lambda body: (200, {}, b"<html>"), "answered 0 of 1 entries"),
    (lambda body: (503, {"Retry-After": "0"}, outcome("transient", "busy")), "answers 503: busy"),
    (lambda body: (302, {"Location": "http://elsewhere.example"}, b""), "answers 302"),
    (lambda body: (401, {}, outcome("login", "expired")), "refuses the token: expired"),
    (lambda body: (0, {}, None), "The connection to .* broke"),
])  # fmt: skip
def test_what_is_no_answer_ends_the_poll(send, answer, text):
    with pytest.raises(ExchangeError, match=text):
        send(of_second(1, "a"), answer)
    assert send.reached == []


def test_a_lost_answer_is_asked_for_again(send):
    answers = [lambda body: (0, {}, None), taken]
    assert send(of_second(1, "a"), lambda body: answers.pop(0)(body)).stored == 1
