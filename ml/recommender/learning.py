"""Histories as learning needs them: one per patient, without their sources, in an order of their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ml.recommender.history import History, Item, joined


def for_learning(histories: Iterable[History]) -> list[History]:
    """Histories of one patient joined; ordered by content, so that neither ids nor their order matter.

    Equal items become one object: a million patients share some thousand items and days.
    """
    shared: dict[Item, Item] = {}
    by_patient: dict[str, list[History]] = {}
    for history in histories:
        by_patient.setdefault(history.patient, []).append(_slim(history, shared))
    people = [joined(parts) for parts in by_patient.values()]
    return sorted(people, key=lambda history: json.dumps(signature(history)))


def _slim(history: History, shared: dict[Item, Item]) -> History:
    bare = (replace(item, sources=()) for item in history.items)
    return replace(history, items=tuple(shared.setdefault(item, item) for item in bare), left_out=())


def signature(history: History) -> list[Any]:
    """What is learnt from a history, as JSON."""
    return [history.sex, history.birth_date, [[*item.key, item.date] for item in history.items]]


def data_hash(people: Sequence[History]) -> str:
    """A SHA-256 of what is learnt from; neither patient ids nor the order of patients change it."""
    digest = hashlib.sha256()
    for line in sorted(json.dumps(signature(history)) for history in people):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
