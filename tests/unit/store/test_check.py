"""`hie check` beside a server that writes."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from hie.store import check as checking
from hie.store.resources import ResourceStore
from hie.store.store import Store
from tests.builders import observation, patient


def test_what_is_written_while_it_reads_is_no_problem(
    store: Store, bind: Callable[..., ResourceStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    def first(inside: ResourceStore) -> None:
        inside.create("Patient", patient(), id="p")
        inside.create("Observation", observation("Patient/p"), id="o")

    def change(inside: ResourceStore) -> None:
        inside.update("Patient", "p", patient("Jones"))
        inside.create("Patient", patient("Miller"), id="q")
        inside.update("Observation", "o", observation("Patient/q", value=1))
        inside.create("Observation", observation("Patient/q"), id="n")

    bind().transact(first)
    read = checking._Indexed.read

    def interrupted(*arguments: Any) -> Any:
        monkeypatch.setattr(checking._Indexed, "read", read)
        writer = Thread(target=lambda: bind().transact(change))
        writer.start()
        writer.join()
        return read(*arguments)

    monkeypatch.setattr(checking._Indexed, "read", interrupted)
    assert checking.check(store).problems == []
    assert checking.check(store).counts["resources"] == 4
