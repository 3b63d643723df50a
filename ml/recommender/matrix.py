"""Histories as a sparse matrix: a row per patient, a column per item, then the traits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ml.recommender import columns
from ml.recommender.errors import RecommenderError
from ml.recommender.history import KINDS, History, Item, Key

CHUNK = 4096  # patients made dense at a time: bounds the memory of the products


@dataclass(frozen=True, slots=True)
class Entry:
    """An item of the vocabulary and how many patients have it."""

    kind: str
    system: str
    code: str
    display: str | None
    patients: int

    @property
    def key(self) -> Key:
        """Kind, system and code."""
        return (self.kind, self.system, self.code)


def vocabulary(histories: Sequence[History], min_patients: int) -> tuple[Entry, ...]:
    """The items that at least so many patients have, ordered by kind, system and code.

    A display is kept only when as many patients share it: a text that one record alone carries may be about its
    patient.
    """
    patients: Counter[Key] = Counter()
    displays: dict[Key, Counter[str]] = {}
    for history in histories:
        for item in history.items:
            _require_kind(item)
            patients[item.key] += 1
            if item.display:
                displays.setdefault(item.key, Counter())[item.display] += 1
    kept = sorted(key for key, count in patients.items() if count >= min_patients)
    return tuple(Entry(*key, _shared(displays.get(key, Counter()), min_patients), patients[key]) for key in kept)


def _require_kind(item: Item) -> None:
    if item.kind not in KINDS:
        raise RecommenderError(f"An item's kind is one of {', '.join(KINDS)}.")


def _shared(displays: Counter[str], min_patients: int) -> str | None:
    candidates = sorted((-count, text) for text, count in displays.items() if count >= min_patients)
    return candidates[0][1] if candidates else None


@dataclass(frozen=True, slots=True)
class Row:
    """One patient: indices of items, ascending, and what is known of sex and age."""

    items: tuple[int, ...]
    sex: str | None
    age: int | None


def rows_of(histories: Sequence[History], entries: Sequence[Entry]) -> list[Row]:
    """A row per patient; the age is that on the day of the newest item."""
    index = {entry.key: position for position, entry in enumerate(entries)}
    return [
        Row(
            tuple(sorted({index[item.key] for item in history.items if item.key in index})),
            history.sex,
            history.age(history.last_date),
        )
        for history in histories
    ]


@dataclass(frozen=True)
class Matrix:
    """A row per patient learnt from."""

    rows: Sequence[Row]
    items: int

    @cached_property
    def gram(self) -> NDArray[np.float64]:
        """How many patients have both of two columns, over items and traits; whole numbers, exact in any order."""
        trait = {name: self.items + position for position, name in enumerate(columns.TRAITS)}
        total = np.zeros((self.items + len(trait),) * 2, np.float64)
        for start in range(0, len(self.rows), CHUNK):
            part = self.rows[start : start + CHUNK]
            dense = np.zeros((len(part), len(total)), np.float32)
            for position, row in enumerate(part):
                dense[position, row.items] = 1
                dense[position, [trait[name] for name in columns.traits(row.sex, row.age)]] = 1
            total += dense.T @ dense
        return total

    @cached_property
    def counts(self) -> NDArray[np.float64]:
        """How many patients have each item."""
        counts = np.zeros(self.items, np.float64)
        for row in self.rows:
            counts[list(row.items)] += 1
        return counts
