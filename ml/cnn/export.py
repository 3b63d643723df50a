"""Turn trained networks into one served model: an ONNX graph, the gate's parameters and a manifest. Only exports.

Several networks become one graph that averages their logits and their activation maps, so that the map still averages
to the logit exactly; their embeddings stand side by side.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.cnn import gate
from ml.cnn.calibration import THRESHOLD_RULE, choose_threshold, fit_temperature, probability
from ml.cnn.data import DataSet, load, without_leaks
from ml.cnn.model import CLASSES, IMAGE_SIZE, build_served
from ml.cnn.train import MODEL_FILE as KERAS_FILE
from ml.cnn.train import RECORD_FILE
from ml.runtime import GATE_FILE, MANIFEST_FILE, MODEL_FILE, SCHEMA
from ml.training import run_in_child

NAME = "chest-xray"
RELEASE = "1.0.0"
DATA_LICENCE = "CC BY 4.0"
DATA_SOURCES = (
    "PneumoniaMNIST of MedMNIST v2: Yang et al., Scientific Data 10:41 (2023), "
    "https://doi.org/10.1038/s41597-022-01721-8",
    "Kermany et al., Identifying Medical Diagnoses and Treatable Diseases by Image-Based Deep Learning, "
    "Cell 172(5):1122-1131 (2018), https://doi.org/10.1016/j.cell.2018.02.010",
)
OPSET = 17


@dataclass(frozen=True)
class Graph:
    """What an ONNX file was made of and by; the file itself lies in the directory that will be served."""

    outputs: list[str]
    versions: dict[str, str]


def run(
    trained: Sequence[Path], data: Path, out: Path, *, name: str = NAME, graph: Graph | None = None
) -> dict[str, Any]:
    """Export what `train` left in the directories `trained`; returns the manifest, which has no figures yet.

    `graph` tells of an ONNX file that lies in `out` already; None: it is still to be made.
    """
    graph = graph or graphs({out: trained})[out]
    loaded, _ = without_leaks(load(Path(data)))
    network = (out / MODEL_FILE).read_bytes()
    logits, embeddings = _everything(network, loaded)
    fitted, gate_threshold = gate.fit(
        (loaded.train.images, embeddings["train"], loaded.train.labels), (loaded.val.images, embeddings["val"])
    )
    (out / GATE_FILE).write_bytes(fitted.to_bytes())
    temperature = fit_temperature(logits["val"], loaded.val.labels)
    threshold = choose_threshold(probability(logits["val"], temperature), loaded.val.labels)
    files = {file: _described((out / file).read_bytes()) for file in (MODEL_FILE, GATE_FILE)}
    fixed = json.dumps([files, temperature, threshold, gate_threshold], sort_keys=True)
    members = [json.loads((Path(directory) / RECORD_FILE).read_bytes()) for directory in trained]
    manifest = {
        "schema": SCHEMA,
        "name": name,
        "version": f"{RELEASE}-{hashlib.sha256(fixed.encode()).hexdigest()[:12]}",
        "title": "Pneumonia on a paediatric chest radiograph",
        "files": files,
        "input": {
            "size": IMAGE_SIZE,
            "channels": 1,
            "range": [0, 255],
            "photometric": "MONOCHROME2 (bone bright)",
            "preparation": "central square of the short edge, anti-aliased bicubic to 28 x 28",
        },
        "outputs": graph.outputs,
        "classes": list(CLASSES),
        "positive_class": CLASSES[1],
        "calibration": {
            "method": "temperature",
            "temperature": temperature,
            "fitted_on": "val, classes weighted alike: probabilities are those at a prevalence of one half",
        },
        "threshold": {"value": threshold, "chosen_on": "val", "rule": THRESHOLD_RULE},
        "gate": {
            "threshold": gate_threshold,
            "quantile_of_val": gate.THRESHOLD_QUANTILE,
            "parts": list(gate.PARTS),
            "components": gate.COMPONENTS,
        },
        "data": {"sha256": loaded.sha256, "licence": DATA_LICENCE, "sources": list(DATA_SOURCES)},
        "training": [_summary(member) for member in members],
        "training_seconds": round(sum(member["seconds"] for member in members), 1),
        "parameters": sum(member["parameters"] for member in members),
        "versions": graph.versions,
    }
    write_manifest(out, manifest)
    return manifest


def write_manifest(directory: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest beside the files that it describes."""
    (directory / MANIFEST_FILE).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def graphs(wanted: Mapping[Path, Sequence[Path]]) -> dict[Path, Graph]:
    """Write the ONNX file of each directory to serve; it maps to what `train` left of the networks in it.

    All in one process of their own: to load TensorFlow takes longer than to convert a network.
    """
    for out in wanted:
        out.mkdir(parents=True, exist_ok=True)
    jobs = [([Path(directory) for directory in trained], out / MODEL_FILE) for out, trained in wanted.items()]
    return dict(zip(wanted, run_in_child(convert, jobs), strict=True))


def convert(jobs: Sequence[tuple[Sequence[Path], Path]]) -> list[Graph]:
    """Write an ONNX graph of trained networks to each target. Needs TensorFlow."""
    import keras
    import numpy
    import onnx
    import onnxruntime
    import tensorflow as tf
    import tf2onnx

    versions = {
        "tensorflow": tf.__version__,
        **{m.__name__: m.__version__ for m in (keras, numpy, tf2onnx, onnx, onnxruntime)},
    }
    made = []
    for trained, target in jobs:
        networks = [keras.models.load_model(directory / KERAS_FILE, compile=False) for directory in trained]
        made.append(Graph(to_onnx(build_served(networks), target), versions))
    return made


def to_onnx(served: Any, target: Path) -> list[str]:
    """Write a Keras model with dictionary output as ONNX, its outputs under their own names."""
    import tensorflow as tf
    import tf2onnx

    names = list(served.output)
    signature = [tf.TensorSpec((None, IMAGE_SIZE, IMAGE_SIZE, 1), tf.float32, name="pixels")]

    def outputs(pixels: Any) -> list[Any]:
        found = served(pixels, training=False)
        return [tf.identity(found[name], name=name) for name in names]

    graph, _ = tf2onnx.convert.from_function(tf.function(outputs), input_signature=signature, opset=OPSET)
    for found, name in zip(graph.graph.output, names, strict=True):
        _rename(graph.graph, found.name, name)
    _put_in_order(graph.graph)
    target.write_bytes(graph.SerializeToString(deterministic=True))
    return names


def _rename(graph: Any, old: str, new: str) -> None:
    """Give an output of the graph another name, wherever it is used."""
    for node in graph.node:
        node.input[:] = [new if given == old else given for given in node.input]
        node.output[:] = [new if made == old else made for made in node.output]
    for found in graph.output:
        found.name = new if found.name == old else found.name


def _put_in_order(graph: Any) -> None:
    """Number nodes and constants in the order of use, name the one open dimension: the same networks, the same bytes.

    The converter's own names and order hang on Python's hash seed and on a running number.
    """
    made_by = {made: node for node in graph.node for made in node.output}
    constants = {constant.name: constant for constant in graph.initializer}
    kept = {tensor.name for tensor in (*graph.input, *graph.output)}
    names = {tensor.name: tensor.name for tensor in graph.input}
    nodes: list[Any] = []
    used: list[Any] = []

    def visit(tensor: str) -> None:
        if not tensor or tensor in names:
            return
        if tensor in constants:
            names[tensor] = f"constant_{len(used)}"
            used.append(constants[tensor])
            return
        node = made_by[tensor]
        for given in node.input:
            visit(given)
        for made in node.output:
            names[made] = made if made in kept else f"tensor_{len(names)}"
        node.name = f"{node.op_type}_{len(nodes)}"
        nodes.append(node)

    for found in (*graph.input, *graph.output):
        found.type.tensor_type.shape.dim[0].dim_param = "images"
    for found in graph.output:
        visit(found.name)
    for node in nodes:
        node.input[:] = [names.get(given, given) for given in node.input]
        node.output[:] = [names[made] for made in node.output]
    for constant in used:
        constant.name = names[constant.name]
    ordered, stored = [copy.deepcopy(node) for node in nodes], [copy.deepcopy(constant) for constant in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(ordered)
    graph.initializer.extend(stored)
    graph.doc_string = ""


def _everything(network: bytes, data: DataSet) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """Logits and embeddings of train and val, by the engine that will serve."""
    import onnxruntime

    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    logits, embeddings = {}, {}
    for name in ("train", "val"):
        pixels = getattr(data, name).images[..., None].astype(np.float32)
        parts = [
            session.run(["logit", "embedding"], {"pixels": pixels[i : i + 128]}) for i in range(0, len(pixels), 128)
        ]
        logits[name] = np.concatenate([part[0] for part in parts]).reshape(-1)
        embeddings[name] = np.concatenate([part[1] for part in parts])
    return logits, embeddings


def _described(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _summary(record: Mapping[str, Any]) -> dict[str, Any]:
    """What of a training record belongs into the manifest: all but the history, of which the last line."""
    kept = {key: value for key, value in record.items() if key != "history"}
    return kept | {"last_epoch": {name: values[-1] for name, values in record["history"].items()}}
