"""The shipped models are what their manifests and the model card say."""

import hashlib
import json
from pathlib import Path

import pytest

from ml.cnn import MODEL_DIRECTORY, SINGLE_DIRECTORY, card, evaluate

ROOT = Path(__file__).parents[4]
DIRECTORIES = pytest.mark.parametrize("directory", [MODEL_DIRECTORY, SINGLE_DIRECTORY], ids=lambda path: path.name)


def manifest_of(directory):
    return json.loads((directory / "manifest.json").read_text())


@DIRECTORIES
def test_every_file_has_the_checksum_and_size_of_the_manifest(directory):
    files = manifest_of(directory)["files"]
    assert files.keys() == {path.name for path in directory.iterdir()} - {"manifest.json"}
    for name, described in files.items():
        content = (directory / name).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (described["sha256"], described["bytes"])


def test_all_weights_together_stay_small():
    weights = MODEL_DIRECTORY.parent
    assert sum(path.stat().st_size for path in weights.rglob("*") if path.is_file()) < 6_000_000


@DIRECTORIES
def test_figures_measured_again_equal_the_manifest(directory, pneumoniamnist, busi):
    measured = evaluate.run(directory, pneumoniamnist, busi)
    claimed = manifest_of(directory)["metrics"]
    assert measured.keys() == claimed.keys()
    for split in ("val", "test"):
        for name, value in claimed[split].items():
            assert measured[split][name] == pytest.approx(value, abs=2e-3), (split, name)
    for kind, row in claimed["refused"].items():
        assert measured["refused"][kind]["images"] == row["images"]
        assert measured["refused"][kind]["share"] == pytest.approx(row["share"], abs=2e-3), kind


def test_the_single_model_holds_its_floor():
    test = manifest_of(SINGLE_DIRECTORY)["metrics"]["test"]
    assert test["auc"]["value"] >= 0.970
    assert test["accuracy"]["value"] >= 0.930


def test_the_ensemble_holds_its_floor():
    test = manifest_of(MODEL_DIRECTORY)["metrics"]["test"]
    assert test["auc"]["value"] >= 0.981
    assert test["accuracy"]["value"] >= 0.941


def test_the_single_model_is_the_one_that_val_prefers():
    manifest = manifest_of(SINGLE_DIRECTORY)
    best = max(manifest["members"], key=lambda member: member["val"]["auc"]["value"])
    assert [member["seed"] for member in manifest["training"]] == [best["seed"]]


def test_the_model_beats_the_baseline_beyond_chance():
    manifest = manifest_of(SINGLE_DIRECTORY)
    for name in ("auc", "accuracy", "specificity"):
        assert manifest["metrics"]["test"][name]["low"] > manifest["baseline"]["test"][name]["high"]


def test_the_data_are_those_that_the_manifest_names(pneumoniamnist):
    found = hashlib.sha256(pneumoniamnist.read_bytes()).hexdigest()
    for directory in (MODEL_DIRECTORY, SINGLE_DIRECTORY):
        manifest = manifest_of(directory)
        assert manifest["data"]["sha256"] == found
        assert {member["data_sha256"] for member in manifest["training"]} == {found}


def test_the_model_card_shows_the_figures_of_the_manifest():
    text = (ROOT / "docs" / "models" / "chest-xray.md").read_text()
    block = text.split("<!-- figures: begin -->\n")[1].split("<!-- figures: end -->")[0]
    assert block == card.figures(manifest_of(MODEL_DIRECTORY))


def test_the_table_of_a_report_names_every_measure():
    text = evaluate.table(manifest_of(MODEL_DIRECTORY)["metrics"])
    for word in ("auc", "accuracy", "sensitivity", "specificity", "f1", "brier", "ece", "ultrasound", "inverted"):
        assert word in text
