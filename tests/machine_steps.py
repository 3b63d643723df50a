"""How much work SQLite does in stores of several sizes, whatever the machine: steps of its own machine, ten by ten."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest

from hie.fhir.scopes import FULL_GRANT, parse_grant
from hie.settings import Settings
from hie.store.audit import AuditEntry
from hie.store.prepared import driver_of
from hie.store.resources import ResourceStore
from hie.store.store import Store


@contextmanager
def stores_of(
    sizes: Sequence[int], folders: pytest.TempPathFactory, fill: Callable[[ResourceStore, int], None]
) -> Iterator[list[Store]]:
    """Open a store of each size, which `fill` fills.

    All have the keys of one: where a token stands among those of a criterion, by which it is found sooner or later,
    hangs on them.
    """
    empty = folders.mktemp("empty")
    Store.open(Settings(data_dir=empty)).close()
    with ExitStack() as stack:
        opened = []
        for size in sizes:
            folder = folders.mktemp(f"store{size}")
            shutil.copytree(empty, folder, dirs_exist_ok=True)
            store = stack.enter_context(closing(Store.open(Settings(data_dir=folder))))
            fill(bound(store), size)
            opened.append(store)
        yield opened


def bound(store: Store, *scopes: str) -> ResourceStore:
    """Return the store as a token with these scopes has it, or with all."""
    grant = parse_grant(scopes) if scopes else FULL_GRANT
    return store.bind(grant, AuditEntry(1, store.clock(), "request", "search", "client"))


def steps(store: ResourceStore, find: Callable[[], Any]) -> int:
    """Count the steps of the database on the store's connection while something is found.

    What frequencies are remembered of is counted anew each minute: of two turns the one without counts.
    """
    return min(_steps(store, find) for _ in range(2))


def _steps(store: ResourceStore, find: Callable[[], Any]) -> int:
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
