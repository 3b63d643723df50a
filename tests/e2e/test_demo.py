"""`hie demo`: what it prints is what is stored, and `hie serve` opens it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.forks import Forks

ROOT = Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("HIE_")}
    return {**variables, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_it_tells_what_the_model_found_and_serve_opens_what_it_left(stopped: Any, tmp_path: Path) -> None:
    exchange = stopped
    done = subprocess.run(
        [sys.executable, "-m", "hie.cli", "demo", "--data-dir", str(tmp_path / "demo")], cwd=tmp_path,
        env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    text = done.stdout
    assert re.search(r"drawn as normal: .+ absent, probability 0\.\d+ \(threshold 0\.\d+\)", text)
    assert re.search(r"drawn as pneumonia: .+ present, probability 0\.\d+ \(threshold 0\.\d+\)", text)
    ids = re.findall(r"Observation/(\S+), preliminary, labelled AIAST, by chest-xray \S+", text)
    assert len(ids) == 2

    exchange._environment["HIE_DATA_DIR"] = str(tmp_path / "demo")
    exchange.start()
    exchange.token = re.search(r"TOKEN=(\S+)", text)[1]  # type: ignore[index]
    requests = re.findall(r"'http://127\.0\.0\.1:8080(/\S+)'", text)
    assert len(requests) == 3
    answers = [exchange.request("GET", path) for path in requests]
    assert [status for status, _, _ in answers] == [200, 200, 200]
    found = {entry["resource"]["id"]: entry["resource"] for entry in answers[0][1]["entry"]}
    assert set(ids) <= set(found)
    labels = [label["code"] for label in found[ids[0]]["meta"]["security"]]
    assert "AIAST" in labels
    kinds = {entry["resource"]["resourceType"] for entry in answers[1][1]["entry"]}
    assert {"Patient", "Condition", "Observation"} <= kinds
    assert answers[2][1]["jobs"]["done"] == 2
    patients = exchange.request("GET", "/fhir/Patient?_security=HTEST")[1]
    assert patients["total"] == 3
    checked = exchange.command("check")
    assert checked.stdout.splitlines()[-1] == "clean"


def test_it_does_not_mix_with_other_data(tmp_path: Path, forks: Forks) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    done = forks.run(["hie.cli", "demo", "--data-dir", str(tmp_path / "mine")], cwd=tmp_path, env=environment())
    assert done.returncode == 1
    assert "is not empty" in done.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["file"]
