"""The gate in front of the model: how unlike the training images a picture is, in three ways.

* `embedding`: Mahalanobis distance of the network's embedding to the nearer class mean (Lee et al., NeurIPS 2018,
  https://arxiv.org/abs/1807.03888);
* `residual`: what the principal components of the training images cannot draw of the picture;
* `span`: how far out the picture lies along those components.

Pixels are first brought to mean 0 and deviation 1, so that exposure does not count. Each part is scaled by its own
median and 98th percentile on val; the gate's score is the largest part, its threshold a percentile of val.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ml.cnn.components import principal_components
from ml.cnn.npz import read_arrays
from ml.result import ModelUnreadable

COMPONENTS = 32
SOFTENING = 8.0  # grey levels added to the deviation, so that noise in a flat picture is not blown up
PARTS = ("embedding", "residual", "span")
SCALE_QUANTILE = 0.98
THRESHOLD_QUANTILE = 0.99

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Gate:
    """Fitted parameters; `centre` and `scale` have one number for each of `PARTS`."""

    class_means: Floats
    precision: Floats
    pixel_mean: Floats
    components: Floats
    variances: Floats
    centre: Floats
    scale: Floats

    def score(self, images: NDArray[np.generic], embeddings: NDArray[np.float32]) -> Floats:
        """One score for each prepared image (n, 28, 28) with its embedding (n, e)."""
        scaled = (self._parts(images, embeddings) - self.centre) / self.scale
        return scaled.max(axis=1)

    def _parts(self, images: NDArray[np.generic], embeddings: NDArray[np.float32]) -> Floats:
        off = embeddings.astype(np.float64)[:, None] - self.class_means[None]
        distance = np.sqrt(((off @ self.precision) * off).sum(axis=2).min(axis=1))
        centred = _standardised(images) - self.pixel_mean
        along = centred @ self.components.T
        residual = np.sqrt(((centred - along @ self.components) ** 2).mean(axis=1))
        span = np.sqrt((along**2 / self.variances).sum(axis=1))
        return np.stack([distance, residual, span], axis=1)

    def to_bytes(self) -> bytes:
        """As npz of plain arrays; single precision is enough."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{f.name: getattr(self, f.name).astype(np.float32) for f in fields(self)})
        return buffer.getvalue()

    @staticmethod
    def from_bytes(content: bytes) -> Gate:
        """Read what `to_bytes` wrote."""
        try:
            arrays = read_arrays(content)
            return Gate(**{f.name: arrays[f.name].astype(np.float64) for f in fields(Gate)})
        except (KeyError, ValueError) as error:
            raise ModelUnreadable(f"The gate's parameters cannot be read: {error}.") from error


def fit(
    train: tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]],
    val: tuple[NDArray[np.uint8], NDArray[np.float32]],
) -> tuple[Gate, float]:
    """A gate from (images, embeddings, labels) of train, and its threshold from (images, embeddings) of val."""
    images, embeddings, labels = train
    means = np.stack([embeddings[labels == label].astype(np.float64).mean(axis=0) for label in (0, 1)])
    covariance = np.cov((embeddings - means[labels]).T)
    # A touch of ridge: some of the embedding's numbers hardly vary.
    ridge = 1e-4 * np.trace(np.cov(embeddings.astype(np.float64).T)) / len(covariance)
    both_ways = np.concatenate([_standardised(images), _standardised(images[:, :, ::-1])])
    pixel_mean, components, variances = principal_components(both_ways, COMPONENTS)
    unscaled = Gate(
        class_means=means,
        precision=np.linalg.inv(covariance + ridge * np.eye(len(covariance))),
        pixel_mean=pixel_mean,
        components=components,
        variances=variances,
        centre=np.zeros(len(PARTS)),
        scale=np.ones(len(PARTS)),
    )
    parts = unscaled._parts(*val)
    centre = np.median(parts, axis=0)
    scale = np.quantile(parts, SCALE_QUANTILE, axis=0) - centre
    gate = Gate(**{f.name: getattr(unscaled, f.name) for f in fields(Gate)[:-2]}, centre=centre, scale=scale)
    # What is served is what was written: scores come from the parameters as they are stored.
    stored = Gate.from_bytes(gate.to_bytes())
    return stored, float(np.quantile(stored.score(*val), THRESHOLD_QUANTILE))


def _standardised(images: NDArray[np.generic]) -> Floats:
    flat = images.reshape(len(images), -1).astype(np.float64)
    return (flat - flat.mean(axis=1, keepdims=True)) / (flat.std(axis=1, keepdims=True) + SOFTENING)
