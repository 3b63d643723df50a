"""Measure a model as it is served (ONNX Runtime, its gate, its threshold). Only measures; needs no TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.cnn.calibration import probability, youden_threshold
from ml.cnn.data import Split, load, load_foreign
from ml.cnn.metrics import MEASURES, accuracy, calibration_error, measure
from ml.cnn.preparation import is_flat
from ml.runtime import Judgement, ModelRuntime

BATCH = 128


def run(directory: Path, data: Path, foreign: Path | None = None) -> dict[str, Any]:
    """Figures on val and test, and how many images of which kind the gate refuses.

    `foreign` is an npz of pictures that are no chest radiographs at all (arrays named `…_images`).
    """
    runtime, loaded = ModelRuntime(directory), load(Path(data))
    judged = {name: judge(runtime, getattr(loaded, name).images) for name in ("val", "test")}
    report: dict[str, Any] = {name: _figures(runtime, getattr(loaded, name), judged[name]) for name in ("val", "test")}
    report["test"]["accuracy_at_youden_threshold_of_val"] = _at_youden(runtime, loaded.val, loaded.test, judged)
    turned_away = {name: _turned_away(runtime, getattr(loaded, name).images, judged[name]) for name in judged}
    kinds = altered(loaded.test.images)
    if foreign is not None:
        kinds["ultrasound"] = load_foreign(Path(foreign))
        kinds["ultrasound, inverted"] = 255 - kinds["ultrasound"]
    turned_away |= {kind: refused(runtime, images) for kind, images in kinds.items()}
    report["refused"] = {
        kind: {"images": len(found), "share": round(float(found.mean()), 4)} for kind, found in turned_away.items()
    }
    return report


def judge(runtime: ModelRuntime, images: NDArray[np.uint8]) -> Judgement:
    """Run network and gate over many prepared images, some at a time."""
    parts = [runtime.judge(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    maps = [part.maps for part in parts if part.maps is not None]
    return Judgement(
        np.concatenate([part.logits for part in parts]),
        np.concatenate(maps) if maps else None,
        np.concatenate([part.embeddings for part in parts]),
        np.concatenate([part.gate_scores for part in parts]),
    )


def refused(runtime: ModelRuntime, images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which prepared images the model would not judge."""
    return _turned_away(runtime, images, judge(runtime, images))


def altered(images: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
    """Pictures that are no chest radiographs, or no longer proper ones, made from such."""
    random = np.random.default_rng(0)
    shuffled = random.permuted(images.reshape(len(images), -1), axis=1).reshape(images.shape)
    ramp = np.linspace(0, 255, images.shape[1]).astype(np.uint8)
    return {
        "mirrored": images[:, :, ::-1],
        "inverted": 255 - images,
        "upside down": images[:, ::-1],
        "turned by 90 degrees": np.rot90(images, axes=(1, 2)),
        "pixels shuffled": shuffled,
        "noise": random.integers(0, 256, (300, *images.shape[1:]), dtype=np.uint8),
        "black": np.zeros((1, *images.shape[1:]), np.uint8),
        "white": np.full((1, *images.shape[1:]), 255, np.uint8),
        "grey ramp": np.broadcast_to(ramp, (1, *images.shape[1:])).copy(),
    }


def table(report: dict[str, Any]) -> str:
    """The report as text for a terminal."""
    lines = [f"{'':14}{'val':>24}{'test':>24}"]
    for name in MEASURES:
        cells = [_cell(report[split][name]) for split in ("val", "test")]
        lines.append(f"{name:14}{cells[0]:>24}{cells[1]:>24}")
    lines += ["", f"{'refused by the gate':28}{'images':>8}{'share':>9}"]
    lines += [f"{kind:28}{row['images']:>8}{row['share']:>9.1%}" for kind, row in report["refused"].items()]
    return "\n".join(lines)


def _turned_away(runtime: ModelRuntime, images: NDArray[np.uint8], judged: Judgement) -> NDArray[np.bool_]:
    flat = np.array([is_flat(image.astype(np.float32)) for image in images])
    return flat | (judged.gate_scores > runtime.manifest["gate"]["threshold"])


def _figures(runtime: ModelRuntime, split: Split, judged: Judgement) -> dict[str, Any]:
    manifest = runtime.manifest
    likely = probability(judged.logits, manifest["calibration"]["temperature"])
    threshold = manifest["threshold"]["value"]
    passed = judged.gate_scores <= manifest["gate"]["threshold"]
    return {
        "images": len(split),
        "positives": int(split.labels.sum()),
        "threshold": threshold,
        **measure(likely, split.labels, threshold),
        "ece_before_calibration": round(calibration_error(probability(judged.logits, 1.0), split.labels), 4),
        "accuracy_of_accepted": round(accuracy(likely[passed], split.labels[passed], threshold), 4),
    }


def _at_youden(runtime: ModelRuntime, val: Split, test: Split, judged: dict[str, Judgement]) -> dict[str, float]:
    temperature = runtime.manifest["calibration"]["temperature"]
    threshold = youden_threshold(probability(judged["val"].logits, temperature), val.labels)
    found = accuracy(probability(judged["test"].logits, temperature), test.labels, threshold)
    return {"threshold": threshold, "accuracy": round(found, 4)}


def _cell(interval: dict[str, float]) -> str:
    return f"{interval['value']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"
