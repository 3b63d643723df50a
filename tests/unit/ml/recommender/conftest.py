"""Histories of the shared Synthea records, where they are at hand."""

import os
from pathlib import Path

import pytest

from fhir_adapters.histories import read_histories

ROOT = Path(__file__).resolve().parents[4]


def _shared(relative: str) -> Path:
    path = Path(os.environ.get("HIE_TEST_DATA", ROOT.parent / "shared" / "data")) / relative
    if not path.exists():
        pytest.skip(f"needs {relative} of the shared data (HIE_TEST_DATA)")
    return path


@pytest.fixture(scope="session")
def synthea_file():
    """The records that the shipped model has learnt from."""
    return _shared("synthea/synthea_r4_617_bundles.ndjson.xz")


@pytest.fixture(scope="session")
def synthea(synthea_file):
    """Their 615 patients."""
    return list(read_histories(synthea_file))


@pytest.fixture(scope="session")
def other_synthea():
    """120 patients of another Synthea version and population: strangers to the shipped model."""
    return list(read_histories(_shared("synthea-bundles/synthea-120.tar.xz")))
