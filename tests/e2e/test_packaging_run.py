"""The script `run`, with a Python that only notes what it is asked: nothing is installed here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Every core runs tests.
PYTEST = "python -m pytest --numprocesses auto --maxprocesses 8 --dist loadscope --no-loadscope-reorder"

#: Plays the interpreter of the system and that of the virtual environment.
PYTHON = """#!/bin/sh
case "$*" in
    *sys.version_info*) exit ${FAKE_VERSION_EXIT:-0} ;;
    "-c import pip") test -f "$(dirname "$0")/pip-is-whole"; exit $? ;;
    "-m venv "*)
        echo "venv" >>"$FAKE_LOG"
        [ -z "${FAKE_VENV_FAILS:-}" ] || exit 1
        mkdir -p "$3/bin"
        cp "$0" "$3/bin/python"
        touch "$3/bin/pip-is-whole"
        ;;
    "-m pip "*)
        echo "$*" >>"$FAKE_LOG"
        exit ${FAKE_PIP_EXIT:-0}
        ;;
    *)
        echo "python $*" >>"$FAKE_LOG"
        exit ${FAKE_EXIT:-0}
        ;;
esac
"""


class Checkout:
    """A copy of what `run` reads, and the notes of the Python that plays along."""

    def __init__(self, root: Path) -> None:
        self.root, self.log = root / "check out", root / "log"
        self.root.mkdir()
        for name in ("run", "setup.py", "pyproject.toml"):
            shutil.copy(ROOT / name, self.root / name)
        shutil.copytree(ROOT / "requirements", self.root / "requirements")
        shutil.copytree(ROOT / ".ci", self.root / ".ci")
        self.bin = root / "bin"
        self.bin.mkdir()
        (self.bin / "python3").write_text(PYTHON)
        (self.bin / "python3").chmod(0o755)

    def __call__(self, *arguments: str, script: str = "run", **environment: str) -> subprocess.CompletedProcess[str]:
        self.log.write_text("")
        env = {"PATH": f"{self.bin}:/usr/bin:/bin", "FAKE_LOG": str(self.log), **environment}
        return subprocess.run(
            [str(self.root / script), *arguments], env=env, cwd=self.root.parent, capture_output=True, text=True,
            timeout=60,
        )  # fmt: skip

    @property
    def notes(self) -> list[str]:
        return self.log.read_text().splitlines()

    @property
    def installed(self) -> list[str]:
        """Requirement files that were installed in the last run."""
        return [Path(word).name for line in self.notes for word in line.split() if word.endswith(".txt")]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_first_run_makes_the_environment_installs_and_hands_over(checkout: Checkout) -> None:
    done = checkout("demo", "--data-dir", "a b")
    assert done.returncode == 0, done.stderr
    assert checkout.notes[0] == "venv"
    assert checkout.installed == ["build.txt", "base.txt"]
    assert checkout.notes[-1] == "python -m hie.cli demo --data-dir a b"


def test_the_second_run_installs_nothing(checkout: Checkout) -> None:
    checkout("demo")
    checkout("serve", "--port", "9000")
    assert checkout.notes == ["python -m hie.cli serve --port 9000"]


def test_changed_requirements_are_installed_into_the_same_environment(checkout: Checkout) -> None:
    checkout("demo")
    with (checkout.root / "requirements" / "base.txt").open("a") as file:
        file.write("# another\n")
    checkout("demo")
    assert "venv" not in checkout.notes
    assert checkout.installed == ["build.txt", "base.txt"]


def test_the_requirements_of_the_tests_hold_those_of_the_server(checkout: Checkout) -> None:
    checkout("test")
    assert checkout.installed == ["build.txt", "test.txt"]
    checkout("demo")
    assert checkout.installed == []


def test_an_installation_that_was_cut_off_is_done_again(checkout: Checkout) -> None:
    assert checkout("demo", FAKE_PIP_EXIT="1").returncode == 1
    assert not any(note.startswith("python") for note in checkout.notes)
    assert checkout("demo").returncode == 0
    assert checkout.installed == ["build.txt", "base.txt"]


def test_a_half_made_environment_is_made_anew(checkout: Checkout) -> None:
    checkout("demo")
    (checkout.root / ".venv" / "bin" / "pip-is-whole").unlink()
    assert checkout("demo").returncode == 0
    assert checkout.notes[0] == "venv"
    assert checkout.installed == ["build.txt", "base.txt"]


def test_a_checkout_that_was_moved_installs_again(checkout: Checkout) -> None:
    checkout("demo")
    moved = checkout.root.with_name("moved")
    checkout.root.rename(moved)
    checkout.root = moved
    checkout("demo")
    assert checkout.installed == ["build.txt", "base.txt"]


def test_without_the_venv_module_it_says_what_to_install(checkout: Checkout) -> None:
    done = checkout("demo", FAKE_VENV_FAILS="1")
    assert done.returncode == 1
    assert "apt install python3-venv" in done.stderr
    assert not (checkout.root / ".venv").exists()


def test_a_python_of_another_age_is_refused(checkout: Checkout) -> None:
    done = checkout("demo", FAKE_VERSION_EXIT="1", PYTHON="python3")
    assert done.returncode == 1
    assert "Python 3.11, 3.12 or 3.13 is needed" in done.stderr


@pytest.mark.parametrize("script", ["run", ".ci/run"])
def test_the_suite_gets_its_arguments_and_gives_its_exit_code(checkout: Checkout, script: str) -> None:
    done = checkout(*(["test", "-k", "a or b"] if script == "run" else []), script=script, FAKE_EXIT="5")
    assert done.returncode == 5
    assert checkout.notes[-1] == (f"{PYTEST} -k a or b" if script == "run" else PYTEST)


def test_the_benchmarks_are_handed_over_to(checkout: Checkout) -> None:
    assert checkout("bench", "--help").returncode == 0
    assert checkout.notes[-1] == "python -m benchmarks --help"


def test_without_a_command_it_says_how_it_is_called(checkout: Checkout) -> None:
    done = checkout()
    assert done.returncode == 2
    assert "./run demo|serve|test|bench" in done.stdout


def test_the_scripts_are_executable_and_plain_sh() -> None:
    for script in (ROOT / "run", ROOT / ".ci" / "run"):
        assert os.access(script, os.X_OK)
        assert script.read_text().startswith("#!/bin/sh\n")
        subprocess.run(["/bin/sh", "-n", str(script)], check=True)
