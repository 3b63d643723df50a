"""How much work SQLite does, whatever the machine: steps of its own machine, ten by ten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hie.store.prepared import driver_of
from hie.store.resources import ResourceStore


def steps(store: ResourceStore, find: Callable[[], Any]) -> int:
    """Count the steps of the database on the store's connection while something is found."""
    counted = 0

    def step() -> int:
        nonlocal counted
        counted += 1
        return 0

    driver = driver_of(store.connection())
    driver.set_progress_handler(step, 10)
    try:
        find()
    finally:
        driver.set_progress_handler(None, 0)
    return counted
