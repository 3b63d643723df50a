"""Python programs, forked from a process that has loaded what they import: a start costs 0.1 s of computing, not 1.5.

A program runs as `python -m` runs it: in an interpreter of one thread, a session of its own and the environment that it
is given alone. A test of how a program starts begins it for real.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
#: Nothing of these reads the environment while it is imported, as hie.web.metrics does.
LOADED = ("hie.app", "hie.commands.serve", "hie.commands.worker", "hie.commands.check", "hie.commands.follow",
          "hie.commands.load", "flask_sqlalchemy", "granian.server", "sqlalchemy.dialects.postgresql",
          "fhir_adapters.imaging.pixels")  # fmt: skip

_End = IO[Any] | socket.socket | None


class Forked:
    """What subprocess.Popen is of a child, of a process that another one has forked."""

    def __init__(self, states: int) -> None:
        self._states = os.fdopen(states, "rb", buffering=0)
        self.pid = int(self._states.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:  # select() takes no descriptor above 1,023
                selector.register(self._states, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(self._states.readline())
            self._states.close()
        return self.returncode

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class Forks:
    """The process that programs are forked from; made when the first is asked for."""

    def __init__(self) -> None:
        self._origin: subprocess.Popen[bytes] | None = None
        self._asking: socket.socket | None = None

    def start(
        self, program: Sequence[str], *, env: Mapping[str, str], cwd: Path = ROOT, stdin: _End = None,
        stdout: _End = None, stderr: _End = None,
    ) -> Forked:  # fmt: skip
        """Start a module with its arguments; what is not given is /dev/null."""
        asking = self._asking or self._begin()
        with contextlib.ExitStack() as stack:
            asked = stack.enter_context(tempfile.TemporaryFile())
            asked.write(json.dumps({"program": [*program], "env": dict(env), "cwd": str(cwd)}).encode())
            asked.seek(0)
            nothing = stack.enter_context(open(os.devnull, "r+b", buffering=0))
            states, told = os.pipe()
            try:
                ends = [(nothing if one is None else one).fileno() for one in (stdin, stdout, stderr)]
                socket.send_fds(asking, [b"."], [asked.fileno(), told, *ends])
            finally:
                os.close(told)
        return Forked(states)

    def run(
        self, program: Sequence[str], *, env: Mapping[str, str], cwd: Path = ROOT, timeout: float = 300,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run a module to its end, and return what it wrote."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            forked = self.start(program, env=env, cwd=cwd, stdout=out, stderr=err)
            try:
                code = forked.wait(timeout)
            finally:
                forked.kill()
            out.seek(0)
            err.seek(0)
            done = subprocess.CompletedProcess([*program], code, out.read(), err.read())
        if check:
            done.check_returncode()
        return done

    def close(self) -> None:
        if self._origin is not None and self._asking is not None:
            self._asking.close()
            self._origin.wait()

    def _begin(self) -> socket.socket:
        self._asking, asked = socket.socketpair()
        with asked:
            self._origin = subprocess.Popen(
                [sys.executable, "-m", "tests.forks", str(asked.fileno())], cwd=ROOT, pass_fds=[asked.fileno()],
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        return self._asking


class Interpreters:
    """Starts each in an interpreter of its own, as a user does."""

    def start(
        self, program: Sequence[str], *, env: Mapping[str, str], stdout: _End = None, stderr: _End = None
    ) -> subprocess.Popen[bytes]:  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-m", *program], env=env, stdout=stdout or subprocess.DEVNULL,
            stderr=stderr or subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def run(
        self, program: Sequence[str], *, env: Mapping[str, str], check: bool = False
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *program], env=env, check=check, capture_output=True, text=True, timeout=300
        )


# -- the process that forks ----------------------------------------------------------------------------------------


def _load() -> None:
    for name in LOADED:
        importlib.import_module(name)
    from fhir_adapters import ai_model
    from hie.registry import built_in, with_plugins

    with_plugins(built_in())
    ai_model.prepare()
    gc.collect()
    gc.freeze()  # nobody looks for garbage in what is shared


def _programs(asked: socket.socket) -> list[str]:
    """Fork a process for each program that is asked for, and return in it what it is to run."""
    while True:
        _, descriptors, _, _ = socket.recv_fds(asked, 1, 5)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
        if not descriptors:
            os._exit(0)
        if os.fork() == 0:
            asked.close()
            return _program(*descriptors)
        for one in descriptors:
            os.close(one)


def _program(asked: int, told: int, *ends: int) -> list[str]:
    """Fork the process of one program and tell its id; return in it, and elsewhere tell how it ended."""
    pid = os.fork()
    if pid:
        for one in (asked, *ends):
            os.close(one)
        os.write(told, f"{pid}\n".encode())
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(BrokenPipeError):
            os.write(told, f"{code}\n".encode())
        os._exit(0)
    os.close(told)
    os.setsid()
    for number, one in enumerate(ends):
        os.dup2(one, number)
        os.close(one)
    with os.fdopen(asked) as file:
        request = json.load(file)
    os.chdir(request["cwd"])
    sys.path[0] = request["cwd"]
    os.environ.clear()
    os.environ.update(request["env"])
    tempfile.tempdir = None  # asked for anew
    return list(request["program"])


def _run(module: str, *arguments: str) -> int:
    """Run a module as a program, and return its exit code."""
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        if isinstance(error.code, str):
            sys.stderr.write(f"{error.code}\n")
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    _load()
    code = _run(*_programs(socket.socket(fileno=int(sys.argv[1]))))
    # An interpreter's end but for taking apart all that it has loaded, which took longer than many a program.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
