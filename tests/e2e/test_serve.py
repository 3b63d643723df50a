"""`hie serve` as a process: its port, its children, its end."""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hie.commands import token
from tests.forks import Interpreters

SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"])


@pytest.fixture(scope="module")
def programs() -> Interpreters:
    """Each starts as a user starts it."""
    return Interpreters()


@pytest.fixture(scope="module")
def running(shared: Callable[..., Any]) -> Any:
    """A server of those tests that leave its parent alone."""
    return shared(has_job_worker=True)


def children(pid: int) -> list[int]:
    """The child processes of a process, and theirs."""
    if not Path("/proc/self/task").exists():
        pytest.skip("needs /proc to see the children of a process")
    lists = Path(f"/proc/{pid}/task").glob("*/children")  # of each thread, those that it has started
    mine = [int(number) for path in lists for number in path.read_text().split()]
    return mine + [grandchild for child in mine for grandchild in children(child)]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def eventually(holds: Callable[[], bool], seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.02)
    return False


def main_process(exchange: Any) -> int:
    return int(exchange._process.pid)


def test_a_port_that_is_taken_ends_the_start_with_one_clear_line(running: Any) -> None:
    done = running.command("serve", "--port", str(running.port), check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == f"Error: 127.0.0.1:{running.port} cannot be bound: Address already in use."
    assert running.request("GET", "/health")[0] == 200


def test_it_listens_on_loopback_only_unless_told_otherwise(running: Any) -> None:
    with socket.socket() as probe:
        # On Linux all of 127.0.0.0/8 is this machine: a server bound to every address would answer here.
        assert probe.connect_ex(("127.0.0.2", running.port)) != 0


def test_web_processes_share_the_memory_of_what_was_loaded_before_they_were_forked(running: Any) -> None:
    pid = main_process(running)
    commands = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children(pid)}
    web = [child for child, command in commands.items() if b"serve" in command]
    assert len(web) == 2
    for child in web:
        lines = Path(f"/proc/{child}/smaps_rollup").read_text().splitlines()[1:]
        mebibytes = {name: int(size.split()[0]) / 1024 for name, size in (line.split(":") for line in lines)}
        assert mebibytes["Shared_Dirty"] > 30, mebibytes  # each alone: 14
        assert mebibytes["Pss"] < 80, mebibytes


@SQLITE
def test_all_children_end_with_their_parent_whether_it_is_killed_or_told_to_end(exchange: Any) -> None:
    def family() -> list[int]:
        pid = main_process(exchange)
        assert eventually(lambda: len(children(pid)) >= 3)  # two web processes and the job worker
        return [pid, *children(pid)]

    killed = family()
    os.kill(killed[0], signal.SIGKILL)
    exchange._process.wait()
    assert eventually(lambda: not any(map(is_running, killed)))
    exchange.start()
    assert exchange.request("GET", "/fhir/Patient?_summary=count")[0] == 200
    told = family()
    os.kill(told[0], signal.SIGTERM)
    assert exchange._process.wait(timeout=60) == 0
    assert eventually(lambda: not any(map(is_running, told)))


def test_a_job_worker_that_dies_is_started_again(running: Any) -> None:
    pid = main_process(running)

    def workers() -> list[int]:
        commands = {one: Path(f"/proc/{one}/cmdline") for one in children(pid)}
        return [one for one, path in commands.items() if path.exists() and b"\0worker\0" in path.read_bytes()]

    assert eventually(lambda: len(workers()) == 1)
    (first,) = workers()
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: bool(set(workers()) - {first}))


#: While the file is there no process can be forked, as where memory is short.
REFUSE_FORKS = """
import os

fork = os.fork

def refuse():
    if os.path.exists(os.environ["NO_FORKS"]):
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return fork()

os.fork = refuse
"""
#: Every process that is forked ends at once.
END_FORKS = """
import os

os.register_at_fork(after_in_child=lambda: os._exit(3))
"""


def customized(exchange: Any, directory: Path, program: str, **variables: str) -> None:
    """Let the server's processes run this program before anything else."""
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(program)
    paths = [str(directory), exchange._environment.get("PYTHONPATH", "")]
    exchange._environment |= {"PYTHONPATH": os.pathsep.join(paths), **variables}


@SQLITE
@pytest.mark.without_jobs
def test_a_web_process_that_dies_is_started_again_while_the_other_serves(stopped: Any, tmp_path: Path) -> None:
    exchange, no_forks = stopped, tmp_path / "no-forks"
    customized(exchange, tmp_path / "refusing", REFUSE_FORKS, NO_FORKS=str(no_forks))
    exchange.start()
    exchange.token = token.create(exchange.settings, "operator", ["system/*.rs", "admin"], 30)
    pid = main_process(exchange)

    def log() -> str:
        return str(exchange.log.read_text())

    def is_gone(web: int) -> bool:
        return eventually(lambda: not Path(f"/proc/{web}").exists())

    served = itertools.count()

    def serves() -> None:
        for _ in range(20):
            assert exchange.request("GET", "/fhir/Patient/none")[0] == 404
            next(served)

    def each_has_answered(*web: int) -> bool:
        serves()  # one of them may be ready long before the other
        return _files_of_metrics(exchange) == {*web}

    assert eventually(lambda: "Serving FHIR" in log())
    first, other = children(pid)
    assert eventually(lambda: each_has_answered(first, other))
    no_forks.touch()
    # Noted by another thread it does not wake the main one, as when it comes just before that begins to wait.
    other_thread = max(int(task.name) for task in Path(f"/proc/{first}/task").iterdir())
    assert ctypes.CDLL(None).tgkill(first, other_thread, signal.SIGTERM) == 0
    assert is_gone(first), "a signal that its main thread has not seen ends it"
    assert eventually(lambda: "could not be started" in log())
    no_forks.unlink()
    serves()
    assert eventually(lambda: len(children(pid)) == 2)
    second = children(pid)[1]
    second_started = _started(second)
    assert eventually(lambda: _files_of_metrics(exchange) == {other, second}), "what the first counted goes on"
    os.kill(second, signal.SIGKILL)
    assert is_gone(second)
    assert children(pid) == [other]
    serves()
    assert eventually(lambda: "SIGKILL" in log())
    metrics = exchange.request("GET", "/metrics")[1].decode()
    (line,) = [one for one in metrics.splitlines() if one.startswith("hie_requests_total{") and '="404"' in one]
    assert float(line.split()[-1]) == next(served), "those that dead processes answered are counted, once"
    asked = time.monotonic()
    os.killpg(pid, signal.SIGINT)  # as Ctrl-C does
    assert exchange._process.wait(timeout=60) == 0
    assert time.monotonic() - asked < 25, "none of them is killed after 30 s"
    lines = [line for line in map(json.loads, re.findall(r"^{.*}$", log(), re.M)) if line["level"] == "ERROR"]
    killed = "was killed by SIGKILL, as the system does when memory runs out"
    assert [line["message"] for line in lines] == [
        f"web process 1 (pid {first}) ended with code 0; it is started again at once",
        "web process 1 could not be started (BlockingIOError); it is started again in 1 s",
        f"web process 1 (pid {second}) {killed}; it is started again in 2 s",
    ]
    refused = datetime.fromisoformat(lines[1]["at"]).timestamp()
    assert second_started - refused > 0.9, "it was started 1 s later"


def _started(pid: int) -> float:
    """When a process was started, in seconds since 1970: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return time.time() - float(Path("/proc/uptime").read_text().split()[0]) + ticks / os.sysconf("SC_CLK_TCK")


def _files_of_metrics(exchange: Any) -> set[int]:
    return {int(file.stem.rpartition("_")[2]) for file in (exchange.settings.data_dir / "metrics").glob("*.db")}


@SQLITE
@pytest.mark.without_jobs
def test_a_server_whose_web_processes_never_come_up_ends(stopped: Any, tmp_path: Path) -> None:
    customized(stopped, tmp_path / "ending", END_FORKS)
    done = stopped.command("serve", "--port", "0", "--no-job-worker", check=False)
    assert done.returncode == 1
    (told,) = re.findall("^Error: .*", done.stderr, re.M)
    assert re.fullmatch(r"Error: No web process came up: web process [12] \(pid \d+\), the last of 3 tries, "
                        r"ended with code 3\. What it wrote stands above\.", told), told  # fmt: skip


#: Before each fork: which of our functions the other threads are in, looked at for longer than any pause between tries.
WATCH_FORKS = """
import os, sys, threading, time

def of_ours(frame):
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("hie."):
            yield frame.f_code.co_qualname
        frame = frame.f_back

def watch():
    seen, until = set(), time.monotonic() + 0.3
    while time.monotonic() < until:
        for thread, frame in sys._current_frames().items():
            if thread != threading.get_ident():
                seen.update(of_ours(frame))
        time.sleep(0.001)
    with open(os.environ["FORKS"], "a") as file:
        print(*sorted(seen), file=file)

os.register_at_fork(before=watch, after_in_child=lambda: time.sleep(1))
"""


@SQLITE
def test_web_processes_are_forked_while_the_other_threads_only_wait(stopped: Any, tmp_path: Path) -> None:
    """A lock that a thread holds at a fork is held for ever in the new process; OpenSSL's were, from Python 3.12 on."""
    exchange = stopped
    forks = tmp_path / "forks"
    customized(exchange, tmp_path / "watching", WATCH_FORKS, FORKS=str(forks))
    exchange.start()
    assert eventually(lambda: forks.read_text().count("\n") == 2)
    asked = time.monotonic()
    exchange.stop()
    assert time.monotonic() - asked < 25, "a process told to end just after its fork does so, or is killed after 30 s"
    waiting = {"JobWorker._watch", "_announce_when_ready.<locals>.wait"}
    assert [set(line.split()) for line in forks.read_text().splitlines()] == [waiting, waiting]


@SQLITE
def test_settings_that_cannot_be_read_end_the_start_with_one_clear_line(stopped: Any) -> None:
    stopped._environment["HIE_THREADS"] = "many"
    done = stopped.command("serve", "--port", "0", check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "Error: Setting threads is 'many'; it must be a whole number."


@SQLITE
def test_data_without_its_key_end_the_start_with_what_to_do(stopped: Any) -> None:
    stopped.settings.root_key_file.unlink()
    done = stopped.command("serve", "--port", "0", check=False)
    assert done.returncode == 1
    assert "its key file" in done.stderr
    assert "Traceback" not in done.stderr
