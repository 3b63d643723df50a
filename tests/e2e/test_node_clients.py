"""Clients that others wrote in JavaScript, against a started server; node/package.json pins them.

They need Node 20 and a folder with the packages: `HIE_TEST_NODE_CLIENTS=FOLDER` names it, and asks to install them
there when they are missing. A test run by itself never asks a package registry.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.parametrize("database_kind", ["sqlite"]), pytest.mark.without_jobs]

SCRIPTS = Path(__file__).parent / "node"
VARIABLE = "HIE_TEST_NODE_CLIENTS"


def _installed(folder: Path) -> dict[str, str]:
    found = {}
    for package in json.loads((SCRIPTS / "package.json").read_text())["dependencies"]:
        description = folder / "node_modules" / package / "package.json"
        found[package] = json.loads(description.read_text())["version"] if description.is_file() else "none"
    return found


def _install(folder: Path, *options: str) -> None:
    """Install the packages, or skip with the reason: without a network there is no registry."""
    try:
        made = subprocess.run(
            ["npm", "install", *options], cwd=folder, capture_output=True, text=True, timeout=120, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm install took more than 120 s")
    if made.returncode != 0:
        pytest.skip(f"npm install failed: {made.stderr[-300:]}")


@pytest.fixture(scope="module")
def packages() -> Path:
    """The folder with the pinned packages."""
    named = os.environ.get(VARIABLE)
    if not named:
        pytest.skip(f"needs {VARIABLE}, a folder for the packages of tests/e2e/node/package.json")
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program} on the PATH")
    folder = Path(named).resolve()
    wanted = json.loads((SCRIPTS / "package.json").read_text())["dependencies"]
    if _installed(folder) != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(SCRIPTS / "package.json", folder)
        options = ("--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1",
                   "--fetch-timeout=20000")  # fmt: skip
        _install(folder, *options)
    assert _installed(folder) == wanted
    return folder


@pytest.mark.parametrize("script", ["fhir_kit.mjs", "smart.cjs"])
def test_a_client_in_javascript(exchange: Any, packages: Path, script: str) -> None:
    done = subprocess.run(
        ["node", str(SCRIPTS / script), str(packages), f"{exchange.address}/fhir", exchange.token],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
