"""Measure a model on data and print the figures as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hie.commands.failures import CommandError
from hie.commands.train import histories
from hie.settings import Settings


def evaluate(
    model: str, data: Sequence[Path], directory: Path | None, *, as_json: bool, settings: Settings | None = None
) -> Iterator[str]:
    """Yield the figures of the shipped model, or of the one in `directory`."""
    report, lines = (_chest_xray if model == "chest-xray" else _recommender)(data, directory, settings)
    if as_json:
        yield json.dumps({"model": model, "data": [path.name for path in data], **report}, indent=1)
    else:
        yield from lines


def _chest_xray(
    data: Sequence[Path], directory: Path | None, _settings: Settings | None
) -> tuple[dict[str, Any], list[str]]:
    from ml.cnn import MODEL_DIRECTORY
    from ml.cnn import evaluate as measuring

    if len(data) != 1:
        raise CommandError("The chest X-ray model is measured on one npz file: --data FILE, once.")
    report = measuring.run(directory or MODEL_DIRECTORY, data[0])
    return report, measuring.table(report).splitlines()


def _recommender(
    data: Sequence[Path], directory: Path | None, settings: Settings | None
) -> tuple[dict[str, Any], list[str]]:
    from ml.recommender import MODEL_DIRECTORY, Model
    from ml.recommender import evaluate as measuring

    report = measuring.of_model(Model.load(directory or MODEL_DIRECTORY), histories(data, settings))
    return report, measuring.table(report).splitlines()
