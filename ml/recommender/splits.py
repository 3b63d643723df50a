"""What is hidden from a recommender to see whether it finds it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ml.recommender.history import History, Item, Key
from ml.recommender.matrix import Entry, Row, rows_of

FEWEST = 5
"""Patients with fewer items are learnt from, not measured."""


@dataclass(frozen=True, slots=True)
class Case:
    """One patient: all that is true, the part shown, and the items hidden (none: not measured)."""

    whole: Row
    shown: Row
    hidden: tuple[int, ...]


def split(
    people: Sequence[History], entries: Sequence[Entry], *, by_time: bool, share: float, rng: np.random.Generator
) -> list[Case]:
    """Hide a share of each patient's items, at random or the latest; those of one day in random order."""
    index: Mapping[Key, int] = {entry.key: position for position, entry in enumerate(entries)}
    whole = rows_of(people, entries)
    return [_case(history, row, index, by_time, share, rng) for history, row in zip(people, whole, strict=True)]


def _case(
    history: History, whole: Row, index: Mapping[Key, int], by_time: bool, share: float, rng: np.random.Generator
) -> Case:
    items: list[Item] = [item for item in history.items if item.key in index]
    if len(items) < FEWEST:
        return Case(whole, whole, ())
    ordered = [items[position] for position in rng.permutation(len(items))]
    if by_time:
        ordered.sort(key=lambda item: item.date or "")
    cut = len(ordered) - max(1, round(share * len(ordered)))
    shown, hidden = ordered[:cut], ordered[cut:]
    last = max((item.date for item in shown if item.date), default=None)
    row = Row(tuple(sorted(index[item.key] for item in shown)), history.sex, history.age(last))
    return Case(whole, row, tuple(sorted(index[item.key] for item in hidden)))
