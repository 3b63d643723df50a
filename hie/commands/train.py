"""Train a model from files; the same data and seed give the same model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hie.commands.failures import CommandError
from hie.settings import Settings

if TYPE_CHECKING:
    from ml.recommender.history import History

NETWORK = "network"  # directory of the Keras network below that of the served model


def train(model: str, data: Sequence[Path], out: Path, seed: int, settings: Settings | None = None) -> Iterator[str]:
    """Train `model` into the directory `out` and yield lines that say what came of it."""
    if out.exists() and any(out.iterdir()):
        raise CommandError(f"{out} is not empty; name another directory by --out.")
    if model == "chest-xray":
        yield from _chest_xray(_only(data), out, seed)
    else:
        yield from _recommender(histories(data, settings), data, out, seed)


def _chest_xray(data: Path, out: Path, seed: int) -> Iterator[str]:
    if find_spec("tensorflow") is None or find_spec("tf2onnx") is None:
        raise CommandError("Training of images needs TensorFlow: pip install 'hie-core[train]' (./run train does it).")
    from ml.cnn import evaluate, export
    from ml.cnn import train as training

    record = training.run(data, out / NETWORK, seed=seed)
    yield f"Trained {record['recipe']['architecture']}, {record['parameters']} parameters, {record['seconds']} s."
    manifest = export.run([out / NETWORK], data, out)
    report = evaluate.run(out, data)
    export.write_manifest(out, {**manifest, "metrics": report})
    yield f"{manifest['name']} {manifest['version']} is in {out}."
    yield from evaluate.table(report).splitlines()


def _recommender(people: Iterable[History], data: Sequence[Path], out: Path, seed: int) -> Iterator[str]:
    from ml.recommender import evaluate
    from ml.recommender import train as training

    source = ", ".join(path.name for path in data) or "the records of this server"
    command = f"hie train recommender --seed {seed}"
    manifest: dict[str, Any] = training.run(people, out, seed=seed, source=source, command=command)
    yield f"recommender {manifest['version']} is in {out}."
    yield from evaluate.table(manifest["metrics"]).splitlines()


def histories(data: Sequence[Path], settings: Settings | None = None) -> Iterable[History]:
    """Return the histories of files of Bundles, or of the patients in the store where no file is named."""
    from fhir_adapters.histories import read_histories

    if data:
        return chain.from_iterable(read_histories(path) for path in data)
    from hie.commands.records import stored_histories

    return stored_histories(settings or Settings.from_env())


def _only(data: Sequence[Path]) -> Path:
    if len(data) != 1:
        raise CommandError("The chest X-ray model is trained from one npz file: --data FILE, once.")
    return data[0]
