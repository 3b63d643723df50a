"""The chest X-ray model: a small convolutional network that looks for pneumonia."""

from pathlib import Path

MODEL_DIRECTORY = Path(__file__).parent / "weights" / "chest-xray"
"""Where the model that ships with the package lies."""

SINGLE_DIRECTORY = MODEL_DIRECTORY.with_name("chest-xray-single")
"""Where one of its networks lies as a model of its own: a third of the time and size."""
