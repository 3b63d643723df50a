"""A request that is answered later is kept with its job, both or neither (hie.store.asynchronous)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hie.store import asynchronous
from hie.store.conflicts import Again
from hie.store.resources import ResourceStore
from hie.store.store import Store

HOUR = 3_600_000_000
Bind = Callable[..., ResourceStore]


def ask(bound: ResourceStore, then: Callable[[], None]) -> None:
    def unit(inside: ResourceStore) -> None:
        inside.enqueue("async", {"request": "one"})
        now = inside.clock()
        asynchronous.add(inside, id="one", client="client", token="token", request=b"", now=now, expires=now + HOUR)
        then()

    bound.transact(unit)


def test_what_is_not_committed_is_not_kept(bind: Bind, store: Store) -> None:
    def fail() -> None:
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        ask(bind(), fail)
    assert asynchronous.find(bind(), "one") is None
    assert store.jobs.counts()["ready"] == 0


def test_what_met_a_neighbour_is_kept_once(bind: Bind, store: Store) -> None:
    tries: list[int] = []

    def meet() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise Again("A neighbour was quicker.")

    ask(bind(), meet)
    assert len(tries) == 3
    assert asynchronous.find(bind(), "one") is not None
    assert store.jobs.counts()["ready"] == 1
