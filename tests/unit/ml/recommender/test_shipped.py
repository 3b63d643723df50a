"""The model in the package: its files, its document and, where the data are at hand, its figures."""

import hashlib
import json
import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from ml.recommender import MODEL_DIRECTORY, History, Item, Model, evaluate
from ml.recommender.train import data_hash, train

ROOT = Path(__file__).resolve().parents[4]
DOCUMENT = ROOT / "docs" / "models" / "recommender.md"
SNOMED = "http://snomed.info/sct"


@pytest.fixture(scope="module")
def model():
    return Model.load(MODEL_DIRECTORY)


@pytest.fixture(scope="module")
def manifest():
    return json.loads((MODEL_DIRECTORY / "manifest.json").read_text())


def figure(report, hidden, patients, algorithm):
    return next(
        f for f in report["figures"] if (f["hidden"], f["patients"], f["algorithm"]) == (hidden, patients, algorithm)
    )


def test_the_shipped_model_is_small_and_tells_source_licence_and_command(manifest):
    assert sum(path.stat().st_size for path in MODEL_DIRECTORY.iterdir()) < 2_000_000
    assert manifest["data"]["licence"] == "Apache-2.0"
    assert "Synthea" in manifest["data"]["source"]
    assert manifest["trained"]["command"].startswith("hie train recommender")
    notice = (MODEL_DIRECTORY / "SOURCE.md").read_text()
    assert manifest["weights"]["sha256"] in notice
    assert manifest["data"]["sha256"] in notice
    assert manifest["version"] in notice


def test_the_shipped_model_reasons_from_diabetes_to_metformin(model):
    history = History("x", "male", "1960", (Item("condition", SNOMED, "44054006", "Diabetes"),))

    best = model.recommend(history, kind="medication", count=3, now=date(2026, 1, 1))

    assert [(each.system.rsplit("/", 1)[1], each.code, each.basis) for each in best[:1]] == [
        ("rxnorm", "860975", "history")
    ]
    assert "Metformin" in best[0].display
    assert best[0].contributions[0][0].code == "44054006"


def test_the_manifest_holds_the_floors(manifest):
    assert figure(manifest["metrics"], "random", "known", "hybrid")["recall"] >= 0.79
    assert figure(manifest["metrics"], "latest", "known", "hybrid")["recall"] >= 0.49


@pytest.mark.parametrize("patients", ["known", "new"])
@pytest.mark.parametrize("hidden", ["random", "latest"])
@pytest.mark.parametrize("measure", ["recall", "ndcg", "weighted_recall"])
def test_the_shipped_algorithm_is_ahead_of_popularity_content_and_both_cosines(manifest, hidden, patients, measure):
    best = figure(manifest["metrics"], hidden, patients, "hybrid")[measure]

    for other in ("popularity", "content", "user-user", "item-item"):
        assert best > figure(manifest["metrics"], hidden, patients, other)[measure]


def test_the_document_shows_the_figures_of_the_manifest(manifest):
    text = DOCUMENT.read_text()

    assert evaluate.table(manifest["metrics"]) in text
    assert manifest["version"] in text


def test_the_document_says_what_the_model_is_not():
    text = re.sub(r"\s+", " ", DOCUMENT.read_text())

    assert "no check of drug interactions" in text
    assert "No clinical value is claimed" in text


def test_the_notice_gives_the_hash_of_the_data_file(synthea_file):
    assert hashlib.sha256(synthea_file.read_bytes()).hexdigest() in (MODEL_DIRECTORY / "SOURCE.md").read_text()


def test_training_again_gives_the_shipped_weights(model, manifest, synthea):
    again = train(synthea)

    assert data_hash(synthea) == manifest["data"]["sha256"]
    assert again.entries == model.entries
    # Another LAPACK may differ in the last bits, and so by one grain after rounding.
    assert np.abs(again.ranker.scorer.weights - model.ranker.scorer.weights).max() <= 2.0**-19


def test_measuring_again_gives_the_figures_of_the_manifest_and_the_floors(manifest, synthea):
    again = ("popularity", "user-user", "hybrid")
    report = evaluate.run(synthea, algorithms=again)

    assert figure(report, "random", "known", "hybrid")["recall"] >= 0.79
    assert figure(report, "latest", "known", "hybrid")["recall"] >= 0.49
    for told in manifest["metrics"]["figures"]:
        if told["algorithm"] in again:
            measured = figure(report, told["hidden"], told["patients"], told["algorithm"])
            for name in evaluate.MEASURES:
                assert measured[name] == pytest.approx(told[name], abs=0.002)
                assert measured[name + "_std"] == pytest.approx(told[name + "_std"], abs=0.002)


def test_strangers_of_another_population_are_served_far_better_than_by_popularity(model, other_synthea):
    report = evaluate.of_model(model, other_synthea)

    for hidden in ("random", "latest"):
        popular, shipped = (figure(report, hidden, "new", name)["recall"] for name in ("popularity", "hybrid"))
        assert shipped > popular + 0.15
    assert evaluate.table(report) in DOCUMENT.read_text()


def test_every_score_of_real_histories_is_the_sum_of_its_reasons(model, other_synthea):
    for history in [each for each in other_synthea if not each.deceased][:40]:
        had = {(item.system, item.code) for item in history.items}
        for given in model.recommend(history, kind=None, count=20, now=date(2026, 1, 1)):
            assert given.score == sum(weight for _, weight in (*given.contributions, *given.content))
            assert (given.system, given.code) not in had
            assert all(item.sources for item, _ in given.contributions)


def test_hash_of_weights_is_that_of_the_manifest(manifest):
    content = (MODEL_DIRECTORY / "weights.npz").read_bytes()

    assert hashlib.sha256(content).hexdigest() == manifest["weights"]["sha256"]
