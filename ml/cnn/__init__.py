"""The chest X-ray model: a small convolutional network that looks for pneumonia."""

from pathlib import Path

MODEL_DIRECTORY = Path(__file__).parent / "weights" / "chest-xray"
"""Where the model that ships with the package lies."""
