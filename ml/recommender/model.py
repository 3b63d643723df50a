"""The recommender as it serves: a history goes in, an order of coded items with their reasons comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.recommender import columns, storage
from ml.recommender.errors import PatientDeceased, RecommenderError
from ml.recommender.history import KINDS, History, Item, Key, Recommendation
from ml.recommender.matrix import Entry, Row
from ml.recommender.ranking import Ranked, Ranker, Table

NAME = "recommender"
MOST = 1000


@dataclass(frozen=True)
class Model:
    """A trained recommender; immutable, so any number of threads may ask it at once."""

    entries: tuple[Entry, ...]
    ranker: Ranker
    patients: int
    parameters: Mapping[str, float]
    about: Mapping[str, Any] = field(default_factory=dict)
    _index: Mapping[Key, int] = field(init=False, repr=False)
    _kinds: NDArray[np.str_] = field(init=False, repr=False)
    _codes: Mapping[tuple[str, str], tuple[int, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        codes: dict[tuple[str, str], tuple[int, ...]] = {}
        for position, entry in enumerate(self.entries):
            pair = (entry.system, entry.code)
            codes[pair] = (*codes.get(pair, ()), position)
        object.__setattr__(self, "_index", {entry.key: position for position, entry in enumerate(self.entries)})
        object.__setattr__(self, "_kinds", np.array([entry.kind for entry in self.entries], dtype=np.str_))
        object.__setattr__(self, "_codes", codes)

    @property
    def name(self) -> str:
        """What the model is called wherever models are listed."""
        return NAME

    @property
    def version(self) -> str:
        """A hash of the weights and of everything else that a recommendation depends on."""
        return str(self.manifest["version"])

    @property
    def manifest(self) -> dict[str, Any]:
        """What the model is, on what it was trained and how well it did, as JSON."""
        if "version" in self.about:
            return dict(self.about)
        described: dict[str, Any] = {
            "format": storage.FORMAT,
            "name": NAME,
            "algorithm": self.ranker.algorithm,
            "parameters": dict(self.parameters),
            "patients": self.patients,
            **self.about,
            "columns": list(columns.COLUMNS),
            "items": storage.describe(self.entries),
        }
        return {"version": storage.version_of(described, self._table), **described}

    @property
    def _table(self) -> NDArray[np.float32]:
        if not isinstance(self.ranker.scorer, Table):
            raise RecommenderError("user-user keeps its patients' histories: it is for comparison, not for files.")
        return self.ranker.scorer.weights

    def save(self, directory: Path) -> dict[str, Any]:
        """Write the model into a directory; gives its manifest."""
        return storage.write(Path(directory), self.manifest, self._table)

    @classmethod
    def load(cls, directory: Path) -> Model:
        """The model of a directory; RecommenderUnreadable unless its files are what the manifest says."""
        manifest, entries, weights = storage.read(Path(directory))
        ranker = Ranker(manifest["algorithm"], Table(weights), len(entries))
        return cls(entries, ranker, manifest["patients"], manifest["parameters"], manifest)

    def ignored(self, history: History) -> tuple[Item, ...]:
        """The items of a history that the model has never learnt and so cannot weigh."""
        return tuple(item for item in history.items if item.key not in self._index)

    def recommend(self, history: History, *, kind: str | None, count: int, now: date) -> list[Recommendation]:
        """At most `count` items that the patient does not have yet, the best first; equal scores by kind and code.

        `rank` is the place among those of every kind: an item has one, whichever kind is asked for.
        """
        _require(history, kind, count)
        known = {self._index[item.key]: item for item in history.items if item.key in self._index}
        row = Row(tuple(sorted(known)), history.sex, history.age(now))
        ranked = self.ranker.rank(row, self._allowed(history), count if kind is None else len(self.entries))
        places = range(len(ranked.best)) if kind is None else np.flatnonzero(self._kinds[ranked.best] == kind)[:count]
        return [self._recommendation(ranked, int(place), known) for place in places]

    def _allowed(self, history: History) -> NDArray[np.bool_]:
        allowed = np.ones(len(self.entries), np.bool_)
        for item in history.items:
            # Whatever kind it was recorded as: a code that the patient has is not proposed again.
            allowed[list(self._codes.get((item.system, item.code), ()))] = False
        return allowed

    def _recommendation(self, ranked: Ranked, place: int, known: Mapping[int, Item]) -> Recommendation:
        entry = self.entries[ranked.best[place]]
        weights = [
            (int(row), float(weight))
            for row, weight in zip(ranked.rows, ranked.contributions[:, place], strict=True)
            if weight
        ]
        first = len(self.entries)
        return Recommendation(
            entry.kind,
            entry.system,
            entry.code,
            entry.display,
            score=float(ranked.scores[place]),
            rank=place + 1,
            basis=ranked.basis,
            contributions=_strongest([(known[row], weight) for row, weight in weights if row < first]),
            content=tuple((columns.COLUMNS[row - first], weight) for row, weight in weights if row >= first),
        )


def _strongest(contributions: list[tuple[Item, float]]) -> tuple[tuple[Item, float], ...]:
    return tuple(sorted(contributions, key=lambda pair: (-abs(pair[1]), pair[0].key)))


def _require(history: History, kind: str | None, count: int) -> None:
    if kind is not None and kind not in KINDS:
        raise RecommenderError(f"The kind is one of {', '.join(KINDS)}.")
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
        raise RecommenderError(f"The count is a whole number from 1 to {MOST}.")
    if history.deceased:
        raise PatientDeceased("The patient is recorded as deceased; nothing is recommended.")
