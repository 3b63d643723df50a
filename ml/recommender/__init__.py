"""What patients like this one have, and this one has not: proposals with exact reasons.

`Model.load(MODEL_DIRECTORY)` is the shipped model; `train.run` makes another, `evaluate.run` measures.
"""

from __future__ import annotations

from pathlib import Path

from ml.recommender.errors import PatientDeceased, RecommenderError, RecommenderUnreadable
from ml.recommender.history import History, Item, LeftOut, Recommendation
from ml.recommender.model import Model

MODEL_DIRECTORY = Path(__file__).parent / "weights" / "recommender"

__all__ = [
    "MODEL_DIRECTORY",
    "History",
    "Item",
    "LeftOut",
    "Model",
    "PatientDeceased",
    "Recommendation",
    "RecommenderError",
    "RecommenderUnreadable",
]
