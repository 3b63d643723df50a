"""Train one network of the chest X-ray model. Only trains: `evaluate` measures, `export` exports."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.cnn.data import Split, load, without_leaks
from ml.cnn.model import ARCHITECTURES, build
from ml.result import TrainingFailed
from ml.training import run_in_child

MODEL_FILE = "model.keras"
RECORD_FILE = "training.json"


@dataclass(frozen=True)
class Augmentation:
    """How far a training image may differ from the stored one; all zero: not at all."""

    rotation: float = 0.0  # radians, either way
    shift: float = 0.0  # part of the edge
    zoom: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0  # grey levels
    gamma: float = 0.0  # of the logarithm
    flip: bool = False


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what training does, apart from data and seed."""

    architecture: str
    width: int
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warm_up_epochs: float
    label_smoothing: float
    balance_classes: bool
    augmentation: Augmentation


def recipe(architecture: str = "residual", width: int = 16, epochs: int | None = None) -> Recipe:
    """The settled way to train an architecture; `epochs` None means the settled number."""
    if architecture not in ARCHITECTURES:
        raise TrainingFailed(f"Architecture {architecture!r} is unknown; known are {', '.join(ARCHITECTURES)}.")
    if epochs is not None and epochs < 1:
        raise TrainingFailed(f"{epochs} epochs are no training; 1 is the least.")
    if width < 16 or width % 16:
        raise TrainingFailed(f"Width {width} is not a positive multiple of 16.")
    if architecture == "baseline":
        return Recipe("baseline", 32, epochs or 10, 32, 1e-3, 0.0, 0.0, 0.0, False, Augmentation())
    augmentation = Augmentation(
        rotation=0.17, shift=0.08, zoom=0.12, contrast=0.25, brightness=20.0, gamma=0.2, flip=True
    )
    return Recipe(architecture, width, epochs or 20, 64, 2e-3, 0.02, 1.0, 0.05, True, augmentation)


def run(
    data: Path,
    out: Path,
    *,
    seed: int = 1,
    epochs: int | None = None,
    width: int = 16,
    architecture: str = "residual",
) -> dict[str, Any]:
    """Train one network in a process of its own, then export and measure it: `out` is ready to be served.

    Returns the manifest. The network stays beside it as `model.keras`, the course of training in `training.json`.
    """
    from ml.cnn import release

    data, out = Path(data), Path(out)
    run_in_child(fit, data, out, recipe(architecture, width, epochs), seed)
    return release.assemble([out], data, out)


def fit(data: Path, out: Path, how: Recipe, seed: int) -> dict[str, Any]:
    """Train here, in this process; TensorFlow is set up for one run, so use a process of its own."""
    loaded, leakage = without_leaks(load(data))  # what cannot be read is told before TensorFlow is loaded
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    model = build(how.architecture, how.width)
    batches, steps = _batches(loaded.train, how, seed)
    model.compile(
        optimizer=_optimizer(how, steps),
        loss=keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=how.label_smoothing),
        metrics=[keras.metrics.AUC(from_logits=True, name="auc")],
    )
    # A step that makes the optimizer's variables is traced twice.
    model.optimizer.build(model.trainable_variables)
    val = (loaded.val.images[..., None].astype(np.float32), loaded.val.labels[:, None].astype(np.float32))
    started = time.perf_counter()
    history = model.fit(
        batches,
        epochs=how.epochs,
        steps_per_epoch=steps,
        shuffle=False,  # the data set shuffles itself
        validation_data=val,
        validation_batch_size=256,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=_tell(how.epochs))],
    )
    seconds = time.perf_counter() - started
    out.mkdir(parents=True, exist_ok=True)
    model.save(out / MODEL_FILE)
    record = {
        "recipe": dataclasses.asdict(how),
        "seed": seed,
        "data_sha256": loaded.sha256,
        "leakage": dataclasses.asdict(leakage),
        "train_images": len(loaded.train),
        "parameters": model.count_params(),
        "seconds": round(seconds, 1),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0",
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__},
        "history": {name: [round(float(v), 6) for v in values] for name, values in history.history.items()},
    }
    (out / RECORD_FILE).write_text(json.dumps(record, indent=1) + "\n")
    return record


def _tell(epochs: int) -> Callable[[int, dict[str, float]], None]:
    """A report of each epoch to stderr; a command's own answer goes to stdout."""

    def tell(epoch: int, logs: dict[str, float]) -> None:
        found = "  ".join(f"{name} {value:.4f}" for name, value in logs.items())
        sys.stderr.write(f"epoch {epoch + 1}/{epochs}  {found}\n")
        sys.stderr.flush()

    return tell


def _optimizer(how: Recipe, steps: int) -> Any:
    import keras

    if not how.weight_decay:
        return keras.optimizers.Adam(how.learning_rate)
    warm_up = max(1, int(how.warm_up_epochs * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        how.learning_rate * 0.05,
        decay_steps=max(1, how.epochs * steps - warm_up),
        warmup_target=how.learning_rate,
        warmup_steps=warm_up,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=how.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer


def _batches(train: Split, how: Recipe, seed: int) -> tuple[Any, int]:
    """Endless enough batches of (pixels, label, weight), in an order and with changes that only the seed decides."""
    import tensorflow as tf

    steps = -(-len(train) // how.batch_size)
    share = np.bincount(train.labels, minlength=2) / len(train)
    weight = (0.5 / share if how.balance_classes else np.ones(2)).astype(np.float32)

    def ready(index: Any, batch: tuple[Any, Any]) -> tuple[Any, Any, Any]:
        images, labels = batch
        pixels = tf.cast(images, tf.float32)
        if how.augmentation != Augmentation():
            pixels = _augment(pixels, how.augmentation, tf.stack([tf.constant(seed, tf.int64), index]))
        return pixels, tf.cast(labels, tf.float32)[:, None], tf.gather(weight, tf.cast(labels, tf.int32))

    dataset = tf.data.Dataset.from_tensor_slices((train.images[..., None], train.labels))
    dataset = dataset.shuffle(len(train), seed=seed, reshuffle_each_iteration=True).batch(how.batch_size)
    dataset = dataset.repeat(how.epochs).enumerate().map(ready, num_parallel_calls=1).prefetch(4)
    return dataset, steps


def _augment(pixels: Any, by: Augmentation, seed: Any) -> Any:
    """Rotate, zoom, shift, flip in one resampling; then change contrast, brightness and gamma."""
    import tensorflow as tf

    count, size = tf.shape(pixels)[0], pixels.shape[1]
    drawn = tf.random.stateless_uniform((8, count), seed, -1.0, 1.0)
    angle, zoom_y, zoom_x = drawn[0] * by.rotation, 1 + drawn[1] * by.zoom, 1 + drawn[2] * by.zoom
    mirrored = tf.where((drawn[3] < 0) & by.flip, -1.0, 1.0)
    a0, a1 = tf.cos(angle) * zoom_x * mirrored, -tf.sin(angle) * zoom_x
    b0, b1 = tf.sin(angle) * zoom_y * mirrored, tf.cos(angle) * zoom_y
    centre = (size - 1) / 2
    a2 = centre - (a0 + a1) * centre + drawn[4] * by.shift * size
    b2 = centre - (b0 + b1) * centre + drawn[5] * by.shift * size
    zero = tf.zeros_like(angle)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels,
        transforms=tf.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1),
        output_shape=[size, size],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    tone = tf.random.stateless_uniform((3, count, 1, 1, 1), seed + 7919, -1.0, 1.0)
    mean = tf.reduce_mean(moved, axis=(1, 2), keepdims=True)
    toned = (moved - mean) * (1 + tone[0] * by.contrast) + mean + tone[1] * by.brightness
    return 255 * (tf.clip_by_value(toned, 0.0, 255.0) / 255) ** tf.exp(tone[2] * by.gamma)
