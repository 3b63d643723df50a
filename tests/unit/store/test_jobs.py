"""Which job is claimed, and what that costs among many (hie.store.jobs)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from hie.store.jobs import CLAIM_MICROSECONDS
from hie.store.resources import ResourceStore
from hie.store.store import Store
from tests.machine_steps import bound, steps, stores_of


def waiting(inside: ResourceStore, number: int) -> None:
    """Let so many jobs of one kind wait, and one of another that came last."""

    def unit(store: ResourceStore) -> None:
        for one in range(number):
            store.enqueue("diagnose", {"media": str(one)})
        store.enqueue("reindex", {})

    inside.transact(unit)


def test_a_claim_among_many_jobs_costs_what_it_does_among_few(tmp_path_factory: pytest.TempPathFactory) -> None:
    with stores_of((30, 3_000), tmp_path_factory, waiting) as stores:
        for after in ("", "diagnose", "reindex"):
            few, many = (steps(bound(one), partial(one.jobs.claim, "w", one.clock(), after=after)) for one in stores)
            assert 0 < many < 1.5 * few, after


def test_of_the_kinds_in_turn_the_one_due_longest_comes_first(
    bind: Callable[..., ResourceStore], store: Store
) -> None:
    waiting(bind(), 2)
    jobs, now = store.jobs, store.clock()

    def kinds(*after: str) -> list[str | None]:
        found = [jobs.claim("w", now, after=one) for one in after]
        return [None if one is None else one.kind for one in found]

    assert kinds("diagnose", "reindex", "reindex", "") == ["reindex", "diagnose", "diagnose", None]
    assert jobs.counts()["running"] == 3
    again = now + CLAIM_MICROSECONDS + 1  # all three workers are lost
    found = [jobs.claim("w", again, after="diagnose") for _ in range(4)]
    assert [None if one is None else one.kind for one in found] == ["reindex", "diagnose", "diagnose", None]
    assert [one.attempts for one in found if one is not None] == [2, 2, 2]


def test_what_is_due_later_is_not_claimed_before(bind: Callable[..., ResourceStore], store: Store) -> None:
    later = store.clock() + 1_000_000_000
    bind().transact(lambda inside: inside.enqueue("diagnose", {}, run_after=later))
    assert store.jobs.claim("w", later - 1) is None
    assert store.jobs.claim("w", later, after="diagnose") is not None
