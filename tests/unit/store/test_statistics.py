"""PostgreSQL plans with statistics that keep up."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from sqlalchemy import text

from hie.store.resources import ResourceStore
from hie.store.statistics import FIRST
from hie.store.store import Store


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_statistics_follow_a_store_that_fills(bind: Callable[..., ResourceStore], store: Store) -> None:
    def some(inside: ResourceStore) -> None:
        for _ in range(FIRST):
            inside.create("Patient", {"resourceType": "Patient", "active": True})

    estimate = text("SELECT reltuples::bigint FROM pg_class WHERE oid = 'resource'::regclass")
    connection = store.database.connection()
    assert connection.execute(estimate).scalar_one() <= 0
    bind().transact(some)
    until = time.monotonic() + 20
    while connection.execute(estimate).scalar_one() != FIRST and time.monotonic() < until:
        time.sleep(0.01)
    assert connection.execute(estimate).scalar_one() == FIRST


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_no_connection_starts_workers_or_a_compiler_for_a_page(store: Store) -> None:
    for connection in (store.database.connection(), store.database.open_autocommit(), store.database.engine.connect()):
        with connection:
            assert connection.execute(text("SHOW max_parallel_workers_per_gather")).scalar_one() == "0"
            assert connection.execute(text("SHOW jit")).scalar_one() == "off"
