"""The parts of granian that hie/commands/web_processes.py relies on, none of which it promises to keep."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from granian.server.common import AbstractServer, AbstractWorker
from granian.server.mp import MPServer, WorkerProcess

#: The sum of each one's source in granian 2.8.7. Where one differs: read what became of it, whether our loop still does
#: all that granian's does besides watching for crashes, and write the new sum here and the version into setup.py.
RELIED_ON = {
    AbstractServer._serve: "556b027a04da",
    AbstractServer._serve_loop: "123ffa1d2e47",
    AbstractServer._reload: "1c1d7ce40c4c",
    AbstractServer._respawn_workers: "164f5281ce93",
    AbstractServer._spawn_workers: "bc6ae40021d8",
    AbstractServer._stop_workers: "f3e0544dda9b",
    AbstractServer.shutdown: "e6559a0343cf",
    AbstractServer.signal_handler_interrupt: "e9efe050e7e2",
    AbstractServer.signal_handler_reload: "8d88cc8590fc",
    AbstractWorker: "6d96ae205adb",
    MPServer._spawn_worker: "87b0a0e68f39",
    WorkerProcess._spawn: "b139771c9fd9",
    WorkerProcess.kill: "6cf8784ecca0",
    WorkerProcess.terminate: "1c31da393657",
}


@pytest.mark.parametrize("part", RELIED_ON, ids=lambda part: part.__qualname__)
def test_a_part_of_granian_is_as_it_was_when_our_loop_was_written(part: Callable[..., Any]) -> None:
    assert sha256(inspect.getsource(part).encode()).hexdigest()[:12] == RELIED_ON[part]
