"""Learn a recommender from histories; closed form, so the same histories give the same weights."""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ml.recommender import evaluate, ranking
from ml.recommender.algorithms import ALGORITHMS, L2, MIN_PATIENTS, SHIPPED
from ml.recommender.errors import RecommenderError
from ml.recommender.history import History
from ml.recommender.learning import data_hash, for_learning
from ml.recommender.matrix import Matrix, rows_of, vocabulary
from ml.recommender.model import Model


def train(
    histories: Iterable[History],
    *,
    algorithm: str = SHIPPED,
    l2: float = L2,
    min_patients: int = MIN_PATIENTS,
    about: dict[str, Any] | None = None,
) -> Model:
    """A model of the items that at least `min_patients` patients have; no chance has a part in it.

    `about` goes into the manifest: source, licence, measures.
    """
    _require(algorithm, l2, min_patients)
    people = for_learning(histories)
    entries = vocabulary(people, min_patients)
    if len(people) < 2 or len(entries) < 2:
        raise RecommenderError(
            f"{len(people)} patients share {len(entries)} items ({min_patients} patients or more each):"
            " too few to learn from."
        )
    matrix = Matrix(rows_of(people, entries), len(entries))
    ranker = ranking.fit(algorithm, matrix, l2=float(l2), min_patients=min_patients)
    parameters = {"l2": float(l2), "min_patients": min_patients}
    return Model(entries, ranker, len(people), parameters, {"data": {"sha256": data_hash(people)}, **(about or {})})


def run(
    histories: Iterable[History],
    out: Path,
    *,
    seed: int = 0,
    algorithm: str = SHIPPED,
    l2: float = L2,
    min_patients: int = MIN_PATIENTS,
    source: str | None = None,
    licence: str | None = None,
    command: str | None = None,
) -> dict[str, Any]:
    """Measure every algorithm, train one on all histories, write it to `out`; gives the manifest.

    `seed` fixes the splits of the measurement.
    """
    _require(algorithm, l2, min_patients)
    if algorithm == "user-user":
        raise RecommenderError("user-user keeps the histories of its patients: it is for comparison, not for files.")
    people = for_learning(histories)
    about = {
        "data": {"sha256": data_hash(people), "source": source, "licence": licence},
        "metrics": evaluate.run(people, seed=seed, l2=l2, min_patients=min_patients),
        "trained": {"command": command, "seed": seed, "python": platform.python_version(), "numpy": np.__version__},
    }
    return train(people, algorithm=algorithm, l2=l2, min_patients=min_patients, about=about).save(Path(out))


def _require(algorithm: str, l2: float, min_patients: int) -> None:
    if algorithm not in ALGORITHMS:
        raise RecommenderError(f"The algorithm is one of {', '.join(ALGORITHMS)}.")
    if not math.isfinite(l2) or not 0 < l2 <= sys.maxsize:
        raise RecommenderError("l2 is a positive number.")
    if min_patients < 1:
        raise RecommenderError("min_patients is 1 or more.")
