"""Real DICOM files, where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_dicom() -> Path:
    """Folder of real DICOM files; tests that need it skip without."""
    root = Path(os.environ.get("HIE_TEST_DATA") or Path(__file__).parents[5] / "shared" / "data")
    folder = root / "medmnist" / "dicom"
    if not folder.is_dir():
        pytest.skip("needs medmnist/dicom of the shared data folder")
    return folder
