"""Put a model together that can be served: export, measure, and write what was found into its manifest.

`python -m ml.cnn.release DATA --foreign BUSI --work WORK --out WEIGHTS` repeats the shipped models from the start:
it trains the networks that WORK does not hold yet and writes the directories `chest-xray` and `chest-xray-single`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml.cnn import evaluate, export
from ml.cnn.train import RECORD_FILE, fit, recipe
from ml.training import run_in_child

SEEDS = (1, 2, 3)
SELECTION = (
    "Three seeds of one recipe were trained, none was thrown away. The ensemble has all of them; the single model is "
    "the one with the largest AUC on val. The test split chose neither seeds nor the number of epochs."
)


def assemble(
    trained: Sequence[Path],
    data: Path,
    out: Path,
    *,
    foreign: Path | None = None,
    name: str = export.NAME,
    extra: Mapping[str, Any] | None = None,
    graph: export.Graph | None = None,
) -> dict[str, Any]:
    """Export networks to `out`, measure what will be served, and write the whole manifest."""
    manifest = export.run(trained, data, out, name=name, graph=graph)
    manifest["metrics"] = evaluate.run(out, data, foreign)
    manifest.update(extra or {})
    export.write_manifest(out, manifest)
    return manifest


def run(data: Path, work: Path, out: Path, foreign: Path | None = None) -> dict[str, Any]:
    """Train what is missing in `work`; write the ensemble, the single model, and the baseline's figures beside them."""
    baseline = _trained(data, work, "baseline", 1)
    networks = [_trained(data, work, "residual", seed) for seed in SEEDS]
    alone = {work / "served-baseline": baseline, **{work / f"served-{n.name}": n for n in networks}}
    graphs = export.graphs({**{at: [network] for at, network in alone.items()}, out / export.NAME: networks})
    first, *members = [
        assemble([network], data, at, foreign=foreign, name=at.name.removeprefix("served-"), graph=graphs[at])
        for at, network in alone.items()
    ]
    extra = {
        "selection": SELECTION,
        "command": "python -m ml.cnn.release DATA --foreign BUSI --work WORK --out WEIGHTS",
        "baseline": _compared(first),
        "members": [_compared(member) for member in members],
    }
    _single(members, work, out / f"{export.NAME}-single", extra)
    both = out / export.NAME
    return assemble(networks, data, both, foreign=foreign, extra=extra, graph=graphs[both])


def _single(members: Sequence[dict[str, Any]], work: Path, out: Path, extra: Mapping[str, Any]) -> None:
    """The member that val prefers, as it was measured, under a name of its own."""
    best = max(members, key=lambda member: member["metrics"]["val"]["auc"]["value"])
    shutil.copytree(work / f"served-{best['name']}", out, dirs_exist_ok=True)
    export.write_manifest(out, {**best, "name": out.name, **extra})


def _trained(data: Path, work: Path, architecture: str, seed: int) -> Path:
    directory = work / f"{architecture}-{seed}"
    if not (directory / RECORD_FILE).exists():
        run_in_child(fit, data, directory, recipe(architecture), seed)
    return directory


def _compared(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest of another model says of one that it is compared with."""
    (training,) = manifest["training"]
    return {
        "architecture": training["recipe"]["architecture"],
        "width": training["recipe"]["width"],
        "seed": training["seed"],
        "epochs": training["recipe"]["epochs"],
        "parameters": manifest["parameters"],
        "seconds": training["seconds"],
        "threshold": manifest["threshold"]["value"],
        **{split: manifest["metrics"][split] for split in ("val", "test")},
    }


def main() -> None:
    """The command of the module's docstring."""
    parser = argparse.ArgumentParser(description="Train, export and measure the shipped chest X-ray models.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--foreign", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    manifest = run(given.data, given.work, given.out, given.foreign)
    sys.stdout.write(evaluate.table(manifest["metrics"]) + "\n" + json.dumps(manifest["files"]) + "\n")


if __name__ == "__main__":
    main()
