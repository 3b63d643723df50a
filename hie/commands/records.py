"""Read records out of the store for training and measuring."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hie.app import Application
from hie.operations.histories import histories
from hie.settings import Settings

if TYPE_CHECKING:
    from ml.recommender.history import History


def stored_histories(settings: Settings) -> Iterator[History]:
    """Yield the history of every patient in the store, one in memory at a time."""
    application = Application.open(settings)
    try:
        yield from histories(application.context(interaction="train"))
    finally:
        application.close()
