"""`hie load` against a small server that answers as the test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hie.commands import connection
from hie.commands.connection import ExchangeError
from hie.commands.load import Progress, Summary, load

Answer = tuple[int, Any]
LOST: Answer = (0, None)  # the connection breaks in place of an answer


class Fake(ThreadingHTTPServer):
    """Speaks just enough FHIR: stores what it is sent unless `script` says otherwise."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posted: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.script: list[Callable[[dict[str, Any]], Answer] | Answer] = []
        self.found: list[dict[str, Any]] = []  # what a search answers
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/fhir"


class _Handler(BaseHTTPRequestHandler):
    server: Fake
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/fhir/metadata":
            self._answer(200, {"resourceType": "CapabilityStatement"})
        else:
            self._answer(200, {"resourceType": "Bundle", "type": "searchset", "entry": self.server.found})

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.headers.append(dict(self.headers.items()))
            body = json.loads(content) if self.headers["Content-Type"] == "application/fhir+json" else {}
            self.server.posted.append(body)
            step = self.server.script.pop(0) if self.server.script else stored
        status, answer = step(body) if callable(step) else step
        if (status, answer) == LOST:
            self.close_connection = True
            return
        self._answer(status, answer)

    def _answer(self, status: int, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if status == 503:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def stored(body: dict[str, Any]) -> Answer:
    entries = [{"response": {"status": "201 Created"}} for _ in body.get("entry", ())]
    return 200, {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}


def outcome(code: str, text: str, expression: str | None = None) -> dict[str, Any]:
    issue: dict[str, Any] = {"severity": "error", "code": code, "diagnostics": text}
    if expression:
        issue["expression"] = [expression]
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def entry_refused(code: str, text: str) -> dict[str, Any]:
    return {"response": {"status": "400 Bad Request", "outcome": outcome(code, text)}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    monkeypatch.setattr(connection, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr("hie.commands.load.SETTLING_SECONDS", 0.0)
    fake = Fake()
    thread = threading.Thread(target=fake.serve_forever, args=(0.01,))
    thread.start()
    yield fake
    fake.shutdown()
    thread.join()
    fake.server_close()


def transaction(value: str, resource_type: str = "Patient") -> dict[str, Any]:
    resource = {"resourceType": resource_type, "identifier": [{"system": "urn:x", "value": value}]}
    entry = {"resource": resource, "request": {"method": "POST", "url": resource_type}}
    return {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}


def write(path: Path, *values: Any) -> Path:
    path.write_text("\n".join(json.dumps(value) for value in values))
    return path


def run(server: Fake, *files: Path, **given: Any) -> Summary:
    return load(files, server.url, "token", journal=files[0].parent / "journal", **given)


def test_a_load_counts_what_was_created_by_type(server: Fake, tmp_path: Path) -> None:
    path = write(tmp_path / "a.ndjson", transaction("1"), transaction("2"), transaction("3", "Device"))
    summary = run(server, path)
    assert summary.effects == {("Patient", "created"): 2, ("Device", "created"): 1}
    assert summary.refusals == []
    assert all(headers["Authorization"] == "Bearer token" for headers in server.headers)


def test_a_second_run_sends_nothing(server: Fake, tmp_path: Path) -> None:
    path = write(tmp_path / "a.ndjson", transaction("1"), transaction("2"))
    run(server, path)
    summary = run(server, path)
    assert len(server.posted) == 2
    assert (summary.entries, summary.left_out) == (0, 2)


def test_a_second_run_sends_only_what_was_refused(server: Fake, tmp_path: Path) -> None:
    path = write(tmp_path / "a.ndjson", transaction("1"), transaction("2"))
    server.script = [(400, outcome("invalid", "no good", "Bundle.entry[0].resource"))]
    (refusal,) = run(server, path, parallel=1).refusals
    assert str(refusal) == "a.ndjson:1 Bundle.entry[0].resource invalid: no good"
    summary = run(server, path)
    assert server.posted[-1] == transaction("1")
    assert (summary.entries, summary.left_out) == (1, 1)


def test_batch_bundles_go_first_and_one_after_the_other(server: Fake, tmp_path: Path) -> None:
    hospital = {"resource": {"resourceType": "Organization"}, "request": {"method": "POST", "url": "Organization"}}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [hospital]}
    write(tmp_path / "a.ndjson", transaction("1"))
    run(server, tmp_path / "a.ndjson", write(tmp_path / "z.json", batch))
    assert [posted["type"] for posted in server.posted] == ["batch", "transaction"]


def test_resources_travel_in_transactions(server: Fake, tmp_path: Path) -> None:
    lines = [{"resourceType": "Patient", "id": f"p{number}"} for number in range(250)]
    summary = run(server, write(tmp_path / "a.ndjson", *lines), parallel=1)
    assert [len(posted["entry"]) for posted in server.posted] == [100, 100, 50]
    assert {posted["type"] for posted in server.posted} == {"transaction"}
    assert summary.effects == {("Patient", "created"): 250}


def test_what_pointed_at_something_not_yet_loaded_is_sent_again(server: Fake, tmp_path: Path) -> None:
    lines = [{"resourceType": "Observation", "id": "o"}, {"resourceType": "Patient", "id": "p"}]
    server.script = [(200, {"entry": [entry_refused("not-found", "no Patient/p")]})]
    summary = run(server, write(tmp_path / "a.ndjson", *lines), parallel=1)
    assert [[entry["request"]["url"] for entry in posted["entry"]] for posted in server.posted] == [
        ["Observation/o"], ["Patient/p"], ["Observation/o"]]  # fmt: skip
    assert summary.entries == 2
    assert summary.refusals == []


class Keeping:
    """Answers as a server that takes references to what it has, or gets by the same transaction, alone."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.asked: list[tuple[str, int]] = []

    def __call__(self, body: dict[str, Any]) -> Answer:
        entries = body["entry"]
        self.asked.append((body["type"], len(entries)))
        if body["type"] == "transaction":
            if any(not self._holds(entry, entries) for entry in entries):
                return 400, outcome("not-found", "refers to nothing", "Bundle.entry[0]")
            self.ids.update(entry["resource"]["id"] for entry in entries)
            return stored(body)
        return 200, {"entry": [self._alone(entry) for entry in entries]}

    def _alone(self, entry: dict[str, Any]) -> dict[str, Any]:
        if not self._holds(entry, []):
            return entry_refused("not-found", "refers to nothing")
        self.ids.add(entry["resource"]["id"])
        return {"response": {"status": "201"}}

    def _holds(self, entry: dict[str, Any], beside: list[dict[str, Any]]) -> bool:
        wanted = entry["resource"].get("to")
        return wanted is None or wanted in self.ids or any(one["resource"]["id"] == wanted for one in beside)


def many(kind: str, number: int, to: str | None = None) -> list[dict[str, Any]]:
    return [{"resourceType": "Basic", "id": f"{kind}{n}", **({"to": f"{to}{n}"} if to else {})} for n in range(number)]


def test_what_refers_to_each_other_over_files_goes_by_one_transaction(server: Fake, tmp_path: Path) -> None:
    keeping = Keeping()
    server.script = [keeping] * 30
    one, other = write(tmp_path / "a.ndjson", *many("a", 150, "b")), write(tmp_path / "b.ndjson", *many("b", 150, "a"))
    summary = run(server, one, other, parallel=1)
    assert (summary.entries, summary.refusals) == (300, [])
    assert keeping.asked[-1] == ("transaction", 300)
    assert len(keeping.asked) == 7, "two passes of three, and then all"


def test_what_refers_to_nothing_is_refused_by_itself(server: Fake, tmp_path: Path) -> None:
    keeping = Keeping()
    server.script = [keeping] * 30
    lost = many("a", 30)
    lost[7]["to"] = "nothing"
    lost[8]["to"] = "later2"
    summary = run(server, write(tmp_path / "a.ndjson", *lost), write(tmp_path / "b.ndjson", *many("later", 3)))
    assert summary.entries == 32
    assert [(refusal.source, refusal.code) for refusal in summary.refusals] == [("a.ndjson:8", "not-found")]


def test_a_reference_to_nothing_ends_as_a_refusal(server: Fake, tmp_path: Path) -> None:
    answer = (200, {"entry": [entry_refused("not-found", "no Patient/p")]})
    server.script = [answer, answer, answer]
    summary = run(server, write(tmp_path / "a.ndjson", {"resourceType": "Observation", "id": "o"}))
    assert [refusal.code for refusal in summary.refusals] == ["not-found"]
    assert len(server.posted) == 2


def test_one_bad_entry_does_not_take_its_batch_with_it(server: Fake, tmp_path: Path) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        bad = any(entry["resource"]["id"] == "p3" for entry in body["entry"])
        return (400, outcome("structure", "twice")) if bad else stored(body)

    server.script = [answer] * 20
    lines = [{"resourceType": "Patient", "id": f"p{number}"} for number in range(8)]
    summary = run(server, write(tmp_path / "a.ndjson", *lines))
    assert summary.entries == 7
    assert [refusal.source for refusal in summary.refusals] == ["a.ndjson:4"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(server: Fake, tmp_path: Path, status: int) -> None:
    server.script = [(status, outcome("throttled", "busy"))] * 3
    summary = run(server, write(tmp_path / "a.json", transaction("1")))
    assert summary.entries == 1
    assert len(server.posted) == 4


def test_a_lost_answer_of_a_stored_transaction_does_not_store_it_twice(server: Fake, tmp_path: Path) -> None:
    server.script = [LOST]
    server.found = [{"resource": {"resourceType": "Patient"}}]
    summary = run(server, write(tmp_path / "a.json", transaction("1")))
    assert len(server.posted) == 1
    assert summary.effects == {("Patient", "created"): 1}
    assert summary.refusals == []


def test_a_lost_request_is_sent_again_when_a_search_finds_nothing(server: Fake, tmp_path: Path) -> None:
    server.script = [LOST]
    summary = run(server, write(tmp_path / "a.json", transaction("1")))
    assert len(server.posted) == 2
    assert summary.effects == {("Patient", "created"): 1}


def test_a_lost_create_that_nothing_identifies_is_told_and_not_sent_again(server: Fake, tmp_path: Path) -> None:
    server.script = [LOST]
    path = write(tmp_path / "a.ndjson", {"resourceType": "Patient"})
    for _ in range(2):
        (refusal,) = run(server, path).refusals
        assert refusal.code == "answer-lost"
    assert len(server.posted) == 1


def test_an_update_whose_answer_was_lost_is_sent_again(server: Fake, tmp_path: Path) -> None:
    server.script = [LOST]
    summary = run(server, write(tmp_path / "a.ndjson", {"resourceType": "Patient", "id": "p"}))
    assert len(server.posted) == 2
    assert summary.entries == 1


@pytest.mark.parametrize(
    ("method", "response", "effect"),
    [
        ("PUT", {"status": "201 Created"}, "created"),
        ("PUT", {"status": "200 OK", "lastModified": "2999-01-01T00:00:00Z"}, "updated"),
        ("PUT", {"status": "200 OK", "lastModified": "2001-01-01T00:00:00.123Z"}, "unchanged"),
        ("POST", {"status": "200 OK", "lastModified": "2999-01-01T00:00:00Z"}, "unchanged"),
        ("DELETE", {"status": "200 OK"}, "deleted"),
    ],
)
def test_the_answer_of_an_entry_says_what_became_of_it(
    server: Fake, tmp_path: Path, method: str, response: dict[str, str], effect: str
) -> None:
    entry = {"resource": {"resourceType": "Patient", "id": "p"}, "request": {"method": method, "url": "Patient/p"}}
    server.script = [(200, {"entry": [{"response": response}]})]
    path = write(tmp_path / "a.json", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    assert run(server, path).effects == {("Patient", effect): 1}


def test_a_refused_token_ends_the_load(server: Fake, tmp_path: Path) -> None:
    server.script = [(401, outcome("login", "expired"))] * 9
    with pytest.raises(ExchangeError, match="refuses the token: expired"):
        run(server, write(tmp_path / "a.ndjson", *(transaction(str(n)) for n in range(9))))


def test_an_address_that_is_no_fhir_server_is_told(server: Fake, tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", transaction("1"))
    with pytest.raises(ExchangeError, match="ends with /fhir"):
        load([path], server.url.removesuffix("/fhir"), "t", journal=tmp_path / "j")


def test_a_server_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_PAUSE", 0.0001)
    path = write(tmp_path / "a.json", transaction("1"))
    with pytest.raises(ExchangeError, match="cannot be reached"):
        load([path], "http://127.0.0.1:1/fhir", "t", journal=tmp_path / "j")


def test_a_dicom_file_is_posted_with_its_patient(server: Fake, tmp_path: Path) -> None:
    (tmp_path / "scan.dcm").write_bytes(b"DICM")
    server.script = [(201, {})]
    summary = run(server, tmp_path / "scan.dcm", patient="Patient/p")
    assert summary.effects == {("Binary", "created"): 1}
    assert server.headers[0]["Content-Type"] == "application/dicom"
    assert server.headers[0]["X-Security-Context"] == "Patient/p"


def test_what_cannot_be_read_is_among_the_refusals_and_told_once(server: Fake, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    summary = run(server, tmp_path / "a.json", write(tmp_path / "b.json", transaction("1")))
    assert summary.entries == 1
    assert [refusal.code for refusal in summary.refusals] == ["unreadable"]


def test_progress_reaches_the_size_of_the_files(server: Fake, tmp_path: Path) -> None:
    told: list[Progress] = []
    path = write(tmp_path / "a.ndjson", transaction("1"), transaction("2"))
    run(server, path, report=told.append)
    assert told[-1].read == told[-1].size == path.stat().st_size


def test_the_summary_shows_counts_by_type_and_every_refusal(server: Fake, tmp_path: Path) -> None:
    server.script = [(400, outcome("invalid", "no good"))]
    path = write(tmp_path / "a.ndjson", transaction("1"), transaction("2"))
    lines = list(run(server, path, parallel=1).table())
    assert lines[1].split() == ["Patient", "1", "0", "0", "0"]
    assert lines[2].split() == ["total", "1", "0", "0", "0"]
    assert lines[-2:] == ["refused: a.ndjson:1 invalid: no good", "1 refusals"]
