"""Other servers are measured by the same command, whatever they refuse, end or leave unanswered."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks import compare, compared, mixes, scripted
from benchmarks.processes import cpu_seconds, pin
from benchmarks.scripted import Answer, Request, Script, Server


@contextmanager
def foreign(answers: tuple[bytes, ...]) -> Iterator[Server]:
    """A server that gives each connection these answers, then ends it; with none it reads and is silent."""

    def serve(one: socket.socket) -> None:
        with one:
            for answer in answers:
                one.recv(65_536)
                one.sendall(answer)
            if not answers:
                while one.recv(65_536):
                    pass

    def accept() -> None:
        while True:
            try:
                one, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(one,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield Server("127.0.0.1", listening.getsockname()[1], "/fhir", "")
        listening.shutdown(socket.SHUT_RDWR)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("answers", "read", "unexpected"),
    [
        ((OK, LAST), 5, {}),
        ((OK,), 1, {("read", scripted.UNANSWERED): 2}),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",), 0, {("read", scripted.UNANSWERED): 2}),
        ((), 0, {("read", scripted.UNANSWERED): 2}),
    ],
    ids=["ends connections and says so", "ends them without a word", "in the middle of an answer", "is silent"],
)
def test_what_a_server_leaves_unanswered_is_counted(
    answers: tuple[bytes, ...], read: int, unexpected: dict[tuple[str, int], int]
) -> None:
    def reading() -> Script:
        for _ in range(5):
            yield Request("read", "GET", "Patient/1")

    with foreign(answers) as server:
        results = scripted.run(server, [reading(), reading()], 60, patience=0.3)
    assert dict(results.unexpected) == unexpected
    assert results.requests == 2 * read


def test_the_base_is_asked_without_a_slash() -> None:
    assert Server("h", 1, "/fhir", "").bytes_of(Request("bundle", "POST", "")).startswith(b"POST /fhir HTTP/1.1\r\n")
    assert Server("h", 1, "", "").bytes_of(Request("bundle", "POST", "")).startswith(b"POST / HTTP/1.1\r\n")


def test_an_iteration_goes_on_without_what_is_refused_and_what_refers_to_it() -> None:
    script, asked = mixes.crud(1), []
    request = next(script)
    while len(asked) < 30:
        asked.append((request.label, request.path.split("/")[0]))
        refused = asked[-1] == ("create", "Claim")
        request = script.send(Answer(422 if refused else 201, {}, b"{}" if refused else b'{"id": "1"}'))
    assert asked[29] == ("create", "Patient"), "seven are read, updated and deleted, then all begins anew"
    assert [label for label, name in asked if name == "Claim"] == ["create"]
    assert not [label for label, name in asked if name == "ExplanationOfBenefit"]


def test_harvests_pass_over_what_is_not_of_the_type() -> None:
    harvested = mixes.Harvest()
    script = mixes.harvest(harvested)
    next(script)
    found = [{"resourceType": "Patient", "id": "1"}, {"resourceType": "OperationOutcome"}]
    rows = [{}, *({"resource": one} for one in found)]
    script.send(Answer(200, {}, json.dumps({"entry": rows}).encode()))
    assert harvested.ids == {"Patient": ["1"]}


@pytest.mark.without_jobs
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_another_server_is_measured_by_one_command(exchange: Any, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{exchange.port}/fhir"
    told = ["--url", url, "--token", exchange.token, "--pid", str(exchange._process.pid)]
    few = ["--users", "2", "--seconds", "0.2", "--rounds", "2", "--fill", "1", "--warm-up", "0.1"]
    compare.main(told + few)
    heading, _, *rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    table = {name: cells for name, *cells in rows}
    assert heading[0].startswith("hie ")
    assert {"**search**, requests/s (per core)", "crud, p50 / p99 ms", "import, resources/s"} < set(table)
    assert all(float(table[f"{mix}, CPU µs each"][0].replace(",", "")) > 0 for mix in ("search", "crud", "import"))
    assert not [name for name in table if name.startswith("not as expected")]
    compare.main(["--url", url, "--token", "wrong", *few])
    refused = dict(line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:])
    assert refused["not as expected: fill: status 401"] == "1 times"
    assert refused["not as expected: harvest: status 401"] == "3 times"
    assert "not as expected: create: status 401" in refused


def test_a_server_that_is_none_is_refused_before_it_is_measured() -> None:
    with foreign((LAST,)) as server, pytest.raises(SystemExit, match=r"no CapabilityStatement .* \(status 200\)"):
        compare.main(["--url", f"http://127.0.0.1:{server.port}/fhir"])
    with pytest.raises(SystemExit, match=r"no answer"):
        compare.main(["--url", f"http://127.0.0.1:{server.port}/fhir"])
    with pytest.raises(SystemExit, match=r"no process 4194305"):
        compare.main(["--url", "http://127.0.0.1:1/fhir", "--pid", "4194305"])


def test_figures_are_medians_of_the_rounds() -> None:
    measured = [compared.Measured("one"), compared.Measured("other")]
    for cpu, times in ((0.003, 10), (0.002, 20), (0.009, 600)):
        results = scripted.Results(2.0)
        for _ in range(times):
            results.add(Request("bundle", "POST", ""), Answer(200 if times > 10 else 503, {}, b""), times / 1000)
        measured[0].add("import", compared.Figures(results, (cpu, 2 * cpu), 2))
        measured[1].add("import", compared.Figures(results, (), 4))
    assert list(compared.table(measured, 97))[2:] == [
        "| **import**, requests/s (per core) | 10 (5.0) | 10 (2.5) |",
        "| import, resources/s | 970 | 970 |",
        "| import, p50 / p99 ms | 20 / 20 | 20 / 20 |",
        "| import, CPU µs each | 300 (100 + 200) |  |",
        "| not as expected: bundle: status 503 | 10 times | 10 times |",
    ]


def test_two_versions_are_compared_round_by_round() -> None:
    measured = [compared.Measured("now"), compared.Measured("before")]
    for now, before in ((0.011, 0.010), (0.022, 0.020), (0.030, 0.040)):  # the machine slows down meanwhile
        for server, cpu in zip(measured, (now, before), strict=True):
            results = scripted.Results(1.0)
            results.add(Request("read", "GET", ""), Answer(200, {}, b""), 0.01)
            server.add("crud", compared.Figures(results, (cpu,), 1))
    assert "| crud, CPU of the first by that of each, round by round | 1.000 | 1.100 |" in compared.table(measured, 1)


def test_what_is_no_checkout_is_not_compared_with(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no checkout of this exchange at .* \(--against\)"):
        compare.main(["--database", "sqlite", "--against", str(tmp_path)])


def test_the_exchange_of_another_checkout_is_started_from_there(tmp_path: Path) -> None:
    """Whatever the environment of this one finds first."""
    (tmp_path / "hie").mkdir()
    (tmp_path / "hie" / "__init__.py").touch()
    (tmp_path / "hie" / "cli.py").write_text("import sys\nopen('started', 'a').write(sys.argv[1])\nsys.exit(3)\n")
    with pytest.raises(RuntimeError, match="ended with code 3"), compare.this_exchange("sqlite", 1, tmp_path):
        pass
    assert (tmp_path / "started").read_text() == "serve"


def test_the_cpu_of_a_server_is_that_of_all_that_it_started() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    run = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {burn!r}])"
    both = f"{run}; print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", both], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            assert 0.25 < cpu_seconds(process.pid) < 2
        finally:
            process.kill()
    assert cpu_seconds(process.pid) == 0


def test_servers_are_kept_apart_from_their_databases_and_from_the_load() -> None:
    own, *others = sorted(os.sched_getaffinity(0))
    if not others:
        pytest.skip("This machine has one core.")
    nobody = Server("127.0.0.1", 9, "", "")
    with ExitStack() as stack:
        programs = [stack.enter_context(subprocess.Popen(["sleep", "30"])) for _ in range(4)]
        try:
            targets = [compare.Target("one", nobody, (programs[0].pid, programs[1].pid)),
                       compare.Target("other", nobody, (programs[2].pid, programs[3].pid))]  # fmt: skip
            compare.keep_apart(targets, 1)
            kept = [os.sched_getaffinity(one.pid) for one in programs]
            assert kept == [{own}, set(others), {own}, set(others)]
            assert os.sched_getaffinity(0) == set(others)
            assert [one.cores for one in targets] == [1, 1]
            with pytest.raises(SystemExit, match="needs the process"):
                compare.keep_apart([compare.Target("unknown", nobody)], 1)
            pin(os.getpid(), {own, *others})
            with pytest.raises(SystemExit, match="none is left"):
                compare.keep_apart(targets, 1 + len(others))
            target = targets[0]
            target.keep_apart({own, *others}, {own})
            assert os.sched_getaffinity(target.pids[0]) == {own, *others}
            assert target.cores == 1 + len(others)
        finally:
            pin(os.getpid(), {own, *others})
            for one in programs:
                one.kill()
