"""Start servers on free loopback ports, and read what their processes cost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def family(root: int) -> list[int]:
    """Return the pids of a process and everything below it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue += parents.get(pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """Return the CPU time used so far by a process and everything below it, children that have ended included."""
    return sum(int(ticks) for pid in family(root) for ticks in _stat(pid)[11:15]) / TICKS


def pin(root: int, cores: set[int]) -> None:
    """Keep a process and everything below it, and what they start later, to some of the machine's cores."""
    for pid in family(root):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), cores)


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; none for a process that has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


@dataclass(frozen=True, slots=True)
class Running:
    """A started server: its address, the process that was started, how long the first answer took, its environment."""

    address: tuple[str, int]
    pid: int
    first_answer: float
    environment: dict[str, str]

    def descendants(self) -> list[int]:
        """Return the pids of the process and everything below it."""
        return family(self.pid)

    def cpu_seconds(self) -> float:
        """Return the CPU time used so far by all of the server's processes."""
        return cpu_seconds(self.pid)

    def memory(self) -> dict[int, Size]:
        """Return what each process takes."""
        found = {}
        for pid in self.descendants():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
            except OSError:
                continue
            sizes = {name: int(size.split()[0]) / 1024 for name, size in (line.split(":") for line in rollup)}
            role = "parent" if pid == self.pid else "job worker" if b"\0worker\0" in command else "web process"
            if sizes:  # a process that is ending has none
                found[pid] = Size(role, sizes["Pss"], sizes["Pss_File"] + sizes["Pss_Shmem"])
        return found


@dataclass(frozen=True, slots=True)
class Size:
    """The proportional set size of a process in MiB, and what of it is pages of files."""

    role: str
    all: float
    of_files: float


def free_port() -> int:
    """Return a loopback port that nobody uses."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def server(
    command: list[str], port: int, path: str, environment: dict[str, str] | None = None, folder: Path | None = None
) -> Iterator[Running]:
    """Start `command` (in a folder), wait until `path` answers, and end it (and nothing else) afterwards."""
    started = time.perf_counter()
    whole = {**os.environ, **(environment or {})}
    process = subprocess.Popen(
        command, env=whole, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await_answer(process, port, path, started)
        yield Running(("127.0.0.1", port), process.pid, time.perf_counter() - started, whole)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_answer(process: subprocess.Popen[bytes], port: int, path: str, started: float) -> None:
    while time.perf_counter() - started < 60:
        if process.poll() is not None:
            raise RuntimeError(f"The server ended with code {process.returncode} before it answered.")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
                sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                if sock.recv(16).startswith(b"HTTP/1.1 2"):
                    return
        except OSError:
            pass
        time.sleep(0.01)
    raise RuntimeError("The server did not answer within a minute.")


def hie(*arguments: str) -> list[str]:
    """Return the command line of a `hie` command under this Python; it is that of the checkout it is started in."""
    return [sys.executable, "-m", "hie.cli", *arguments]
