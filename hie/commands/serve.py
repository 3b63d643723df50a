"""Serve the application by granian, with a job worker beside it."""

from __future__ import annotations

import gc
import http.client
import itertools
import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any
from urllib.parse import urlsplit

from hie.commands import room
from hie.commands.failures import CommandError
from hie.commands.restarts import Restarts, end_of, moment
from hie.commands.supervision import when_input_ends
from hie.settings import Settings
from hie.web import logs, memory

#: A server that was killed a moment ago may still be letting go of its port.
PORT_PATIENCE_SECONDS = 3.0
#: A server that does not answer for so long is asked less often.
READY_SECONDS = 60.0
#: After this long a worker that was told to end is killed.
SHUTDOWN_SECONDS = 30
GARBAGE_SECONDS = 5.0
#: Each so many times all is looked through, in between what has come since: of the rest nearly nothing goes.
ALL_GARBAGE_EACH = 12
#: So long at most a web process does not see that it is to end.
UNSEEN_SECONDS = 1.0
#: A thread that comes back from the database waits so long for one that computes; by Python's own 5 ms, at each of a
#: dozen statements, a transaction kept its turn to write a SQLite file ten times as long as it needed it.
SWITCH_SECONDS = 0.0005

logger = logging.getLogger(__name__)


def serve(settings: Settings, announce: Callable[[str], None], *, supervised: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; CommandError when the port is taken, StoreProblem for unusable data."""
    if supervised:
        when_input_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))
    from granian.constants import Interfaces
    from granian.log import LogLevels

    settings = replace(settings, port=free_port(settings.host, settings.port))
    os.environ.update(environment(settings))
    logs.configure(settings.log_level)
    memory.share_arenas()
    room.open_more_files()
    _prepare(settings)
    _add_up_metrics(settings)
    _load()
    from hie.commands.web_processes import WebProcesses  # only now that it is settled where its figures lie

    server = WebProcesses(
        "wsgi:app",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=settings.workers,
        blocking_threads=settings.threads,
        backpressure=room.clients(settings),
        workers_kill_timeout=SHUTDOWN_SECONDS,
        log_level=LogLevels.error,
    )
    worker = JobWorker()
    if settings.embedded_worker:
        server.on_startup(worker.start)

    def came_up(text: str) -> None:
        server.came_up = True
        announce(text)

    server.on_startup(lambda: _announce_when_ready(settings, came_up, lambda: len(server.wrks) == settings.workers))
    server.on_shutdown(worker.stop)
    os.register_at_fork(before=_hold_signals, after_in_parent=_release_signals, after_in_child=_begin_without_handlers)
    try:
        server.serve(target_loader=load_application, wrap_loader=False)
    finally:
        worker.stop()
    if server.failure is not None:
        raise CommandError(server.failure)


_ENDING = (signal.SIGTERM, signal.SIGINT)


def _hold_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


def _begin_without_handlers() -> None:
    """Let signals end a new process until granian sets its own handlers; those of the parent would swallow them."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_DFL)
    _release_signals()


def load_application() -> Any:
    """Make the application of one web process, which ends when its parent was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        signal.signal(signal.SIGURG, lambda *_: None)
        threading.Thread(target=_follow, args=(parent, threading.get_ident()), name="parent", daemon=True).start()
    from hie.app import create_app

    sys.setswitchinterval(SWITCH_SECONDS)
    app = create_app(Settings.from_env())
    threading.Thread(target=_collect_garbage, name="garbage", daemon=True).start()
    return app


def _collect_garbage() -> None:
    """Look for reference cycles at intervals, not whenever a Bundle allocates: that doubled the time to parse one."""
    gc.collect()
    gc.freeze()
    gc.disable()
    for turn in itertools.count(1):
        time.sleep(GARBAGE_SECONDS)
        gc.collect(2 if turn % ALL_GARBAGE_EACH == 0 else 1)
        memory.give_back()


def _follow(parent: Any, main_thread: int) -> None:
    """End with the parent; until then, let no signal wait to be seen.

    One that comes just before the main thread begins to wait does not wake it: Python calls its handler after the next.
    """
    while parent.is_alive():
        parent.join(UNSEEN_SECONDS)
        signal.pthread_kill(main_thread, signal.SIGURG)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(SHUTDOWN_SECONDS)
    os._exit(1)


def environment(settings: Settings) -> dict[str, str]:
    """Return the settings as the variables that child processes read."""
    texts = {}
    for field in fields(settings):
        value = getattr(settings, field.name)
        texts[f"HIE_{field.name.upper()}"] = "" if value is None else str(value)
    return texts


def _prepare(settings: Settings) -> None:
    """Make or upgrade the database once, before several processes open it; fail here rather than in each of them."""
    from hie.store.store import Store

    store = Store.open(settings, decides_index=True)
    try:
        for lack in room.lacking(settings, store.database.connection()):
            logger.warning(lack)
    finally:
        store.close()


def _load() -> None:
    """Import what web processes need: forked from this one, they share it as long as nobody looks for garbage in it."""
    import hie.web.flask_app  # noqa: F401
    from hie.registry import built_in, with_plugins

    with_plugins(built_in())
    gc.collect()
    gc.freeze()


def _add_up_metrics(settings: Settings) -> None:
    """Let /metrics add up the web processes, whose figures lie in files; those of an earlier start are removed."""
    directory = settings.data_dir / "metrics"
    directory.mkdir(exist_ok=True)
    for file in directory.glob("*.db"):
        file.unlink(missing_ok=True)
    # The variable is the library's own and must be there before a web process loads it.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory.resolve())


def free_port(host: str, port: int) -> int:
    """Return the port, or a free one for 0; CommandError when it is taken."""
    # granian binds with SO_REUSEPORT, by which a second server would silently share the first one's port.
    until = time.monotonic() + PORT_PATIENCE_SECONDS
    while True:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                return int(probe.getsockname()[1])
        except OSError as error:
            if time.monotonic() > until or isinstance(error, (socket.gaierror, PermissionError)):
                raise CommandError(f"{host}:{port} cannot be bound: {error.strerror}.") from error
            time.sleep(0.1)


def base_address(settings: Settings) -> str:
    """Return the address of the started server."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"


def is_ready(address: str) -> bool:
    """Tell whether the server answers /health with 200; asked without a proxy, and without loading what TLS needs."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (http.client.HTTPException, OSError):
        return False
    finally:
        connection.close()


def _announce_when_ready(settings: Settings, announce: Callable[[str], None], forked: Callable[[], bool]) -> None:
    """Announce the server from a thread that only sleeps until all web processes are there.

    A process forked while another thread is in a library has its locks as they were, held for ever.
    """
    address = base_address(settings)

    def wait() -> None:
        until = time.monotonic() + READY_SECONDS
        while not forked():
            time.sleep(0.005)
        while not is_ready(address.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")):  # noqa: S104
            time.sleep(0.05 if time.monotonic() < until else 1)
        announce(f"Serving FHIR R4 at {address}/fhir, administration at {address}/admin (Ctrl-C ends).")

    threading.Thread(target=wait, name="ready", daemon=True).start()


class JobWorker:
    """A `hie worker` process beside the server: started again, after a pause, when it dies."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None

    def start(self) -> None:
        """Start it; returns at once."""
        self._process = self._spawn()
        self._watcher = threading.Thread(target=self._watch, name="job-worker", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Let it finish its job and wait for its end; kill it when that takes too long."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(SHUTDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            logger.error("the job worker did not end within %d s; it is killed", SHUTDOWN_SECONDS)
            process.kill()
            process.wait()
        self._process = None

    def _spawn(self) -> subprocess.Popen[bytes]:
        # It ends when its standard input does: this process's death, even by SIGKILL, ends it too.
        command = [sys.executable, "-m", "hie.cli", "worker", "--supervised"]
        return subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 - our own module

    def _watch(self) -> None:
        restarts = Restarts()
        started = time.monotonic()
        while not self._stopping.wait(0.2):
            process = self._process
            if process is None or process.poll() is None:
                continue
            pause = restarts.pause(time.monotonic() - started)
            logger.error("the job worker %s; it is started again %s", end_of(process.returncode), moment(pause))
            if self._stopping.wait(pause):
                return
            self._process = self._spawn()
            started = time.monotonic()
