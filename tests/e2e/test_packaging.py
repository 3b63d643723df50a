"""The package: pins that agree with what is declared, and a wheel that holds everything it needs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"


def pinned(name: str) -> dict[str, Requirement]:
    found: dict[str, Requirement] = {}
    for line in (REQUIREMENTS / f"{name}.txt").read_text().splitlines():
        if line.startswith("--requirement "):
            found |= pinned(line.split()[1].removesuffix(".txt"))
        elif line and not line.startswith(("#", "--only-binary")):
            requirement = Requirement(line)
            found[canonicalize_name(requirement.name)] = requirement
    return found


def declared() -> list[Requirement]:
    strings = [node.value for node in ast.walk(ast.parse((ROOT / "setup.py").read_text()))
               if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [Requirement(text) for text in strings if re.match(r"[A-Za-z0-9._-]+(\[[a-z]+\])?>=", text)
            and not text.startswith(">=")]  # fmt: skip


@pytest.mark.parametrize("name", ["base", "train", "test", "build"])
def test_every_pin_is_exact(name: str) -> None:
    for requirement in pinned(name).values():
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], str(requirement)


@pytest.mark.parametrize("requirement", declared(), ids=lambda requirement: requirement.name)
def test_what_is_declared_is_bounded_and_pinned_within_its_bounds(requirement: Requirement) -> None:
    operators = {specifier.operator for specifier in requirement.specifier}
    assert operators == {">=", "<"}
    (pin,) = pinned("test")[canonicalize_name(requirement.name)].specifier
    assert requirement.specifier.contains(Version(pin.version))


def test_no_requirement_names_where_packages_come_from() -> None:
    for path in REQUIREMENTS.glob("*.txt"):
        text = path.read_text()
        assert "://" not in text
        assert "index" not in text
        assert "@" not in text


def test_the_server_is_installed_without_tensorflow_and_with_postgresql() -> None:
    assert not {"tensorflow", "tensorflow-cpu", "keras", "pytest"} & pinned("base").keys()
    assert {"psycopg", "psycopg-binary"} <= pinned("base").keys()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    if Version(version("setuptools")) < Version("77"):
        pytest.skip("needs setuptools 77 or newer, as in requirements/build.txt")
    out = tmp_path_factory.mktemp("wheel")
    source = tmp_path_factory.mktemp("source")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("needs a git checkout: which files belong to the project is not known otherwise")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out),
         str(source)],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    (made,) = out.glob("*.whl")
    return zipfile.ZipFile(made)


def test_the_wheel_holds_every_module_and_every_file_of_data(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    ours = {name for name in listed.split("\0")
            if name.startswith(("hie/", "ml/", "fhir_adapters/")) and (ROOT / name).is_file()}  # fmt: skip
    # The pages that tell where data come from stand beside them and are shipped too.
    assert sorted(ours - names) == []
    assert "wsgi.py" in names


def test_the_wheel_holds_nothing_of_the_tests(wheel: zipfile.ZipFile) -> None:
    assert [name for name in wheel.namelist() if name.startswith(("tests", "benchmarks", "docs"))] == []


def test_the_wheel_brings_the_command_and_its_licence(wheel: zipfile.ZipFile) -> None:
    (points,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert b"hie = hie.cli:main" in wheel.read(points)
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())
    (metadata,) = [name for name in wheel.namelist() if name.endswith("METADATA")]
    text = wheel.read(metadata).decode()
    assert "License: Apache-2.0" in text
    (required,) = re.findall(r"^Requires-Python: (.+)$", text, re.MULTILINE)
    assert SpecifierSet(required) == SpecifierSet(">=3.11,<3.14")
