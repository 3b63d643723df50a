"""How a process learns that it is to end."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

#: A signal comes while the main thread has the lock that is asked for at the end, as that of an Event.
PROGRAM = """
import os, sys, threading, time
from hie.commands.supervision import when_told_to_end

lock, told = threading.Lock(), []

def note():
    with lock:
        told.append(1)

def until(times):
    end = time.monotonic() + 20
    while len(told) < times and time.monotonic() < end:
        time.sleep(0.005)

when_told_to_end(note)
for times in (1, 2):
    with lock:
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(0.02)
    until(times)
sys.exit(len(told))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_while_a_lock_is_held_is_heeded(number: signal.Signals) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(int(number))], timeout=40, check=False)
    assert done.returncode == 2
