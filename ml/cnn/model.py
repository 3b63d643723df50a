"""Architectures of the chest X-ray model; functions only build, nothing trains here.

Channel counts are multiples of 16: TensorFlow 2.21 corrupts memory on CPUs with AVX-512 when training with others.
Scaling is a layer of the model, so that what trains is what serves. Resizing is not: MedMNIST prepared its images with
an anti-aliased bicubic filter that no Keras or ONNX layer reproduces; `preparation.py` has it, for all callers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

IMAGE_SIZE = 28
CLASSES = ("normal", "pneumonia")
ARCHITECTURES = ("baseline", "residual")


def build(architecture: str, width: int) -> Any:
    """The named architecture as an untrained Keras model; the baseline has one width only."""
    if architecture == "residual":
        return build_residual(width)
    if architecture == "baseline":
        return build_baseline()
    raise ValueError(f"Architecture {architecture!r} is unknown; known are {', '.join(ARCHITECTURES)}.")


def build_baseline() -> Any:
    """Three convolutions of 32, 64 and 128 channels, a dense layer of 512, one logit."""
    from keras import Input, Model, layers

    pixels = Input((IMAGE_SIZE, IMAGE_SIZE, 1), name="pixels")
    x = layers.Rescaling(1 / 255)(pixels)
    for channels in (32, 64, 128):
        x = layers.Conv2D(channels, 3, activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dense(512, activation="relu", name="embedding")(layers.Flatten()(x))
    return Model(pixels, layers.Dense(1, name="logit")(x), name="baseline")


def build_residual(width: int = 16, blocks_per_stage: int = 2, dropout: float = 0.3) -> Any:
    """A small residual network: global average pooling and one dense layer make its class-activation map exact."""
    from keras import Input, Model, layers

    if width < 16 or width % 16:
        raise ValueError(f"Width {width} is not a positive multiple of 16.")
    pixels = Input((IMAGE_SIZE, IMAGE_SIZE, 1), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(pixels)
    x = layers.ReLU()(_convolution(x, width))
    for stage, channels in enumerate((width, 2 * width, 4 * width)):
        for block in range(blocks_per_stage):
            x = _residual_block(x, channels, stride=2 if stage and not block else 1)
    features = layers.Activation("linear", name="features")(x)
    embedding = layers.GlobalAveragePooling2D(name="embedding")(features)
    return Model(pixels, layers.Dense(1, name="logit")(layers.Dropout(dropout)(embedding)), name="residual")


def build_served(networks: Sequence[Any]) -> Any:
    """One model of trained networks with the outputs that are served: logit, activation map, embedding.

    Logits and maps of several networks are averaged. The baseline's head is not linear in its features: it has no
    exact map, and a model with it has no such output.
    """
    from keras import Input, Model, layers

    pixels = Input((IMAGE_SIZE, IMAGE_SIZE, 1), name="pixels")
    parts = [_explained(network)(pixels) for network in networks]
    served = {}
    for name in ("logit", "activation_map", "embedding"):
        found = [part[name] for part in parts if name in part]
        if len(found) == len(parts):
            join = layers.Concatenate() if name == "embedding" else layers.Average()
            served[name] = join(found) if len(found) > 1 else found[0]
    return Model(pixels, served, name="served")


def _explained(network: Any) -> Any:
    """A network with its embedding and, for a residual one, its class-activation map.

    The head is linear after an average, so logit = mean over positions of (features · weights + bias): the map that is
    averaged is an exact additive explanation.
    """
    from keras import Model, layers

    outputs = {"logit": network.get_layer("logit").output, "embedding": network.get_layer("embedding").output}
    if network.name == "residual":
        features = network.get_layer("features").output
        weights, bias = network.get_layer("logit").get_weights()
        project = layers.Conv2D(1, 1, name="project")
        outputs["activation_map"] = layers.Reshape(features.shape[1:3])(project(features))
        project.set_weights([weights.reshape(1, 1, *weights.shape), bias])
    return Model(network.input, outputs)


def _convolution(x: Any, channels: int, stride: int = 1, size: int = 3) -> Any:
    from keras import layers

    x = layers.Conv2D(channels, size, strides=stride, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    return layers.BatchNormalization(momentum=0.95)(x)


def _residual_block(x: Any, channels: int, stride: int) -> Any:
    from keras import layers

    shortcut = x if stride == 1 and x.shape[-1] == channels else _convolution(x, channels, stride, size=1)
    x = layers.ReLU()(_convolution(x, channels, stride))
    return layers.ReLU()(layers.Add()([_convolution(x, channels), shortcut]))
