"""A started server on a real socket."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from hie.commands import token
from hie.settings import Settings
from tests.forks import Forked, Forks, Interpreters

PATIENCE_SECONDS = 60


@dataclass
class Exchange:
    """`hie serve` on a free loopback port, in a process group of its own so that all of it can be killed at once.

    Where programs are forked, its job worker is, too: it is the `hie worker` of a larger site.
    """

    settings: Settings
    log: Path
    programs: Forks | Interpreters
    workers: int = 2
    has_job_worker: bool = True
    port: int = 0
    token: str = ""
    _process: Forked | subprocess.Popen[bytes] | None = None
    _worker: Forked | subprocess.Popen[bytes] | None = None
    _environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("HIE_")}
        self._environment |= {"HIE_DATA_DIR": str(self.settings.data_dir), "HIE_TOKEN_CACHE_SECONDS": "0"}
        if self.settings.database_url:
            self._environment["HIE_DATABASE_URL"] = self.settings.database_url
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a `hie` command to its end on the same data."""
        return self.programs.run(["hie.cli", *arguments], env=self._environment, check=check)

    def start(self) -> None:
        serve = ["hie.cli", "serve", "--port", str(self.port), "--workers", str(self.workers)]
        has_worker_apart = self.has_job_worker and isinstance(self.programs, Forks)
        if has_worker_apart or not self.has_job_worker:
            serve.append("--no-job-worker")
        with self.log.open("ab") as log:
            self._process = self.programs.start(serve, env=self._environment, stdout=log, stderr=log)
            if has_worker_apart:
                self._worker = self.programs.start(["hie.cli", "worker"], env=self._environment, stdout=log, stderr=log)
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise AssertionError(
                    f"the server ended with {self._process.returncode}: {self.log.read_text()[-3000:]}"
                )
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"the server did not answer: {self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        """SIGKILL every process of the server at once, as a power switch would."""
        killed = self._running()
        for process in killed:
            os.killpg(process.pid, signal.SIGKILL)
        for process in killed:
            process.wait()
        self._process = self._worker = None

    def stop(self) -> None:
        ending = self._running()
        for process in ending:
            process.terminate()
        try:
            for process in ending:
                process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = self._worker = None

    def _running(self) -> list[Forked | subprocess.Popen[bytes]]:
        return [one for one in (self._process, self._worker) if one is not None and one.poll() is None]

    def request(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, timeout: float = 60
    ) -> tuple[int, Any, dict[str, str]]:
        """Return (status, JSON or bytes, headers); raises OSError where there was no answer."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/fhir+json", **(headers or {})}
        request = urllib.request.Request(self.address + path, data=data, method=method, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, _content(answer), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _content(error), dict(error.headers)


def _content(answer: Any) -> Any:
    data = answer.read()
    return json.loads(data) if "json" in answer.headers.get("Content-Type", "") else data


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    made = Forks()
    yield made
    made.close()


@pytest.fixture(scope="module")
def programs(forks: Forks) -> Forks | Interpreters:
    """How servers and commands are started; a module that tests their start has its own."""
    return forks


@pytest.fixture(scope="module")
def shared(
    templates: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, programs: Forks | Interpreters
) -> Iterator[Callable[..., Exchange]]:
    """Start a server that the tests of a module share, on SQLite: each looks only at what it wrote itself."""
    with ExitStack() as started:

        def start(workers: int = 2, has_job_worker: bool = False, **environment: str) -> Exchange:
            template = templates("sqlite", lambda: None)
            root = tmp_path_factory.mktemp("shared")
            shutil.copytree(template.settings.data_dir, root / "data")
            settings = replace(template.settings, data_dir=root / "data")
            made = Exchange(settings, root / "server.log", programs, workers=workers, has_job_worker=has_job_worker)
            made._environment |= environment
            started.callback(made.stop)
            return _started(made)

        yield start


@pytest.fixture
def stopped(
    settings: Settings, tmp_path: Path, request: pytest.FixtureRequest, programs: Forks | Interpreters
) -> Iterator[Exchange]:
    """A server on a fresh database that is not started yet; tests marked `without_jobs` save the start of a worker."""
    has_job_worker = request.node.get_closest_marker("without_jobs") is None
    made = Exchange(settings, tmp_path / "server.log", programs, has_job_worker=has_job_worker)
    yield made
    made.stop()


@pytest.fixture
def exchange(stopped: Exchange) -> Exchange:
    """A started server on a fresh database, with a token that may do everything."""
    return _started(stopped)


def _started(stopped: Exchange) -> Exchange:
    stopped.start()
    # What the command does, without its start.
    stopped.token = token.create(stopped.settings, "test", ["system/*.cruds"], 30)
    return stopped
