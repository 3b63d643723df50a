"""Programs that are forked behave as those that are started: see tests/forks.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forks import Forks

PROGRAM = """
import os, sys, threading, time

def main():
    print(sys.argv[1:], sorted(os.environ), os.getcwd(), os.getsid(0) == os.getpid(), threading.active_count())
    print("prometheus_client" in sys.modules)
    if "wait" in sys.argv:
        time.sleep(60)
    sys.exit("told")

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    (tmp_path / "some_program.py").write_text(PROGRAM)
    return "some_program"


def test_it_is_given_its_arguments_environment_and_place(forks: Forks, program: str, tmp_path: Path) -> None:
    done = forks.run(["pytest_free", "x"], env={}, cwd=tmp_path)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "ImportError: No module named pytest_free")
    done = forks.run([program, "a b", "c"], env={"B": "1", "A": "2"}, cwd=tmp_path)
    assert done.stdout.splitlines() == [f"['a b', 'c'] ['A', 'B'] {tmp_path} True 1", "False"]
    assert (done.stderr, done.returncode) == ("told\n", 1)
    with pytest.raises(subprocess.CalledProcessError):
        forks.run([program], env={}, cwd=tmp_path, check=True)


def test_its_end_is_told(forks: Forks, program: str, tmp_path: Path) -> None:
    for end, code in (("terminate", -15), ("kill", -9)):
        with (tmp_path / end).open("w") as out:
            running = forks.start([program, "wait"], env=dict(os.environ), cwd=tmp_path, stdout=out)
        assert running.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(0.01)
        getattr(running, end)()
        assert running.wait(20) == running.poll() == running.returncode == code
        running.kill()  # of what has ended nothing is asked
    assert forks.run(["hie.cli", "--version"], env={}).stdout == subprocess.run(
        [sys.executable, "-m", "hie.cli", "--version"], capture_output=True, text=True, check=True).stdout
