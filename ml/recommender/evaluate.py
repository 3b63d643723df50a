"""How well each algorithm finds what was hidden: at random and by time, for known and for new patients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ml.recommender import ranking
from ml.recommender.algorithms import ALGORITHMS, L2, MIN_PATIENTS
from ml.recommender.errors import RecommenderError
from ml.recommender.history import History
from ml.recommender.learning import data_hash, for_learning
from ml.recommender.matrix import Entry, Matrix, Row, rows_of, vocabulary
from ml.recommender.measures import ndcg, recall, weighted_recall
from ml.recommender.model import Model
from ml.recommender.ranking import Ranker
from ml.recommender.splits import Case, split

COUNT = 10
MEASURES = ("recall", "ndcg", "weighted_recall")
RANDOM, LATEST, EVERYTHING = "random", "latest", "everything"
KNOWN, NEW = "known", "new"
SETTINGS = ((RANDOM, KNOWN), (RANDOM, NEW), (LATEST, KNOWN), (LATEST, NEW), (EVERYTHING, NEW))

Trial = tuple[tuple[str, str], Matrix, list[tuple[Row, tuple[int, ...]]]]
Figures = dict[tuple[str, str, str], list[list[float]]]


def run(
    histories: Iterable[History],
    *,
    seed: int = 0,
    repeats: int = 5,
    share: float = 0.2,
    l2: float = L2,
    min_patients: int = MIN_PATIENTS,
    algorithms: Sequence[str] = ALGORITHMS,
) -> dict[str, Any]:
    """Mean and standard deviation over `repeats` splits of every measure, setting and algorithm.

    A known patient's shown items were learnt from; a new patient, one in five, was not in the learning set at all.
    With everything hidden, sex and age are all that is known of a new patient.
    """
    _require(repeats, share)
    people = for_learning(histories)
    entries = vocabulary(people, min_patients)
    collected: Figures = {}
    measured: set[int] = set()
    for repeat in range(repeats):
        trials = [*_trials(people, entries, share, np.random.default_rng([seed, repeat]))]
        fitted: dict[tuple[int, str], Ranker] = {}  # three settings of new patients learn from one matrix
        for setting, matrix, asked in trials:
            measured.add(len(asked))
            for algorithm in algorithms:
                key = (id(matrix), algorithm)
                if key not in fitted:
                    fitted[key] = ranking.fit(algorithm, matrix, l2=l2, min_patients=min_patients)
                collected.setdefault((*setting, algorithm), []).append(_mean(fitted[key], asked, entries))
    return _report(collected, seed, repeats, share, len(people), max(measured), len(entries))


def of_model(
    model: Model, histories: Iterable[History], *, seed: int = 0, repeats: int = 5, share: float = 0.2
) -> dict[str, Any]:
    """The same measures of a finished model, against its own popularity, on patients it has not learnt from.

    `unknown_items` is the share of the patients' items that the model does not know; those are not measured. On
    exactly the patients that it has learnt from, such figures would flatter: there it is `run` with its parameters,
    every algorithm fitted anew without what is hidden, and `refitted` is true.
    """
    _require(repeats, share)
    people = for_learning(histories)
    told = {"version": model.version, "unknown_items": 0.0, "refitted": True}
    if data_hash(people) == model.manifest.get("data", {}).get("sha256"):
        l2, least = float(model.parameters["l2"]), int(model.parameters["min_patients"])
        return {**told, **run(people, seed=seed, repeats=repeats, share=share, l2=l2, min_patients=least)}
    known = {entry.key for entry in model.entries}
    items = [item.key in known for history in people for item in history.items]
    popular = Ranker("popularity", model.ranker.scorer, len(model.entries))
    collected: Figures = {}
    measured = 0
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        for hiding in (RANDOM, LATEST):
            cases = split(people, model.entries, by_time=hiding == LATEST, share=share, rng=rng)
            asked = _asked(cases)
            measured = len(asked)
            for name, ranker in (("popularity", popular), (model.ranker.algorithm, model.ranker)):
                collected.setdefault((hiding, NEW, name), []).append(_mean(ranker, asked, model.entries))
    unknown = round(1 - sum(items) / len(items), 4)
    report = _report(collected, seed, repeats, share, len(people), measured, len(model.entries))
    return {**told, "unknown_items": unknown, "refitted": False, **report}


def _require(repeats: int, share: float) -> None:
    if repeats < 1 or not 0 < share < 1:
        raise RecommenderError("There is at least one repeat, and the share to hide lies between 0 and 1.")


def _report(
    collected: Figures, seed: int, repeats: int, share: float, patients: int, measured: int, items: int
) -> dict[str, Any]:
    return {
        "count": COUNT,
        "seed": seed,
        "repeats": repeats,
        "hidden_share": share,
        "patients": patients,
        "measured": measured,
        "items": items,
        "figures": [_figure(*key, values) for key, values in collected.items()],
    }


def _trials(
    people: Sequence[History], entries: Sequence[Entry], share: float, rng: np.random.Generator
) -> Iterator[Trial]:
    new = np.zeros(len(people), np.bool_)
    new[rng.permutation(len(people))[: max(1, round(share * len(people)))]] = True
    size = len(entries)
    others = Matrix([row for row, is_new in zip(rows_of(people, entries), new, strict=True) if not is_new], size)
    for hiding in (RANDOM, LATEST):
        cases = split(people, entries, by_time=hiding == LATEST, share=share, rng=rng)
        strangers = [case for case, is_new in zip(cases, new, strict=True) if is_new]
        yield (hiding, KNOWN), Matrix([case.shown for case in cases], size), _asked(cases)
        yield (hiding, NEW), others, _asked(strangers)
    nothing_shown = [(Row((), case.whole.sex, case.whole.age), case.whole.items) for case in strangers if case.hidden]
    yield (EVERYTHING, NEW), others, nothing_shown


def _asked(cases: Iterable[Case]) -> list[tuple[Row, tuple[int, ...]]]:
    return [(case.shown, case.hidden) for case in cases if case.hidden]


def _mean(ranker: Ranker, asked: Sequence[tuple[Row, tuple[int, ...]]], entries: Sequence[Entry]) -> list[float]:
    if not asked:
        raise RecommenderError("Too few patients have five items or more: nothing can be measured.")
    counts = np.array([entry.patients for entry in entries], np.float64)
    total = np.zeros(len(MEASURES))
    for shown, hidden in asked:
        allowed = np.ones(len(entries), np.bool_)
        allowed[list(shown.items)] = False
        best = [int(item) for item in ranker.rank(shown, allowed, COUNT).best]
        total += (recall(best, hidden), ndcg(best, hidden, COUNT), weighted_recall(best, hidden, counts))
    return [float(value) for value in total / len(asked)]


def _figure(hidden: str, patients: str, algorithm: str, values: list[list[float]]) -> dict[str, Any]:
    means, deviations = np.mean(values, axis=0), np.std(values, axis=0)
    return {
        "hidden": hidden,
        "patients": patients,
        "algorithm": algorithm,
        **{name: round(float(mean), 4) for name, mean in zip(MEASURES, means, strict=True)},
        **{f"{name}_std": round(float(spread), 4) for name, spread in zip(MEASURES, deviations, strict=True)},
    }


def table(report: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    count = report["count"]
    lines = [
        f"| hidden | patients | algorithm | recall@{count} | NDCG@{count} | weighted recall@{count} |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for figure in report["figures"]:
        cells = [figure["hidden"], figure["patients"], figure["algorithm"]]
        cells += [f"{figure[name]:.3f} ± {figure[name + '_std']:.3f}" for name in MEASURES]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
