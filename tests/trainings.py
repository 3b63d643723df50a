"""Trainings one after the other in one process: to load TensorFlow takes as long as an epoch of the small data."""

from __future__ import annotations

from pathlib import Path

from ml.cnn import train


def fit_each(data: Path, how: train.Recipe, outs: dict[int, Path]) -> None:
    """Train a network with each seed."""
    for seed, out in outs.items():
        train.fit(data, out, how, seed)
