"""Plain records that models hand out, and the errors they raise.

ModelError
├── InvalidImage          the pixels cannot be a picture at all: empty, not finite, wrong shape, too large
├── ModelUnreadable       files of a model are missing, damaged, or not what their manifest says
├── DataUnreadable        a data set cannot be read, or is not laid out as documented
└── TrainingFailed        training ended without a model
    └── TrainingDied      its process was killed or crashed
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class ModelError(Exception):
    """Whatever a model, its files or its training can go wrong with."""


class InvalidImage(ModelError):
    """The pixels handed in are no picture that any model could look at."""


class ModelUnreadable(ModelError):
    """The files of a model are missing, damaged, or differ from their manifest."""


class DataUnreadable(ModelError):
    """A data set is missing, damaged, or laid out differently from what is documented."""


class TrainingFailed(ModelError):
    """Training ended without a model."""


class TrainingDied(TrainingFailed):
    """The process that trained was killed or crashed; `exit_code` is negative for a signal."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What one model says about one image.

    `accepted` is False when the gate found that the model must not judge the image. Then `reason` is a sentence for
    the reader, and `label`, `probability`, `logit`, `positive` and `heatmap` are None, so that no number can reach a
    record; when `accepted` is True, `reason` is None and all of them are present. `gate_score` is compared with
    `gate_threshold` (above: refused); it is None when a plain check of the pixels refused the image before the model
    ran. `label` is the class decided for, `probability` that of the positive class. `input_digest` is the SHA-256 of
    the pixels as handed in, with their shape and type. `version` is fixed by the model's weights and manifest.
    """

    model: str
    version: str
    input_digest: str
    accepted: bool
    reason: str | None
    label: str | None
    probability: float | None
    logit: float | None
    threshold: float
    positive: bool | None
    heatmap: NDArray[np.float32] | None
    gate_score: float | None
    gate_threshold: float
