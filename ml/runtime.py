"""Serve a trained model with ONNX Runtime: loaded once per process, on first use, and only if its files are genuine.

A model is a directory: `manifest.json` names the other files with their SHA-256, the input, the classes, the decision
threshold and the gate. TensorFlow is never imported here.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.cnn import preparation
from ml.cnn.calibration import probability
from ml.cnn.gate import Gate
from ml.result import InvalidImage, ModelUnreadable, Prediction

MANIFEST_FILE = "manifest.json"
MODEL_FILE = "model.onnx"
GATE_FILE = "gate.npz"
SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Judgement:
    """What the network and the gate say about n prepared images; `maps` is None where the network has none."""

    logits: NDArray[np.float32]
    maps: NDArray[np.float32] | None
    embeddings: NDArray[np.float32]
    gate_scores: NDArray[np.float64]


class ModelRuntime:
    """One model, ready to predict from any number of threads."""

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        self._lock = threading.Lock()
        self._manifest: Mapping[str, Any] | None = None
        self._engine: _Engine | None = None

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What the model is, as its manifest says; read once."""
        if self._manifest is None:
            self._manifest = _read_manifest(self.directory)
        return self._manifest

    def warm_up(self) -> None:
        """Load the model and run it once, so that the first prediction is as fast as the next."""
        self._ready()

    def predict(self, pixels: NDArray[np.generic]) -> Prediction:
        """Judge one grey picture, bone bright (MONOCHROME2), of 16 x 16 pixels or more.

        uint8 and uint16 count from black 0 to white 255 or 65535, floats from 0 to 1; height x width x 3 is taken as
        uint8 if it is grey. Raises InvalidImage for what is no picture; a picture that the model must not judge gives
        a Prediction that is not accepted.
        """
        checked = preparation.check(pixels)
        refusal = preparation.objection(checked)
        if refusal is not None:
            return self._refused(checked, refusal, None)
        levels = preparation.prepare(checked)
        if preparation.is_flat(levels):
            return self._refused(checked, "The image shows next to nothing: all of it has nearly one grey level.", None)
        judgement = self.judge(levels[None])
        score = float(judgement.gate_scores[0])
        if not score <= self._gate_threshold:
            return self._refused(checked, self._refusal(levels), score)
        return self._accepted(checked, judgement)

    def judge(self, images: NDArray[np.generic]) -> Judgement:
        """Run network and gate on prepared images (n, 28, 28) of 0 to 255, without any decision."""
        return self._ready().judge(images)

    def _ready(self) -> _Engine:
        if self._engine is None:
            with self._lock:
                if self._engine is None:
                    self._engine = _Engine(self.directory, self.manifest)
        return self._engine

    @property
    def _gate_threshold(self) -> float:
        return float(self.manifest["gate"]["threshold"])

    def _refusal(self, levels: NDArray[np.float32]) -> str:
        """Say what seems wrong: if the negative passes the gate, the picture is most likely inverted."""
        negative = float(self.judge(255 - levels[None]).gate_scores[0])
        if negative <= self._gate_threshold:
            return "The image seems to be inverted: its negative looks like a chest radiograph, it does not."
        return "The image does not look like the chest radiographs that the model was trained on."

    def _accepted(self, pixels: NDArray[np.generic], judgement: Judgement) -> Prediction:
        manifest, logit = self.manifest, float(judgement.logits[0])
        likely = float(probability(judgement.logits, manifest["calibration"]["temperature"])[0])
        positive = likely >= manifest["threshold"]["value"]
        return Prediction(
            accepted=True,
            reason=None,
            label=manifest["classes"][int(positive)],
            probability=likely,
            logit=logit,
            positive=positive,
            heatmap=None if judgement.maps is None else judgement.maps[0],
            gate_score=float(judgement.gate_scores[0]),
            **self._common(pixels),
        )

    def _refused(self, pixels: NDArray[np.generic], reason: str, score: float | None) -> Prediction:
        return Prediction(
            accepted=False,
            reason=reason,
            label=None,
            probability=None,
            logit=None,
            positive=None,
            heatmap=None,
            gate_score=score,
            **self._common(pixels),
        )

    def _common(self, pixels: NDArray[np.generic]) -> dict[str, Any]:
        return {
            "model": self.manifest["name"],
            "version": self.manifest["version"],
            "input_digest": preparation.digest(pixels),
            "threshold": float(self.manifest["threshold"]["value"]),
            "gate_threshold": self._gate_threshold,
        }


class _Engine:
    """The network and the gate in memory."""

    def __init__(self, directory: Path, manifest: Mapping[str, Any]) -> None:
        import onnxruntime

        network = _genuine(directory, manifest, MODEL_FILE)
        self._gate = Gate.from_bytes(_genuine(directory, manifest, GATE_FILE))
        options = onnxruntime.SessionOptions()
        # One thread: requests run beside each other already, and one image gains nothing from more.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            raise ModelUnreadable(f"{MODEL_FILE} cannot be loaded: {type(error).__name__}.") from error
        self._outputs = list(manifest["outputs"])
        if [output.name for output in self._session.get_outputs()] != self._outputs:
            raise ModelUnreadable(f"{MODEL_FILE} does not have the outputs that its manifest lists.")
        size = manifest["input"]["size"]
        self._shape = (size, size)
        self.judge(np.zeros((1, size, size), np.float32))

    def judge(self, images: NDArray[np.generic]) -> Judgement:
        if images.ndim != 3 or images.shape[1:] != self._shape:
            raise InvalidImage(f"Prepared images have shape {images.shape}; (n, {self._shape[0]}, {self._shape[1]}).")
        pixels = np.ascontiguousarray(images[..., None], dtype=np.float32)
        found = dict(zip(self._outputs, self._session.run(self._outputs, {"pixels": pixels}), strict=True))
        return Judgement(
            logits=found["logit"].reshape(-1),
            maps=found.get("activation_map"),
            embeddings=found["embedding"],
            gate_scores=self._gate.score(pixels, found["embedding"]),
        )


def _read_manifest(directory: Path) -> Mapping[str, Any]:
    path = directory / MANIFEST_FILE
    try:
        manifest = json.loads(path.read_bytes())
    except OSError as error:
        raise ModelUnreadable(f"The model in {directory.name} has no readable {MANIFEST_FILE}.") from error
    except ValueError as error:
        raise ModelUnreadable(f"{MANIFEST_FILE} of {directory.name} is not JSON: {error}.") from error
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise ModelUnreadable(f"{MANIFEST_FILE} of {directory.name} is not of schema {SCHEMA}.")
    needed = {"name", "version", "files", "input", "outputs", "classes", "calibration", "threshold", "gate"}
    if lacking := sorted(needed - manifest.keys()):
        raise ModelUnreadable(f"{MANIFEST_FILE} of {directory.name} lacks {', '.join(lacking)}.")
    return manifest


def _genuine(directory: Path, manifest: Mapping[str, Any], name: str) -> bytes:
    """The content of a file, if it is the one that the manifest was written for."""
    try:
        content = (directory / name).read_bytes()
    except OSError as error:
        raise ModelUnreadable(f"{name} of model {manifest['name']} is missing.") from error
    if hashlib.sha256(content).hexdigest() != manifest["files"].get(name, {}).get("sha256"):
        raise ModelUnreadable(f"{name} of model {manifest['name']} is not the file that its manifest describes.")
    return content
